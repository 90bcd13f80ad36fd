//! The `xlb` binary from outside: exit codes, and what goes to which stream.

use std::process::Output;

use assert_cmd::Command;

/// Runs `xlb` with a socket that nobody listens on.
fn xlb(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xlb"));
    command.env("XLB_SOCKET", "/nonexistent/xlb.sock").env_remove("XLB_LOG").args(arguments);
    command.output().expect("xlb runs")
}

#[track_caller]
fn assert_exit(arguments: &[&str], code: i32) -> Output {
    let output = xlb(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn help_and_version_are_done() {
    assert!(text(&assert_exit(&["--version"], 0).stdout).starts_with("xlb "));
    assert!(text(&assert_exit(&["help", "backend", "add"], 0).stdout).contains("--weight"));
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["s"],
        &["backend", "add", "web"],
        &["backend", "set", "web", "a"],
        &["run"],
        &["detach"],
        &["run", "-c", "xlb.toml", "--log", "info=loud"],
    ] {
        assert!(assert_exit(arguments, 2).stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn no_daemon_is_3_and_says_how_to_start_one() {
    for arguments in [
        &["status"][..],
        &["service", "list"],
        &["service", "show", "web"],
        &["pool", "list"],
        &["pool", "show", "web"],
        &["pool", "table", "web"],
        &["backend", "list"],
        &["backend", "add", "web", "web-4", "10.0.0.5"],
        &["backend", "set", "web", "web-4", "--weight", "2"],
        &["backend", "remove", "web", "web-4"],
        &["interface", "list"],
        &["attach", "eth0"],
        &["stats"],
        &["drops"],
        &["reload"],
        &["log-packets"],
    ] {
        let output = assert_exit(arguments, 3);
        let error = text(&output.stderr);
        assert!(
            error.starts_with("error: no xlb daemon answers at /nonexistent/xlb.sock"),
            "{arguments:?}: {error}"
        );
        assert!(error.contains("xlb run -c"), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let output = assert_exit(&["status", "--json"], 3);
    let problem: serde_json::Value = serde_json::from_slice(&output.stderr).expect("JSON");
    assert_eq!(problem["type"], "urn:xlb:unreachable");
}

/// A daemon's socket that answers every request with one status and body, of which it claims `length` bytes.
fn fixed(status: &str, body: &str, length: usize) -> (tempfile::TempDir, String) {
    use std::io::{Read, Write};

    let response =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("xlb.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).expect("a request");
            stream.write_all(response.as_bytes()).expect("an answer");
        }
    });
    let path = path.to_str().expect("UTF-8").to_owned();
    (directory, path)
}

#[test]
fn a_refusal_is_1() {
    let problem = r#"{"type":"urn:xlb:not-found","title":"-","status":404,"detail":"no pool `wbe`: ..."}"#;
    let (_directory, socket) = fixed("404 Not Found", problem, problem.len());
    let output = assert_exit(&["pool", "show", "wbe", "--socket", &socket], 1);
    assert_eq!(text(&output.stderr), "error: no pool `wbe`: ...\n");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_answer_is_0() {
    let (_directory, socket) = fixed("200 OK", "[]", 2);
    let output = assert_exit(&["pool", "list", "--json", "--socket", &socket], 0);
    assert_eq!(text(&output.stdout), "[]\n");
    assert!(output.stderr.is_empty());
}

#[test]
fn half_an_answer_is_3() {
    let (_directory, socket) = fixed("200 OK", "[]", 20);
    assert_exit(&["pool", "list", "--socket", &socket], 3);
}

const CONFIG: &str = r#"
[interfaces.lo]
mode = "generic"

[pools.web]
forward = "l2"
backends = [{ name = "web-1", address = "10.0.0.2" }]

[services.web]
address = "192.0.2.10"
protocol = "tcp"
port = 80
pool = "web"
"#;

fn file(text: &str) -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("xlb.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (directory, path)
}

#[test]
fn a_valid_file_is_0() {
    let (_directory, path) = file(CONFIG);
    let output = assert_exit(&["check", &path], 0);
    assert_eq!(text(&output.stdout), format!("{path}: valid\n"));
    let output = assert_exit(&["check", &path, "--print", "--json"], 0);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(checked["valid"], true);
    assert_eq!(checked["config"]["pools"]["web"]["backends"]["web-1"]["weight"], 1, "defaults are filled in");
}

#[test]
fn an_invalid_file_is_1_with_line_and_caret() {
    let (_directory, path) = file(&CONFIG.replace("pool = \"web\"", "pol = \"web\""));
    let output = assert_exit(&["check", &path], 1);
    let report = text(&output.stderr);
    assert!(report.contains("xlb.toml:13:1"), "{report}");
    assert!(report.contains("^^^"), "{report}");
    assert!(output.stdout.is_empty());
    let output = assert_exit(&["check", &path, "--json"], 1);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(checked["valid"], false);
    let diagnostics = checked["diagnostics"].as_array().expect("an array");
    let unknown = diagnostics.iter().find(|d| d["code"] == "unknown_key").expect("the typo");
    assert_eq!(unknown["line"], 13);
    assert!(output.stderr.is_empty());
}

#[test]
fn an_interface_that_is_not_here_is_refused_unless_the_file_is_for_elsewhere() {
    let (_directory, path) = file(&CONFIG.replace("interfaces.lo", "interfaces.nosuchif0"));
    let report = assert_exit(&["check", &path], 1).stderr;
    assert!(text(&report).contains("nosuchif0"), "{report:?}");
    assert_exit(&["check", &path, "--elsewhere"], 0);
}

#[test]
fn a_file_that_is_not_there_is_1() {
    let output = assert_exit(&["check", "/nonexistent/xlb.toml"], 1);
    assert!(text(&output.stderr).starts_with("error: cannot read /nonexistent/xlb.toml"));
}

#[test]
fn what_print_prints_is_valid_again() {
    let (_directory, path) = file(CONFIG);
    let printed = assert_exit(&["check", &path, "--print"], 0).stdout;
    let (_directory, again) = file(text(&printed));
    assert_exit(&["check", &again], 0);
    let configs = [path, again].map(|file| {
        let output = assert_exit(&["check", &file, "--print", "--json"], 0);
        let checked: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        checked["config"].clone()
    });
    assert_eq!(configs[0], configs[1]);
}
