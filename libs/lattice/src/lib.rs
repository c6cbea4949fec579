//! Panes, aggregates, digests, frontiers, combine and cut: CRDTs over `crdts`, pure.
//!
//! A [`Pane`] has one writer, the fold of one [`Origin`], and its content is a pure function of a
//! log prefix; so "the higher version wins" is a join, and every aggregate is safe to write in all
//! regions at once. Panes of different origins meet only in [`combine`], when a value is read.

pub mod cell;
mod codec;
pub mod combine;
pub mod delta;
pub mod digest;
pub mod frontier;
pub mod key;
pub mod origin;
pub mod pane;
pub mod progress;
pub mod shard;
pub mod value;

pub use cell::{CellSpec, Kind, Stamp};
pub use codec::DecodeError;
pub use delta::{Delta, DeltaRef};
pub use digest::Digest;
pub use frontier::Frontier;
pub use key::{PaneKey, PaneKeyRef, PlanHash, Series, Span};
pub use origin::{Origin, Region, TopicId};
pub use pane::Pane;
pub use progress::{Gap, PlanProgress, Progress};
pub use shard::shard_of;
pub use value::{Input, Type, Value};
