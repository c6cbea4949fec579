//! Which aggregates a definition may name. A new one is a file in `lattice` with its line in the
//! registry there, and a line in the table here.

use lattice::Kind;
use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use crate::yaml::{List, Opt, given};

/// Standard error of `distinct` unless given, in hundredths of a percent.
const DEFAULT_ERROR_BP: u32 = 100;

macro_rules! aggregates {
    (read at $q:ident:
     $($key:ident: $variant:ident $({ $param:ident: $type:ty = $default:expr })? => $kind:expr,)+) => {
        /// An aggregate with the parameters that change its state (`q` does not).
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[allow(missing_docs, reason = "named as in the lattice, which documents them")]
        pub enum Aggregate {
            $($variant $({ $param: $type })?,)+
        }

        impl Aggregate {
            /// The lattice's word for it, read at `q`.
            pub(crate) fn kind(self, $q: Option<f64>) -> Kind {
                match self {
                    $(Self::$variant $({ $param })? => $kind,)+
                }
            }
        }

        /// A feature as it is written: one of the aggregates' keys, and what may stand beside it.
        /// (`flatten` would lose the places.)
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Feature {
            $($key: Opt<String>,)+
            pub(crate) q: Opt<f64>,
            pub(crate) error: Opt<String>,
            #[serde(rename = "where")]
            pub(crate) filter: Opt<String>,
            pub(crate) windows: Option<List<String>>,
            pub(crate) resolution: Opt<String>,
            /// `empty: null` is something else than no `empty`.
            #[serde(default, deserialize_with = "given")]
            pub(crate) empty: Opt<Option<String>>,
        }

        impl Feature {
            /// The aggregates that it has, in the table's order; one, if it is right.
            pub(crate) fn aggregates(
                &self,
            ) -> impl Iterator<Item = (Aggregate, &Spanned<String>)> {
                let all = [$(
                    (Aggregate::$variant $({ $param: $default })?, self.$key.as_ref()),
                )+];
                all.into_iter().filter_map(|(aggregate, at)| Some((aggregate, at?)))
            }
        }

        /// All keys, to name them to who gave none.
        pub(crate) const KEYS: &[&str] = &[$(stringify!($key)),+];
    };
}

aggregates! {
    read at q:
    count: Count => Kind::Count,
    sum: Sum => Kind::Sum,
    mean: Mean => Kind::Mean,
    min: Min => Kind::Min,
    max: Max => Kind::Max,
    first: First => Kind::First,
    last: Last => Kind::Last,
    variance: Variance => Kind::Variance,
    stddev: Stddev => Kind::Stddev,
    distinct: Distinct { error_bp: u32 = DEFAULT_ERROR_BP } => Kind::Distinct { error_bp },
    quantile: Quantile => Kind::Quantile { q: q.unwrap_or(0.5) },
    share: Share => Kind::Share,
}
