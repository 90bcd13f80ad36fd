//! The agent: what it takes off, what it leaves alone, and what it does not let through.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::Reason;
use lb_common::abi::{AgentKey4, AgentKey6, global};
use lb_common::host::HostAgentTables;
use lb_common::wire::{address4, address6};
use xlb_tests::packets::{
    Agent, AgentHost, Balancer, Expect, Extension, Frame, Outcome, SEED, Table, Tag, Transport, Tunnel,
    standard,
};

use crate::support::{byte, word};

/// The agent's GUE port.
pub const GUE_PORT: u16 = 6080;

/// An agent that is every backend of the standard scene, for every balancer of it.
pub fn tables() -> HostAgentTables {
    let mut tables = HostAgentTables::default();
    for last in 0..=20 {
        tables.addresses.insert(address4([10, 0, 0, last]), 4);
        let six = Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0xffff, 0xfffe, last.into());
        tables.addresses.insert(address6(six.octets()), 6);
    }
    let [net4, ..] = address4([198, 51, 100, 0]);
    tables.sources4.insert(AgentKey4 { prefix_len: 24, address: net4 });
    let net6 = address6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 0).octets());
    tables.sources6.insert(AgentKey6 { prefix_len: 48, address: net6 });
    tables
}

fn check(table: &Table) {
    let host = AgentHost::new(tables(), GUE_PORT);
    table.check("host", |bytes| host.run(bytes));
    let mut kernel = Agent::load(&tables(), GUE_PORT);
    table.check("kernel", |bytes| kernel.run(bytes));
}

fn dropped(reason: Reason) -> Expect {
    Expect::drop(reason, None)
}

fn delivered(bytes: Vec<u8>) -> Expect {
    let outcome = Outcome { reason: Reason::Decapsulated, service: None, backend: None };
    Expect { action: xlb_tests::packets::Action::Pass, bytes: Some(bytes), outcome }
}

/// Every kind of tunnel, around either family.
fn tunnels() -> Vec<(String, Tunnel, Frame)> {
    let balancer4: SocketAddr = "198.51.100.1:50000".parse().unwrap();
    let balancer6: SocketAddr = "[2001:db8:b::1]:50000".parse().unwrap();
    let own4 = Ipv4Addr::new(10, 0, 0, 5).into();
    let own6 = "2001:db8:10::ffff:fffe:5".parse().unwrap();
    let mut all = Vec::new();
    for (outer, source, destination) in [("4", balancer4, own4), ("6", balancer6, own6)] {
        for (kind, tunnel) in [
            ("IPIP", Tunnel::ipip(source.ip(), destination)),
            ("GUE", Tunnel::gue(source, (destination, GUE_PORT).into())),
            ("GUE without checksum", Tunnel::gue(source, (destination, GUE_PORT).into()).without_checksum()),
        ] {
            for service in ["192.0.2.10:80", "[2001:db8:5::a]:80"] {
                let to: SocketAddr = service.parse().unwrap();
                let inner = if to.is_ipv4() { "IPv4" } else { "IPv6" };
                all.push((format!("{inner} in {kind} over IPv{outer}"), tunnel.clone(), Frame::tcp(to)));
            }
        }
    }
    all
}

