//! The feature registry: YAML to checked plans, versions, compatibility, pure.

pub mod plan;

pub use plan::{Cell, CellInput, Entity, Feature, Field, OnViolation, Plan, Source, Width};
