//! The BPF object: `lb-ebpf` built for the kernel, put where `lb-userspace` embeds it from.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::setup;
use crate::shell;
use crate::toolchain;

/// An unrolled loop can drive the linker to many gigabytes; a good build takes a tenth of this.
const LIMIT: Duration = Duration::from_secs(300);

/// Where `lb-userspace` looks for the object.
pub fn object() -> PathBuf {
    shell::root().join("target/bpf/xlb-bpf.o")
}

/// Builds the object.
pub fn build() -> Result<()> {
    let tools = setup::setup()?;
    let target = shell::root().join("target/bpf");
    let mut cargo = shell::cargo();
    cargo.args(["build", "--quiet", "--release", "--package", "lb-ebpf", "--target", "bpfel-unknown-none"]);
    // Flags in the environment replace the developer's own, which are for the host.
    let architecture = std::env::consts::ARCH;
    cargo
        .env(
            "RUSTFLAGS",
            format!(
                "--cfg bpf_target_arch=\"{architecture}\" -Cdebuginfo=2 -Ctarget-cpu=v3 -Clink-arg=--btf"
            ),
        )
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("CARGO_TARGET_DIR", &target)
        .env("PATH", toolchain::prepend(&tools.linker_folder, std::env::var_os("PATH")));
    tools.toolchain.apply(&mut cargo);
    shell::run_within(LIMIT, &mut cargo)?;

    let built = target.join("bpfel-unknown-none/release/xlb-bpf");
    let bytes = fs::read(&built).with_context(|| format!("no object at {}", built.display()))?;
    // Written only when it differs: its time stamp decides whether `lb-userspace` is built again.
    if fs::read(object()).ok().as_deref() != Some(&bytes[..]) {
        fs::write(object(), &bytes)?;
    }
    Ok(())
}
