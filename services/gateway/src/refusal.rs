//! Why a request is not answered: one enum, mapped once to HTTP and once to gRPC.

use catalog::{CoerceError, ResolveError};

/// Whose fault it is. Those of the caller are 4xx: Feast's client retries every 5xx three times,
/// which helps nobody whose request is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NotFound,
    Malformed,
    Invalid,
    TooLarge,
    BadMethod,
    Conflict,
    Unavailable,
}

/// A request that is refused, in one line.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("no catalog has reached this gateway yet; apply one, or wait until a node answers")]
    NoCatalog,
    #[error("there is no source `{0}`; push to a source of the catalog, or to a view, by its name")]
    NoSuchSource(String),
    #[error("there is nothing at {0}; there are /get-online-features, /push and /health")]
    NoSuchPath(String),
    #[error("{path} does not take {method}; use POST, and GET for /health")]
    BadMethod { method: String, path: String },
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    #[error("the body does not have the shape of this request: {0}")]
    Shape(String),
    #[error("the body is larger than {limit_bytes} bytes; send less at a time")]
    TooLarge { limit_bytes: usize },
    #[error("{rows} rows are more than {limit}; ask for fewer at a time")]
    TooManyRows { rows: usize, limit: usize },
    #[error("{cells} values are more than {limit}; ask for fewer rows or features at a time")]
    TooManyCells { cells: usize, limit: usize },
    #[error(
        "columns differ in length: `{first}` has {first_rows} rows, `{other}` has {other_rows}"
    )]
    Ragged { first: String, first_rows: usize, other: String, other_rows: usize },
    #[error("entities lack the join keys {}; give every one of them a column", list(.0))]
    MissingJoinKeys(Vec<String>),
    #[error("entities lack the request fields {}", list(.0))]
    MissingRequestFields(Vec<String>),
    #[error("the pushed frame lacks the columns {} of `{source_name}`", list(.columns))]
    MissingColumns { source_name: String, columns: Vec<String> },
    #[error("`{column}`, row {row}: {cause}")]
    Misfit { column: String, row: usize, cause: CoerceError },
    #[error("{0}")]
    BadOption(String),
    #[error("`{0}` is not a token; pass what a push or a read answered")]
    BadToken(String),
    #[error("`{0}` cannot be explained; name one feature of a feature view, as in view:feature")]
    NotExplainable(String),
    #[error("only `online` and `online_and_offline` can be pushed to; there is no offline store")]
    Offline,
    #[error("no region has seen the push that the token names in time; try again later")]
    TokensNotReached,
    #[error(
        "{region}'s part is {age} old, more than max_staleness_ms; allow more, or exclude {region}"
    )]
    TooOld { region: String, age: String },
    #[error("{0} requests are at work already; try again later")]
    Busy(usize),
    #[error(
        "{region} did not take the push ({cause}); whether it was kept is not known, push again"
    )]
    NotPushed { region: String, cause: String },
    #[error("no region can answer at the moment: {0}")]
    Unavailable(String),
}

fn list(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

impl Refusal {
    pub(crate) fn fault(&self) -> Fault {
        match self {
            Self::Resolve(
                ResolveError::ServiceNotFound(_)
                | ResolveError::ViewNotFound(_)
                | ResolveError::FeatureNotFound { .. },
            )
            | Self::NoSuchSource(_)
            | Self::NoSuchPath(_) => Fault::NotFound,
            Self::Malformed(_) => Fault::Malformed,
            Self::BadMethod { .. } => Fault::BadMethod,
            Self::TooLarge { .. } => Fault::TooLarge,
            Self::TokensNotReached | Self::TooOld { .. } => Fault::Conflict,
            Self::NoCatalog | Self::Busy(_) | Self::NotPushed { .. } | Self::Unavailable(_) => {
                Fault::Unavailable
            }
            Self::Resolve(_)
            | Self::Shape(_)
            | Self::TooManyRows { .. }
            | Self::TooManyCells { .. }
            | Self::Ragged { .. }
            | Self::MissingJoinKeys(_)
            | Self::MissingRequestFields(_)
            | Self::MissingColumns { .. }
            | Self::Misfit { .. }
            | Self::BadOption(_)
            | Self::BadToken(_)
            | Self::NotExplainable(_)
            | Self::Offline => Fault::Invalid,
        }
    }

    /// The class in `feast.errors` that Feast's client raises.
    pub(crate) fn feast_class(&self) -> &'static str {
        match self {
            Self::Resolve(ResolveError::ServiceNotFound(_)) => "FeatureServiceNotFoundException",
            Self::Resolve(ResolveError::ViewNotFound(_) | ResolveError::FeatureNotFound { .. }) => {
                "FeatureViewNotFoundException"
            }
            Self::Resolve(ResolveError::Collision { .. }) => "FeatureNameCollisionError",
            Self::NoSuchSource(_) => "PushSourceNotFoundException",
            _ => "FeastError",
        }
    }
}

impl From<Refusal> for tonic::Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal.fault() {
            Fault::NotFound => Self::not_found(message),
            Fault::Malformed | Fault::Invalid | Fault::BadMethod => Self::invalid_argument(message),
            Fault::TooLarge => Self::resource_exhausted(message),
            Fault::Conflict => Self::failed_precondition(message),
            Fault::Unavailable => Self::unavailable(message),
        }
    }
}
