//! A region's worker: ingest, fold, replicate, serve.
