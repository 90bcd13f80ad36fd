//! What is needed to build: found, or fetched once.

use std::path::PathBuf;

use anyhow::Result;

use crate::shell;
use crate::toolchain::Toolchain;

/// The release of bpf-linker that reads the bitcode of both toolchains.
const BPF_LINKER: &str = "0.10.4";

/// What builds the BPF half.
pub struct Tools {
    /// The compiler.
    pub toolchain: Toolchain,
    /// The folder that holds `bpf-linker`.
    pub linker_folder: PathBuf,
}

/// Finds the tools, fetching what is missing.
pub fn setup() -> Result<Tools> {
    let toolchain = match Toolchain::find() {
        Some(toolchain) => toolchain,
        None => Toolchain::fetch()?,
    };
    let linker_folder = shell::root().join("target/tools/bin");
    if !linker_folder.join("bpf-linker").is_file() {
        println!(
            "setup: building bpf-linker {BPF_LINKER} from crates.io (about 20 MB of sources, 1 to 2 minutes, once) into \
             target/tools"
        );
        let root = shell::root().join("target/tools");
        let mut install = shell::cargo();
        install
            .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--quiet", "--root"])
            .arg(root);
        shell::run(&mut install)?;
    }
    Ok(Tools { toolchain, linker_folder })
}

/// Says what is there and what `setup` would fetch, and fetches nothing.
pub fn report() {
    match Toolchain::find() {
        Some(toolchain) => println!("BPF compiler  here: {}", toolchain.describe()),
        None => println!(
            "BPF compiler  missing: Debian's packages (117 MB) into target/bpf-toolchain, or rustup's rust-src"
        ),
    }
    if shell::root().join("target/tools/bin/bpf-linker").is_file() {
        println!("bpf-linker    here: target/tools/bin/bpf-linker");
    } else {
        println!("bpf-linker    missing: {BPF_LINKER} from crates.io (about 20 MB) into target/tools");
    }
}
