//! What a change did.

use std::fmt::Write;

use crate::control::view::Applied;

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
        let _ = writeln!(out, "{moved}");
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
