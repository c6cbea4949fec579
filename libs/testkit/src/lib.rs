//! A deterministic executor, a faulty Log in memory, generators and process helpers for tests.
