//! A process that runs, and ends with its handle, also when a test panics.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use crate::error::KafkaError;

const LOOK: Duration = Duration::from_millis(20);
/// Where ports are looked for: these, and as many above.
const LOWEST_PORT: u16 = 10_000;
const PORTS: u16 = 20_000;

/// A running process; killed when dropped.
#[derive(Debug)]
pub struct Process {
    what: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it says is appended to `log`.
    ///
    /// # Errors
    /// The log cannot be written, or the program not started.
    pub fn start(what: &str, mut command: Command, log: &Path) -> Result<Self, KafkaError> {
        let write = || KafkaError::io("write", log.display().to_string());
        let out = OpenOptions::new().create(true).append(true).open(log).map_err(write())?;
        let errors = out.try_clone().map_err(write())?;
        let child = command.stdout(out).stderr(errors).spawn();
        let child = child.map_err(KafkaError::io("start", what))?;
        Ok(Self { what: what.to_owned(), child, log: log.to_owned() })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until something listens there.
    ///
    /// # Errors
    /// The process ended, or nothing listens in time.
    pub fn wait_for(&mut self, port: u16, seconds: u64) -> Result<(), KafkaError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        for _ in 0..seconds * 1_000 / LOOK.as_millis() as u64 {
            if TcpStream::connect_timeout(&address, LOOK).is_ok() {
                return Ok(());
            }
            if let Ok(Some(_)) = self.child.try_wait() {
                return Err(KafkaError::Ended { what: self.what.clone(), said: self.last_words() });
            }
            sleep(LOOK);
        }
        Err(KafkaError::Late { what: self.what.clone(), seconds, log: self.log.clone() })
    }

    /// Ends it at once, as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        // Only fails for a process that has ended.
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// The end of its log.
    #[must_use]
    pub fn last_words(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().rev().take(15).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ports of loopback that nobody listens on now, all different, and below those that the system
/// gives to clients: a client that looks for a broker that is down could be given the broker's own
/// port, would talk to itself, and keep the broker from coming back.
///
/// # Errors
/// The system has none.
pub fn free_ports<const N: usize>() -> Result<[u16; N], KafkaError> {
    let refused = || KafkaError::io("find a free port on", "127.0.0.1");
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        *port = loop {
            // The system's choice is as good a start as any.
            let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(refused())?;
            let any = any.local_addr().map_err(refused())?.port();
            let below = LOWEST_PORT + any % PORTS;
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, below)) {
                held.push(listener);
                break below;
            }
        };
    }
    Ok(ports)
}
