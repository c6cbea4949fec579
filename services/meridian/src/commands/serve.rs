//! `node --config`, `gateway --config` and `mirror --config`: one process of a region, until it is told to end.

use std::sync::Arc;

use clock::{Env, SystemEnv};
use futures::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use crate::adapt;
use crate::cli::{GatewayArgs, MirrorArgs, NodeArgs};
use crate::error::{CliError, Result};

/// Runs a node.
///
/// # Errors
/// Its settings, its data, or its port.
pub(super) async fn node(args: &NodeArgs, env: Arc<dyn Env>) -> Result<()> {
    let end = told_to_end(args.run.exit_with_parent)?;
    adapt::node::run(args, env, end).await
}

/// Runs a gateway.
///
/// # Errors
/// Its settings, or its ports.
pub(super) async fn gateway(args: &GatewayArgs, env: Arc<dyn Env>) -> Result<()> {
    let end = told_to_end(args.run.exit_with_parent)?;
    adapt::gateway::run(args, env, end).await
}

/// Runs a mirror.
///
/// # Errors
/// Its settings, or its ports.
pub(super) async fn mirror(args: &MirrorArgs, env: Arc<dyn Env>) -> Result<()> {
    let end = told_to_end(args.run.exit_with_parent)?;
    adapt::mirror::run(args, env, end).await
}

/// Completes on SIGTERM, on SIGINT, and with `with_parent` when standard input ends: the process
/// that held its other end is gone, however it died.
///
/// # Errors
/// Signals cannot be heard.
pub(super) fn told_to_end(with_parent: bool) -> Result<BoxFuture<'static, ()>> {
    let hear = |kind| signal(kind).map_err(CliError::file("hear", "signals"));
    let (mut term, mut int) = (hear(SignalKind::terminate())?, hear(SignalKind::interrupt())?);
    Ok(Box::pin(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
            () = parent_gone(), if with_parent => {}
        }
    }))
}

/// Meanwhile the parent may say what this process's clock is to be, for a drill: `clock 30000` puts it
/// 30 s ahead.
async fn parent_gone() {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(ahead_ms) = line.strip_prefix("clock ").and_then(|ms| ms.parse().ok()) {
            tracing::warn!(ahead_ms, "the wall clock is off from now on, for a drill");
            SystemEnv::set_ahead_ms(ahead_ms);
        }
    }
}
