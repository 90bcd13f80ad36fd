//! TOML to validated types.
//!
//! [`model`] holds what a valid configuration is; nothing in it can be wrong.

pub mod model;

pub use model::Config;
