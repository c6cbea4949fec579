//! The command line of Meridian.
//!
//! [`cli`] says what can be typed, [`commands`] has a file for each command, [`supervisor`] keeps
//! the processes of `up`, [`wan`] says how far they are apart, [`ingest`] feeds files, [`load`] reads
//! at a constant rate, [`adapt`] touches the other rooms of the house.

mod adapt;
mod cli;
mod client;
mod commands;
mod error;
mod ingest;
mod load;
mod mesh;
mod out;
mod supervisor;
mod value;
mod wan;

use std::process::ExitCode;

use clap::Parser;

/// A node makes and drops millions of small panes; the system's allocator costs it a fifth more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            out::trouble(format!("error: cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(commands::run(cli.command, clock::SystemEnv::shared()));
    // A thread may still wait for standard input, which may never come.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::failure(&error);
            ExitCode::FAILURE
        }
    }
}
