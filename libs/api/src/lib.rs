//! Code generated from proto/, checked conversions, the error model.
