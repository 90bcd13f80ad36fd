//! `net` against a real kernel: what the watcher's snapshot says, and what it leaves behind.
//!
//! Two namespaces, `here` and `there`, joined by two veth pairs. This kernel has no VLANs and bonds in every lab: those
//! are covered where snapshots are built by hand.

mod world;

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use lb_userspace::dataplane::ethtool::{self, Feature, State};
use lb_userspace::net::{NextHop, Resolve, Settings, Unreachable};
use world::{MAC_HERE, MAC_THERE, SOON, World, assert_same, entries, ip, ip_batch, parse};
use xlb_tests::eventually;

#[test]
fn a_kept_backend_resolves_over_both_families() {
    let world = World::new();
    let following = world.follow();
    assert!(matches!(following.resolve("10.0.0.2"), Err(Unreachable::NoNeighbour { .. })));
    following.keep(&["10.0.0.2", "2001:db8::2"]);
    let four = following.until_reached("10.0.0.2");
    let six = following.until_reached("2001:db8::2");
    for (next, source) in [(&four, "10.0.0.1"), (&six, "2001:db8::1")] {
        assert_eq!(next.interface, "v0");
        assert_eq!((next.source_mac, next.destination_mac), (MAC_HERE, MAC_THERE));
        assert_eq!((next.mtu, next.source, next.gateway), (1500, Some(parse(source)), None));
    }
    assert_eq!(following.resolve("10.0.0.1"), Err(Unreachable::ThisHost(parse("10.0.0.1"))));
    assert_eq!(following.resolve("127.0.0.9"), Err(Unreachable::ThisHost(parse("127.0.0.9"))));
    assert_eq!(following.resolve("10.0.0.255"), Err(Unreachable::Rejected(parse("10.0.0.255"))));
    assert_eq!(following.resolve("192.0.2.1"), Err(Unreachable::NoRoute(parse("192.0.2.1"))));
    following.finish().unwrap();
}

#[test]
fn routes_of_every_shape_are_read_and_followed() {
    let world = World::new();
    let gateways = ["10.0.0.2", "10.0.1.2"];
    ip(&world.here, "route add 198.18.0.0/15 nexthop via 10.0.0.2 nexthop via 10.0.1.2 weight 3");
    ip(&world.here, "-6 route add 2001:db8:f::/48 nexthop via 2001:db8::2 nexthop via 2001:db8:1::2");
    ip(&world.here, "route add 192.0.2.0/24 via inet6 2001:db8::2 dev v0 mtu 1300");
    ip(&world.here, "route add blackhole 192.0.2.128/25");
    let following = world.follow();
    following.keep(&["198.18.0.1", "2001:db8:f::1", "192.0.2.1"]);

    let by = |next: &NextHop| next.gateway.unwrap();
    let spread = || {
        let addresses = (0..64).map(|last| format!("198.18.0.{last}"));
        let hops = addresses.map(|address| following.resolve(&address).map(|next| by(&next)));
        hops.filter_map(Result::ok).collect::<BTreeSet<_>>()
    };
    assert!(eventually(SOON, || spread() == gateways.map(parse).into()), "{:?}", spread());
    assert!(following.until_reached("2001:db8:f::1").gateway.is_some());
    let next = following.until_reached("192.0.2.1");
    assert_eq!((next.gateway, next.destination_mac), (Some(parse("2001:db8::2")), MAC_THERE));
    assert_eq!((next.mtu, next.source), (1300, Some(parse("10.0.0.1"))));
    assert!(matches!(following.resolve("192.0.2.200"), Err(Unreachable::Rejected(_))));

    ip(&world.here, "route change 192.0.2.0/24 via 10.0.1.2");
    following
        .until("192.0.2.1", |next| matches!(next, Ok(next) if next.interface == "v1" && next.mtu == 1500));
    ip(&world.here, "route del 192.0.2.0/24");
    following.until_no_route("192.0.2.1");
    ip(&world.here, "-6 route del 2001:db8:f::/48 nexthop via 2001:db8::2");
    following.until_by("2001:db8:f::1", "v1");
    assert_eq!(following.watcher.resyncs(), 0);
}

