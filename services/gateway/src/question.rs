//! What a request for features comes to: what to read, and what to make of it.

use std::sync::Arc;

use api::node::v1 as node;
use api::v1;
use catalog::{Ask, Resolved};
use prost::DecodeError;

use crate::answer::{self, Answered};
use crate::door::Door;
use crate::given::Given;
use crate::keys::Rows;
use crate::refusal::Refusal;
use crate::request::{FeatureRequest, rows};
use crate::resolutions::Names;
use crate::token;

const MAX_EXCLUDED: usize = 64;

/// A request, resolved against the catalog and put into its shards.
pub(crate) struct Question<'a> {
    request: &'a FeatureRequest,
    resolved: Arc<Resolved>,
    rows: Rows,
    tokens: Vec<node::Position>,
}

impl<'a> Question<'a> {
    pub(crate) fn new(
        door: &Door,
        names: &Names,
        request: &'a FeatureRequest,
    ) -> Result<Self, Refusal> {
        let tokens = token::decode_all(&request.options.tokens)?;
        check(&request.options)?;
        let count = rows(&request.columns)?;
        let asked = (request.service.as_deref(), &request.features[..]);
        let resolved = names_to_plans(door, names, asked, request.full_names)?;
        let shards = names.catalog.shards_or_default();
        let rows = Rows::new(&resolved, &request.columns, count, shards)?;
        Ok(Self { request, resolved, rows, tokens })
    }

    /// What to ask a node; asked once, as it takes the keys with it.
    pub(crate) fn read(&mut self, now_ms: i64) -> node::ReadRequest {
        node::ReadRequest {
            views: std::mem::take(&mut self.rows.reads),
            as_of_ms: self.request.options.as_of_ms,
            now_ms,
            exclude_regions: self.request.options.exclude_regions.clone(),
            tokens: std::mem::take(&mut self.tokens),
            wait_ms: 0,
        }
    }

    /// Columns, from what a node answered to what it was asked.
    ///
    /// # Errors
    /// A value that was answered is none.
    pub(crate) fn assemble(
        mut self,
        answered: Answered,
        read: node::ReadRequest,
    ) -> Result<Given, Refusal> {
        self.rows.reads = read.views;
        let options = (self.request.full_names, self.request.options.as_of_ms);
        let answer = answer::assemble(&self.resolved, &self.rows, answered, options);
        answer.map(Given::new).map_err(unreadable)
    }
}

/// A node is another version, or broken.
pub(crate) fn unreadable(error: DecodeError) -> Refusal {
    Refusal::Unavailable(format!("the answer cannot be read: {error}"))
}

/// A service, or features, by what the catalog says of them.
pub(crate) fn names_to_plans(
    door: &Door,
    names: &Names,
    (service, features): (Option<&str>, &[String]),
    full_names: bool,
) -> Result<Arc<Resolved>, Refusal> {
    if names.catalog.generation() == 0 {
        return Err(Refusal::NoCatalog);
    }
    let ask = Ask { service, features, full_names };
    Ok(door.resolutions.get(names, &ask)?)
}

/// What types cannot say of options.
pub(crate) fn check(options: &v1::ReadOptions) -> Result<(), Refusal> {
    if options.max_staleness_ms.is_some_and(|ms| ms < 0) {
        return Err(Refusal::BadOption("max_staleness_ms must not be negative".into()));
    }
    if options.exclude_regions.len() > MAX_EXCLUDED {
        return Err(Refusal::BadOption(format!("exclude_regions: more than {MAX_EXCLUDED}")));
    }
    Ok(())
}
