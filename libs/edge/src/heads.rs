//! Where the heads of HTTP/1 requests end, seen from outside of hyper: at the first empty line. Only so
//! can it be told that a client has begun its next request while the last one was worked on.

/// The place in a head up to which it has come.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// Something but empty lines, which may stand before a head, has come.
    begun: bool,
    /// So far there is nothing in the line.
    blank: bool,
    /// The head has ended; whatever comes next is of another one.
    ended: bool,
}

impl Heads {
    /// More bytes; how many of them come after the end of the head, if it ends in them.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Option<usize> {
        if std::mem::take(&mut self.ended) {
            (self.begun, self.blank) = (false, true);
        }
        for (at, byte) in bytes.iter().enumerate() {
            match byte {
                b'\n' if self.begun && self.blank => {
                    self.ended = true;
                    return Some(bytes.len() - at - 1);
                }
                b'\n' => self.blank = true,
                b'\r' => {}
                _ => (self.begun, self.blank) = (true, false),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line_however_it_is_cut() {
        let first = b"\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n".as_slice();
        let both = [first, b"GET /n HT"].concat();
        for cut in 0..first.len() {
            let mut heads = Heads::default();
            assert_eq!(heads.feed(&both[..cut]), None, "{cut}");
            assert_eq!(heads.feed(&both[cut..]), Some(9), "{cut}");
            assert_eq!(heads.feed(b"TP/1.1\n"), None);
            assert_eq!(heads.feed(b"\n"), Some(0));
        }
    }
}
