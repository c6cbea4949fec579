//! The demo's mesh: `meridian up` in a process of its own, in a directory of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use clock::Env;
use tokio::process::{Child, Command};

use super::{LOOK_MS, REGIONS};
use crate::cli::DemoArgs;
use crate::commands::process::tell;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::out;
use crate::supervisor::{Request, Verb};

/// How long the mesh may take to come up, ms.
const UP_MS: u64 = 90_000;
const DOWN_MS: u64 = 15_000;

/// A running mesh.
pub(super) struct Stage {
    data: PathBuf,
    up: Child,
}

impl Stage {
    /// Empties what an earlier demo left, and starts a mesh.
    pub(super) async fn set(args: &DemoArgs, env: &Arc<dyn Env>) -> Result<Self> {
        let catalog = args.examples.join("departures/catalog");
        if !catalog.is_dir() {
            return Err(CliError::Usage(format!(
                "{}: there are no examples here; run this in a clone of Meridian, or name its examples with --examples",
                args.examples.display()
            )));
        }
        clear_old(args)?;
        let data = args.data.clone();
        std::fs::create_dir_all(&data).map_err(CliError::file("make", &data))?;
        let log = data.join("up.log");
        let out = std::fs::File::create(&log).map_err(CliError::file("write", &log))?;
        let err = out.try_clone().map_err(CliError::file("write", &log))?;
        let program = std::env::current_exe().map_err(CliError::file("find", "meridian"))?;
        let mut up = Command::new(&program);
        up.arg("up").arg("--catalog").arg(catalog).arg("--data").arg(&data);
        up.args(["--regions", &REGIONS.join(","), "--base-port", &args.base_port.to_string()]);
        up.stdout(out).stderr(err).process_group(0);
        if args.keep {
            up.stdin(Stdio::null());
        } else {
            // However the demo ends, its mesh ends with it.
            up.arg("--exit-with-parent").stdin(Stdio::piped());
        }
        let up = up.spawn().map_err(CliError::file("run", &program))?;
        let mut stage = Self { data, up };
        if let Err(error) = stage.wait(env).await {
            stage.clear(false, env).await;
            return Err(error);
        }
        Ok(stage)
    }

    /// Waits until every region is ready, or `up` has ended with an error.
    async fn wait(&mut self, env: &Arc<dyn Env>) -> Result<()> {
        let spinner = out::spinner("starting three regions");
        let (data, up) = (&self.data, &mut self.up);
        let ready = async {
            while !Mesh::read(data)?.and_then(|m| m.supervisor).is_some_and(|s| s.ready) {
                if let Ok(Some(_)) = up.try_wait() {
                    let log = std::fs::read_to_string(data.join("up.log")).unwrap_or_default();
                    let last = log.lines().last().unwrap_or("it says nothing").to_owned();
                    return Err(CliError::Refused { what: "meridian up".into(), message: last });
                }
                env.sleep_ms(LOOK_MS).await;
            }
            Ok(())
        };
        let waited = clock::timeout(env, UP_MS, ready).await;
        spinner.finish_and_clear();
        waited.unwrap_or_else(|_| {
            Err(CliError::TooLate {
                what: "the mesh is not up".into(),
                seconds: UP_MS / 1_000,
                hint: format!("see {}", self.data.join("up.log").display()),
            })
        })
    }

    /// What runs where, now.
    pub(super) fn mesh(&self) -> Result<Mesh> {
        Mesh::running(&self.data)
    }

    /// Ends the mesh, or says how to.
    pub(super) async fn clear(mut self, keep: bool, env: &Arc<dyn Env>) {
        if keep {
            let data = self.data.display();
            out::line(format!("the mesh is kept; stop it with `meridian down --data {data}`"));
            return;
        }
        let down = Request { verb: Verb::Down, region: None, role: None, number: None };
        if let Ok(mesh) = self.mesh()
            && let Err(error) = tell(&mesh, down).await
        {
            out::trouble(error.to_string());
        }
        if clock::timeout(env, DOWN_MS, self.up.wait()).await.is_err() {
            // It does not end by itself; its children notice that it is gone.
            _ = self.up.start_kill();
        }
    }
}

/// A directory is emptied only if a demo made it, and no mesh runs in it.
fn clear_old(args: &DemoArgs) -> Result<()> {
    if !args.data.exists() {
        return Ok(());
    }
    if Mesh::running(&args.data).is_ok() {
        return Err(CliError::AlreadyUp { data: args.data.clone() });
    }
    let empty = std::fs::read_dir(&args.data).is_ok_and(|mut entries| entries.next().is_none());
    if !empty && !args.data.join("up.log").is_file() {
        return Err(CliError::OtherMesh {
            data: args.data.clone(),
            what: "this directory is not an earlier demo's; give another --data".into(),
        });
    }
    std::fs::remove_dir_all(&args.data).map_err(CliError::file("empty", &args.data))
}
