//! The object loads, in every specialisation that matters, and forwards the simplest packets as the host run does.

use std::time::Instant;

use etherparse::PacketBuilder;
use lb_common::Reason;
use lb_common::abi::{
    AgentKey4, AgentKey6, BackendId, Egress, SLOTS, Service, ServiceKey4, ServiceKey6, Slot, VlanTag, global,
    key_kind, map, mode, program, protocol,
};
use lb_common::agent::decapsulate;
use lb_common::balance::balance;
use lb_common::frame::Frame as _;
use lb_common::host::{HostAgentTables, HostFrame, HostTables};
use lb_common::tables::Settings;
use lb_common::wire::{Be16, Be32, address4, address6};
use xlb_tests::kernel::{INGRESS, Kernel};
use xlb_tests::lab::{End, Links, Namespace};
use xlb_tests::need_root;

const SEED: u64 = 0x0123_4567_89ab_cdef;
const CLIENT4: [u8; 4] = [198, 51, 100, 7];
const SERVICE4: [u8; 4] = [192, 0, 2, 10];
const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const SERVICE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];

const XDP_ABORTED: u32 = 0;
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
const XDP_REDIRECT: u32 = 4;

#[test]
fn programs_load_and_what_is_unused_is_not_in_them() {
    need_root();
    let mut lengths = Vec::new();
    for (name, program, features) in [
        ("all", program::BALANCER, global::ALL),
        ("ipv4 ipip4", program::BALANCER, global::IPV4 | global::IPIP | global::OUTER4),
        ("ipv4 l2", program::BALANCER, global::IPV4 | global::L2),
        ("ipv6 ipip6", program::BALANCER, global::IPV6 | global::IPIP | global::OUTER6),
        ("both, gue6", program::BALANCER, global::IPV4 | global::IPV6 | global::GUE | global::OUTER6),
        ("none", program::BALANCER, 0),
        ("all, log", program::BALANCER_LOG, global::ALL),
        ("agent", program::AGENT, 0),
        ("pass", program::PASS, 0),
    ] {
        let (length, verified) = Kernel::load(program, features, SEED, 6080).instructions();
        println!("{name}: {length} instructions, {verified} verified");
        lengths.push(length);
    }
    assert!(lengths[1] * 5 < lengths[0] * 2, "ipv4 ipip4 is far shorter than all: {lengths:?}");
    assert!(lengths[5] < 150, "nothing configured, nothing compiled in: {lengths:?}");
}

#[test]
fn kernel_and_host_forward_alike() {
    need_root();
    for mode in [mode::IPIP4, mode::IPIP6, mode::GUE4, mode::GUE6, mode::L2, mode::LOCAL] {
        let tables = tables(mode);
        let kernel = Kernel::balancer(global::ALL, SEED, &tables);
        for packet in packets() {
            let run = kernel.run(&packet);
            let mut frame = HostFrame::new(&packet);
            let settings = Settings { features: global::ALL, seed: SEED, ifindex: INGRESS };
            let outcome = balance(&mut frame, &tables, &settings);
            assert_eq!(run.reason, outcome.reason, "mode {mode}, packet {packet:02x?}");
            assert_eq!(run.bytes, frame.as_bytes(), "mode {mode}, packet {packet:02x?}");
            let expected = match outcome.reason {
                Reason::Transmitted => XDP_TX,
                _ => XDP_PASS,
            };
            assert_eq!(run.action, expected, "mode {mode}, {:?}", outcome.reason);
            assert_ne!(frame.bytes(), 0);
        }
    }
}

#[test]
fn what_is_no_service_passes_unchanged() {
    need_root();
    let kernel = Kernel::balancer(global::ALL, SEED, &HostTables::default());
    for packet in packets() {
        let run = kernel.run(&packet);
        assert_eq!((run.action, run.reason), (XDP_PASS, Reason::NotService));
        assert_eq!(run.bytes, packet);
    }
}

#[test]
fn kernel_and_host_agree_on_mutated_packets() {
    need_root();
    let mut random = Random(SEED);
    for mode in [mode::IPIP4, mode::IPIP6, mode::GUE4, mode::GUE6, mode::L2] {
        let mut tables = tables(mode);
        let egress = tables.backends.get_mut(&7).unwrap();
        egress.tag_count = random.below(3);
        egress.tags = [VlanTag { tpid: Be16::new(0x88a8), tci: Be16::new(5) }; 2];
        egress.source_bits = random.below(33);
        egress.checksum = egress.outer4_sum();
        let kernel = Kernel::balancer(global::ALL, SEED, &tables);
        for _ in 0..1_000 {
            let packet = random.mutated();
            let run = kernel.run(&packet);
            let mut frame = HostFrame::new(&packet);
            let settings = Settings { features: global::ALL, seed: SEED, ifindex: INGRESS };
            let outcome = balance(&mut frame, &tables, &settings);
            assert_eq!(run.reason, outcome.reason, "mode {mode}, packet {packet:02x?}");
            assert_ne!(run.action, XDP_ABORTED);
            if run.action != XDP_DROP {
                assert_eq!(run.bytes, frame.as_bytes(), "mode {mode}, packet {packet:02x?}");
            }
        }
    }
}

