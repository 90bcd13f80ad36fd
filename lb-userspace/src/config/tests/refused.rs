//! Every problem, as it is shown.
//!
//! One snapshot per problem; the last test holds that none is without one.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::{BASE, report};
use crate::config::{ConfigErrors, Interfaces, Problem, Report, Severity, load, parse, parse_on};

/// A file with one service and pool, and what else the text says.
fn with(text: &str) -> String {
    format!("{BASE}{text}")
}

/// The base file with a piece of it replaced.
fn but(piece: &str, instead: &str) -> String {
    assert!(BASE.contains(piece), "{piece}");
    BASE.replace(piece, instead)
}

/// The base file with other backends.
fn backends(items: &str) -> String {
    but(r#"[{ name = "web-1", address = "10.0.1.1" }]"#, &format!("[\n{items}]"))
}

/// The base file with another service beside its own, which has the lines.
fn service(lines: &str) -> String {
    with(&format!("[services.other]\n{lines}"))
}

fn many(count: usize, mut item: impl FnMut(usize) -> String) -> String {
    (0..count).map(&mut item).collect()
}

/// A code, and a file that has this problem and no other.
type Case = (&'static str, String);

fn cases() -> Vec<Case> {
    [form(), values(), ports_and_shares(), services(), pools(), limits(), doubts()].concat()
}

fn form() -> Vec<Case> {
    vec![
        ("syntax", but("port = 80", "port = = 80")),
        ("syntax", with("[services.web]\naddress = \"192.0.2.11\"\n")),
        ("syntax", with("x = \"no end\n[pools.\n")),
        ("unknown_key", but("forward", "foward")),
        ("unknown_key", with("health = 1\n")),
        ("unknown_key", with("[deamon]\n")),
        ("unknown_key", backends("{ address = \"10.0.1.1\", wieght = 3 },\n")),
        (
            "dotted_name",
            with("[interfaces.eth0.100]\nmode = \"generic\"\n").replace("[interfaces.eth0]\n", ""),
        ),
        ("missing_key", but("port = 80\n", "")),
        ("wrong_type", but("port = 80", "port = 80.0")),
        ("wrong_type", but("seed = \"s\"", "seed = [1]")),
        ("wrong_type", but("forward = \"ipip\"", "forward = \"ipip\"\nstable = \"yes\"")),
        ("wrong_type", backends("\"10.0.1.1\",\n")),
        ("wrong_type", but("[interfaces.eth0]\n", "interfaces = [\"eth0\"]\n")),
        ("wrong_type", but("[interfaces.eth0]\n", "interfaces.eth0 = \"native\"\n")),
        ("bad_choice", but("\"ipip\"", "\"ipp\"")),
        ("bad_choice", but("\"ipip\"", "\"nat\"")),
        ("bad_choice", but("forward = \"ipip\"", "forward = \"ipip\"\nalgorithm = \"wrr\"")),
        ("bad_choice", with("hash = \"five_tuple\"\n")),
    ]
}

fn values() -> Vec<Case> {
    vec![
        ("bad_name", backends("{ name = \"web 1\", address = \"10.0.1.1\" },\n")),
        ("bad_name", with("[pools.\"-\"]\nforward = \"l2\"\n")),
        (
            "bad_interface",
            with("[interfaces.\"eth0:1\"]\n[interfaces.a-very-long-name]\n[interfaces.\"\"]\n"),
        ),
        ("bad_path", with("[daemon]\nsocket = \"xlb.sock\"\npin_dir = \"bpf\"\n")),
        ("bad_path", with(&format!("[daemon]\nsocket = \"/{}\"\n", "x".repeat(107)))),
        ("bad_seed", but("\"s\"", "\"\"")),
        ("bad_seed", but("\"s\"", "-1")),
        ("bad_seed", but("\"s\"", "18446744073709551616")),
        ("not_an_address", but("192.0.2.10", "192.0.2.256")),
        ("not_an_address", backends("{ address = \"10.0.1.0/24\" },\n{ address = \"fe80::1%eth0\" },\n")),
        ("bad_prefix", but("192.0.2.10", "192.0.2.0/33")),
        ("unusable_address", but("192.0.2.10", "127.0.0.1")),
        ("unusable_address", but("192.0.2.10", "0.0.0.0/0")),
        ("unusable_address", but("192.0.2.10", "64.0.0.0/2").replace("10.0.1.1", "fd00::1")),
        ("unusable_address", but("192.0.2.10", "ff02::1")),
        (
            "unusable_address",
            backends(
                "{ address = \"0.0.0.0\" },\n{ address = \"255.255.255.255\" },\n{ address = \"fe80::1\" },\n",
            ),
        ),
        ("unusable_address", with("[encapsulation]\nsource_ipv4 = \"224.0.0.0/8\"\n")),
        ("host_bits", but("192.0.2.10", "192.0.2.10/24")),
        ("host_bits", with("[encapsulation]\nsource_ipv4 = \"10.9.0.1/16\"\n")),
        ("wrong_family", with("[encapsulation]\nsource_ipv4 = \"fd00::1\"\nsource_ipv6 = \"10.0.0.1\"\n")),
        ("draw_too_wide", with("[encapsulation]\nsource_ipv6 = \"fd00:9::/64\"\n")),
    ]
}

fn ports_and_shares() -> Vec<Case> {
    vec![
        ("bad_port", but("port = 80", "port = 0")),
        ("bad_port", but("port = 80", "port = 65536")),
        ("bad_port", but("port = 80", "port = \"http\"")),
        ("bad_port", but("port = 80", "port = \"80-\"")),
        ("bad_port", with("[encapsulation]\ngue_port = -1\n")),
        ("reversed_range", but("port = 80", "port = \"8099-8000\"")),
        ("wide_range", but("port = 80", "port = \"1-1025\"")),
        ("bad_weight", backends("{ address = \"10.0.1.1\", weight = 65536 },\n")),
        ("bad_weight", backends("{ address = \"10.0.1.1\", weight = -1 },\n")),
        ("bad_source_prefix", with("hash = { source_prefix_ipv4 = 33 }\n")),
        ("hash_family", with("hash = { source_prefix_ipv6 = 56 }\n")),
    ]
}

fn services() -> Vec<Case> {
    vec![
        (
            "duplicate_service",
            service("address = \"192.0.2.10\"\nprotocol = \"tcp\"\nport = 80\npool = \"web\"\n"),
        ),
        (
            "duplicate_service",
            with(
                "[services.a]\naddress = \"2001:db8::/64\"\nprotocol = \"udp\"\nport = \"any\"\npool = \"web\"\n\
                 [services.b]\naddress = \"2001:db8::/64\"\nprotocol = \"udp\"\nport = \"any\"\npool = \"web\"\n",
            ),
        ),
        (
            "overlapping_services",
            service("address = \"192.0.2.10\"\nprotocol = \"tcp\"\nport = \"79-99\"\npool = \"web\"\n"),
        ),
        ("overlapping_services", with(&ranges(&["500-600", "5-6", "1-1000"]))),
        ("overlapping_services", with(&ranges(&["1-2", "2-3"]))),
        ("unknown_pool", but("pool = \"web\"", "pool = \"wbe\"")),
        ("unknown_pool", but("pool = \"web\"", "pool = \"mail\"")),
    ]
}

fn pools() -> Vec<Case> {
    vec![
        (
            "duplicate_name",
            backends(
                "{ name = \"a\", address = \"10.0.1.1\" },\n{ name = \"a\", address = \"10.0.1.2\" },\n",
            ),
        ),
        ("duplicate_backend", backends("{ address = \"10.0.1.1\" },\n{ address = \"10.0.1.1\" },\n")),
        (
            "duplicate_backend",
            backends(
                "{ name = \"a\", address = \"10.0.1.1\" },\n{ name = \"b\", address = \"10.0.1.1\", port = 80 },\n",
            ),
        ),
        ("backend_port", backends("{ name = \"a\", address = \"10.0.1.1\", port = 8080 },\n")),
        (
            "backend_port",
            backends("{ address = \"10.0.1.1\", port = 80 },\n").replace("port = 80\n", "port = \"80-81\"\n"),
        ),
        (
            "backend_port",
            backends("{ address = \"10.0.1.1\", port = 80 },\n").replace("port = 80\n", "port = \"any\"\n"),
        ),
        ("backend_is_service", but("10.0.1.1", "192.0.2.10")),
        ("backend_is_service", but("\"192.0.2.10\"", "\"10.0.0.0/16\"")),
        ("backend_is_source", with("[encapsulation]\nsource_ipv4 = \"10.0.0.0/16\"\n")),
        (
            "many_local",
            backends("{ address = \"10.0.1.1\" },\n{ address = \"10.0.1.2\" },\n").replace("ipip", "local"),
        ),
    ]
}

fn limits() -> Vec<Case> {
    let many_pools = many(1025, |i| format!("[pools.p{i}]\nforward = \"l2\"\n"));
    vec![
        ("too_many", with(&many(257, |i| format!("[interfaces.e{i}]\n")))),
        ("too_many", with(&many_pools)),
        (
            "too_many",
            backends(&many(8192, |i| format!("{{ address = \"10.1.{}.{}\" }},\n", i / 256, i % 256))),
        ),
        ("too_many", with(&many_services(4096, "any"))),
        ("too_many", with(&many_services(64, "1000-2022"))),
        ("too_many", with(&many_prefixes(4, "1000-2023"))),
    ]
}

fn doubts() -> Vec<Case> {
    vec![
        ("default_seed", but("seed = \"s\"\n", "")),
        ("no_interfaces", but("[interfaces.eth0]\n", "")),
        ("no_services", "seed = 1\n[interfaces.eth0]\n".to_owned()),
        ("unused_pool", with("[pools.spare]\nforward = \"l2\"\nbackends = [{ address = \"10.0.1.1\" }]\n")),
        ("empty_pool", backends("")),
        ("weightless", backends("{ address = \"10.0.1.1\", weight = 0 },\n")),
    ]
}

fn many_services(count: usize, port: &str) -> String {
    many(count, |i| {
        let address = format!("198.18.{}.{}", i / 256, i % 256);
        format!(
            "[services.s{i}]\naddress = \"{address}\"\nprotocol = \"tcp\"\nport = \"{port}\"\npool = \"web\"\n"
        )
    })
}

/// A service for each range of ports, on one address.
fn ranges(ports: &[&str]) -> String {
    many(ports.len(), |i| {
        let port = ports[i];
        format!(
            "[services.r{i}]\naddress = \"2001:db8::1\"\nprotocol = \"udp\"\nport = \"{port}\"\npool = \"web\"\n"
        )
    })
}

fn many_prefixes(count: usize, port: &str) -> String {
    many(count, |i| {
        let prefix = format!("2001:db8:{i:x}::/48");
        format!(
            "[services.s{i}]\naddress = \"{prefix}\"\nprotocol = \"udp\"\nport = \"{port}\"\npool = \"web\"\n"
        )
    })
}

/// The codes of what was found, each once.
fn codes(report: &Report) -> BTreeSet<&'static str> {
    report.findings().iter().map(|finding| finding.problem.code()).collect()
}

#[test]
fn every_problem_is_shown_with_its_place_and_the_way_out() {
    let mut shown: Vec<(&str, String)> = Vec::new();
    for (code, text) in cases() {
        let report = report(&text);
        assert_eq!(codes(&report), [code].into(), "for {code}:\n{report}");
        match shown.last_mut() {
            Some((last, rendered)) if *last == code => {
                let _ = write!(rendered, "\n\n{report}");
            }
            Some(_) | None => shown.push((code, report.to_string())),
        }
    }
    for (code, rendered) in shown {
        insta::assert_snapshot!(code, rendered);
    }
}

#[test]
fn no_problem_goes_untested() {
    let tested: BTreeSet<&str> = cases().into_iter().map(|(code, _)| code).collect();
    let elsewhere = ["no_interface", "no_pool", "no_backend", "bad_service"];
    let missing: Vec<_> =
        Problem::CODES.iter().filter(|code| !tested.contains(*code) && !elsewhere.contains(*code)).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}

#[test]
fn an_interface_that_does_not_exist() {
    let there = ["eth1".to_owned(), "lo".to_owned()];
    let report = parse_on(BASE, "xlb.toml", Interfaces::Required(&there)).unwrap_err();
    insta::assert_snapshot!("no_interface", report.to_string());
    let loaded = parse_on(BASE, "xlb.toml", Interfaces::Expected(&there)).unwrap();
    assert_eq!(loaded.warnings.count(Severity::Warning), 1);
    assert!(
        parse_on(BASE, "xlb.toml", Interfaces::Required(&["eth0".to_owned()])).unwrap().warnings.is_empty()
    );
}

#[test]
fn all_problems_are_found_in_one_go() {
    let text =
        but("port = 80", "prot = 80\nport = 0").replace("10.0.1.1", "10.0.1.1000").replace("\"s\"", "true");
    let report = parse(&text, "xlb.toml").unwrap_err();
    assert_eq!(codes(&report), ["unknown_key", "bad_port", "not_an_address", "wrong_type"].into());
    insta::assert_snapshot!("all_at_once", report.to_string());
}

#[test]
fn what_lookup_order_decides_is_no_conflict() {
    let text = with(
        "[services.any]\naddress = \"192.0.2.10\"\nprotocol = \"tcp\"\nport = \"any\"\npool = \"web\"\n\
         [services.udp]\naddress = \"192.0.2.10\"\nprotocol = \"udp\"\nport = 80\npool = \"web\"\n\
         [services.range]\naddress = \"192.0.2.10\"\nprotocol = \"tcp\"\nport = \"81-90\"\npool = \"web\"\n\
         [services.wide]\naddress = \"192.0.2.0/24\"\nprotocol = \"tcp\"\nport = 80\npool = \"web\"\n\
         [services.wider]\naddress = \"192.0.0.0/16\"\nprotocol = \"tcp\"\nport = 80\npool = \"web\"\n",
    );
    let report = report(&text);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn what_just_fits_is_taken() {
    let fits = [
        with(&many_prefixes(4, "1000-2022")),
        with(&many_services(4095, "any")),
        with(&many_services(63, "1000-2022")),
        with(&many(255, |i| format!("[interfaces.e{i}]\n"))),
        backends(&many(8191, |i| format!("{{ address = \"10.1.{}.{}\" }},\n", i / 256, i % 256))),
        but("port = 80", "port = \"1-1024\""),
    ];
    for text in fits {
        let report = report(&text);
        assert!(report.is_empty(), "{report}");
    }
}

#[test]
fn this_host_may_serve_its_own_address() {
    for address in ["192.0.2.10", "127.0.0.1", "::1"] {
        let report = report(&but("10.0.1.1", address).replace("ipip", "local"));
        assert!(report.is_empty(), "{report}");
    }
}

#[test]
fn families_may_be_mixed() {
    for forward in ["ipip", "gue", "l2"] {
        let report = report(&but("10.0.1.1", "fd00::1").replace("ipip", forward));
        assert!(report.is_empty(), "{report}");
    }
}

#[test]
fn programs_get_values() {
    let report =
        report(&service("address = \"192.0.2.10\"\nprotocol = \"tcp\"\nport = 80\npool = \"web\"\n"));
    insta::assert_snapshot!("as_json", serde_json::to_string_pretty(&report.diagnostics()).unwrap());
}

#[test]
fn a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let unreadable = |path: &std::path::Path| match load(path).unwrap_err() {
        ConfigErrors::Unreadable { reason, .. } => reason,
        ConfigErrors::Invalid(report) => panic!("{report}"),
    };
    assert!(unreadable(&folder.path().join("missing.toml")).contains("No such file"));
    assert_eq!(unreadable(folder.path()), "it is a directory");
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, b"seed = 1\n\xff").unwrap();
    assert_eq!(unreadable(&binary), "line 2 is not UTF-8");
    let good = folder.path().join("good.toml");
    std::fs::write(&good, BASE).unwrap();
    assert!(load(&good).unwrap().warnings.is_empty());
}
