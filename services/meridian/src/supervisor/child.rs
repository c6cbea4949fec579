//! One real process: started with a log file and a pipe that ties its life to ours, signalled, told
//! things, and reaped, all by one task, so that no signal can reach a process id that was given away.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::error::{CliError, Result};

/// A log that is longer is set aside, as `.1`, when its process is started again.
const LOG_BYTES: u64 = 16 << 20;

/// How to start a process.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The command that runs it, as `node`.
    pub(crate) command: &'static str,
    /// Its YAML file.
    pub(crate) config: PathBuf,
    /// Where its output goes, appended.
    pub(crate) log: PathBuf,
}

/// A started process.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pid: Option<u32>,
    orders: mpsc::UnboundedSender<Order>,
}

/// What a process is sent.
enum Order {
    Signal(Signal),
    /// A line over the pipe; see `commands::serve`.
    Say(String),
}

impl Running {
    /// Sends it a signal, if it still runs.
    pub(crate) fn signal(&self, signal: Signal) {
        let _already_gone = self.orders.send(Order::Signal(signal));
    }

    /// Puts its wall clock ahead, ms, if it still runs.
    pub(crate) fn skew(&self, ahead_ms: i64) {
        let _already_gone = self.orders.send(Order::Say(format!("clock {ahead_ms}\n")));
    }
}

/// Starts the process; `ended` is awaited once, when it is gone.
///
/// # Errors
/// Its log cannot be written, or the program cannot be started.
pub(crate) fn start(
    recipe: &Recipe,
    ended: impl Future<Output = ()> + Send + 'static,
) -> Result<Running> {
    let program = std::env::current_exe().map_err(CliError::file("find", "meridian"))?;
    let log = open_log(&recipe.log)?;
    let errors = log.try_clone().map_err(CliError::file("write", &recipe.log))?;
    let child = Command::new(&program)
        .arg(recipe.command)
        .arg("--config")
        .arg(&recipe.config)
        .arg("--exit-with-parent")
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(errors)
        // Ctrl-C in a terminal is for the supervisor alone, which ends the others in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(CliError::file("start", &program))?;
    let pid = child.id();
    let (orders, given) = mpsc::unbounded_channel();
    tokio::spawn(watch(child, given, ended));
    Ok(Running { pid, orders })
}

async fn watch(
    mut child: Child,
    mut orders: mpsc::UnboundedReceiver<Order>,
    ended: impl Future<Output = ()>,
) {
    // `wait` would close it, and the process would take that for our end.
    let mut tie = child.stdin.take();
    loop {
        let order = tokio::select! {
            _ = child.wait() => break,
            Some(order) = orders.recv() => order,
        };
        match (order, child.id().and_then(|pid| i32::try_from(pid).ok()), &mut tie) {
            (Order::Signal(signal), Some(pid), _) => {
                let _already_gone = kill(Pid::from_raw(pid), signal);
            }
            (Order::Say(line), _, Some(tie)) => {
                let _already_gone = tie.write_all(line.as_bytes()).await;
            }
            _ => {}
        }
    }
    drop(tie);
    ended.await;
}

fn open_log(path: &Path) -> Result<File> {
    if path.metadata().is_ok_and(|m| m.len() > LOG_BYTES) {
        let aside = path.with_extension("log.1");
        std::fs::rename(path, aside).map_err(CliError::file("rename", path))?;
    }
    OpenOptions::new().create(true).append(true).open(path).map_err(CliError::file("write", path))
}

/// The last line that a process wrote into its log, for saying why it does not come up.
pub(crate) fn last_line(log: &Path) -> Option<String> {
    let bytes = std::fs::read(log).ok()?;
    let tail = &bytes[bytes.len().saturating_sub(4_096)..];
    let text = String::from_utf8_lossy(tail);
    text.lines().rev().map(str::trim).find(|l| !l.is_empty()).map(str::to_owned)
}
