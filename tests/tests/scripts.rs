//! The scripts, in a network namespace of their own.

use std::path::Path;
use std::process::Command;

use xlb_tests::need_root;

/// Runs a line of shell in a fresh network namespace, in the project's folder; its exit code and what it printed.
fn in_namespace(line: &str) -> (Option<i32>, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let output =
        Command::new("unshare").args(["--net", "bash", "-c", line]).current_dir(root).output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(printed).unwrap())
}

const SHOW: &str = "ip -brief address show lo; cat /proc/sys/net/ipv4/conf/all/arp_{ignore,announce}";

#[test]
fn a_backend_is_prepared_and_put_back() {
    need_root();
    let prepare = "scripts/prepare-backend 192.0.2.10 2001:db8::10 >/dev/null";
    // Twice: what is there already is no error.
    let (code, shown) = in_namespace(&format!("{prepare} && {prepare} && {{ {SHOW}; }}"));
    assert_eq!(code, Some(0), "{shown}");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(words[2..], ["192.0.2.10/32", "2001:db8::10/128", "1", "2"], "{shown}");

    let undo = "scripts/prepare-backend --undo 192.0.2.10 2001:db8::10 >/dev/null";
    let (code, shown) = in_namespace(&format!("{prepare} && {undo} && ip -brief address show lo"));
    assert_eq!(
        (code, shown.contains("192.0.2.10"), shown.contains("2001:")),
        (Some(0), false, false),
        "{shown}"
    );
}

#[test]
fn a_dry_run_changes_nothing_and_bad_input_is_refused() {
    need_root();
    let (code, shown) =
        in_namespace("scripts/prepare-backend --dry-run 192.0.2.10 && ip -brief address show lo");
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shown.matches("192.0.2.10").count(), 1, "printed, not done: {shown}");

    let (code, shown) = in_namespace("scripts/prepare-backend 192.0.2.10/24");
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("`192.0.2.10/24` is no address"), "{shown}");
    assert_eq!(in_namespace("scripts/prepare-backend").0, Some(2));
}
