//! `xlb check --print`, the reference, and the example file.

use super::accepted::FULL;
use crate::config::defaults::{Default, KEYS, Section, reference};
use crate::config::{Style, parse, render};

#[test]
fn the_whole_configuration_is_printed() {
    insta::assert_snapshot!(render(&parse(FULL, "full").unwrap()));
}

#[test]
fn defaults_are_printed() {
    insta::assert_snapshot!(render(&parse("", "empty").unwrap()));
}

#[test]
fn what_is_printed_is_read_as_the_same() {
    for text in [FULL, super::BASE, ""] {
        let config = parse(text, "first").unwrap();
        let printed = render(&config);
        assert_eq!(parse(&printed, "printed").unwrap_or_else(|report| panic!("{report}")), config);
    }
}

#[test]
fn the_reference_names_every_key() {
    let reference = reference();
    for key in KEYS {
        assert!(reference.contains(&format!("| `{}` |", key.name)), "{}", key.name);
    }
}

/// `docs/config.md` is this room's own words. `INSTA_UPDATE=always` writes it, as it does the snapshots.
#[test]
fn the_documentation_is_the_reference() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md");
    let document = reference();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(path, &document).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == document,
        "docs/config.md is not defaults::reference(): INSTA_UPDATE=always writes it"
    );
}

/// A file that sets nothing but what must be set, with a line put into one of its tables.
fn minimal(section: Section, line: &str) -> String {
    let at = |of: Section| if of == section { line } else { "" };
    format!(
        "{}\n[daemon]\n{}\n[encapsulation]\n{}\n[interfaces.eth0]\n{}\n[pools.p]\nforward = \"ipip\"\n{}\n\
         [services.s]\naddress = \"192.0.2.1\"\nprotocol = \"tcp\"\nport = 1\npool = \"p\"\n{}\n",
        at(Section::Root),
        at(Section::Daemon),
        at(Section::Encapsulation),
        at(Section::Interface),
        at(Section::Pool),
        at(Section::Service),
    )
}

#[test]
fn documented_defaults_are_the_real_ones() {
    let mut tried = 0;
    for key in KEYS {
        let Default::Value(value) = key.default else { continue };
        let line = format!("{} = {value}", key.name);
        let (without, with) = if key.section == Section::Backend {
            let item = |rest: &str| {
                minimal(Section::Pool, &format!("backends = [{{ address = \"10.0.0.1\"{rest} }}]"))
            };
            (item(""), item(&format!(", {line}")))
        } else {
            (minimal(key.section, ""), minimal(key.section, &line))
        };
        let parsed = |text: &str| parse(text, "xlb.toml").unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(parsed(&without), parsed(&with), "{}", key.name);
        tried += 1;
    }
    assert_eq!(tried, KEYS.iter().filter(|key| matches!(key.default, Default::Value(_))).count());
    assert!(tried > 9);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let report = parse("x = 1", "xlb.toml").unwrap_err();
    assert!(report.render(Style::Coloured).contains('\u{1b}'));
    assert!(!report.render(Style::Plain).contains('\u{1b}'));
    let file = tempfile::tempfile().unwrap();
    assert_eq!(Style::of(&file, None), Style::Plain);
}

#[test]
fn the_example_is_valid_and_leaves_nothing_to_warn_of() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/xlb.toml");
    let loaded = crate::config::load(std::path::Path::new(path)).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    assert!(loaded.config.services.len() > 1);
}

#[test]
fn the_example_shows_every_key() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../dist/xlb.toml");
    let text = std::fs::read_to_string(path).unwrap();
    for key in KEYS {
        assert!(text.contains(key.name), "dist/xlb.toml does not show `{}`", key.name);
    }
}

#[test]
fn the_readme_shows_a_valid_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let file = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = parse(file, "README.md").unwrap_or_else(|report| panic!("{}", report.render(Style::Plain)));
    assert_eq!((config.pools.len(), config.services.len()), (1, 1));
}
