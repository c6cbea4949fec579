//! The feature registry: YAML to checked plans, versions, compatibility, pure.
//!
//! [`compile`] checks the text of a catalog, [`changes`] compares it with the [`Catalog`] that is
//! applied and gives the entries to append, and a [`Catalog`] holds the entries of every region
//! and gives the [`Plan`]s that follow. [`resolve`] turns a request for features into reads.

mod aggregates;
mod build;
mod changes;
mod check;
mod coerce;
pub mod definitions;
mod diagnostics;
mod entries;
mod index;
mod on_demand;
pub mod plan;
mod reference;
mod registry;
mod resolve;
mod windows;
mod yaml;

pub use changes::{Change, Changes, Line, RetireError, changes, retire};
pub use check::{DEFAULT_SHARDS, Definitions, check_region, compile};
pub use coerce::{CoerceError, coerce};
pub use definitions::Format;
pub use diagnostics::{Diagnostic, Place};
pub use entries::{CatalogError, MAX_ENTRY_BYTES};
pub use on_demand::{OnDemand, OnDemandFeature, Origin};
pub use plan::{Cell, CellInput, Entity, Feature, Field, OnViolation, Plan, Source, Width};
pub use reference::{Reference, ReferenceError};
pub use registry::{Catalog, ViewVersion};
pub use resolve::{
    Ask, Column, ColumnSource, JoinKey, OnDemandRead, ResolveError, Resolved, Variable, ViewRead,
    resolve,
};
pub use windows::{MAX_PANES, MAX_WINDOW_S, STEPS_S, resolution_s};
pub use yaml::MAX_FILE_BYTES;

/// A catalog to start from, with comments: what `meridian init` writes.
pub const STARTER: &str = include_str!("starter.yaml");
