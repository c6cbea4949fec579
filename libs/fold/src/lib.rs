//! Events to panes: contracts, windows, watermarks, ids; sans-IO.
