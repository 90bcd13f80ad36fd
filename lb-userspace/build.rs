//! Finds the BPF object that the dataplane room embeds.
//!
//! It is built beforehand by `cargo xtask build`, not from here: a build script that builds for the BPF target would
//! make every `cargo build`, `check` and editor need the BPF toolchain.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-env-changed=XLB_BPF_OBJECT");
    let object = object();
    println!("cargo::rerun-if-changed={}", object.display());
    if object.is_file() {
        println!("cargo::rustc-env=XLB_BPF_OBJECT_FILE={}", object.display());
    } else {
        println!("cargo::error=there is no BPF object at {}: run `cargo xtask build`", object.display());
    }
}

/// `target/bpf/xlb-bpf.o` of the workspace, or what `XLB_BPF_OBJECT` names.
fn object() -> PathBuf {
    if let Some(named) = env::var_os("XLB_BPF_OBJECT") {
        return PathBuf::from(named);
    }
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    package.parent().map(|workspace| workspace.join("target/bpf/xlb-bpf.o")).unwrap_or_default()
}
