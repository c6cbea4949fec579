//! Keeps a mesh running: some processes per region, restarted when they die, stopped when asked.

mod child;
mod control;
mod keeper;
mod layout;
mod links;
mod order;
mod run;

use control::Reply;
pub(crate) use control::{Request, Verb, ask};
pub(crate) use layout::{Kafka, Layout, socket};
pub(crate) use run::{Supervision, supervise};

/// Which of a region's processes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// Kafka's, which is the region's log.
    Broker,
    /// Copies the other regions' topics to the region's broker.
    MirrorMaker,
    /// Does the same, of ours.
    Mirror,
    /// Folds, replicates and serves.
    Node,
    /// The front door.
    Gateway,
}

impl Role {
    /// As commands and files name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::MirrorMaker => "mirror-maker",
            Self::Mirror => "mirror",
            Self::Node => "node",
            Self::Gateway => "gateway",
        }
    }
}

/// One process of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ProcessId {
    pub(crate) region: String,
    pub(crate) role: Role,
    /// From 1: which of those that the region has of this role.
    pub(crate) number: usize,
}

impl ProcessId {
    /// As files name it: `node`, `node-2`.
    pub(crate) fn name(&self) -> String {
        match self.number {
            1 => self.role.name().to_owned(),
            number => format!("{}-{number}", self.role.name()),
        }
    }
}

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name(), self.region)
    }
}
