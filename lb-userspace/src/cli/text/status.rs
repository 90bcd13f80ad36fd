//! `xlb status` and `xlb interface list`.

use std::fmt::Write;

use super::{counted, text, word};
use crate::cli::columns::{Align, Columns};
use crate::control::view::{InterfaceView, View};

/// What runs, how much of it, and everything that is wrong, by name.
pub fn status(view: &View) -> String {
    let attached = view.interfaces.iter().filter(|i| i.attached).count();
    let backends: usize = view.pools.iter().map(|p| p.backends.len()).sum();
    let idle = view.pools.iter().flat_map(|p| &p.backends).filter(|b| b.slots == 0).count();
    let mut out = format!(
        "xlb {}, pid {}, generation {}\n\
         config      {}\n\
         interfaces  {attached} of {} attached\n\
         services    {}\n\
         pools       {}\n\
         backends    {backends}, {idle} without slots\n",
        view.version,
        view.pid,
        view.generation,
        view.config_file.as_deref().unwrap_or("none, from the command line"),
        view.interfaces.len(),
        view.services.len(),
        view.pools.len(),
    );
    let problems = problems(view);
    if problems.is_empty() && view.warnings.is_empty() {
        out.push_str("no problems\n");
    }
    section(&mut out, "problem", &problems);
    section(&mut out, "warning", &view.warnings);
    out
}

/// Interfaces and what is wrong with them.
pub fn interfaces(interfaces: &[InterfaceView]) -> String {
    if interfaces.is_empty() {
        return "no interfaces: `xlb attach IF` attaches the balancer to one\n".to_owned();
    }
    let mut columns = Columns::new([
        ("INTERFACE", Align::Left),
        ("MODE", Align::Left),
        ("ATTACHED", Align::Left),
        ("IFINDEX", Align::Right),
        ("PROGRAM", Align::Right),
        ("PROBLEM", Align::Left),
    ]);
    for interface in interfaces {
        columns.row([
            interface.name.clone(),
            word(interface.mode),
            if interface.attached { "yes" } else { "no" }.to_owned(),
            text(interface.ifindex),
            text(interface.program_id),
            text(interface.problem.as_ref()),
        ]);
    }
    columns.to_string()
}

fn problems(view: &View) -> Vec<String> {
    let interfaces = view.interfaces.iter().filter_map(|interface| {
        let silent = (!interface.attached).then_some("not attached");
        let problem = interface.problem.as_deref().or(silent)?;
        Some(format!("interface {}: {problem}", interface.name))
    });
    let backends = view.pools.iter().flat_map(|pool| {
        pool.backends.iter().filter_map(move |backend| {
            let problem = backend.problem.as_deref()?;
            Some(format!("backend {} of pool {}: {problem}", backend.name, pool.name))
        })
    });
    interfaces.chain(backends).collect()
}

fn section(out: &mut String, title: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\n{}", counted(lines.len(), title));
    for line in lines.iter().flat_map(|entry| entry.trim_end().lines()) {
        let _ = writeln!(out, "{}", format!("  {line}").trim_end());
    }
}
