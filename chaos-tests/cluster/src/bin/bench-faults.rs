//! The table of faults; arguments choose those whose names have one of them. See `scripts/bench-faults`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints a table")]

use cluster::Mesh;
use cluster::faults::{FAULTS, HEAD, Readings, WAN, measure, overload};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(&**w));
    let mut mesh = Mesh::start_over(WAN);
    let readings = Readings::bring(&mut mesh);
    println!("{HEAD}");
    for fault in FAULTS.iter().filter(|fault| is_wanted(fault.name)) {
        let row = measure(&mut mesh, fault, &readings);
        println!("{row}");
        row.failures.iter().for_each(|(why, count)| eprintln!("  {count} failed: {why}"));
    }
    if is_wanted("overload x3") {
        println!("\n{}", overload(&mut mesh, &readings));
    }
}
