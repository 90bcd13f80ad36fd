//! Which service a packet is for, and what a specialised program leaves out.

use std::net::SocketAddr;

use lb_common::Reason;
use lb_common::abi::global;
use xlb_tests::packets::{Balancer, BalancerHost, Extension, Frame, SEED, Scene, Table, Transport, standard};

use crate::support::{add, check};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

#[test]
fn the_narrowest_service_wins() {
    let scene = standard();
    let mut table = Table::default();
    for (service, to) in [
        ("exact/4", "192.0.2.200:80"),
        ("any-port/4", "192.0.2.200:81"),
        ("any-port/4", "192.0.2.200:0"),
        ("any-port/4", "192.0.2.200:65535"),
        ("any-port-in-prefix/4", "192.0.2.201:80"),
        ("any-port-in-prefix/4", "192.0.2.201:81"),
        ("prefix/4", "192.0.2.192:80"),
        ("prefix/4", "192.0.2.207:80"),
        ("prefix-any-port/4", "192.0.2.192:81"),
        ("prefix-any-port/4", "192.0.2.207:1"),
        ("longer/4", "192.0.2.208:80"),
        ("longer/4", "192.0.2.211:80"),
        ("shorter/4", "192.0.2.212:80"),
        ("shorter/4", "192.0.2.220:80"),
        ("shorter/4", "192.0.2.223:80"),
        ("corner-any-port/4", "192.0.2.220:81"),
        ("corner-any-port/4", "192.0.2.223:81"),
        ("exact/6", "[2001:db8:7::200]:80"),
        ("any-port/6", "[2001:db8:7::200]:79"),
        ("any-port-in-prefix/6", "[2001:db8:7::201]:80"),
        ("prefix/6", "[2001:db8:7::202]:80"),
        ("prefix/6", "[2001:db8:7:ffff:ffff:ffff:ffff:ffff]:80"),
        ("prefix-any-port/6", "[2001:db8:7::]:8080"),
        ("longer/6", "[2001:db8:8:0:40::]:80"),
        ("longer/6", "[2001:db8:8:0:5f:ffff:ffff:ffff]:80"),
        ("shorter/6", "[2001:db8:8:0:60::]:80"),
        ("shorter/6", "[2001:db8:8:7fff::]:80"),
        ("shorter/6", "[2001:db8:8:0:80::]:80"),
        ("corner-any-port/6", "[2001:db8:8:0:80::]:81"),
    ] {
        add(&mut table, &scene, &format!("TCP {to} is {service}"), service, &Frame::tcp(at(to)));
    }
    for (service, to) in [
        ("range/4", "192.0.2.200:1000"),
        ("range/4", "192.0.2.200:1005"),
        ("range/4", "192.0.2.200:1010"),
        ("shorter-any-port/4", "192.0.2.208:80"),
        ("shorter-any-port/4", "192.0.2.223:53"),
        ("range/6", "[2001:db8:7::200]:1000"),
        ("range/6", "[2001:db8:7::200]:1010"),
        ("shorter-any-port/6", "[2001:db8:8:0:40::]:80"),
    ] {
        add(&mut table, &scene, &format!("UDP {to} is {service}"), service, &Frame::udp(at(to)));
    }
    check(&scene, &table);
}

