//! What a request for features comes to: what to read, and what to make of it.

use api::node::v1 as node;
use api::v1;
use catalog::{Ask, Resolved, resolve};

use crate::answer::{self, Answered};
use crate::door::Door;
use crate::keys::Rows;
use crate::refusal::Refusal;
use crate::request::{FeatureRequest, rows};
use crate::rules::Rules;
use crate::token;

const MAX_EXCLUDED: usize = 64;

/// A request, resolved against the catalog and put into its shards.
pub(crate) struct Question {
    resolved: Resolved,
    rows: Rows,
    full_names: bool,
    options: v1::ReadOptions,
    tokens: Vec<node::Position>,
}

impl Question {
    pub(crate) fn new(door: &Door, request: FeatureRequest) -> Result<Self, Refusal> {
        let options = request.options;
        let tokens = token::decode_all(&options.tokens)?;
        check(&options)?;
        let count = rows(&request.columns)?;
        let names = (request.service.as_deref(), &request.features[..]);
        let resolved = names_to_plans(door, names, request.full_names)?;
        let shards = door.catalog.now().shards_or_default();
        let rows = Rows::new(&resolved, &request.columns, count, shards)?;
        Ok(Self { resolved, rows, full_names: request.full_names, options, tokens })
    }

    /// What to ask a node; asked once, as it takes the keys with it.
    pub(crate) fn read(&mut self, now_ms: i64) -> node::ReadRequest {
        node::ReadRequest {
            views: std::mem::take(&mut self.rows.reads),
            as_of_ms: self.options.as_of_ms,
            now_ms,
            exclude_regions: self.options.exclude_regions.clone(),
            tokens: std::mem::take(&mut self.tokens),
            wait_ms: 0,
        }
    }

    /// What the answer must be like.
    pub(crate) fn rules(&self) -> Rules<'_> {
        Rules {
            waits: self.options.tokens.iter().any(|token| !token.is_empty()),
            max_staleness_ms: self.options.max_staleness_ms,
            exclude: &self.options.exclude_regions,
        }
    }

    /// Columns, from what a node answered to what it was asked.
    pub(crate) fn assemble(
        mut self,
        answered: Answered,
        read: node::ReadRequest,
    ) -> Result<v1::GetFeaturesResponse, Refusal> {
        self.rows.reads = read.views;
        let options = (self.full_names, self.options.as_of_ms);
        answer::assemble(&self.resolved, &self.rows, answered, options)
    }
}

/// A service, or features, by what the catalog says of them.
pub(crate) fn names_to_plans(
    door: &Door,
    (service, features): (Option<&str>, &[String]),
    full_names: bool,
) -> Result<Resolved, Refusal> {
    let catalog = door.catalog.now();
    if catalog.generation() == 0 {
        return Err(Refusal::NoCatalog);
    }
    let covered = door.regions.covered();
    let covered = |view: &str, version| covered.contains(&format!("{view}@v{version}"));
    Ok(resolve(&catalog, &Ask { service, features, full_names }, &covered)?)
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