#[test]
fn every_tunnel_is_taken_off() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        for (tags, tagging) in [
            (vec![], "untagged"),
            (vec![Tag::customer(5)], "one tag"),
            (vec![Tag::service(5), Tag { tpid: 0x8100, tci: 0xe00a }], "two tags"),
        ] {
            let to = frame.destination;
            for (shape, inner) in [
                ("TCP", frame.clone()),
                ("UDP", Frame::udp(to).payload(0)),
                ("UDP without checksum", Frame::new(to, Transport::UdpUnchecked).payload(31)),
                ("ICMP", Frame::new(to, Transport::Other(1)).payload(64)),
                ("1400 bytes", frame.clone().ip_length(1400)),
                ("no payload at all", Frame::new(to, Transport::Other(59)).payload(0)),
            ] {
                let (mut inner, what) = (inner, format!("{what}, {tagging}, {shape}"));
                inner.tags.clone_from(&tags);
                let expected = inner.bytes();
                table.add(what.clone(), tunnel.around(&inner), delivered(expected.clone()));
                let padded = [tunnel.around(&inner), vec![0xaa; 27]].concat();
                table.add(format!("{what}, padded"), padded, delivered(expected));
            }
        }
        if frame.destination.is_ipv4() {
            let inner = frame.clone().options(&[1; 40]);
            table.add(format!("{what}, inner options"), tunnel.around(&inner), delivered(inner.bytes()));
            // Fragments of what was sent before the balancer are the stack's to put together.
            let inner = frame.clone().fragment(4, true);
            table.add(format!("{what}, inner fragment"), tunnel.around(&inner), delivered(inner.bytes()));
        } else {
            let inner = frame.clone().extension(Extension::HopByHop(16));
            table.add(format!("{what}, inner options"), tunnel.around(&inner), delivered(inner.bytes()));
        }
        for ttl in [0, 1, 255] {
            let tunnel = Tunnel { ttl, ..tunnel.clone() };
            table.add(format!("{what}, outer TTL {ttl}"), tunnel.around(&frame), delivered(frame.bytes()));
        }
        if tunnel.is_v4() {
            for length in (4..=40).step_by(4) {
                let tunnel = Tunnel { options: vec![1; length], ..tunnel.clone() };
                let what = format!("{what}, {length} bytes of outer options");
                table.add(what, tunnel.around(&frame), delivered(frame.bytes()));
            }
        }
    }
    check(&table);
}

/// RFC 6040, figure 4, with Not-ECT, ECT(1), ECT(0) and CE as 0 to 3; 9 is a drop.
const ECN: [[u8; 4]; 4] = [[0, 0, 0, 9], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]];

#[test]
fn congestion_marks_come_through_as_rfc_6040_says() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        for (inner, row) in (0_u8..).zip(ECN) {
            for (outer, mark) in (0_u8..).zip(row) {
                for (outer_dscp, inner_dscp) in [(0, 0), (0xfc, 0x28), (0xb8, 0xfc)] {
                    let input = frame.clone().tos(inner_dscp | inner);
                    let tunnel = Tunnel { tos: outer_dscp | outer, ..tunnel.clone() };
                    let expect = match mark {
                        9 => dropped(Reason::EcnNotCapable),
                        mark => delivered(frame.clone().tos(inner_dscp | mark).bytes()),
                    };
                    let what = format!(
                        "{what}, outer {outer:02b} {outer_dscp:#x}, inner {inner:02b} {inner_dscp:#x}"
                    );
                    table.add(what, tunnel.around(&input), expect);
                }
            }
        }
    }
    check(&table);
}

#[test]
fn only_balancers_are_listened_to() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        let others = if tunnel.is_v4() {
            ["198.51.101.1", "198.51.99.255", "10.0.0.5", "1.100.51.198", "0.0.0.0"]
        } else {
            ["2001:db8:c::1", "2001:db8:a:ffff::1", "::1", "fe80::1", "2001:db8:10::ffff:fffe:5"]
        };
        for other in others {
            let stranger = tunnel.clone().from(other.parse().unwrap());
            table.add(
                format!("{what} from {other}"),
                stranger.around(&frame),
                dropped(Reason::UnknownBalancer),
            );
        }
        for known in if tunnel.is_v4() {
            ["198.51.100.0", "198.51.100.255"]
        } else {
            ["2001:db8:b::", "2001:db8:b:ffff:ffff:ffff:ffff:ffff"]
        } {
            let balancer = tunnel.clone().from(known.parse().unwrap());
            table.add(format!("{what} from {known}"), balancer.around(&frame), delivered(frame.bytes()));
        }
    }
    check(&table);
}

