//! Changes at run time, and the sentences about changes.

use super::BASE;
use crate::config::model::{Backend, Config, Name};
use crate::config::{Problem, diff, parse};

fn base() -> Config {
    parse(BASE, "xlb.toml").unwrap_or_else(|report| panic!("{report}"))
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn backend(address: &str) -> Backend {
    Backend { address: address.parse().unwrap(), port: None, weight: 1 }
}

fn sentences(old: &Config, new: &Config) -> String {
    diff(old, new).iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_backend_comes_changes_and_goes() {
    let web = name("web");
    let more = base().with_backend(&web, name("web-2"), backend("10.0.1.2")).unwrap();
    assert_eq!(more.pools[&web].backends.len(), 2);
    let heavier = more.with_weight(&web, &name("web-2"), 7).unwrap();
    assert_eq!(heavier.pools[&web].backends[&name("web-2")].weight, 7);
    let fewer = heavier.without_backend(&web, &name("web-2")).unwrap();
    assert_eq!(fewer, base());
}

#[test]
fn a_change_at_run_time_is_held_to_the_rules_of_a_file() {
    let (config, web) = (base(), name("web"));
    let add =
        |called: &str, address: &str| config.with_backend(&web, name(called), backend(address)).unwrap_err();
    let codes = [
        add("web-1", "10.0.1.2").code(),
        add("web-2", "10.0.1.1").code(),
        add("web-2", "192.0.2.10").code(),
        add("web-2", "127.0.0.1").code(),
        add("web-2", "::").code(),
    ];
    let expected =
        ["duplicate_name", "duplicate_backend", "backend_is_service", "unusable_address", "unusable_address"];
    assert_eq!(codes, expected);
    let other_port = Backend { port: Some(8080), ..backend("10.0.1.2") };
    assert_eq!(config.with_backend(&web, name("web-2"), other_port).unwrap_err().code(), "backend_port");
    let same_port = Backend { port: Some(80), ..backend("10.0.1.2") };
    assert!(config.with_backend(&web, name("web-2"), same_port).is_ok());
}

#[test]
fn what_is_not_there_is_named_with_what_is_near() {
    let (config, web) = (base(), name("web"));
    let problem = config.with_weight(&name("wbe"), &name("web-1"), 1).unwrap_err();
    assert_eq!(problem, Problem::NoPool { pool: name("wbe"), nearest: Some("web".to_owned()) });
    let problem = config.without_backend(&web, &name("web-9")).unwrap_err();
    let nearest = Some("web-1".to_owned());
    assert_eq!(problem, Problem::NoBackend { pool: web, backend: name("web-9"), nearest });
}

#[test]
fn taking_the_last_share_away_is_allowed_and_warned_of() {
    let (config, web) = (base(), name("web"));
    let weightless = config.with_weight(&web, &name("web-1"), 0).unwrap();
    assert_eq!(weightless.warnings(), [Problem::Weightless { pool: web.clone() }]);
    let empty = config.without_backend(&web, &name("web-1")).unwrap();
    assert_eq!(empty.warnings(), [Problem::EmptyPool { pool: web }]);
    assert_eq!(config.warnings(), []);
}

#[test]
fn every_difference_is_a_sentence() {
    let old = parse(super::accepted::FULL, "old").unwrap();
    let text = super::accepted::FULL
        .replace("\"a text\"", "\"another text\"")
        .replace("gue_port = 6081\n", "")
        .replace("source_ipv6 = \"fd00:9::/96\"\n", "")
        .replace("[interfaces.eth0]", "[interfaces.eth2]")
        .replace("mode = \"generic\"", "mode = \"native\"")
        .replace("stable = false", "stable = true")
        .replace("name = \"web-1\"", "name = \"web-one\"")
        .replace("weight = 3", "weight = 2")
        .replace("{ address = \"fd00::2\" }", "{ name = \"web-3\", address = \"10.0.1.3\", weight = 2 }")
        .replace("name = \"dns-1\"", "name = \"dns-2\"")
        .replace("hash = \"source\"", "hash = \"five-tuple\"")
        .replace("[services.web]", "[services.www]")
        .replace("8000-8099", "8000-8100");
    let new = parse(&text, "new").unwrap_or_else(|report| panic!("{report}"));
    insta::assert_snapshot!(sentences(&old, &new));
    insta::assert_snapshot!("every_difference_backwards", sentences(&new, &old));
    assert_eq!(diff(&old, &old), []);
}

#[test]
fn whole_pools_are_one_sentence() {
    let old = parse("", "old").unwrap();
    insta::assert_snapshot!(sentences(&old, &base()));
}
