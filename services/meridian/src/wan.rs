//! The links between regions, and within each from its gateway to its node, when a mesh has them
//! (`up --wan`): how far, who carries what, and what is wrong with them.
//!
//! There is one for each direction in which connections are made, and for each thing that is carried:
//! what gateways ask, and what nodes mirror. A change names two regions, and means both directions
//! and both things unless it says otherwise.

use clap::ValueEnum;
use fault_proxy::Fault;
use serde::{Deserialize, Serialize};

use crate::error::{CliError, Result};

/// What a link carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Carries {
    /// What a gateway asks of its own node, or of another region's gateway.
    Reads,
    /// What a node mirrors of another region's log.
    Mirror,
}

impl Carries {
    /// As commands and tables name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reads => "reads",
            Self::Mirror => "mirror",
        }
    }
}

/// A link, as `mesh.json` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Who makes connections over it.
    pub(crate) from: String,
    /// Whom they lead to; the same region: its node.
    pub(crate) to: String,
    pub(crate) carries: Carries,
    /// Where it begins: a URL.
    pub(crate) at: String,
    pub(crate) round_trip_ms: u64,
    /// What is wrong with it now.
    #[serde(default)]
    pub(crate) fault: Fault,
}

/// What is to become of some links.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Change {
    pub(crate) from: String,
    pub(crate) to: String,
    /// Everything if absent.
    pub(crate) carries: Option<Carries>,
    /// Only where connections are made from the first to the second.
    pub(crate) one_way: bool,
    pub(crate) fault: Fault,
}

impl Change {
    /// Reads `jfk-lga=blackhole`.
    ///
    /// # Errors
    /// It is no such thing, or names no two of these regions.
    pub(crate) fn parse<'a>(
        text: &str,
        regions: impl Iterator<Item = &'a String> + Clone,
    ) -> Result<Self> {
        let (pair, fault) = assignment(text, "jfk-lga=blackhole")?;
        let (from, to) = ends(pair, regions)?;
        let fault = fault.parse().map_err(|e: fault_proxy::FaultError| usage(e.to_string()))?;
        Ok(Self { from, to, carries: None, one_way: false, fault })
    }

    /// Whether a link is meant.
    pub(crate) fn concerns(&self, link: &Link) -> bool {
        let there = (&self.from, &self.to) == (&link.from, &link.to);
        let back = !self.one_way && (&self.to, &self.from) == (&link.from, &link.to);
        (there || back) && self.carries.is_none_or(|carries| carries == link.carries)
    }
}

/// How far regions are from each other, where that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distances(Vec<(String, String, u64)>);

impl Distances {
    /// Reads `jfk-lga=80ms`, and so on; `None`: there are none, and so no links.
    ///
    /// # Errors
    /// One is no such thing, or names no two of these regions.
    pub(crate) fn parse(pairs: &[String], regions: &[String]) -> Result<Option<Self>> {
        let distance = |text: &String| {
            let (pair, time) = assignment(text, "jfk-lga=80ms")?;
            let (from, to) = ends(pair, regions.iter())?;
            let ms = clock::parse_duration_ms(time).map_err(|e| usage(e.to_string()))?;
            let ms = u64::try_from(ms).unwrap_or_default();
            if ms > MOST_MS {
                return Err(usage(format!("{pair}: at most {MOST_MS} ms")));
            }
            Ok((from, to, ms))
        };
        let distances: Vec<_> = pairs.iter().map(distance).collect::<Result<_>>()?;
        Ok((!distances.is_empty()).then_some(Self(distances)))
    }

    /// The round trip between two regions, ms, in either direction; 0 if nothing was said.
    pub(crate) fn between(&self, one: &str, other: &str) -> u64 {
        let same = |(a, b, _): &&(String, String, u64)| {
            (&**a, &**b) == (one, other) || (&**b, &**a) == (one, other)
        };
        self.0.iter().find(same).map_or(0, |(_, _, ms)| *ms)
    }
}

/// Longest round trip, ms: beyond it nothing answers in time.
const MOST_MS: u64 = 60_000;

fn usage(message: String) -> CliError {
    CliError::Usage(format!("wan: {message}"))
}

fn assignment<'a>(text: &'a str, like: &str) -> Result<(&'a str, &'a str)> {
    text.split_once('=').ok_or_else(|| usage(format!("'{text}' must be written like {like}")))
}

/// The two regions in `jfk-lga`; names may have dashes of their own.
fn ends<'a>(
    pair: &str,
    regions: impl Iterator<Item = &'a String> + Clone,
) -> Result<(String, String)> {
    let known = |name: &str| regions.clone().any(|region| region == name);
    let mut splits = pair.match_indices('-').map(|(at, _)| (&pair[..at], &pair[at + 1..]));
    let found = splits.find(|(from, to)| known(from) && known(to));
    let none = || {
        let regions: Vec<&str> = regions.clone().map(String::as_str).collect();
        usage(format!("'{pair}' is not two regions with a - between, of {}", regions.join(", ")))
    };
    found.map(|(from, to)| (from.to_owned(), to.to_owned())).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions() -> Vec<String> {
        ["jfk", "lga", "us-east", "us"].map(String::from).into()
    }

    fn link(from: &str, to: &str, carries: Carries) -> Link {
        let (from, to) = (from.to_owned(), to.to_owned());
        Link { from, to, carries, at: String::new(), round_trip_ms: 0, fault: Fault::None }
    }

    #[test]
    fn distances_go_both_ways_and_names_may_have_dashes() {
        let pairs = ["jfk-lga=80ms", "us-us-east=1s"].map(String::from);
        let distances = Distances::parse(&pairs, &regions()).unwrap().unwrap();
        assert_eq!(distances.between("lga", "jfk"), 80);
        assert_eq!(distances.between("us", "us-east"), 1_000);
        assert_eq!(distances.between("us", "jfk"), 0);
        assert_eq!(Distances::parse(&[], &regions()).unwrap(), None);
    }

    #[test]
    fn what_is_typed_wrong_is_named() {
        for (pair, named) in [
            ("jfk-lga", "jfk-lga=80ms"),
            ("jfk-sfo=1ms", "'jfk-sfo' is not two regions"),
            ("jfk-lga=80", "'80' is not a duration"),
            ("jfk-lga=2h", "at most"),
        ] {
            let error = Distances::parse(&[pair.to_owned()], &regions()).unwrap_err().to_string();
            assert!(error.contains(named) && !error.contains('\n'), "{error}");
        }
        let error = Change::parse("jfk-lga=slow", regions().iter()).unwrap_err().to_string();
        assert!(error.contains("'slow' is no fault"), "{error}");
    }

    #[test]
    fn a_change_means_both_ways_and_everything_unless_it_says_otherwise() {
        let known = regions();
        let mut change = Change::parse("jfk-lga=blackhole", known.iter()).unwrap();
        let links = [
            link("jfk", "lga", Carries::Reads),
            link("lga", "jfk", Carries::Reads),
            link("jfk", "lga", Carries::Mirror),
            link("jfk", "jfk", Carries::Reads),
        ];
        let concerned = |change: &Change| links.each_ref().map(|link| change.concerns(link));
        assert_eq!(concerned(&change), [true, true, true, false]);
        change.one_way = true;
        assert_eq!(concerned(&change), [true, false, true, false]);
        change.carries = Some(Carries::Mirror);
        assert_eq!(concerned(&change), [false, false, true, false]);
    }
}