#[test]
fn agent_takes_off_what_the_balancer_put_on() {
    need_root();
    let mut agent_tables = HostAgentTables::default();
    agent_tables.addresses.insert(address4([10, 0, 0, 2]), 4);
    agent_tables.addresses.insert(address6(SERVICE6), 6);
    agent_tables.sources4.insert(AgentKey4 { prefix_len: 24, address: address4([10, 0, 0, 0])[0] });
    agent_tables.sources6.insert(AgentKey6 { prefix_len: 64, address: address6(CLIENT6) });
    let agent = Kernel::agent(6080, &agent_tables);
    let mut random = Random(SEED);
    for mode in [mode::IPIP4, mode::IPIP6, mode::GUE4, mode::GUE6] {
        let kernel = Kernel::balancer(global::ALL, SEED, &tables(mode));
        for packet in packets() {
            let tunnelled = kernel.run(&packet).bytes;
            let run = agent.run(&tunnelled);
            assert_eq!((run.action, run.reason), (XDP_PASS, Reason::Decapsulated));
            // The padded packet comes back without its six bytes of padding.
            let padding = if packet.len() == 60 { 6 } else { 0 };
            assert_eq!(run.bytes.len(), packet.len() - padding);
            for _ in 0..100 {
                let mut bytes = tunnelled.clone();
                random.mutate(&mut bytes);
                let run = agent.run(&bytes);
                let mut frame = HostFrame::new(&bytes);
                assert_eq!(
                    run.reason,
                    decapsulate(&mut frame, &agent_tables, Be16::new(6080)),
                    "{bytes:02x?}"
                );
                if run.action != XDP_DROP {
                    assert_eq!(run.bytes, frame.as_bytes(), "{bytes:02x?}");
                }
            }
        }
    }
}

#[test]
fn another_device_gets_a_redirect_if_the_devmap_has_it() {
    need_root();
    let runs = Namespace::new("smoke-devmap").unwrap().run(|| {
        let links = Links::open().unwrap();
        links.add_bridge(&End { name: "other".into(), mtu: 1500, mac: [2, 0, 0, 0, 0, 3] }).unwrap();
        let other = links.index("other").unwrap();
        let mut tables = tables(mode::IPIP4);
        tables.backends.get_mut(&7).unwrap().ifindex = other;
        let without = Kernel::balancer(global::ALL, SEED, &tables);
        tables.devices.insert(other);
        let with = Kernel::balancer(global::ALL, SEED, &tables);
        let packet = &packets()[1];
        [without, with].map(|kernel| {
            let run = kernel.run(packet);
            (run.action, run.reason, kernel.counter(map::BACKEND_COUNTERS, 7).packets)
        })
    });
    assert_eq!(runs, [(XDP_DROP, Reason::BadTable, 0), (XDP_REDIRECT, Reason::Redirected, 1)]);
}

#[test]
fn log_is_of_the_service_asked_for_and_limited() {
    need_root();
    let tables = tables(mode::IPIP4);
    let tcp4 = &packets()[1];
    let udp4 = &packets()[2];
    let mut kernel = Kernel::logging(1, 3, SEED, &tables);
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(kernel.run(tcp4).action, XDP_TX);
        assert_eq!(kernel.run(udp4).action, XDP_TX);
    }
    let lines = kernel.take_log();
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!((3..=3 * (seconds + 2)).contains(&lines.len()), "{} lines in {seconds} s", lines.len());
    // The literals of the format stand in the line.
    for line in &lines {
        assert!(line.windows(8).any(|bytes| bytes == b" reason="), "{line:02x?}");
    }
    let mut kernel = Kernel::logging(99, 1_000, SEED, &tables);
    kernel.run(tcp4);
    assert_eq!(kernel.take_log().len(), 0);
    let mut kernel = Kernel::logging(u32::MAX, 1_000, SEED, &tables);
    for packet in packets() {
        kernel.run(&packet);
    }
    assert_eq!(kernel.take_log().len(), packets().len());
}

