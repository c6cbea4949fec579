//! `ingest`: feeds files to a source through a region's gateway.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clock::Env;

use crate::adapt::catalog::Known;
use crate::cli::IngestArgs;
use crate::error::{CliError, Result};
use crate::ingest::{self, Delivered, Job};
use crate::mesh::Mesh;
use crate::{client, out};

const BYTES: &str = "{bar:30} {bytes} of {total_bytes}  {msg}";
const ENDLESS: &str = "{spinner} {bytes}  {msg}";

/// Sends everything, and prints what was delivered.
///
/// # Errors
/// A file, the source, or the mesh; says how many events were delivered before.
pub(super) async fn run(args: &IngestArgs, env: Arc<dyn Env>) -> Result<()> {
    if args.speed.is_some_and(|speed| !(speed.is_finite() && speed > 0.0)) {
        return Err(CliError::Usage(
            "--speed: must be more than 0 (3600: an hour a second)".into(),
        ));
    }
    let mesh = Mesh::running(&args.mesh.data)?;
    mesh.region(&args.region)?;
    let total_bytes = ingest::size_bytes(&args.files)?;
    let source = Known::of(&mut client::any_node(&mesh).await?).await?.source(&args.source)?;
    let has_id = source.id.is_some();
    let bar = out::bar(total_bytes, if total_bytes.is_some() { BYTES } else { ENDLESS });
    let read_bytes = Arc::new(AtomicU64::new(0));
    let job = Job {
        mesh,
        region: args.region.clone(),
        source,
        files: args.files.clone(),
        speed: args.speed,
        read_bytes: read_bytes.clone(),
    };
    let (start_ms, sum) = (env.now_ms(), AtomicU64::new(0));
    let rate = |events: u64| {
        let ms = u64::try_from(env.now_ms() - start_ms).unwrap_or(0).max(1);
        format!("{} events, {}/s", out::count(events), out::count(events * 1_000 / ms))
    };
    let acknowledged = |more: u64| {
        bar.set_position(read_bytes.load(Ordering::Relaxed));
        bar.set_message(rate(sum.fetch_add(more, Ordering::Relaxed) + more));
    };
    let (delivered, outcome) = ingest::feed(job, &env, acknowledged).await;
    bar.finish_and_clear();
    out::line(format!("{} to {} in {}", rate(delivered.events), args.source, args.region));
    if let Some(note) = repeats(&delivered, has_id) {
        out::line(note);
    }
    outcome
}

fn repeats(delivered: &Delivered, has_id: bool) -> Option<String> {
    let n = (delivered.repeated > 0).then(|| out::count(delivered.repeated))?;
    Some(if has_id {
        format!("{n} were sent again after a lost connection; their ids make that harmless")
    } else {
        format!(
            "{n} were sent again after a lost connection, and may count twice: the source has no id"
        )
    })
}
