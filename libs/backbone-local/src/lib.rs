//! The `Log` embedded in a region's process: durable, compacted, tailed by others over gRPC.
