//! The loop that has the processes: it feeds each one's [`Keeper`], does what that says, answers
//! commands once they are done, and keeps `mesh.json` true.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clock::Env;
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::child::{self, Recipe, Running};
use super::keeper::{Action, Event, Keeper};
use super::links::Links;
use super::order::Stops;
use super::{ProcessId, Reply, Request, Role, Verb, control, layout};
use crate::error::{CliError, Result};
use crate::mesh::{Lock, Mesh, Supervisor};

/// A process that ends this often before the mesh is ready will not come up.
const STARTS: u32 = 5;
/// Commands and exits that may wait for the loop.
const QUEUE: usize = 64;

/// What the loop hears.
enum Input {
    Asked(control::Asked),
    Exited(ProcessId),
    Ready,
    Shutdown { kill: bool },
}

/// A way to tell the loop something.
#[derive(Clone)]
pub(crate) struct Supervision {
    inputs: mpsc::Sender<Input>,
}

impl Supervision {
    /// The mesh is up: write it down, and from now on restart whatever dies, however often.
    pub(crate) async fn ready(&self) {
        let _stopping = self.inputs.send(Input::Ready).await;
    }

    /// End everything, in order or at once.
    pub(crate) async fn shutdown(&self, kill: bool) {
        let _stopped = self.inputs.send(Input::Shutdown { kill }).await;
    }
}

struct Process {
    recipe: Recipe,
    keeper: Keeper,
    running: Option<Running>,
    exits: u32,
}

struct Waiting {
    of: Vec<ProcessId>,
    until: fn(&Keeper) -> bool,
    reply: oneshot::Sender<Reply>,
}

struct Loop {
    env: Arc<dyn Env>,
    data: PathBuf,
    mesh: Mesh,
    processes: BTreeMap<ProcessId, Process>,
    links: Links,
    stops: Stops,
    waiting: Vec<Waiting>,
    /// Those who asked for the end of everything.
    down: Vec<oneshot::Sender<Reply>>,
    inputs: mpsc::Sender<Input>,
    ready: bool,
    stopping: bool,
    /// Held until everything has ended.
    lock: Lock,
}

/// Starts every process of `mesh`. The future ends when all have ended, because it was told to or
/// because one does not come up.
///
/// # Errors
/// The directory cannot be written to, or the loopback has no port left for commands.
pub(crate) async fn supervise(
    env: Arc<dyn Env>,
    data: PathBuf,
    mut mesh: Mesh,
    lock: Lock,
) -> Result<(Supervision, Mesh, impl Future<Output = Result<()>>)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(CliError::file("listen on", "127.0.0.1"))?;
    let control = listener.local_addr().map_err(CliError::file("read", "127.0.0.1"))?.to_string();
    mesh.supervisor = Some(Supervisor { pid: std::process::id(), control, ready: false });
    let links = Links::open(&mesh, &env).await?;
    let recipes = layout::furnish(&data, &mesh)?;
    let process = |recipe| Process { recipe, keeper: Keeper::new(), running: None, exits: 0 };
    let processes = recipes.into_iter().map(|(id, recipe)| (id, process(recipe))).collect();
    let (inputs, heard) = mpsc::channel(QUEUE);
    let known = mesh.clone();
    let supervision = Supervision { inputs: inputs.clone() };
    let state = Loop {
        env,
        data,
        mesh,
        processes,
        links,
        stops: Stops::default(),
        waiting: Vec::new(),
        down: Vec::new(),
        inputs,
        ready: false,
        stopping: false,
        lock,
    };
    Ok((supervision, known, state.run(listener, heard)))
}

impl Loop {
    async fn run(mut self, listener: TcpListener, mut heard: mpsc::Receiver<Input>) -> Result<()> {
        let (asked, mut requests) = mpsc::channel(QUEUE);
        let env = self.env.clone();
        let _serving = env.spawn("control", Box::pin(control::serve(listener, asked)));
        for id in self.all() {
            self.step(&id, Event::Start);
        }
        let mut failure = None;
        loop {
            self.stop_due();
            // First: whoever is answered looks there next.
            self.mesh.write(&self.data)?;
            self.answer();
            if self.stopping && self.processes.values().all(|p| p.keeper.is_stopped()) {
                break;
            }
            let wake_ms = self.processes.values().filter_map(|p| p.keeper.wake_ms()).min();
            let input = tokio::select! {
                input = heard.recv() => input,
                asked = requests.recv() => asked.map(Input::Asked),
                () = until(&env, wake_ms) => None,
            };
            match input {
                Some(Input::Asked((request, reply))) => self.asked(&request, reply),
                Some(Input::Exited(id)) => failure = self.exited(&id).or(failure),
                Some(Input::Ready) => self.became_ready(),
                Some(Input::Shutdown { kill }) => self.stop_all(kill),
                None => self.all().iter().for_each(|id| self.step(id, Event::Tick)),
            }
        }
        self.mesh.supervisor = None;
        self.mesh.write(&self.data)?;
        drop(self.lock);
        for reply in self.down {
            let _gone = reply.send(Reply { error: None });
        }
        failure.map_or(Ok(()), Err)
    }

    fn all(&self) -> Vec<ProcessId> {
        self.processes.keys().cloned().collect()
    }

    fn meant(&self, request: &Request) -> Vec<ProcessId> {
        let wanted = |id: &&ProcessId| {
            request.region.as_ref().is_none_or(|region| *region == id.region)
                && request.role.is_none_or(|role| role == id.role)
                && request.number.is_none_or(|number| number == id.number)
        };
        self.processes.keys().filter(wanted).cloned().collect()
    }

