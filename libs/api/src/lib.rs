//! Code generated from proto/, checked conversions, the error model.

mod convert;
mod features;
mod reads;
mod timeout;

#[allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]
mod generated {
    pub mod meridian {
        pub mod v1 {
            tonic::include_proto!("meridian.v1");
        }
        pub mod log {
            pub mod v1 {
                tonic::include_proto!("meridian.log.v1");
            }
        }
        pub mod mirror {
            pub mod v1 {
                tonic::include_proto!("meridian.mirror.v1");
            }
        }
        pub mod node {
            pub mod v1 {
                tonic::include_proto!("meridian.node.v1");
            }
        }
    }
}

pub use features::GetFeaturesResponse;
pub use generated::meridian::{log, mirror, node, v1};
pub use reads::{Answer, Reads};
pub use timeout::{GRPC_TIMEOUT, timeout_ms};

/// A region's part that is older is `stale`, ms.
pub const STALE_MS: i64 = 5_000;

/// The encoded descriptors of all contracts, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
