//! One region's node is killed while its gateway is being read from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use api::v1::MeshInfo;
use clock::Env;

use super::{LOOK_MS, LOST, read};
use crate::commands::process::tell;
use crate::error::{CliError, Result};
use crate::mesh::Mesh;
use crate::out;
use crate::supervisor::{Request, Role, Verb};

/// Reads go on for so long without the node, ms.
const OUTAGE_MS: u64 = 3_000;
/// How long another region may take to answer instead, and the node to be back, ms.
const PATIENCE_MS: u64 = 30_000;

/// What a reader saw.
#[derive(Default)]
struct Seen {
    answered: u64,
    failed: u64,
    longest_ms: i64,
    last: Option<MeshInfo>,
}

/// Kills the node with SIGKILL, reads on, starts it again.
pub(super) async fn lose_a_region(mesh: &Mesh, env: &Arc<dyn Env>) -> Result<()> {
    out::line(format!("\nkill -9 of {LOST}'s node, while {LOST}'s gateway is read from"));
    let enough = AtomicBool::new(false);
    let story = async {
        let told = outage(mesh, env).await;
        enough.store(true, Ordering::Relaxed);
        told
    };
    let (seen, told) = futures::join!(keep_reading(mesh, env, &enough), story);
    told?;
    let mesh_info = seen.last.clone().unwrap_or_default();
    let age_ms = mesh_info.origins.get(LOST).and_then(|origin| origin.age_ms);
    let (route, by) = (&mesh_info.route, &mesh_info.served_by);
    let failed = format!("{} of {} reads failed", seen.failed, seen.answered + seen.failed);
    out::line(format!("{failed}; the slowest took {} ms", seen.longest_ms));
    let Some(age_ms) = age_ms.filter(|age_ms| *age_ms >= 1_000) else {
        return Err(CliError::Claim(format!(
            "{LOST}'s part is to grow old, and is {age_ms:?} ms old"
        )));
    };
    // The last read may have been one of the few that are asked of two regions.
    let elsewhere = ["failover", "hedged"].contains(&&**route) && by != LOST;
    if !elsewhere || seen.failed > 0 {
        return Err(CliError::Claim(format!(
            "reads are to go on elsewhere: {route} by {by}, {failed}"
        )));
    }
    out::line(format!(
        "{by} answered instead ({route}), and said that {LOST}'s part is {} old",
        out::age(age_ms)
    ));
    start_again(mesh, env).await
}

async fn outage(mesh: &Mesh, env: &Arc<dyn Env>) -> Result<()> {
    env.sleep_ms(LOOK_MS).await;
    order(mesh, Verb::Kill).await?;
    env.sleep_ms(OUTAGE_MS).await;
    Ok(())
}

/// Reads one after the other from the gateway of the region that is lost.
async fn keep_reading(mesh: &Mesh, env: &Arc<dyn Env>, enough: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    while !enough.load(Ordering::Relaxed) {
        let start_ms = env.now_ms();
        match read(mesh, LOST, &[], false).await {
            Ok(answer) => {
                seen.answered += 1;
                seen.last = answer.mesh;
            }
            Err(error) => {
                seen.failed += 1;
                out::trouble(error.to_string());
            }
        }
        seen.longest_ms = seen.longest_ms.max(env.now_ms() - start_ms);
        env.sleep_ms(5).await;
    }
    seen
}

async fn start_again(mesh: &Mesh, env: &Arc<dyn Env>) -> Result<()> {
    order(mesh, Verb::Start).await?;
    let back = async {
        loop {
            let answer = read(mesh, LOST, &[], false).await;
            if answer.is_ok_and(|answer| answer.mesh.is_some_and(|mesh| mesh.route == "local")) {
                return;
            }
            env.sleep_ms(LOOK_MS).await;
        }
    };
    let waited = clock::timeout(env, PATIENCE_MS, back).await;
    waited.map_err(|_| CliError::Claim(format!("{LOST}'s own node is to answer again")))
}

async fn order(mesh: &Mesh, verb: Verb) -> Result<()> {
    let (region, role) = (Some(LOST.to_owned()), Some(Role::Node));
    tell(mesh, Request { verb, region, role, number: None }).await
}