#[test]
fn what_is_for_others_is_left_alone() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        let others = if tunnel.is_v4() {
            ["10.0.0.21", "5.0.0.10", "10.0.0.255", "224.0.0.1"]
        } else {
            // The first has an own IPv4 address where an IPv6 one starts.
            ["a00:5::", "2001:db8:10::ffff:fffe:21", "::ffff:10.0.0.5", "ff02::1"]
        };
        for other in others {
            let away = tunnel.clone().to(other.parse().unwrap());
            table.passes(format!("{what} to {other}"), Reason::NotTunnel, away.around(&frame));
        }
        if let Some(port) = tunnel.port() {
            let away = tunnel.clone().to_port(port + 1);
            table.passes(format!("{what}, another port"), Reason::NotTunnel, away.around(&frame));
            let swapped = tunnel.clone().to_port(port.swap_bytes());
            table.passes(format!("{what}, the port backwards"), Reason::NotTunnel, swapped.around(&frame));
        }
        if tunnel.is_v4() {
            for (fragment, field) in [("first", 0x2000), ("middle", 0x2005), ("last", 0x0005)] {
                let bytes = word(&tunnel.around(&frame), 14 + 6, field);
                table.passes(format!("{what}, {fragment} outer fragment"), Reason::NotTunnel, bytes);
            }
        }
        let three = [Tag::customer(1); 3].into_iter().fold(frame.clone(), Frame::tag);
        table.passes(format!("{what}, three tags"), Reason::NotTunnel, tunnel.around(&three));
        let bytes = tunnel.around(&frame);
        for (other, ether_type) in [("ARP", 0x0806), ("LLDP", 0x88cc)] {
            table.passes(
                format!("{what} under {other}'s type"),
                Reason::NotTunnel,
                word(&bytes, 12, ether_type),
            );
        }
        let crossed = if tunnel.is_v4() { 0x86dd } else { 0x0800 };
        table.passes(
            format!("{what} under the other family's type"),
            Reason::NotTunnel,
            word(&bytes, 12, crossed),
        );
        table.passes(format!("{what}, not in a tunnel"), Reason::NotTunnel, frame.bytes());
    }
    for own in ["10.0.0.5:6080", "[2001:db8:10::ffff:fffe:5]:6080"] {
        let to: SocketAddr = own.parse().unwrap();
        table.passes(format!("TCP to {own}"), Reason::NotTunnel, Frame::tcp(to).bytes());
        for number in [1, 2, 47, 50, 58, 132, 255] {
            let frame = Frame::new(to, Transport::Other(number)).payload(64);
            table.passes(format!("protocol {number} to {own}"), Reason::NotTunnel, frame.bytes());
        }
    }
    check(&table);
}

#[test]
fn truncated_anywhere_a_tunnel_is_dropped_or_left_alone() {
    let mut kernel = Agent::load(&tables(), GUE_PORT);
    let host = AgentHost::new(tables(), GUE_PORT);
    for (what, tunnel, frame) in tunnels() {
        for frame in [frame.clone(), frame.tag(Tag::customer(2))] {
            let bytes = tunnel.around(&frame);
            let outer = frame.link_length() + if tunnel.is_v4() { 20 } else { 40 };
            // As much as it takes to see that it is for the agent.
            let known = outer + if tunnel.port().is_some() { 8 } else { 0 };
            for length in 0..bytes.len() {
                let cut = &bytes[..length];
                let run = host.run(cut);
                let (reason, unchanged) =
                    if length < known { (Reason::NotTunnel, true) } else { (Reason::BadTunnel, false) };
                assert_eq!(run.outcome.reason, reason, "{what} cut to {length}");
                assert!(!unchanged || run.bytes == cut, "{what} cut to {length} is changed");
                if length >= 14 {
                    let in_kernel = kernel.run(cut);
                    assert_eq!(
                        (in_kernel.action, in_kernel.outcome),
                        (run.action, run.outcome),
                        "{what} cut to {length}"
                    );
                    assert!(!unchanged || in_kernel.bytes == cut, "{what} cut to {length} is changed");
                }
            }
            assert_eq!(host.run(&bytes).outcome.reason, Reason::Decapsulated);
        }
    }
}

