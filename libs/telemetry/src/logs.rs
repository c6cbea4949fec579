//! Lines on standard error, for people or for machines.

use tracing::Subscriber;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, fmt};

use crate::traces::TARGET;

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line; in a traced request with `span.trace_id`.
    Json,
}

/// What `RUST_LOG` says, else `info`; which trace a line belongs to is said in any case.
pub(crate) fn layer<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = match format!("{TARGET}=info").parse() {
        Ok(spans) => filter.add_directive(spans),
        Err(_) => filter,
    };
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => lines.with_filter(filter).boxed(),
        LogFormat::Json => {
            let json = lines.json().flatten_event(true).with_span_list(false);
            json.with_filter(filter).boxed()
        }
    }
}
