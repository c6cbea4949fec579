//! The front door: gRPC and HTTP, Feast-compatible.
