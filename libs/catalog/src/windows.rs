//! Windows and the width of the panes that they are made of.

/// The widths that a window is cut by, in seconds: 1 s, 10 s, 1 min, 5 min, 1 h, 1 d.
pub const STEPS_S: [u32; 6] = [1, 10, 60, 300, 3_600, 86_400];
/// A window has at least so many panes, where a step allows it.
const MIN_PANES: u32 = 24;
/// A window has at most so many panes, so that a read and an entity are bounded.
pub const MAX_PANES: u32 = 10_000;
/// The longest window: 365 days.
pub const MAX_WINDOW_S: u32 = 365 * 86_400;

/// The largest step that divides the window and cuts it in at least 24, else one second.
#[must_use]
pub fn resolution_s(window_s: u32) -> u32 {
    let fits = |step: &&u32| window_s.is_multiple_of(**step) && window_s / **step >= MIN_PANES;
    STEPS_S.iter().rev().find(fits).copied().unwrap_or(1)
}

/// The seconds of a window as written: `24h`; `None` for `all`, all of time.
pub(crate) fn parse(text: &str) -> Result<Option<u32>, String> {
    if text == "all" {
        return Ok(None);
    }
    let ms = clock::parse_duration_ms(text).map_err(|error| format!("{error}, or `all`"))?;
    match u32::try_from(ms / 1000) {
        Ok(s) if ms % 1000 == 0 && (1..=MAX_WINDOW_S).contains(&s) => Ok(Some(s)),
        _ => Err(format!("a window of {text} is not allowed; use whole seconds from 1s to 365d")),
    }
}

/// The width of a window's panes, given the wish for one.
pub(crate) fn width_s(text: &str, window_s: u32, wish_s: Option<u32>) -> Result<u32, String> {
    let width_s = wish_s.unwrap_or_else(|| resolution_s(window_s));
    if !window_s.is_multiple_of(width_s) {
        return Err(format!(
            "the resolution {} does not divide the window {text}; choose one that does",
            seconds(width_s)
        ));
    }
    let panes = window_s / width_s;
    if panes > MAX_PANES {
        return Err(format!(
            "the window {text} takes {panes} panes of {} per entity, more than {MAX_PANES}; choose \
             a window or a `resolution` with fewer",
            seconds(width_s)
        ));
    }
    Ok(width_s)
}

/// The shortest form of a number of seconds: `1h`.
pub(crate) fn seconds(s: u32) -> String {
    clock::format_duration(i64::from(s) * 1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_windows_of_the_examples() {
        let day = 86_400;
        let cases = [(60, 1), (3_600, 60), (day, 3_600), (7 * day, 3_600), (30 * day, day)];
        for (window_s, width_s) in cases {
            assert_eq!(resolution_s(window_s), width_s, "{window_s}");
        }
        assert_eq!(resolution_s(23), 1);
        assert_eq!(resolution_s(MAX_WINDOW_S), day);
    }

    #[test]
    fn absurd_windows_are_refused() {
        for text in ["0s", "500ms", "366d", "1500ms", "-1h", "", "1w", "forever", "99999999999999d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(parse("all"), Ok(None));
        assert_eq!(parse("365d"), Ok(Some(MAX_WINDOW_S)));
        assert!(width_s("31535999s", 31_535_999, None).is_err());
        assert!(width_s("1h", 3_600, Some(7)).is_err());
        assert_eq!(width_s("1h", 3_600, Some(5)), Ok(5));
    }

    proptest! {
        /// By trying every step: the property that the words of the rule say.
        #[test]
        fn every_window_gets_the_largest_step_that_divides_it(window_s in 1..=MAX_WINDOW_S) {
            let width_s = resolution_s(window_s);
            prop_assert_eq!(window_s % width_s, 0);
            prop_assert!(width_s == 1 || window_s / width_s >= 24);
            for step in [1, 10, 60, 300, 3_600, 86_400] {
                prop_assert!(step <= width_s || window_s % step != 0 || window_s / step < 24);
            }
        }
    }
}
