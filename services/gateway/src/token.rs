//! Tokens: what a reader presents to see a write. Opaque outside; inside, positions in origins.

use api::node::v1::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::refusal::Refusal;

/// Tells a token of this encoding from other text.
const PREFIX: &str = "m1.";
const MAX_TOKENS: usize = 64;
/// What all tokens of a request name. A read's token names every partition of every source of every
/// region: 7,680 of 3 regions with 10 sources of 256 partitions each.
const MAX_POSITIONS: usize = 10_000;
/// That many, in regions with names of 64 bytes: a position is 32 bytes beside its region, and a third
/// more as text. (With names of 9 bytes, 7,680 positions are 420 KiB.) Tokens of reads travel in bodies
/// only, which may be larger by far; the header of a push's answer names the partitions of that push.
const MAX_TOKEN_BYTES: usize = 1_300_000;

#[derive(Clone, PartialEq, Message)]
struct Token {
    #[prost(message, repeated, tag = "1")]
    positions: Vec<Position>,
}

/// The token of these positions; empty if there are none.
pub(crate) fn encode(positions: Vec<Position>) -> String {
    if positions.is_empty() {
        return String::new();
    }
    let bytes = Token { positions }.encode_to_vec();
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The positions of all these tokens. Empty tokens, which name nothing, are fine.
pub(crate) fn decode_all(tokens: &[String]) -> Result<Vec<Position>, Refusal> {
    if tokens.len() > MAX_TOKENS {
        return Err(Refusal::BadOption(format!(
            "more than {MAX_TOKENS} tokens; present the latest"
        )));
    }
    let mut all = Vec::new();
    for token in tokens.iter().filter(|token| !token.is_empty()) {
        let bad = || Refusal::BadToken(token.chars().take(40).collect());
        all.extend(decode(token).ok_or_else(bad)?);
    }
    if all.len() > MAX_POSITIONS {
        return Err(Refusal::BadOption("the tokens name too much; present fewer".into()));
    }
    Ok(all)
}

/// The positions of a token that came from outside. An empty one is two bytes of text, and forty times as
/// many of memory: they are counted before they are made.
fn decode(token: &str) -> Option<Vec<Position>> {
    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let bytes = bytes(token)?;
    if count(&bytes)? > MAX_POSITIONS { None } else { sound(&bytes) }
}

/// The positions of one, however many; `None`: it is no token, or empty.
pub(crate) fn positions(token: &str) -> Option<Vec<Position>> {
    sound(&bytes(token)?)
}

fn bytes(token: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()
}

fn sound(bytes: &[u8]) -> Option<Vec<Position>> {
    let Token { positions } = Token::decode(bytes).ok()?;
    let sound = !positions.is_empty() && positions.iter().all(|p| p.topic_id.len() == 16);
    sound.then_some(positions)
}

/// The fields of a message.
fn count(mut bytes: &[u8]) -> Option<usize> {
    let mut fields = 0;
    while !bytes.is_empty() {
        let (tag, kind) = decode_key(&mut bytes).ok()?;
        skip_field(kind, tag, &mut bytes, DecodeContext::default()).ok()?;
        fields += 1;
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_round_trip(
            places in prop::collection::vec(
                ("[a-z]{1,8}", any::<[u8; 16]>(), any::<u32>(), any::<u64>()),
                0..20,
            ),
        ) {
            let position = |(region, topic, partition, offset): (_, [u8; 16], _, _)| Position {
                region,
                topic_id: topic.to_vec().into(),
                partition,
                offset,
            };
            let positions: Vec<Position> = places.into_iter().map(position).collect();
            prop_assert_eq!(decode_all(&[encode(positions.clone())]), Ok(positions));
        }

        #[test]
        fn other_text_is_refused(text in "[^m].{0,60}|m1\\.[^A-Za-z0-9_-]{1,20}") {
            prop_assert!(decode_all(&[text]).is_err());
        }
    }

    fn named(region: &str, positions: usize) -> String {
        let position = |n: usize| Position {
            region: region.into(),
            topic_id: vec![7; 16].into(),
            partition: n as u32 % 256,
            offset: 1 << 40,
        };
        encode((0..positions).map(position).collect())
    }

    #[test]
    fn a_large_mesh_is_named_and_no_more_than_that() {
        let read = named("us-east-1", 3 * 10 * 256);
        assert!(read.len() <= 420 << 10, "{} bytes", read.len());
        assert_eq!(decode_all(&[read]).map(|all| all.len()), Ok(7_680));
        let most = named(&"r".repeat(64), MAX_POSITIONS);
        assert!(most.len() > MAX_TOKEN_BYTES * 9 / 10, "{} bytes", most.len());
        assert_eq!(decode_all(&[most]).map(|all| all.len()), Ok(MAX_POSITIONS));
        assert!(decode_all(&[named("us", MAX_POSITIONS + 1)]).is_err());
        let empty =
            format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([10, 0].repeat(MAX_POSITIONS + 1)));
        assert_eq!((decode(&empty), count(&[10, 0, 10, 0])), (None, Some(2)));
    }
}
