//! Follows the frames that one side of an HTTP/2 connection sends (RFC 9113, section 4.1: nine bytes
//! that say length, type, flags and stream), however the bytes are cut.

/// With which a client begins.
const PREFACE: usize = 24;
const HEAD: usize = 9;
/// How long the padding at a frame's end is stands before its content.
const PADDED: u8 = 8;
pub(crate) const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const END_STREAM: u8 = 1;

/// Some of what a frame holds, without padding.
pub(crate) struct Piece<'a> {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) content: &'a mut [u8],
    /// Nothing of its stream follows from this side.
    pub(crate) ends_stream: bool,
}

/// What was sent so far, as far as it is needed to read on.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// Bytes that are no frames.
    skip: usize,
    head: [u8; HEAD],
    have: usize,
    /// Whether how much padding there is comes next.
    asks_padding: bool,
    /// Of the frame under way, bytes that are still to come: content, then padding.
    left: (usize, usize),
}

impl Frames {
    pub(crate) fn of_client() -> Self {
        Self { skip: PREFACE, ..Self::default() }
    }

    pub(crate) fn of_server() -> Self {
        Self::default()
    }

    /// The next bytes: every frame is visited once or more, in their order.
    pub(crate) fn pass(&mut self, bytes: &mut [u8], mut visit: impl FnMut(Piece<'_>)) {
        let mut rest = take(&mut self.skip, bytes).1;
        while !rest.is_empty() {
            if self.have < HEAD {
                self.head[self.have] = rest[0];
                self.have += 1;
                rest = &mut rest[1..];
                if self.have == HEAD {
                    self.begin();
                }
            } else if self.asks_padding {
                let padding = self.left.0.min(usize::from(rest[0]));
                self.left = (self.left.0 - padding, padding);
                self.asks_padding = false;
                rest = &mut rest[1..];
            }
            if self.have < HEAD || self.asks_padding {
                continue;
            }
            let (content, after) = take(&mut self.left.0, rest);
            self.tell(content, &mut visit);
            rest = take(&mut self.left.1, after).1;
            if self.left == (0, 0) {
                self.have = 0;
            }
        }
    }

    /// A frame's head is complete.
    fn begin(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        self.asks_padding = [DATA, HEADERS].contains(&kind) && flags & PADDED != 0 && length > 0;
        self.left = (length - usize::from(self.asks_padding), 0);
    }

    fn tell(&self, content: &mut [u8], visit: &mut impl FnMut(Piece<'_>)) {
        let [_, _, _, kind, flags, s0, s1, s2, s3] = self.head;
        let stream = u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1);
        let last = [DATA, HEADERS].contains(&kind) && flags & END_STREAM != 0;
        let ends_stream = self.left.0 == 0 && (last || kind == RST_STREAM);
        visit(Piece { kind, stream, content, ends_stream });
    }
}

/// As many as are left of these bytes, and the others.
fn take<'a>(left: &mut usize, bytes: &'a mut [u8]) -> (&'a mut [u8], &'a mut [u8]) {
    let (taken, rest) = bytes.split_at_mut((*left).min(bytes.len()));
    *left -= taken.len();
    (taken, rest)
}
