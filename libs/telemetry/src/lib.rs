//! Logs, metrics and named bounded channels.