#[test]
fn what_no_service_has_passes() {
    let scene = standard();
    let mut table = Table::default();
    for to in [
        "192.0.2.10:79",
        "192.0.2.10:81",
        "192.0.2.10:0",
        // The port in the other byte order.
        "192.0.2.10:20480",
        "192.0.2.9:80",
        "2.0.192.10:80",
        "10.2.0.192:80",
        "192.0.2.191:80",
        "192.0.2.212:81",
        "192.0.2.224:80",
        "0.0.0.0:80",
        "255.255.255.255:80",
        "[2001:db8:5::a]:81",
        "[2001:db8:5::9]:80",
        "[2001:db8:5::1:a]:80",
        "[2001:db9:5::a]:80",
        "[2001:db8:6:ffff::]:80",
        "[2001:db8:8:8000::]:80",
        "[::]:80",
        "[::ffff:192.0.2.10]:80",
        "[ff02::1]:80",
    ] {
        table.passes(format!("TCP {to}"), Reason::NotService, Frame::tcp(at(to)).bytes());
    }
    for to in [
        "192.0.2.200:80",
        "192.0.2.200:999",
        "192.0.2.200:1011",
        "192.0.2.193:80",
        "[2001:db8:7::200]:999",
        "[2001:db8:7::200]:1011",
        "[2001:db8:7::1]:80",
    ] {
        table.passes(format!("UDP {to}"), Reason::NotService, Frame::udp(at(to)).bytes());
    }
    // From a service, not to it.
    let from = Frame::tcp(at("203.0.113.9:40000")).from(at("192.0.2.10:80"));
    table.passes("a service's own address as source", Reason::NotService, from.bytes());
    check(&scene, &table);
}

#[test]
fn later_fragments_belong_to_every_kind_of_service() {
    let scene = standard();
    let mut table = Table::default();
    // Several services have the address: the marker names the one entered last.
    for (service, to, transport) in [
        ("any-port/4", "192.0.2.200:0", 6),
        ("range/4", "192.0.2.200:0", 17),
        ("prefix-any-port/4", "192.0.2.195:0", 6),
        ("longer/4", "192.0.2.210:0", 6),
        ("shorter-any-port/4", "192.0.2.210:0", 17),
    ] {
        let frame = Frame::new(at(to), Transport::Other(transport)).fragment(100, false);
        table.drops(
            format!("{service}: protocol {transport}"),
            Reason::Fragment,
            &scene,
            service,
            frame.bytes(),
        );
    }
    for (service, to, transport) in [
        ("any-port/6", "[2001:db8:7::200]:0", 6),
        ("range/6", "[2001:db8:7::200]:0", 17),
        ("prefix-any-port/6", "[2001:db8:7::99]:0", 6),
        ("longer/6", "[2001:db8:8:0:40::1]:0", 6),
    ] {
        let last = Extension::Fragment { offset: 100, more: false };
        let frame = Frame::new(at(to), Transport::Other(transport)).extension(last);
        table.drops(
            format!("{service}: protocol {transport}"),
            Reason::Fragment,
            &scene,
            service,
            frame.bytes(),
        );
    }
    for (to, transport) in [("192.0.2.212:0", 47), ("192.0.2.195:0", 17), ("192.0.2.224:0", 6)] {
        let frame = Frame::new(at(to), Transport::Other(transport)).fragment(100, false);
        let reason = if transport == 47 { Reason::OtherProtocol } else { Reason::NotService };
        table.passes(format!("{to}: protocol {transport}"), reason, frame.bytes());
    }
    check(&scene, &table);
}

/// A program without `absent`, and the same on the host.
fn check_without(absent: u32, scene: &Scene, fill: impl FnOnce(&mut Table)) {
    let mut table = Table::default();
    fill(&mut table);
    let features = global::ALL & !absent;
    let tables = scene.tables();
    let mut kernel = Balancer::load(&tables, features, SEED);
    table.check(&format!("kernel without {absent:#x}"), |bytes| kernel.run(bytes));
    let host = BalancerHost::new(tables, features, SEED);
    table.check(&format!("host without {absent:#x}"), |bytes| host.run(bytes));
}

fn to(scene: &Scene, service: &str) -> Frame {
    Frame::tcp(scene.target(service))
}

