//! TOML to validated types.
//!
//! [`model`] holds what a valid configuration is; nothing in it can be wrong. A file takes three steps to get there:
//! reading turns TOML into a draft and finds everything that is wrong with a single value; checking looks at the
//! draft as a whole; only a draft without errors becomes a [`Config`]. All three collect what they find, so that one
//! run shows every problem, each with the place in the text. Command-line pieces ([`oneshot`]) and changes at run
//! time ([`Config::with_backend`] and its sisters) go through the same checks.
//!
//! Apart from reading the file itself this room does no I/O; what it must know of the machine is passed in.

mod check;
pub mod defaults;
pub mod diff;
mod draft;
mod edit;
pub mod load;
pub mod model;
pub mod oneshot;
mod problem;
mod read;
mod reader;
mod render;
mod report;

pub mod value;
mod words;

pub use diff::{Change, diff};
pub use load::{ConfigErrors, Interfaces, Loaded, load, load_on, parse, parse_on};
pub use model::Config;
pub use oneshot::{Pieces, oneshot};
pub use problem::{Problem, Role};
pub use render::render;
pub use report::{Diagnostic, Finding, Related, Report, Severity, Span, Style};

#[cfg(test)]
mod tests;
