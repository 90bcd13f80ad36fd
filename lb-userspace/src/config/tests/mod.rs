//! Tests of the room as a whole.

mod accepted;
mod changes;
mod oneshot;
mod properties;
mod refused;
mod rendered;

use super::{Interfaces, Loaded, Report, parse_on};

/// What a text comes to, whether it is taken or not.
fn report(text: &str) -> Report {
    match parse_on(text, "xlb.toml", Interfaces::Unchecked) {
        Ok(Loaded { warnings, .. }) => warnings,
        Err(report) => report,
    }
}

/// A valid file that leaves nothing to warn of, for tests to add mistakes to.
const BASE: &str = r#"seed = "s"
[interfaces.eth0]
[pools.web]
forward = "ipip"
backends = [{ name = "web-1", address = "10.0.1.1" }]
[services.web]
address = "192.0.2.10"
protocol = "tcp"
port = 80
pool = "web"
"#;
