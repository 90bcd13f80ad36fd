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
    shell::run(shell::cargo().args([
        "build",
        "--package",
        "lb-userspace",
        "--package",
        "xlb-tests",
        "--bins",
    ]))?;
    let mut demo = shell::cargo();
    demo.args(["run", "--quiet", "--package", "xlb-tests", "--bin", "xlb-demo", "--"]);
    if hold {
        demo.arg("--hold");
    }
    shell::run(&mut demo)
}
