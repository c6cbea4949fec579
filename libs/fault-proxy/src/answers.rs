//! Breaks single answers of an HTTP/2 connection, and leaves the connection alone.
//!
//! A share of *requests* that fails cannot be had by resetting connections: over HTTP/2 one
//! connection carries them all, so that a reset fails everything or nothing. So the frames that a
//! server sends are followed (RFC 9113, section 4.1: nine bytes that say length, type, flags and
//! stream), and of the DATA frames that are to fail the first byte is overwritten. In gRPC that byte
//! says how the message is compressed; with this value no client can read it. Nothing is added or
//! left out, so neither flow control nor header compression notices.

const HEAD: usize = 9;
const DATA: u8 = 0;
const PADDED: u8 = 8;
/// No flag of a gRPC message.
const BROKEN: u8 = 0xff;

/// Follows what a server sends over one connection, from its first byte on.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    head: [u8; HEAD],
    have: usize,
    /// Of the frame under way, bytes that are still to come.
    left: usize,
    /// How many of them come before the one to overwrite.
    broken_after: Option<usize>,
    newest: u32,
    /// Streams up to this were there before answers began to fail.
    spared: Option<u32>,
}

impl Answers {
    /// Passes on the next bytes. While `failing`, `fails` is asked once for each piece of an answer
    /// over a stream that was opened since.
    pub fn pass(&mut self, bytes: &mut [u8], failing: bool, mut fails: impl FnMut() -> bool) {
        self.spared = failing.then(|| self.spared.unwrap_or(self.newest));
        let mut at = 0;
        while at < bytes.len() {
            if self.left == 0 && self.have < HEAD {
                self.head[self.have] = bytes[at];
                self.have += 1;
                at += 1;
                if self.have == HEAD {
                    self.begin(&mut fails);
                }
                continue;
            }
            let here = self.left.min(bytes.len() - at);
            match self.broken_after {
                Some(after) if after < here => {
                    bytes[at + after] = BROKEN;
                    self.broken_after = None;
                }
                Some(after) => self.broken_after = Some(after - here),
                None => {}
            }
            at += here;
            self.left -= here;
            self.end();
        }
    }

    /// A frame's head is complete.
    fn begin(&mut self, fails: &mut impl FnMut() -> bool) {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = self.head;
        self.left = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
        self.newest = self.newest.max(stream);
        let padding = usize::from(flags & PADDED != 0);
        let hit = kind == DATA && self.left > padding && self.spared.is_some_and(|s| stream > s);
        self.broken_after = (hit && fails()).then_some(padding);
        self.end();
    }

    fn end(&mut self) {
        if self.left == 0 {
            self.have = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn frames() -> impl Strategy<Value = Vec<(u8, bool, u32, Vec<u8>)>> {
        let payload = prop::collection::vec(any::<u8>(), 0..40);
        prop::collection::vec((0_u8..10, any::<bool>(), 0_u32..50, payload), 0..30)
    }

    proptest! {
        /// However the bytes are cut: of every DATA frame with content the first byte of it, and
        /// nothing else.
        #[test]
        fn exactly_the_first_byte_of_every_answer(frames in frames(), cut in 1_usize..50) {
            let mut answers = Answers::default();
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (kind, padded, stream, payload) in frames {
                let flags = if padded { PADDED } else { 0 };
                let stream = stream * 2 + 1;
                sent.extend(frame(kind, flags, stream, &payload));
                let mut broken = payload;
                if kind == DATA && let Some(byte) = broken.get_mut(usize::from(padded)) {
                    *byte = BROKEN;
                }
                expected.extend(frame(kind, flags, stream, &broken));
            }
            for piece in sent.chunks_mut(cut) {
                answers.pass(piece, true, || true);
            }
            prop_assert_eq!(sent, expected);
        }
    }

    #[test]
    fn what_was_under_way_goes_on_and_the_share_is_drawn() {
        let mut answers = Answers::default();
        let mut pass = |stream, failing, draw| {
            let mut bytes = frame(DATA, 0, stream, b"\0answer");
            answers.pass(&mut bytes, failing, || draw);
            bytes[HEAD] == BROKEN
        };
        assert!(!pass(5, false, true), "there is no fault");
        assert!(!pass(5, true, true), "it was open before");
        assert!(pass(7, true, true));
        assert!(!pass(9, true, false), "not drawn");
        assert!(!pass(11, false, true), "the fault is over");
        assert!(!pass(11, true, true), "it is another fault now");
        assert!(pass(13, true, true));
    }
}
