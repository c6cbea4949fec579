//! One file for each thing a user can do.

mod apply;
mod dead_letters;
mod demo;
mod explain;
mod get;
mod ingest;
mod init;
mod kafka;
mod load;
mod plan;
mod process;
mod push;
mod retire;
mod routes;
mod serve;
mod status;
mod up;
mod wan;

use std::sync::Arc;

use clock::Env;

use crate::adapt;
use crate::cli::{Command, Demo};
use crate::error::Result;
use crate::supervisor::Role;

/// Does what was typed.
///
/// # Errors
/// Whatever the command says.
pub(crate) async fn run(command: Command, env: Arc<dyn Env>) -> Result<()> {
    match command {
        Command::Init(args) => init::run(&args),
        Command::Plan(args) => plan::run(&args).await,
        Command::Apply(args) => apply::run(&args, &env).await,
        Command::Retire(args) => retire::run(&args, &env).await,
        Command::Up(args) => up::run(&args, env).await,
        Command::Down(mesh) => process::down(&mesh).await,
        Command::Ingest(args) => ingest::run(&args, env).await,
        Command::Push(args) => push::run(&args).await,
        Command::Get(args) => get::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::DeadLetters(args) => dead_letters::run(&args).await,
        Command::Status(args) => status::run(&args).await,
        Command::Routes(args) => routes::run(&args).await,
        Command::Load(args) => load::run(&args, &env).await,
        Command::Wan(command) => wan::run(&command).await,
        Command::Region(args) => process::run(&args.action, None).await,
        Command::Node(args) => match &args.action {
            Some(action) => process::run(action, Some(Role::Node)).await,
            None => serve::node(&args, env).await,
        },
        Command::Gateway(args) => match &args.action {
            Some(action) => process::run(action, Some(Role::Gateway)).await,
            None => serve::gateway(&args, env).await,
        },
        Command::Mirror(args) => match &args.action {
            Some(action) => process::run(action, Some(Role::Mirror)).await,
            None => serve::mirror(&args, env).await,
        },
        Command::Kafka(args) => kafka::run(&args),
        Command::Broker(args) => adapt::kafka::broker(&args),
        Command::MirrorMaker(args) => adapt::kafka::mirror_maker(&args),
        Command::Demo(Demo::Departures(args)) => demo::run(&args, env).await,
    }
}
