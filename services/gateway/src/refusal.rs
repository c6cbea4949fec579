//! Why a request is not answered: one list, mapped once to HTTP and once to gRPC.
//!
//! Feast's client retries 429 and 5xx for three seconds, so only what may pass by itself is one.

use catalog::{CoerceError, ResolveError};
use tonic::{Code, Status};

/// A request that is not answered.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error("the body is not JSON: {0}")]
    Malformed(String),
    #[error("the request is not what this call takes: {0}")]
    Shape(String),
    #[error("{0}")]
    TooSlow(String),
    #[error("{0}")]
    Full(String),
    #[error("the body is larger than {limit_bytes} bytes; send fewer rows at a time")]
    TooLarge { limit_bytes: usize },
    #[error("{region} cannot take that at once ({cause}); ask for less, or send less, at a time")]
    TooMuch { region: String, cause: String },
    #[error(
        "columns must have one length: `{first}` has {first_rows} rows, `{other}` {other_rows}"
    )]
    Ragged { first: String, first_rows: usize, other: String, other_rows: usize },
    #[error("{rows} rows are more than {limit}; send fewer at a time")]
    TooManyRows { rows: usize, limit: usize },
    #[error("{cells} values are more than {limit}; ask for fewer rows or features at a time")]
    TooManyCells { cells: usize, limit: usize },
    #[error("entities lack the join key {}; give a column for each", .0.join(", "))]
    MissingJoinKeys(Vec<String>),
    #[error("entities lack the request field {}, which on-demand features need", .0.join(", "))]
    MissingRequestFields(Vec<String>),
    #[error("`{column}`, row {row}: {cause}")]
    Misfit { column: String, row: usize, cause: CoerceError },
    #[error("'{0}' is no token of this mesh; present what a push or a read has answered")]
    BadToken(String),
    #[error("{0}")]
    BadOption(String),
    #[error("only features of feature views can be explained, one at a time; `{0}` is none")]
    NotExplainable(String),
    #[error("there is no source `{0}` to push to; `meridian plan` lists what there is")]
    NoSuchSource(String),
    #[error("events of `{source_name}` need the column {}; add it", columns.join(", "))]
    MissingColumns { source_name: String, columns: Vec<String> },
    #[error("pushing to the offline store is not supported; push with to: online")]
    Offline,
    #[error("no region has seen the pushes that the tokens name; read again, or without a token")]
    TokensNotReached,
    #[error("{region}'s part is {age} old, older than max_staleness_ms; exclude it or allow more")]
    TooOld { region: String, age: String },
    #[error("{0} is not served here; POST /get-online-features and /push, GET /health are")]
    NoSuchPath(String),
    #[error("{method} is not how to call {path}")]
    BadMethod { method: String, path: String },
    #[error("this gateway has not heard of a catalog yet; apply one, or wait for a node")]
    NoCatalog,
    #[error("no region can answer: {0}")]
    Unavailable(String),
    #[error(
        "the node of {region} did not take the push ({cause}); push again with the same event ids, \
         repeated ids count once"
    )]
    NotPushed { region: String, cause: String },
    #[error(
        "no region took the push ({0}); push again with the same event ids: what one of them may \
         have taken counts once if it is the one that takes it then"
    )]
    PushedNowhere(String),
    #[error("no region answered in time: {0}")]
    TimedOut(String),
    #[error("this gateway works on {0} requests already; try again")]
    Busy(u64),
    #[error("client '{client}' has had its share; try again in {wait_ms} ms")]
    OverQuota { client: String, wait_ms: u64 },
}

/// What kind of refusal it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    NotFound,
    Malformed,
    Slow,
    Invalid,
    TooLarge,
    BadMethod,
    Conflict,
    Unavailable,
    TimedOut,
    Busy,
    OverQuota,
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
            Self::TooSlow(_) => Fault::Slow,
            Self::TooLarge { .. } | Self::TooMuch { .. } => Fault::TooLarge,
            Self::BadMethod { .. } => Fault::BadMethod,
            Self::TokensNotReached | Self::TooOld { .. } => Fault::Conflict,
            Self::NoCatalog
            | Self::Unavailable(_)
            | Self::NotPushed { .. }
            | Self::PushedNowhere(_) => Fault::Unavailable,
            Self::TimedOut(_) => Fault::TimedOut,
            Self::Busy(_) | Self::Full(_) => Fault::Busy,
            Self::OverQuota { .. } => Fault::OverQuota,
            _ => Fault::Invalid,
        }
    }

    /// When it may pass by itself: in how many seconds it is worth another try.
    pub(crate) fn retry_after_s(&self) -> Option<u64> {
        match (self, self.fault()) {
            (Self::OverQuota { wait_ms, .. }, _) => Some(wait_ms.div_ceil(1_000).max(1)),
            (_, Fault::Unavailable | Fault::TimedOut | Fault::Busy) => Some(1),
            _ => None,
        }
    }

    /// The class of `feast.errors` that a Feast client raises.
    pub(crate) fn feast_class(&self) -> &'static str {
        match self {
            Self::Resolve(ResolveError::ServiceNotFound(_)) => "FeatureServiceNotFoundException",
            Self::Resolve(ResolveError::ViewNotFound(_)) => "FeatureViewNotFoundException",
            Self::Resolve(ResolveError::FeatureNotFound { .. }) => "FeastObjectNotFoundException",
            Self::Resolve(ResolveError::Collision { .. }) => "FeatureNameCollisionError",
            Self::MissingRequestFields(_) => "RequestDataNotFoundInEntityRowsException",
            Self::NoSuchSource(_) => "PushSourceNotFoundException",
            _ => "FeastError",
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal.fault() {
            Fault::NotFound => Self::not_found(message),
            Fault::Malformed | Fault::Invalid | Fault::BadMethod => Self::invalid_argument(message),
            // What is exhausted may pass by itself; this does not.
            Fault::TooLarge => Self::out_of_range(message),
            Fault::Busy | Fault::OverQuota => Self::resource_exhausted(message),
            Fault::TimedOut | Fault::Slow => Self::deadline_exceeded(message),
            Fault::Conflict => Self::failed_precondition(message),
            Fault::Unavailable => Self::unavailable(message),
        }
    }
}

/// Whether a region says that the question, or its answer, is larger than a message may be: all regions
/// have the same bounds.
pub(crate) fn is_too_much(status: &Status) -> bool {
    status.code() == Code::OutOfRange
}

/// That a region said so.
pub(crate) fn too_much(region: &str, status: &Status) -> Refusal {
    Refusal::TooMuch { region: region.to_owned(), cause: status.message().to_owned() }
}
