//! `build`, `test` and `lint`.

use anyhow::{Result, bail};

use crate::Profile;
use crate::bpf;
use crate::shell;

/// The BPF object, then the `xlb` binary.
pub fn build(profile: Profile) -> Result<()> {
    bpf::build()?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "lb-userspace"]);
    if profile == Profile::Release {
        cargo.arg("--release");
    }
    shell::run(&mut cargo)?;
    println!(
        "built: {}",
        if profile == Profile::Release { "target/release/xlb" } else { "target/debug/xlb" }
    );
    Ok(())
}

/// Every test there is. Tests that load programs and make namespaces need root; without it the others run, and then
/// this fails with a sentence that says so.
pub fn test(filter: &[String]) -> Result<()> {
    bpf::build()?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--workspace", "--exclude", "lb-ebpf"]);
    if !shell::is_root() {
        cargo.args(["--exclude", "xlb-tests"]);
    }
    cargo.args(filter);
    if !shell::is_root() {
        cargo.args(["--", "--skip", "kernel"]);
    }
    shell::run(&mut cargo)?;
    if !shell::is_root() {
        bail!(
            "the host tests passed, but the kernel tests (packet tables, namespaces, end to end) did not run: they need \
             root, run `sudo -E env PATH=$PATH cargo xtask test`"
        );
    }
    Ok(())
}

/// Formatting, clippy, and shellcheck and cargo-deny where they are installed.
pub fn lint() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))?;
    bpf::build()?;
    shell::run(shell::cargo().args([
        "clippy",
        "--quiet",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    if shell::on_path("shellcheck") {
        shell::run(shell::command("shellcheck").args([".ci/run", "scripts/prepare-backend"]))?;
    } else {
        println!("lint: shellcheck is not installed, scripts were not checked (apt-get install shellcheck)");
    }
    if shell::on_path("cargo-deny") {
        // The advisory database is fetched over the network; that check is for `cargo deny check advisories` by hand.
        shell::run(shell::cargo().args(["deny", "check", "bans", "licenses", "sources"]))?;
    } else {
        println!("lint: cargo-deny is not installed, deny.toml was not checked (cargo install cargo-deny)");
    }
    Ok(())
}
