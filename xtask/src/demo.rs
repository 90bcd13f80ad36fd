//! `cargo xtask demo`: builds what the demo needs and hands over to it.

use anyhow::{Result, bail};

use crate::bpf;
use crate::shell;

/// Runs the demo; `hold` keeps its lab up.
pub fn demo(hold: bool) -> Result<()> {
    if !shell::is_root() {
        bail!(
            "the demo makes network namespaces and loads BPF programs: run it as root, \
             `sudo -E env PATH=$PATH cargo xtask demo`"
        );
    }
    bpf::build()?;
    // All of the workspace, as the tests build it: fewer packages mean other features of their dependencies, and so
    // everything built twice.
    shell::run(shell::cargo().args(["build", "--workspace", "--exclude", "lb-ebpf", "--bins"]))?;
    let mut demo = shell::command(std::env::current_exe()?.with_file_name("xlb-demo"));
    if hold {
        demo.arg("--hold");
    }
    shell::run(&mut demo)
}
