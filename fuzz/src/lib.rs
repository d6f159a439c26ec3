//! What each fuzz target checks, as plain functions: one module per crate under test.

pub mod wire;
