//! Tokens: positions in origins, as text that a client passes on without looking into it.

use api::node::v1::{Position, ReadResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use crate::refusal::Refusal;

/// Of a token that is none, as many characters are shown.
const SHOWN_CHARS: usize = 40;

/// The token that covers these positions.
pub(crate) fn encode(positions: Vec<Position>) -> String {
    let list = ReadResponse { seen: positions, ..ReadResponse::default() };
    URL_SAFE_NO_PAD.encode(list.encode_to_vec())
}

/// The positions of all tokens.
pub(crate) fn decode_all(tokens: &[String]) -> Result<Vec<Position>, Refusal> {
    let mut positions = Vec::new();
    for token in tokens {
        let bad = || Refusal::BadToken(token.chars().take(SHOWN_CHARS).collect());
        positions.extend(decode(token).ok_or_else(bad)?);
    }
    Ok(positions)
}

fn decode(token: &str) -> Option<Vec<Position>> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim()).ok()?;
    let positions = ReadResponse::decode(&bytes[..]).ok()?.seen;
    positions.iter().all(|position| position.topic_id.len() == 16).then_some(positions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_round_trip_and_nonsense_is_refused() {
        let position = Position {
            region: "ewr".into(),
            topic_id: vec![7; 16].into(),
            partition: 3,
            offset: 1 << 40,
        };
        let token = encode(vec![position.clone()]);
        assert_eq!(decode_all(&[token.clone(), token]), Ok(vec![position.clone(), position]));
        for bad in ["x", "é", "IgA", "////"] {
            assert!(decode_all(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