    fn step(&mut self, id: &ProcessId, event: Event) {
        let now_ms = self.env.monotonic_ms();
        let Some(process) = self.processes.get_mut(id) else { return };
        let signal = |process: &Process, signal| {
            process.running.iter().for_each(|running| running.signal(signal));
        };
        match process.keeper.step(event, now_ms) {
            Some(Action::Spawn) => self.spawn(id),
            Some(Action::Terminate) => signal(process, Signal::SIGTERM),
            Some(Action::Kill) => signal(process, Signal::SIGKILL),
            None => {}
        }
    }

    fn spawn(&mut self, id: &ProcessId) {
        let Some(process) = self.processes.get_mut(id) else { return };
        let (inputs, gone) = (self.inputs.clone(), id.clone());
        let ended = async move {
            let _stopped = inputs.send(Input::Exited(gone)).await;
        };
        match child::start(&process.recipe, ended) {
            Ok(running) => {
                tracing::info!(process = %id, pid = running.pid, "started");
                process.running = Some(running);
            }
            Err(error) => {
                tracing::error!(process = %id, %error, "cannot start");
                process.keeper.step(Event::Exited, self.env.monotonic_ms());
                process.exits += 1;
            }
        }
        self.note_pid(id);
    }

    /// Why the mesh will not come up, if this exit was one too many.
    fn exited(&mut self, id: &ProcessId) -> Option<CliError> {
        let process = self.processes.get_mut(id)?;
        process.running = None;
        process.exits += 1;
        let hopeless = !self.ready && !self.stopping && process.exits >= STARTS;
        let log = process.recipe.log.clone();
        self.note_pid(id);
        self.step(id, Event::Exited);
        hopeless.then(|| {
            self.stop_all(false);
            let said = child::last_line(&log).unwrap_or_else(|| "it ended without a word".into());
            CliError::Refused { what: format!("the {id} does not start"), message: said }
        })
    }

    fn asked(&mut self, request: &Request, reply: oneshot::Sender<Reply>) {
        let until: fn(&Keeper) -> bool = match &request.verb {
            Verb::Down => {
                self.down.push(reply);
                return self.stop_all(false);
            }
            Verb::Start => Keeper::is_running,
            Verb::Stop | Verb::Kill => Keeper::is_stopped,
            Verb::Wan(change) => {
                let error = self.links.change(&mut self.mesh, change).err();
                let _gone = reply.send(Reply { error });
                return;
            }
            Verb::Skew(ahead_ms) => {
                for id in self.meant(request) {
                    let running = self.processes.get(&id).and_then(|p| p.running.as_ref());
                    running.into_iter().for_each(|running| running.skew(*ahead_ms));
                }
                let _gone = reply.send(Reply { error: None });
                return;
            }
        };
        let of = self.meant(request);
        if of.is_empty() {
            let known: Vec<String> = self.processes.keys().map(ProcessId::to_string).collect();
            let error = format!("no such process: this mesh has the {}", known.join(", "));
            let _gone = reply.send(Reply { error: Some(error) });
            return;
        }
        if request.verb == Verb::Start {
            self.stops.forget(&of);
            of.iter().for_each(|id| self.step(id, Event::Start));
        } else {
            self.stop(&of, request.verb == Verb::Kill);
        }
        self.waiting.push(Waiting { of, until, reply });
    }

    /// Tells those whose wish has come true.
    fn answer(&mut self) {
        let done = |w: &mut Waiting| {
            w.of.iter().all(|id| self.processes.get(id).is_some_and(|p| (w.until)(&p.keeper)))
        };
        for waiting in self.waiting.extract_if(.., done) {
            let _gone = waiting.reply.send(Reply { error: None });
        }
    }

    fn stop_all(&mut self, kill: bool) {
        self.stopping = true;
        self.stop(&self.all(), kill);
    }

    /// At once if they are killed, else in their order.
    fn stop(&mut self, of: &[ProcessId], kill: bool) {
        if kill {
            self.stops.forget(of);
            of.iter().for_each(|id| self.step(id, Event::Stop { kill: true }));
        } else {
            self.stops.want(of);
        }
    }

    fn stop_due(&mut self) {
        loop {
            let ending = self.processes.iter().filter(|(_, process)| process.keeper.is_stopping());
            let ending: Vec<_> = ending.map(|(id, _)| id.clone()).collect();
            let due = self.stops.due(&ending);
            if due.is_empty() {
                return;
            }
            due.iter().for_each(|id| self.step(id, Event::Stop { kill: false }));
        }
    }

    fn became_ready(&mut self) {
        self.ready = true;
        if let Some(supervisor) = &mut self.mesh.supervisor {
            supervisor.ready = true;
        }
    }

    fn note_pid(&mut self, id: &ProcessId) {
        let pid = self.processes.get(id).and_then(|p| p.running.as_ref()?.pid);
        let Some(region) = self.mesh.regions.get_mut(&id.region) else { return };
        match id.role {
            Role::Node => region.node_mut(id.number).into_iter().for_each(|node| node.pid = pid),
            Role::Gateway => region.gateway.pid = pid,
            Role::Broker | Role::MirrorMaker | Role::Mirror => {
                let Some(kafka) = &mut region.kafka else { return };
                match (id.role, &mut kafka.own, &mut kafka.mirror) {
                    (Role::Broker, Some(own), _) => own.broker = pid,
                    (Role::MirrorMaker, Some(own), _) => own.mirror_maker = pid,
                    (_, _, Some(mirror)) => mirror.pid = pid,
                    _ => {}
                }
            }
        }
    }
}

async fn until(env: &Arc<dyn Env>, at_ms: Option<u64>) {
    match at_ms {
        Some(at_ms) => env.sleep_ms(at_ms.saturating_sub(env.monotonic_ms())).await,
        None => std::future::pending().await,
    }
}
