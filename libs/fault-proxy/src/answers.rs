//! Breaks single answers of a gRPC connection, and leaves the connection alone.
//!
//! A share of *answers* that fails cannot be had by resetting connections: over HTTP/2 one
//! connection carries them all, so that a reset fails everything or nothing. So what both sides send
//! is followed, down to gRPC's messages (a byte that says how it is compressed, four for the length),
//! and of those that are to fail the first byte is overwritten: with this value no client can read
//! them. Nothing is added or left out, so neither flow control nor header compression notices.
//!
//! What fails is the answer to what was asked since the fault began, be it over a stream of its own or
//! over one that was open before. A stream over which a server only tells, as that of its health, is
//! spared unless it was opened since.

use std::collections::HashMap;

use crate::frames::{DATA, Frames};

/// No flag of a gRPC message.
const BROKEN: u8 = 0xff;
/// The flag, and the length.
const HEAD: usize = 5;

/// Follows a connection from its first byte on.
#[derive(Debug)]
pub struct Answers {
    client: Frames,
    server: Frames,
    failing: bool,
    /// By stream.
    streams: HashMap<u32, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    answers: Messages,
    /// Whether something was asked over it since answers began to fail.
    asked: bool,
}

impl Default for Answers {
    fn default() -> Self {
        let (client, server) = (Frames::of_client(), Frames::of_server());
        Self { client, server, failing: false, streams: HashMap::new() }
    }
}

impl Answers {
    /// What a client sends next.
    pub fn asked(&mut self, bytes: &mut [u8], failing: bool) {
        self.set(failing);
        self.client.pass(bytes, |piece| {
            if failing && piece.kind == DATA && !piece.content.is_empty() {
                self.streams.entry(piece.stream).or_default().asked = true;
            }
        });
    }

    /// Passes on what the server sends next. While `failing`, `fails` is asked once for each answer
    /// to what was asked since that began.
    pub fn answered(&mut self, bytes: &mut [u8], failing: bool, mut fails: impl FnMut() -> bool) {
        self.set(failing);
        self.server.pass(bytes, |piece| {
            if piece.kind == DATA {
                let Stream { answers, asked } = self.streams.entry(piece.stream).or_default();
                let asked = *asked;
                answers.pass(piece.content, || asked && fails());
            }
            if piece.ends_stream {
                self.streams.remove(&piece.stream);
            }
        });
    }

    fn set(&mut self, failing: bool) {
        if failing != self.failing {
            self.failing = failing;
            self.streams.values_mut().for_each(|stream| stream.asked = false);
        }
    }
}

/// Follows the messages of a stream.
#[derive(Debug, Default)]
struct Messages {
    head: [u8; HEAD],
    have: usize,
    /// Bytes of the message under way that are still to come.
    left: usize,
}

