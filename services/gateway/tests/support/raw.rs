//! A client that sends what no client should: bytes, and frames of HTTP/2.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// Of HTTP/2's error codes.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// Only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Raw(pub TcpStream);

impl Raw {
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
        Self(stream)
    }

    /// Speaks HTTP/2 with these settings: pairs of an identifier and a value.
    pub fn http2(to: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut raw = Self::connect(to);
        raw.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let settings = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()[..]].concat());
        raw.send(&frame(SETTINGS, 0, 0, &settings.collect::<Vec<u8>>()));
        raw
    }

    /// Whether the other side still takes it.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// The head and the body of an HTTP/1 answer that says how long it is.
    pub fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !whole(&answer) {
            let mut part = [0; 1_024];
            let n = self.0.read(&mut part).expect("an answer");
            assert!(n > 0, "the connection was ended: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&part[..n]);
        }
        String::from_utf8(answer).expect("text")
    }

    /// All that comes until the other side ends, as it must.
    pub fn rest(&mut self) -> Vec<u8> {
        let (mut all, mut part) = (Vec::new(), [0; 4_096]);
        loop {
            match self.0.read(&mut part) {
                Ok(0) => return all,
                Ok(n) => all.extend_from_slice(&part[..n]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return all,
                Err(error) => panic!("the connection was not ended: {error}"),
            }
        }
    }

    /// The reason of the GOAWAY that the other side ends with, if it says one.
    pub fn goaway(&mut self) -> Option<u32> {
        let bytes = self.rest();
        let mut rest = &bytes[..];
        let mut reason = None;
        while let [a, b, c, kind, _, _, _, _, _, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let payload = after.get(..length)?;
            if *kind == GOAWAY {
                reason = payload.get(4..8)?.try_into().ok().map(u32::from_be_bytes);
            }
            rest = &after[length..];
        }
        reason
    }
}

fn whole(answer: &[u8]) -> bool {
    let Some((head, body)) = std::str::from_utf8(answer).expect("text").split_once("\r\n\r\n")
    else {
        return false;
    };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.expect("a length").parse().expect("a number")
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// `POST path` over HTTP/2, as HPACK without its tables.
pub fn head(path: &str) -> Vec<u8> {
    let mut head = vec![0x83, 0x86, 0x04];
    head.push(u8::try_from(path.len()).expect("short"));
    head.extend_from_slice(path.as_bytes());
    head.extend_from_slice(b"\x01\x01x");
    head
}

/// What this process holds in memory, bytes.
pub fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).expect("a number").parse().expect("a number");
    pages * 4_096
}