#[test]
fn a_family_that_is_not_compiled_in_passes() {
    let scene = standard();
    for (absent, other, family) in [(global::IPV4, "4", "6"), (global::IPV6, "6", "4")] {
        check_without(absent, &scene, |table| {
            for name in ["ipip4", "ipip6", "gue6", "l2", "nobody"] {
                let frame = to(&scene, &format!("{name}/{other}"));
                table.passes(format!("{name}/{other}"), Reason::NotIp, frame.bytes());
                if name != "nobody" {
                    let service = format!("{name}/{family}");
                    add(table, &scene, &service, &service, &to(&scene, &service));
                }
            }
        });
    }
    check_without(global::ALL, &scene, |table| {
        for service in ["ipip4/4", "l2/4", "ipip6/6", "local/6"] {
            table.passes(service, Reason::NotIp, to(&scene, service).bytes());
        }
    });
}

#[test]
fn a_kind_of_service_that_is_not_compiled_in_is_no_match() {
    let scene = standard();
    check_without(global::ANY_PORT | global::PREFIX, &scene, |table| {
        add(table, &scene, "exact", "exact/4", &Frame::tcp(at("192.0.2.200:80")));
        let rest = "prefix-any-port/4";
        add(table, &scene, "any port, to the prefix", rest, &Frame::tcp(at("192.0.2.200:81")));
        add(table, &scene, "port of the prefix", rest, &Frame::tcp(at("192.0.2.193:80")));
        table.passes("longer", Reason::NotService, Frame::tcp(at("192.0.2.208:80")).bytes());
    });
    check_without(global::PREFIX_ANY_PORT, &scene, |table| {
        add(table, &scene, "any port", "any-port/6", &Frame::tcp(at("[2001:db8:7::200]:81")));
        add(table, &scene, "prefix", "prefix/6", &Frame::tcp(at("[2001:db8:7::]:80")));
        table.passes("another port", Reason::NotService, Frame::tcp(at("[2001:db8:7::]:81")).bytes());
    });
}

#[test]
fn a_way_to_forward_that_is_not_compiled_in_is_a_bad_table() {
    let scene = standard();
    for (absent, gone, left) in [
        (
            global::IPIP | global::L2 | global::LOCAL,
            &["ipip4/4", "ipip6/6", "l2/4", "local/6"][..],
            &["gue4/4", "gue6/6"][..],
        ),
        (
            global::GUE | global::REDIRECT,
            &["gue6/6", "gue4/4", "l2-other/4"],
            &["ipip6/6", "ipip4/4", "l2/4", "local/6"],
        ),
        (global::OUTER4, &["ipip4/6", "gue4/4", "drawn4/4"], &["ipip6/4", "gue6/6", "l2/4"]),
        (global::OUTER6, &["gue6/4", "ipip6/6"], &["gue4/6", "ipip4/4", "l2/6"]),
    ] {
        check_without(absent, &scene, |table| {
            for gone in gone {
                table.drops(*gone, Reason::BadTable, &scene, gone, to(&scene, gone).bytes());
            }
            for left in left {
                add(table, &scene, left, left, &to(&scene, left));
            }
        });
    }
}

/// These bits say what the entries hold; where they lie, the entry's field is not looked at.
#[test]
fn fields_that_are_not_compiled_in_are_not_written() {
    let tables = standard().tables();
    let mut kernel =
        Balancer::load(&tables, global::ALL & !(global::EGRESS_VLAN | global::DRAWN_SOURCE), SEED);
    let mut scene = standard();
    for backend in scene.backends.values_mut() {
        backend.tags.clear();
        backend.draw_nothing();
    }
    let mut table = Table::default();
    for name in [
        "ipip4",
        "ipip4-one-tag",
        "l2-two-tags",
        "gue6-one-tag",
        "drawn4",
        "drawn6",
        "drawn-gue4",
        "drawn-gue6",
    ] {
        for service in [format!("{name}/4"), format!("{name}/6")] {
            add(&mut table, &scene, &service, &service, &to(&scene, &service));
        }
    }
    table.check("kernel without tags and drawn sources", |bytes| kernel.run(bytes));
}
