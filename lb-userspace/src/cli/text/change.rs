//! What a change did.

use std::fmt::Write;

use lb_common::abi::SLOTS;

use crate::config::model::Name;
use crate::control::view::{Applied, Move, Moved};

/// A sentence per change, then which slots moved, if any.
pub fn applied(applied: &Applied) -> String {
    if applied.changes.is_empty() && applied.moved.is_empty() {
        return format!("nothing to change, generation {}\n", applied.generation);
    }
    let mut out = String::new();
    for change in &applied.changes {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{change}");
    }
    if applied.moved.is_empty() {
        out.push_str("no slots moved\n");
    }
    for moved in &applied.moved {
        let _ = writeln!(out, "{}", slots(moved));
    }
    let _ = writeln!(out, "generation {}", applied.generation);
    out
}

/// A sentence per change of interfaces, which move no slots.
pub fn interfaces(applied: &Applied) -> String {
    match &applied.changes[..] {
        [] => "nothing to change\n".to_owned(),
        changes => changes.join("\n") + "\n",
    }
}

fn slots(moved: &Moved) -> String {
    let moves: Vec<String> = moved.moves.iter().map(one).collect();
    let list = if moves.is_empty() { String::new() } else { format!(": {}", moves.join(", ")) };
    format!("pool {}: {} of {SLOTS} slots moved{list}", moved.pool, moved.slots)
}

fn one(step: &Move) -> String {
    let name = |name: &Option<Name>| name.as_ref().map_or("(no backend)".to_owned(), Name::to_string);
    format!("{} -> {} {}", name(&step.from), name(&step.to), step.slots)
}
