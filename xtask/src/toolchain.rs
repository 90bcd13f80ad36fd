//! Which rustc can build for `bpfel-unknown-none`, and how to get one.
//!
//! No rustup channel ships a compiled `core` for that target. Either `core` is built from its source (the `rust-src`
//! component and `-Zbuild-std`), or Debian's `libstd-rust-web-dev-bpf` package brings it compiled, together with the
//! rustc of its version. Debian's way is taken first where it is there: it is the one that continuous integration runs.
//! Its packages are unpacked under `target/`, not installed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

/// A way to build for BPF.
pub enum Toolchain {
    /// Debian's rustc, unpacked in this folder.
    Debian(PathBuf),
    /// The rustc that runs xtask, with the source of `core`.
    Rustup,
}

impl Toolchain {
    /// The toolchain that is already here, if any.
    pub fn find() -> Option<Self> {
        let folder = debian_folder();
        if is_complete(&folder) {
            return Some(Self::Debian(folder));
        }
        has_rust_src().then_some(Self::Rustup)
    }

    /// Fetches a toolchain: Debian's packages where apt offers them, else rustup's source of `core`.
    pub fn fetch() -> Result<Self> {
        let debian =
            if shell::on_path("apt-get") { fetch_debian() } else { Err(anyhow::anyhow!("no apt-get here")) };
        let no_debian = match debian {
            Ok(folder) => return Ok(Self::Debian(folder)),
            Err(error) => error,
        };
        let no_rustup = match fetch_rust_src() {
            Ok(()) => return Ok(Self::Rustup),
            Err(error) => error,
        };
        bail!(
            "no rustc here can build for BPF, and neither way to get one worked:\n  1. Debian's packages \
             (rustc-web, libstd-rust-web-dev-bpf): {no_debian:#}\n  2. rustup (component rust-src): {no_rustup:#}\n\
             Make one of them work and run `cargo xtask setup` again."
        )
    }

    /// What it is, for `cargo xtask setup`.
    pub fn describe(&self) -> String {
        match self {
            Self::Debian(folder) => {
                format!("Debian's rustc with a compiled BPF core, in {}", relative(folder))
            }
            Self::Rustup => "rustup's rustc with rust-src".to_owned(),
        }
    }

    /// Makes `cargo` build for BPF with this toolchain.
    pub fn apply(&self, cargo: &mut Command) {
        // Stable rustc hides the BPF target's features (inline asm, build-std) behind nightly flags.
        cargo.env("RUSTC_BOOTSTRAP", "1");
        match self {
            Self::Debian(folder) => {
                cargo.env("RUSTC", folder.join("usr/bin/rustc"));
                cargo.env_remove("RUSTUP_TOOLCHAIN");
                let libraries = prepend(&folder.join("usr/lib"), std::env::var_os("LD_LIBRARY_PATH"));
                cargo.env("LD_LIBRARY_PATH", libraries);
            }
            Self::Rustup => {
                cargo.arg("-Zbuild-std=core");
            }
        }
    }
}

/// `folder` in front of the folders of a `PATH`-like variable.
pub fn prepend(folder: &Path, rest: Option<OsString>) -> OsString {
    let mut joined = folder.as_os_str().to_owned();
    if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
        joined.push(":");
        joined.push(rest);
    }
    joined
}

const BPF_CORE: &str = "usr/lib/rustlib/bpfel-unknown-none/lib";
/// The first two are what is wanted, the others what they stand on; `libc6` and its like are on every machine.
const WANTED: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
const CARRIED: [&str; 2] = ["libstd-rust-web", "libllvm"];

fn debian_folder() -> PathBuf {
    shell::root().join("target/bpf-toolchain/deb")
}

/// Whether a folder holds the compiler, the libraries where it looks for them, and a `core` for BPF.
fn is_complete(folder: &Path) -> bool {
    let driver = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with("librustc_driver");
    folder.join("usr/bin/rustc").is_file()
        && folder.join(BPF_CORE).is_dir()
        && fs::read_dir(folder.join("usr/lib")).is_ok_and(|entries| entries.flatten().any(driver))
}

/// Fetches with the package lists as they are; when that fails, once more with fresh ones.
fn fetch_debian() -> Result<PathBuf> {
    match unpack_debian() {
        Ok(folder) => Ok(folder),
        Err(_) if shell::is_root() => {
            println!("setup: apt's package lists are missing or old: apt-get update, about 10 MB");
            shell::output(shell::command("apt-get").args(["update", "--quiet"]))?;
            unpack_debian()
        }
        Err(error) => {
            Err(error.context("if apt's package lists are old, run `apt-get update` as root first"))
        }
    }
}

