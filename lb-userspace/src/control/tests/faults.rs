//! A fault at every step of every kind of change: all of it or none.

use super::lab::{Bench, WEB};
use crate::control::command::Error;

/// The other end of the scale: everything is different.
const OTHER: &str = r#"
[interfaces.eth0]
[encapsulation]
source_ipv6 = "fd00:1::/96"
[pools.six]
forward = "gue"
backends = [{ name = "x", address = "fd00::1" }, { name = "a", address = "10.0.0.1", weight = 3 }]
[pools.web]
forward = "gue"
stable = false
backends = [{ name = "c", address = "10.0.0.3" }, { name = "d", address = "10.0.0.4" }]
[services.http]
address = "192.0.2.10"
protocol = "tcp"
port = 80
pool = "six"
[services.net]
address = "198.51.100.0/24"
protocol = "udp"
port = "any"
pool = "web"
[services.http6]
address = "2001:db8::10"
protocol = "tcp"
port = "8000-8002"
pool = "six"
"#;

/// Does a change again and again, failing at one step more each time, until it succeeds.
fn at_every_step(start: &str, change: impl Fn(&mut Bench) -> Result<(), Error>) {
    let mut bench = Bench::new(start);
    let before = bench.memory.state().image.clone();
    let shown = bench.room.view(&bench.network);
    for fail_after in 0.. {
        bench.memory.state().fail_after = Some(fail_after);
        let result = change(&mut bench);
        if bench.memory.state().fail_after.is_some() {
            result.expect("no fault, so no error");
            assert!(fail_after > 0, "the change wrote something");
            assert_eq!(bench.memory.state().image.generation, before.generation + 1);
            return;
        }
        assert!(matches!(result, Err(Error::Kernel(_))), "{result:?}");
        assert_eq!(bench.memory.state().image, before, "after {fail_after} steps");
        assert_eq!(bench.room.view(&bench.network), shown);
    }
}

#[test]
fn adding_a_backend() {
    at_every_step(WEB, |bench| bench.add("d", "10.0.0.4").map(|_| ()));
}

#[test]
fn removing_a_backend() {
    at_every_step(WEB, |bench| bench.remove("a").map(|_| ()));
}

#[test]
fn a_reload_that_changes_everything() {
    at_every_step(WEB, |bench| bench.reload(OTHER).map(|_| ()));
    at_every_step(OTHER, |bench| bench.reload(WEB).map(|_| ()));
}

#[test]
fn a_fault_during_a_change_of_the_network_is_shown_and_made_good() {
    let mut bench = Bench::new(WEB);
    bench.network.find("10.0.0.1", |hop| hop.destination_mac = [2; 6]);
    bench.memory.state().fail_after = Some(0);
    bench.follow();
    assert!(bench.warnings()[0].contains("cannot follow a change of the network"));
    bench.follow();
    assert!(bench.warnings().is_empty());
    assert_eq!(bench.memory.state().image.backends.values().next().unwrap().destination_mac, [2; 6]);
}

#[test]
fn a_fault_at_the_start_leaves_what_ran_before() {
    let Bench { memory, network, .. } = Bench::new(WEB);
    let before = memory.state().image.clone();
    memory.state().fail_after = Some(2);
    assert!(Bench::on(memory.clone(), network, OTHER).is_err());
    assert_eq!(memory.state().image, before);
}
