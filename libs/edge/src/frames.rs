//! Where gRPC's messages begin and end in a body: five bytes of head, the last four of which are the
//! length, then so many bytes.

const HEAD: usize = 5;

/// The place in a body up to which it has come.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    head: [u8; HEAD],
    head_bytes: usize,
    left: usize,
    partial: usize,
}

impl Frames {
    /// More of the body.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.head_bytes < HEAD {
                let n = bytes.len().min(HEAD - self.head_bytes);
                self.head[self.head_bytes..self.head_bytes + n].copy_from_slice(&bytes[..n]);
                (self.head_bytes, self.partial) = (self.head_bytes + n, self.partial + n);
                bytes = &bytes[n..];
                if self.head_bytes == HEAD {
                    let [_, a, b, c, d] = self.head;
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                }
            } else {
                let n = bytes.len().min(self.left);
                (self.left, self.partial) = (self.left - n, self.partial + n);
                bytes = &bytes[n..];
            }
            if self.head_bytes == HEAD && self.left == 0 {
                (self.head_bytes, self.partial) = (0, 0);
            }
        }
    }

    /// Bytes of the message that is not complete; 0 between two.
    pub(crate) fn partial(&self) -> usize {
        self.partial
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_between_two_messages_after_each_however_they_are_cut(
            lengths in prop::collection::vec(0..300_usize, 0..6), cut in 1..40_usize, tail in 0..5_usize,
        ) {
            let message = |n: &usize| {
                let length = u32::try_from(*n).expect("short").to_be_bytes();
                [&[0], &length[..], &vec![7; *n]].concat()
            };
            let mut body: Vec<u8> = lengths.iter().flat_map(message).collect();
            body.extend(vec![0; tail]);
            let mut frames = Frames::default();
            body.chunks(cut).for_each(|part| frames.feed(part));
            prop_assert_eq!(frames.partial(), tail);
        }

        #[test]
        fn what_is_no_message_has_a_place_too(parts in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..30), 0..10,
        )) {
            let mut frames = Frames::default();
            let mut all = 0;
            for part in parts {
                all += part.len();
                frames.feed(&part);
                prop_assert!(frames.partial() <= all);
            }
        }
    }
}
