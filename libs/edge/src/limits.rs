//! What a port allows its clients.

use serde::{Deserialize, Serialize};

/// The limits of one port. All can be set; the defaults suit a gateway before thousands of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at a time. For one more, that which has been quiet the longest is closed; if all
    /// have something under way, the new one is refused. 4096.
    pub max_connections: usize,
    /// HTTP/2 streams at a time of one connection. 256.
    pub max_streams: u32,
    /// HTTP/2 streams of one connection that were reset before they were begun, at a time; more end
    /// it. 20.
    pub max_resets: usize,
    /// A request's head, bytes; of HTTP/2 its header list, of HTTP/1 at least 8 KiB. 32 KiB.
    pub max_head_bytes: u32,
    /// How long a request's head may take from its first byte, and a new connection to the first
    /// one, ms. 10 000.
    pub head_ms: u64,
    /// How long a body (of gRPC: a message) may take, ms, 10 000, and in addition
    pub body_ms: u64,
    /// a second for as many bytes. 16 KiB.
    pub min_body_bytes_per_s: u64,
    /// How long a client may take nothing of an answer that is ready, ms. 15 000.
    pub write_ms: u64,
    /// How long a connection may be without a request, ms. 120 000.
    pub idle_ms: u64,
    /// Parts of bodies that arrive, and of answers that leave, of all connections, bytes. More is
    /// refused, and clients that do not take their answers are closed after a second. 256 MiB.
    pub max_held_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4_096,
            max_streams: 256,
            max_resets: 20,
            max_head_bytes: 32 << 10,
            head_ms: 10_000,
            body_ms: 10_000,
            min_body_bytes_per_s: 16 << 10,
            write_ms: 15_000,
            idle_ms: 120_000,
            max_held_bytes: 256 << 20,
        }
    }
}

impl Limits {
    /// Checks what types cannot say.
    ///
    /// # Errors
    /// A limit of 0, by its name.
    pub fn check(&self) -> Result<(), String> {
        let zero = [
            ("max_connections", self.max_connections == 0),
            ("max_streams", self.max_streams == 0),
            ("max_resets", self.max_resets == 0),
            ("max_head_bytes", self.max_head_bytes == 0),
            ("head_ms", self.head_ms == 0),
            ("body_ms", self.body_ms == 0),
            ("min_body_bytes_per_s", self.min_body_bytes_per_s == 0),
            ("write_ms", self.write_ms == 0),
            ("idle_ms", self.idle_ms == 0),
            ("max_held_bytes", self.max_held_bytes == 0),
        ];
        match zero.iter().find(|(_, is_zero)| *is_zero) {
            Some((name, _)) => Err(format!("limits: {name} must be above 0")),
            None => Ok(()),
        }
    }
}