#[test]
fn malformed_tunnels_are_dropped() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        let bytes = tunnel.around(&frame);
        let inner = bytes.len() - frame.ip_bytes().len();
        let inner_length = frame.ip_bytes().len();
        let mut bad = |why: String, bytes: Vec<u8>| {
            table.add(format!("{what}: {why}"), bytes, dropped(Reason::BadTunnel));
        };
        // The outer length.
        let (at, least, whole) =
            if tunnel.is_v4() { (16, 20, bytes.len() - 14) } else { (18, 0, bytes.len() - 54) };
        let inner_starts = inner - 14 - if tunnel.is_v4() { 0 } else { 40 };
        for length in
            [0, 1, 19, least, least + 1, inner_starts, inner_starts + 19, whole - 1, whole + 1, 65_535]
        {
            if length != whole {
                bad(format!("outer length {length}"), word(&bytes, at, length));
            }
        }
        // The inner header.
        for start in [0x00, 0x05, 0x15, 0x50, 0x70, 0xf5] {
            bad(format!("inner version {start:#x}"), byte(&bytes, inner, start));
        }
        let wrong_family = if frame.destination.is_ipv4() { 0x60 } else { 0x45 };
        bad("inner of the other family".into(), byte(&bytes, inner, wrong_family));
        if frame.destination.is_ipv4() {
            for length in [0, 1, 19, inner_length + 1, 65_535] {
                bad(format!("inner length {length}"), word(&bytes, inner + 2, length));
            }
            for ihl in 0..5 {
                bad(format!("inner IHL {ihl}"), byte(&bytes, inner, 0x40 | ihl));
            }
            bad(
                "inner header longer than the packet".into(),
                byte(&word(&bytes, inner + 2, 40), inner, 0x4b),
            );
        } else {
            for length in [inner_length - 39, 1500, 65_535] {
                bad(format!("inner length {length}"), word(&bytes, inner + 4, length));
            }
        }
        if tunnel.port().is_some() {
            let (udp, gue) = (inner - 12, inner - 4);
            for start in (1..=255).filter(|n: &u8| n.count_ones() < 3) {
                bad(format!("GUE's first byte {start:#x}"), byte(&bytes, gue, start));
            }
            for number in [0, 6, 17, 43, 47, 58, 59, 255] {
                bad(format!("GUE with protocol {number}"), byte(&bytes, gue + 1, number));
            }
            for bit in 0..16 {
                bad(format!("GUE flag {bit}"), word(&bytes, gue + 2, 1 << bit));
            }
            for length in [0, 7, 8, 11, 12, 31, 11 + inner_length, 13 + inner_length, 65_535] {
                bad(format!("UDP length {length}"), word(&bytes, udp + 4, length));
            }
        }
    }
    check(&table);
}

/// What follows the inner packet inside the tunnel is padding to the agent: it goes by the inner header.
#[test]
fn what_follows_the_inner_packet_is_cut_off() {
    let mut table = Table::default();
    for (what, tunnel, frame) in tunnels() {
        let whole = frame.clone().payload(40);
        let mut bytes = tunnel.around(&whole);
        let inner = bytes.len() - whole.ip_bytes().len();
        let short = frame.clone().payload(8).ip_bytes();
        bytes[inner..inner + short.len()].copy_from_slice(&short);
        table.add(what, bytes, delivered(frame.payload(8).bytes()));
    }
    check(&table);
}

/// What the balancer sends, the agent turns back into what came, one hop older.
#[test]
fn the_agent_undoes_the_balancer() {
    let scene = standard();
    let mut balancer = Balancer::load(&scene.tables(), global::ALL, SEED);
    let mut agent = Agent::load(&tables(), GUE_PORT);
    for name in
        ["ipip4", "ipip6", "gue4", "gue6", "gue6-zero", "drawn4", "drawn6", "ipip6-two-tags", "gue6-one-tag"]
    {
        for service in [format!("{name}/4"), format!("{name}/6")] {
            let to = scene.target(&service);
            for frame in [
                Frame::tcp(to).tos(3),
                Frame::udp(to).tos(2).payload(1),
                Frame::new(to, Transport::UdpUnchecked),
            ] {
                let sent = balancer.run(&frame.bytes());
                assert_eq!(sent.outcome.reason, Reason::Transmitted, "{service}");
                let got = agent.run(&sent.bytes);
                assert_eq!(got.outcome.reason, Reason::Decapsulated, "{service}");
                let backend = &scene.backends[name];
                let mut expected = frame.clone().ttl(frame.ttl - 1);
                expected.tags.clone_from(&backend.tags);
                (expected.destination_mac, expected.source_mac) = (backend.next_hop, backend.own_mac);
                assert_eq!(got.bytes, expected.bytes(), "{service}");
            }
        }
    }
}