#[test]
fn routes_that_the_kernel_removes_without_a_word_are_noticed() {
    let world = World::new();
    // IPv6 would say something in passing.
    world.here.sysctl("net/ipv6/conf/v1/disable_ipv6", "1").unwrap();
    ip(&world.here, "route add 198.18.0.0/15 nexthop via 10.0.0.2 nexthop via 10.0.1.2");
    ip(&world.here, "route add 192.0.2.0/24 via 10.0.1.2");
    let following = world.follow();
    following.keep(&["192.0.2.1", "198.18.0.1"]);
    following.until_reached("192.0.2.1");
    ip(&world.here, "link set v1 down");
    following.until_no_route("192.0.2.1");
    for last in 0..32 {
        following.until_by(&format!("198.18.0.{last}"), "v0");
    }
}

#[test]
fn next_hop_objects_are_followed() {
    let world = World::new();
    ip(&world.here, "nexthop add id 7 via 10.0.0.2 dev v0");
    ip(&world.here, "route add 192.0.2.0/24 nhid 7");
    let following = world.follow();
    following.keep(&["192.0.2.1"]);
    assert_eq!(following.until_reached("192.0.2.1").interface, "v0");
    ip(&world.here, "nexthop replace id 7 via 10.0.1.2 dev v1");
    following.until_by("192.0.2.1", "v1");
    ip(&world.here, "nexthop del id 7");
    following.until_no_route("192.0.2.1");
}

#[test]
fn a_link_that_loses_its_carrier_and_returns_is_followed() {
    let world = World::new();
    let following = world.follow();
    following.keep(&["10.0.0.2"]);
    following.until_reached("10.0.0.2");
    ip(&world.there, "link set p0 down");
    let down = Unreachable::InterfaceDown { address: parse("10.0.0.2"), interface: "v0".to_owned() };
    following.until("10.0.0.2", |next| *next == Err(down.clone()));
    assert!(!following.now().interface("v0").unwrap().up);
    ip(&world.there, "link set p0 up");
    // The neighbour is asked for again without anybody's help.
    assert_eq!(following.until_reached("10.0.0.2").destination_mac, MAC_THERE);
}

#[test]
fn an_interface_made_anew_is_another_one() {
    let world = World::new();
    let following = world.follow();
    let before = following.now().interface("v0").unwrap();
    assert_eq!((before.kind.as_str(), before.mac, before.up), ("veth", Some(MAC_HERE), true));
    assert_eq!(before.veth_peer, None, "the peer's number belongs to another namespace");
    ip(&world.here, "link del v0");
    assert!(eventually(SOON, || following.now().interface("v0").is_none()));
    ip(&world.here, "link add v0 mtu 1400 type veth peer name w0");
    assert!(eventually(SOON, || following.now().interface("v0").is_some()));
    let (after, peer) = (following.now().interface("v0").unwrap(), following.now().interface("w0").unwrap());
    assert_ne!(after.ifindex, before.ifindex);
    assert_eq!((after.mtu, after.up, after.veth_peer), (1400, false, Some(peer.ifindex)));
    assert_eq!(following.now().interface_names(), ["lo", "v0", "v1", "w0"]);
}

#[test]
fn devices_that_cannot_carry_our_frames_are_refused_by_name() {
    let world = World::new();
    ip(&world.here, "link add br0 type bridge");
    ip(&world.here, "link add mv0 link v0 type macvlan");
    ip(&world.here, "tuntap add t0 mode tun");
    for (number, name) in [(1, "br0"), (2, "mv0"), (3, "t0")] {
        ip(&world.here, &format!("link set {name} up"));
        ip(&world.here, &format!("address add 10.1.{number}.1/24 dev {name}"));
    }
    ip(&world.here, "link add w0 up type veth peer name w1");
    ip(&world.here, "link set w1 up master br0");
    let network = world.fresh();
    let refusal = |address| network.resolve(parse(address)).unwrap_err().to_string();
    assert!(
        refusal("10.1.1.2").contains("br0 on the way to 10.1.1.2 is a bridge"),
        "{}",
        refusal("10.1.1.2")
    );
    assert!(
        refusal("10.1.2.2").contains("mv0 on the way to 10.1.2.2 is a macvlan"),
        "{}",
        refusal("10.1.2.2")
    );
    assert!(refusal("10.1.3.2").contains("t0 on the way to 10.1.3.2 is not Ethernet but tun"));
}