fn unpack_debian() -> Result<PathBuf> {
    let names = debian_packages()?;
    let downloads = downloads(&names)?;
    let bytes: u64 = downloads.iter().map(|download| download.bytes).sum();
    println!(
        "setup: fetching {} Debian packages, {} MB, into target/bpf-toolchain:",
        downloads.len(),
        bytes >> 20
    );
    for download in &downloads {
        println!("setup:   {} {} MB", download.file, download.bytes >> 20);
    }
    let packages = shell::root().join("target/bpf-toolchain/packages");
    fs::create_dir_all(&packages)?;
    let mut apt = shell::command("apt-get");
    apt.current_dir(&packages).args(["--quiet", "-o", "APT::Sandbox::User=root", "download"]).args(&names);
    shell::output(&mut apt)?;

    // Unpacked beside and moved into place, so that an interrupted setup leaves nothing that looks complete.
    let folder = debian_folder();
    let unpacking = folder.with_extension("unpacking");
    if unpacking.exists() {
        fs::remove_dir_all(&unpacking)?;
    }
    for package in fs::read_dir(&packages)? {
        shell::run(shell::command("dpkg").arg("-x").arg(package?.path()).arg(&unpacking))?;
    }
    link_libraries(&unpacking)?;
    if !is_complete(&unpacking) {
        bail!("the packages hold no rustc with {BPF_CORE}");
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::rename(&unpacking, &folder)?;
    fs::remove_dir_all(&packages)?;
    Ok(folder)
}

/// The wanted packages and those of their dependencies that belong to the compiler.
fn debian_packages() -> Result<Vec<String>> {
    let mut names: Vec<String> = WANTED.iter().map(|&name| name.to_owned()).collect();
    let mut next = 0;
    while let Some(name) = names.get(next).cloned() {
        next += 1;
        let text = shell::output(shell::command("apt-cache").args(["depends", "--important", &name]))?;
        let depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        for depend in depends.filter(|depend| CARRIED.iter().any(|prefix| depend.starts_with(prefix))) {
            if !names.iter().any(|name| name == depend) {
                names.push(depend.to_owned());
            }
        }
    }
    // An archive without the BPF core still knows rustc-web.
    for name in &names {
        shell::output(shell::command("apt-cache").args(["show", "--no-all-versions", name]))?;
    }
    Ok(names)
}

struct Download {
    file: String,
    bytes: u64,
}

/// What `apt-get download` would fetch: lines of `'address' file bytes digest`.
fn downloads(names: &[String]) -> Result<Vec<Download>> {
    let text = shell::output(shell::command("apt-get").args(["--print-uris", "download"]).args(names))?;
    let parse = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let file = words.next()?.to_owned();
        Some(Download { file, bytes: words.next()?.parse().ok()? })
    };
    let downloads: Vec<_> = text.lines().filter(|line| line.starts_with('\'')).filter_map(parse).collect();
    if downloads.len() != names.len() {
        bail!("apt-get offers {} of the {} packages {}", downloads.len(), names.len(), names.join(", "));
    }
    Ok(downloads)
}

/// rustc finds its own libraries beside `usr/bin`, in `usr/lib`; Debian has them one folder further down.
fn link_libraries(folder: &Path) -> Result<()> {
    let library = folder.join("usr/lib");
    for entry in fs::read_dir(&library)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().ends_with("-linux-gnu") {
            continue;
        }
        for file in fs::read_dir(entry.path())? {
            let name = file?.file_name();
            let link = library.join(&name);
            if !link.exists() {
                symlink(Path::new(&entry.file_name()).join(&name), &link)
                    .with_context(|| format!("cannot link {}", link.display()))?;
            }
        }
    }
    Ok(())
}

fn has_rust_src() -> bool {
    shell::output(shell::command("rustc").args(["--print", "sysroot"]))
        .is_ok_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core").is_dir())
}

fn fetch_rust_src() -> Result<()> {
    if !shell::on_path("rustup") {
        bail!("no rustup here");
    }
    println!("setup: fetching rustup's component rust-src, about 4 MB, into the active toolchain");
    shell::output(shell::command("rustup").args(["component", "add", "rust-src"]))?;
    if !has_rust_src() {
        bail!("rustup says it added rust-src, but the active toolchain has none");
    }
    Ok(())
}

fn relative(path: &Path) -> String {
    path.strip_prefix(shell::root()).unwrap_or(path).display().to_string()
}