/// Xorshift: the same packets in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u8) -> u8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u8::try_from(self.0 % u64::from(end)).unwrap()
    }

    /// A packet with a few bytes of its headers changed.
    fn mutated(&mut self) -> Vec<u8> {
        let packets = packets();
        let mut bytes = packets[usize::from(self.below(u8::try_from(packets.len()).unwrap()))].clone();
        for _ in 0..self.below(3) {
            let mut tag = vec![0x81, 0, 0, self.below(255)];
            tag.extend_from_slice(&bytes[12..]);
            bytes.splice(12.., tag);
        }
        if self.below(3) == 0 && bytes[12..14] == [0x86, 0xdd] {
            // Up to nine extension headers of eight bytes, of any kind.
            let next = bytes[20];
            let count = self.below(10);
            let mut headers = Vec::new();
            for _ in 0..count {
                let kind = [0, 43, 44, 60][usize::from(self.below(4))];
                headers.extend([kind, 0, 0, [0, 0, 0, 8][usize::from(self.below(4))], 0, 0, 0, 0]);
            }
            headers.push(next);
            // Each header starts with the number of the next one.
            bytes[20] = headers[0];
            for i in 0..usize::from(count) {
                headers[i * 8] = headers[(i + 1) * 8];
            }
            headers.pop();
            bytes[19] += count * 8;
            bytes.splice(54..54, headers);
        }
        if self.below(2) == 0 {
            self.mutate(&mut bytes);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(3) {
            let at = usize::from(self.below(u8::try_from(bytes.len().min(100)).unwrap()));
            bytes[at] ^= 1 << self.below(8);
        }
        if self.below(8) == 0 {
            // The kernel runs no frame shorter than an Ethernet header.
            bytes.truncate(14 + usize::from(self.below(60)));
        }
    }
}

fn packets() -> Vec<Vec<u8>> {
    let link = || PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let finish = |builder: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        builder(&mut bytes);
        bytes
    };
    let mut padded =
        finish(&|out| link().ipv4(CLIENT4, SERVICE4, 64).tcp(4000, 80, 1, 512).write(out, &[]).unwrap());
    padded.resize(60, 0xaa);
    let mut unchecked =
        finish(&|out| link().ipv4(CLIENT4, SERVICE4, 64).udp(4000, 80).write(out, b"odd").unwrap());
    unchecked[40..42].fill(0);
    vec![
        unchecked,
        finish(&|out| link().ipv4(CLIENT4, SERVICE4, 64).tcp(4000, 80, 1, 512).write(out, b"hello").unwrap()),
        finish(&|out| link().ipv4(CLIENT4, SERVICE4, 64).udp(4000, 80).write(out, b"hello").unwrap()),
        finish(&|out| link().ipv6(CLIENT6, SERVICE6, 64).tcp(4000, 80, 1, 512).write(out, b"hello").unwrap()),
        finish(&|out| link().ipv6(CLIENT6, SERVICE6, 64).udp(4000, 80).write(out, b"hello").unwrap()),
        padded,
    ]
}

fn tables(mode: u8) -> HostTables {
    let service =
        |id| Service { id, table: 3, source_mask: [Be32::new(u32::MAX); 4], tuple_mask: u32::MAX, flags: 0 };
    let mut tables = HostTables::default();
    for (id, protocol) in [(1, protocol::TCP), (2, protocol::UDP)] {
        let (port, kind) = (Be16::new(80), key_kind::SERVICE);
        let [address, ..] = address4(SERVICE4);
        tables.services4.insert(ServiceKey4 { address, port, protocol, kind }, service(id));
        let address = address6(SERVICE6);
        tables.services6.insert(ServiceKey6 { address, port, protocol, kind }, service(id + 2));
    }
    let owner = BackendId::new(7).unwrap();
    tables.tables.insert(3, vec![Slot::settled(owner); SLOTS]);
    let outer6 = matches!(mode, mode::IPIP6 | mode::GUE6);
    let mut egress = Egress {
        ifindex: INGRESS,
        mode,
        mtu: 1500,
        gue_port: Be16::new(6080),
        destination_mac: [2, 0, 0, 0, 0, 9],
        source_mac: [2, 0, 0, 0, 0, 8],
        outer_source: if outer6 { address6(CLIENT6) } else { address4([10, 0, 0, 1]) },
        outer_destination: if outer6 { address6(SERVICE6) } else { address4([10, 0, 0, 2]) },
        ..Egress::default()
    };
    egress.checksum = egress.outer4_sum();
    tables.backends.insert(owner.get(), egress);
    tables
}
