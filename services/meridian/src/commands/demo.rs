//! `demo departures`.

use std::sync::Arc;

use clock::Env;

use crate::cli::DemoArgs;
use crate::error::Result;

pub(super) async fn run(_args: &DemoArgs, _env: Arc<dyn Env>) -> Result<()> {
    Ok(())
}
