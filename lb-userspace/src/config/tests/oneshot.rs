//! Configurations from the command line.

use crate::config::model::{AttachMode, Forward};
use crate::config::{Pieces, oneshot, render};

fn pieces(services: &[&str], backends: &[&str]) -> Pieces {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Pieces {
        interfaces: vec!["eth0".to_owned()],
        mode: AttachMode::Native,
        services: owned(services),
        backends: owned(backends),
        forward: Forward::L2,
        seed: None,
        socket: None,
        pin_dir: None,
    }
}

fn refusal(pieces: &Pieces) -> String {
    oneshot(pieces).expect_err("refused").to_string()
}

#[test]
fn every_form_is_understood() {
    let services = [
        "192.0.2.10:80/tcp",
        "192.0.2.10:8000-8010/tcp",
        "192.0.2.0/24:any/tcp",
        "[2001:db8::1]:443/udp",
        "[2001:db8:1::/64]:any/tcp",
        "[2001:db8:2::]/64:53/udp",
    ];
    let mut pieces =
        pieces(&services, &["10.0.0.2", "10.0.0.3*4", "fd00::1", "[fd00::2]*2", "[fd00::3]", "fd00::*9"]);
    pieces.mode = AttachMode::Generic;
    pieces.pin_dir = Some("/sys/fs/bpf/here".to_owned());
    let loaded = oneshot(&pieces).unwrap_or_else(|report| panic!("{report}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    insta::assert_snapshot!(render(&loaded.config));
}

#[test]
fn a_mistake_is_shown_in_the_line_as_typed() {
    let mut wrong = pieces(
        &[
            "192.0.2.10:80",
            "2001:db8::1:80/tcp",
            "[192.0.2.10]:80/tcp",
            "192.0.2.10:0/tcp",
            "192.0.2.10:80/sctp",
            "192.0.2.1/24:80/tcp",
            "127.0.0.1:80/tcp",
            "",
        ],
        &["10.0.0.2*", "10.0.0.2:80", "[10.0.0.2]", "10.0.0.3*70000", "224.0.0.1", "", "*3"],
    );
    wrong.interfaces.push("no such".to_owned());
    wrong.socket = Some("relative.sock".to_owned());
    wrong.seed = Some(String::new());
    insta::assert_snapshot!(refusal(&wrong));
}

#[test]
fn the_whole_is_checked_as_a_file_is() {
    let wrong = pieces(
        &["192.0.2.10:80/tcp", "192.0.2.10:80-90/tcp", "192.0.2.10:80/tcp"],
        &["10.0.0.2", "10.0.0.2*3", "192.0.2.10"],
    );
    insta::assert_snapshot!(refusal(&wrong));
}
