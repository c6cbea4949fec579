//! `view@v2:feature`: how requests, services and people name things.

use std::fmt;
use std::str::FromStr;

/// A name with an optional version and an optional feature.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// A feature view or an on-demand view.
    pub name: String,
    /// `None`: the newest that is covered.
    pub version: Option<u32>,
    /// `None`: all of its features.
    pub feature: Option<String>,
}

/// Text that is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reference; write view, view:feature or view@v2:feature")]
pub struct ReferenceError(String);

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let error = || ReferenceError(text.chars().take(200).collect());
        let (view, feature) = match text.split_once(':') {
            Some((view, feature)) => (view, Some(feature)),
            None => (text, None),
        };
        let (name, version) = match view.split_once("@v") {
            Some((name, version)) => (name, Some(version.parse().map_err(|_| error())?)),
            None => (view, None),
        };
        let odd = |part: &str| part.is_empty() || part.contains(['@', ':', ' ']);
        if odd(name) || feature.is_some_and(odd) {
            return Err(error());
        }
        Ok(Self { name: name.to_owned(), version, feature: feature.map(str::to_owned) })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(version) = self.version {
            write!(f, "@v{version}")?;
        }
        if let Some(feature) = &self.feature {
            write!(f, ":{feature}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_round_trip() {
        for text in ["a", "a:b", "a@v2", "a@v2:b"] {
            assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
        for text in ["", ":", "a:", ":b", "a@2", "a@v", "a@vx:b", "a:b:c", "a b", "@v1", "a@v-1"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
