//! What is taken, and what is printed for fixed answers.

use clap::{CommandFactory, Parser};

use super::grammar::{Cli, Command};
use super::output::Output;
use super::remote::event_text;
use super::text::count::{Drops, Which};
use super::text::object::BackendRow;
use super::text::{change, count, object, status};
use crate::api::body::{LogEvent, Owners};
use crate::api::fixture::{applied, name, stats, view};
use crate::control::view::{Applied, Move, Moved};

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

#[track_caller]
fn parse(line: &str) -> Cli {
    Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"))
}

/// The first line of what clap says.
#[track_caller]
fn usage_error(line: &str) -> String {
    let error = Cli::try_parse_from(line.split(' ')).expect_err(line);
    assert_eq!(error.exit_code(), 2, "{line}");
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn words_may_be_cut_to_a_unique_prefix() {
    assert!(matches!(parse("xlb b l").command, Command::Backend { .. }));
    assert!(matches!(parse("xlb p s web").command, Command::Pool { .. }));
    assert!(matches!(parse("xlb l").command, Command::LogPackets(_)));
    usage_error("xlb s");
}

#[test]
fn global_options_stand_anywhere() {
    assert_eq!(parse("xlb -j status").global.output(), Output::Json);
    assert_eq!(parse("xlb pool list --json").global.output(), Output::Json);
    assert_eq!(parse("xlb pool -p list").global.output(), Output::Pretty);
    assert_eq!(parse("xlb pool list -jp").global.output(), Output::Pretty);
    let cli = parse("xlb pool list --socket /tmp/x.sock");
    assert_eq!(cli.global.socket().to_str(), Some("/tmp/x.sock"));
}

#[test]
fn run_takes_a_file_or_everything_on_the_line() {
    parse("xlb run -c xlb.toml");
    parse(
        "xlb run --interface eth0 --service 192.0.2.10:80/tcp --backend 10.0.0.2 --backend 10.0.0.3*4 \
         --forward l2 --generic",
    );
    usage_error("xlb run");
    usage_error("xlb run --interface eth0 --backend 10.0.0.2 --forward l2");
    usage_error(
        "xlb run -c xlb.toml --interface eth0 --service 1.2.3.4:80/tcp --backend 10.0.0.2 --forward l2",
    );
    usage_error("xlb run -c xlb.toml --generic");
    usage_error("xlb detach");
    usage_error("xlb detach eth0 --all");
    parse("xlb detach --all -c xlb.toml");
    parse("xlb detach eth0 --pin-dir /sys/fs/bpf/x");
}

#[test]
fn bad_input_is_named() {
    let errors = [
        "xlb backend add web a/b 10.0.0.1",
        "xlb backend add web a 10.0.0.256",
        "xlb backend add web a 10.0.0.1 --port 0",
        "xlb backend set web a --weight 65536",
        "xlb attach eth0 --mode fast",
        "xlb log-packets --rate 0",
        "xlb agent run --interface eth0 --balancer 10.0.0.0/33",
    ];
    insta::assert_snapshot!(errors.map(usage_error).join("\n"));
}

#[test]
fn help_says_what_there_is() {
    insta::assert_snapshot!(Cli::command().render_help());
}

/// Checks the text and the indented JSON of one answer.
macro_rules! assert_prints {
    ($name:literal, $value:expr, $text:expr) => {
        let value = $value;
        insta::assert_snapshot!($name, Output::Text.render(&value, |v| $text(v)).expect("text"));
        insta::assert_snapshot!(
            concat!($name, "_json"),
            Output::Pretty.render(&value, |v| $text(v)).expect("JSON")
        );
    };
}

#[test]
fn status_prints() {
    assert_prints!("status", view(), status::status);
    let mut healthy = view();
    healthy.interfaces.truncate(1);
    healthy.pools.truncate(1);
    healthy.warnings.clear();
    healthy.config_file = None;
    insta::assert_snapshot!("status_healthy", status::status(&healthy));
}

#[test]
fn interfaces_print() {
    assert_prints!("interfaces", view().interfaces, |v: &Vec<_>| status::interfaces(v));
    insta::assert_snapshot!("interfaces_none", status::interfaces(&[]));
}

#[test]
fn services_print() {
    assert_prints!("services", view().services, |v: &Vec<_>| object::services(v));
    assert_prints!("service", view().services[1].clone(), object::service);
}

#[test]
fn pools_print() {
    assert_prints!("pools", view().pools, |v: &Vec<_>| object::pools(v));
    assert_prints!("pool", view().pools[1].clone(), object::pool);
}

#[test]
fn backends_print() {
    assert_prints!("backends", BackendRow::all(view().pools), |v: &Vec<_>| object::backends(v));
}

#[test]
fn a_table_prints() {
    let owners = Owners {
        pool: name("web"),
        backends: vec![name("web-1"), name("web-2")],
        slots: vec![Some(1), Some(0), None, Some(1)],
    };
    assert_prints!("table", owners, object::table);
}

#[test]
fn counters_print() {
    assert_prints!("stats", stats(), count::stats);
    assert_prints!("drops", Drops::of(&stats(), Which::Happened), count::drops);
    insta::assert_snapshot!("drops_all", count::drops(&Drops::of(&stats(), Which::All)));
    let quiet = Drops { dropped: Vec::new(), passed: Vec::new() };
    insta::assert_snapshot!("drops_none", count::drops(&quiet));
}

#[test]
fn changes_print() {
    assert_prints!("applied", applied(), change::applied);
    let nothing = Applied { generation: 8, changes: Vec::new(), moved: Vec::new() };
    insta::assert_snapshot!("applied_nothing", change::applied(&nothing));
    let quiet = Applied { changes: vec!["attached to eth1 (generic)".to_owned()], ..nothing };
    insta::assert_snapshot!("applied_without_moves", change::applied(&quiet));
    insta::assert_snapshot!("applied_interfaces", change::interfaces(&quiet));
    let lost = Move { from: Some(name("web-1")), to: None, slots: 65_536 };
    let empty =
        Applied { moved: vec![Moved { pool: name("web"), slots: 65_536, moves: vec![lost] }], ..quiet };
    insta::assert_snapshot!("applied_last_backend", change::applied(&empty));
}

#[test]
fn log_events_print() {
    assert_prints!(
        "log_line",
        LogEvent::Line("192.0.2.1:4711 -> 192.0.2.10:443 tcp transmitted\n".to_owned()),
        event_text
    );
    assert_prints!("log_lost", LogEvent::Lost(12), event_text);
}

#[test]
fn a_cause_is_said_once() {
    let kernel = || crate::dataplane::Error::Kernel {
        what: "opening table 0".to_owned(),
        source: std::io::Error::from_raw_os_error(1),
    };
    let wrapped = anyhow::Error::new(crate::control::command::Error::Kernel(kernel()));
    assert_eq!(super::whole(&wrapped), kernel().to_string());
    assert_eq!(super::whole(&wrapped.context("cannot start")), format!("cannot start: {}", kernel()));
}
