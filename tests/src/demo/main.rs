//! `cargo xtask demo`: xlb at work in a network of namespaces, and the proof that it did what it says.
//!
//! Exit code 0 only if everything was as expected; what was not is said in plain words.

mod hold;
mod screen;
mod script;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut hold = script::Ending::CleanUp;
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--hold" => hold = script::Ending::Hold,
            "-h" | "--help" => {
                println!(
                    "usage: xlb-demo [--hold]\n\n  --hold  keep the lab up at the end, until Enter or Ctrl-C"
                );
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("xlb-demo: unknown argument `{other}`; the only one is --hold");
                return ExitCode::from(2);
            }
        }
    }
    if !nix::unistd::geteuid().is_root() {
        eprintln!("the demo needs root: it makes network namespaces and loads BPF programs");
        return ExitCode::FAILURE;
    }
    match script::play(hold) {
        Ok(wrong) if wrong.is_empty() => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("\nNot as it should be:");
            for sentence in wrong {
                eprintln!("  - {sentence}");
            }
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("\nThe demo could not go on: {error:#}");
            ExitCode::FAILURE
        }
    }
}