impl Messages {
    /// Those for which `fails` says so are broken.
    fn pass(&mut self, mut bytes: &mut [u8], mut fails: impl FnMut() -> bool) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let here = self.left.min(bytes.len());
                self.left -= here;
                bytes = &mut bytes[here..];
                continue;
            }
            self.head[self.have] = bytes[0];
            if self.have == 0 && fails() {
                bytes[0] = BROKEN;
            }
            self.have = (self.have + 1) % HEAD;
            if self.have == 0 {
                let [_, length @ ..] = self.head;
                self.left = u32::from_be_bytes(length) as usize;
            }
            bytes = &mut bytes[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADERS: u8 = 1;
    const PADDED: u8 = 8;

    fn frame(kind: u8, padding: Option<u8>, stream: u32, content: &[u8]) -> Vec<u8> {
        let mut payload: Vec<u8> = padding.into_iter().collect();
        payload.extend(content);
        payload.extend(vec![0x55; usize::from(padding.unwrap_or(0))]);
        let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
        frame.extend([kind, if padding.is_some() { PADDED } else { 0 }]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    fn message(content: &[u8]) -> Vec<u8> {
        let mut message = vec![0];
        message.extend((content.len() as u32).to_be_bytes());
        message.extend(content);
        message
    }

    /// By stream its messages, each with whether it is to fail, and into frames of which length they
    /// are cut, with which padding, with other frames between.
    type Said = Vec<(Vec<(Vec<u8>, bool)>, usize, Option<u8>)>;

    fn said() -> impl Strategy<Value = Said> {
        let content = prop::collection::vec(any::<u8>(), 0..30);
        let messages = prop::collection::vec((content, any::<bool>()), 0..6);
        prop::collection::vec((messages, 1_usize..40, prop::option::of(0_u8..5)), 0..6)
    }

    /// The frames of all streams, one of each in turn; the fate of messages in their order on the wire.
    fn frames(said: &Said, broken: bool) -> (Vec<u8>, Vec<bool>) {
        let mut streams = Vec::new();
        for (messages, length, padding) in said {
            let mut bytes = Vec::new();
            let mut starts = Vec::new();
            for (content, fails) in messages {
                starts.push((bytes.len(), *fails));
                let mut message = message(content);
                message[0] = if broken && *fails { BROKEN } else { 0 };
                bytes.extend(message);
            }
            streams.push((bytes, starts, *length, *padding));
        }
        let (mut wire, mut fates) = (Vec::new(), Vec::new());
        let rounds = streams.iter().map(|(bytes, _, length, _)| bytes.len().div_ceil(*length));
        for round in 0..rounds.max().unwrap_or(0) {
            for (at, (bytes, starts, length, padding)) in streams.iter().enumerate() {
                let here =
                    (round * length).min(bytes.len())..((round + 1) * length).min(bytes.len());
                let begun = starts.iter().filter(|(start, _)| here.contains(start));
                fates.extend(begun.map(|(_, fails)| *fails));
                let stream = at as u32 * 2 + 1;
                wire.extend(frame(HEADERS, *padding, stream, b"\0\0\0\0\x05head"));
                wire.extend(frame(DATA, *padding, stream, &bytes[here]));
            }
        }
        (wire, fates)
    }

    proptest! {
        /// However messages are cut into frames and frames into pieces: of each message that is to
        /// fail the first byte, and nothing else.
        #[test]
        fn exactly_the_first_byte_of_what_fails(said in said(), cut in 1_usize..50) {
            let mut answers = Answers::default();
            let mut asked = vec![0; 24];
            for at in 0..said.len() as u32 {
                asked.extend(frame(DATA, None, at * 2 + 1, b"asked"));
            }
            for piece in asked.chunks_mut(cut) {
                answers.asked(piece, true);
            }
            let ((mut sent, fates), (expected, _)) = (frames(&said, false), frames(&said, true));
            let mut fates = fates.into_iter();
            for piece in sent.chunks_mut(cut) {
                answers.answered(piece, true, || fates.next().unwrap_or_default());
            }
            prop_assert_eq!(sent, expected);
            prop_assert_eq!(fates.next(), None);
        }
    }

    #[test]
    fn answers_to_what_was_asked_since_fail_over_old_streams_too() {
        let mut answers = Answers::default();
        answers.asked(&mut [0; 24], false);
        let ask = |answers: &mut Answers, stream, failing| {
            answers.asked(&mut frame(DATA, None, stream, b"asked"), failing);
        };
        let hit = |answers: &mut Answers, stream, failing, draw: bool| {
            let mut bytes = frame(DATA, None, stream, &message(b"answer"));
            let content = bytes.len() - message(b"answer").len();
            answers.answered(&mut bytes, failing, || draw);
            bytes[content] == BROKEN
        };
        ask(&mut answers, 5, false);
        ask(&mut answers, 7, false);
        assert!(!hit(&mut answers, 5, false, true), "there is no fault");
        assert!(!hit(&mut answers, 5, true, true), "it was asked before");
        ask(&mut answers, 7, true);
        assert!(hit(&mut answers, 7, true, true), "it was open before, and asked since");
        assert!(!hit(&mut answers, 7, true, false), "not drawn");
        assert!(!hit(&mut answers, 5, true, true), "nobody asked over it since");
        assert!(!hit(&mut answers, 7, false, true), "the fault is over");
        assert!(!hit(&mut answers, 7, true, true), "it is another fault now");
    }
}