#[test]
fn only_entries_made_here_are_removed_and_the_rest_is_as_before() {
    let world = World::new();
    for last in [11, 12, 13, 14] {
        ip(&world.there, &format!("address add 10.0.0.{last}/24 dev p0"));
    }
    let lladdr = "02:00:00:00:00:02";
    ip(&world.here, &format!("neighbour add 10.0.0.12 lladdr {lladdr} dev v0 nud stale"));
    ip(&world.here, &format!("neighbour add 10.0.0.13 lladdr {lladdr} dev v0 nud permanent"));
    ip(&world.here, "neighbour add 10.0.0.14 dev v0 managed");
    let all = ["10.0.0.11", "10.0.0.12", "10.0.0.13", "10.0.0.14"];
    for leave in [Leave::Unwanted, Leave::Stopped] {
        let following = world.follow();
        following.keep(&all);
        for address in all {
            following.until_reached(address);
        }
        let managed = |namespace| {
            let line = |address: &str| {
                let all = entries(namespace);
                let line = all.lines().find(|line| line.starts_with(&format!("{address} ")));
                line.map(str::to_owned)
            };
            all.map(|address| line(address).map(|line| line.contains("managed")))
        };
        let kept = [Some(true), Some(true), Some(false), Some(true)];
        assert!(eventually(SOON, || managed(&world.here) == kept), "{}", entries(&world.here));
        match leave {
            Leave::Unwanted => following.keep(&[]),
            Leave::Stopped => following.finish().unwrap(),
        }
        let left = [None, Some(false), Some(false), Some(true)];
        assert!(eventually(SOON, || managed(&world.here) == left), "{leave:?}: {}", entries(&world.here));
        assert!(entries(&world.here).contains("10.0.0.13 dev v0 lladdr 02:00:00:00:00:02 PERMANENT"));
    }
}

#[derive(Debug, Clone, Copy)]
enum Leave {
    Unwanted,
    Stopped,
}

#[test]
fn entries_of_a_daemon_that_was_killed_are_taken_over_and_removed() {
    let world = World::new();
    // As a killed daemon leaves it: managed, with xlb's protocol number.
    ip(&world.here, "neighbour add 10.0.0.2 dev v0 protocol 120 managed");
    ip(&world.here, "neighbour add 10.0.0.99 dev v0 protocol 120 managed");
    let following = world.follow();
    following.keep(&["10.0.0.2"]);
    following.until_reached("10.0.0.2");
    let gone = |address| !entries(&world.here).contains(&format!("{address} "));
    assert!(eventually(SOON, || gone("10.0.0.99")), "nobody wants it: {}", entries(&world.here));
    assert!(!gone("10.0.0.2"));
    following.finish().unwrap();
    assert!(gone("10.0.0.2"), "{}", entries(&world.here));
}

#[test]
fn an_entry_that_is_not_managed_is_probed() {
    let world = World::new();
    let following = world.follow_with(Settings { probe: Duration::from_millis(20), ..Settings::default() });
    following.keep(&["10.0.0.2"]);
    following.until_reached("10.0.0.2");
    // As on a kernel that does not know the mark: it is gone, and is asked for again and again.
    ip(&world.here, "neighbour change 10.0.0.2 dev v0 use");
    let marked = || entries(&world.here).contains("managed");
    assert!(eventually(SOON, marked), "{}", entries(&world.here));
    // An entry that was flushed comes back.
    ip(&world.here, "neighbour del 10.0.0.2 dev v0");
    assert!(eventually(SOON, marked), "{}", entries(&world.here));
    following.until_reached("10.0.0.2");
}

