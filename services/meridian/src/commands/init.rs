//! `init`: a commented catalog to start from.

use std::fs::OpenOptions;
use std::io::Write;

use crate::adapt;
use crate::cli::InitArgs;
use crate::error::{CliError, Result};
use crate::out;

const FILE: &str = "catalog.yaml";

/// Writes it; never over something.
///
/// # Errors
/// There is a catalog already, or the directory cannot be written to.
pub(super) fn run(args: &InitArgs) -> Result<()> {
    std::fs::create_dir_all(&args.dir).map_err(CliError::file("make", &args.dir))?;
    let path = args.dir.join(FILE);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(CliError::file("write a new catalog", &path))?;
    file.write_all(adapt::catalog::STARTER.as_bytes()).map_err(CliError::file("write", &path))?;
    let dir = args.dir.display();
    out::line(format!("{}: edit it, then", path.display()));
    out::line(format!("  meridian plan {dir}"));
    out::line(format!("  meridian up --catalog {dir} --regions us,eu,ap"));
    Ok(())
}
