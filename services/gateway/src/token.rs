//! Tokens: what a reader presents to see a write. Opaque outside; inside, positions in origins.

use api::node::v1::Position;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::refusal::Refusal;

/// Tells a token of this encoding from other text.
const PREFIX: &str = "m1.";
const MAX_TOKENS: usize = 64;
const MAX_TOKEN_BYTES: usize = 64 << 10;
const MAX_POSITIONS: usize = 10_000;

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

fn decode(token: &str) -> Option<Vec<Position>> {
    if token.len() > MAX_TOKEN_BYTES { None } else { positions(token) }
}

/// The positions of one, however many; `None`: it is no token, or empty.
pub(crate) fn positions(token: &str) -> Option<Vec<Position>> {
    let text = token.strip_prefix(PREFIX)?;
    let token = Token::decode(&*URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let sound =
        !token.positions.is_empty() && token.positions.iter().all(|p| p.topic_id.len() == 16);
    sound.then_some(token.positions)
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
}