#[test]
fn a_backend_that_changes_its_mac_is_found_again_and_one_that_falls_silent_is_lost() {
    let world = World::new();
    for (key, milliseconds) in
        [("base_reachable_time_ms", 200), ("retrans_time_ms", 20), ("interval_probe_time_ms", 50)]
    {
        world.here.sysctl(&format!("net/ipv4/neigh/v0/{key}"), &milliseconds.to_string()).unwrap();
    }
    world.here.sysctl("net/ipv4/neigh/v0/delay_first_probe_time", "1").unwrap();
    let following = world.follow();
    following.keep(&["10.0.0.2"]);
    following.until_reached("10.0.0.2");
    ip(&world.there, "link set p0 address 02:00:00:00:00:77");
    following.until("10.0.0.2", |next| matches!(next, Ok(next) if next.destination_mac[5] == 0x77));
    ip(&world.there, "address del 10.0.0.2/24 dev p0");
    following.until_silent("10.0.0.2");
}

#[test]
fn an_overrun_is_noticed_and_made_good() {
    let world = World::new();
    let following = world.follow_with(Settings { receive_buffer_bytes: 4096, ..Settings::default() });
    // Holds the watcher's only thread while the kernel talks.
    let (release, held) = mpsc::channel::<()>();
    let (holding, hold) = mpsc::channel();
    following.runtime.spawn(async move {
        holding.send(()).unwrap();
        held.recv().unwrap_err();
    });
    hold.recv().unwrap();
    let lines = (0..500_u16).flat_map(|number| {
        let [high, low] = number.to_be_bytes();
        let route = format!("route add 10.{}.{low}.0/24 via 10.0.0.2", 100 + high);
        [format!("address add 10.9.{high}.{low}/32 dev v0"), route]
    });
    ip_batch(&world.here, lines.collect());
    ip(&world.here, "neighbour add 10.0.0.99 lladdr 02:00:00:00:00:99 dev v0");
    drop(release);
    assert!(eventually(SOON, || following.watcher.resyncs() > 0), "no overrun was noticed");
    following.until_reached("10.0.0.99");
    following.until_silent("10.101.243.1");
    assert_same(&world, &following);
    // It goes on following.
    ip(&world.here, "address del 10.9.0.7/32 dev v0");
    following.until_no_route("10.9.0.7");
}

#[test]
fn after_many_changes_the_snapshot_is_what_a_newcomer_reads() {
    let world = World::new();
    let following = world.follow();
    let mut lines = Vec::new();
    for number in 0..100 {
        lines.push(format!("address add 10.9.0.{number}/32 dev v0"));
        lines.push(format!("address add 2001:db8:9::{number:x}/128 dev v1"));
        lines.push(format!("route add 10.10.{number}.0/24 via 10.0.{}.2", number % 2));
        lines.push(format!("neighbour add 10.0.0.{} lladdr 02:00:00:00:01:00 dev v0", number + 100));
        if number % 3 == 0 {
            lines.push(format!("address del 10.9.0.{number}/32 dev v0"));
            lines.push(format!("route del 10.10.{number}.0/24"));
        }
        if number % 5 == 0 {
            lines.push(format!("neighbour del 10.0.0.{} dev v0", number + 100));
        }
    }
    let links = "link set v1 down,link set v0 down,link set v0 up,link set v0 mtu 1400,\
                 link add x0 type veth peer name x1,link set x1 up,link set x1 name y1,link set v1 up,\
                 neighbour add 10.0.0.9 lladdr 02:00:00:00:01:00 dev v0";
    lines.extend(links.split(',').map(str::to_owned));
    ip_batch(&world.here, lines);
    assert_same(&world, &following);
    assert_eq!(following.watcher.resyncs(), 0);
}

#[test]
fn offloads_are_read_and_set_where_the_thread_is() {
    let world = World::new();
    world.here.run(|| {
        for feature in [Feature::Gro, Feature::TxChecksum] {
            for state in [State::Off, State::On, State::Off] {
                ethtool::set("v0", feature, state).unwrap();
                let offloads = ethtool::offloads("v0").unwrap();
                let found = if feature == Feature::Gro { offloads.gro } else { offloads.tx_checksum };
                assert_eq!(found, state, "{feature:?}");
            }
        }
        let error = ethtool::set("v0", Feature::Lro, State::On).unwrap_err();
        assert!(error.to_string().contains("v0") || error.raw_os_error().is_some(), "{error}");
        assert_eq!(ethtool::offloads("v0").unwrap().lro, State::Off);
    });
    world.there.run(|| assert!(ethtool::offloads("v0").is_err(), "v0 is not there"));
}
