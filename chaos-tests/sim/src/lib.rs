//! Deterministic simulation of whole meshes.
