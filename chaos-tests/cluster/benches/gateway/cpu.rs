//! How long processes have worked.

/// Ticks a second in `/proc`: fixed on Linux, whatever the kernel's own rate is.
const TICKS_PER_S: f64 = 100.0;

/// Seconds that these processes have worked so far, for themselves and in the kernel.
pub(crate) fn seconds(pids: &[u64]) -> f64 {
    pids.iter().map(|pid| ticks(*pid) as f64).sum::<f64>() / TICKS_PER_S
}

fn ticks(pid: u64) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    // After the name, which may hold anything, in parentheses: from the third field on.
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum()
}
