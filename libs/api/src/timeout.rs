//! How long a caller waits, as gRPC says it.

/// The header that says it.
pub const GRPC_TIMEOUT: &str = "grpc-timeout";

/// What the header says, ms: `100m`, `5S`; rounded down.
#[must_use]
pub fn timeout_ms(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => number.checked_mul(3_600_000),
        "M" => number.checked_mul(60_000),
        "S" => number.checked_mul(1_000),
        "m" => Some(number),
        "u" => Some(number / 1_000),
        "n" => Some(number / 1_000_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_grpc_are_read() {
        let ms = ["2S", "1M", "250m", "1500u", "x", "", "9", "é"].map(timeout_ms);
        assert_eq!(ms, [Some(2_000), Some(60_000), Some(250), Some(1), None, None, None, None]);
    }
}
