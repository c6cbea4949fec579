//! Serving state by shard: apply, prove, expire, read, checkpoint.
