//! The object loads, in every specialisation that matters, and forwards the simplest packets as the host run does.

use etherparse::PacketBuilder;
use lb_common::Reason;
use lb_common::abi::{
    BackendId, Egress, SLOTS, Service, ServiceKey4, ServiceKey6, Slot, global, key_kind, mode, program,
    protocol,
};
use lb_common::balance::balance;
use lb_common::frame::Frame as _;
use lb_common::host::{HostFrame, HostTables};
use lb_common::tables::Settings;
use lb_common::wire::{Be16, Be32, address4, address6};
use xlb_tests::kernel::{INGRESS, Kernel};
use xlb_tests::need_root;

const SEED: u64 = 0x0123_4567_89ab_cdef;
const CLIENT4: [u8; 4] = [198, 51, 100, 7];
const SERVICE4: [u8; 4] = [192, 0, 2, 10];
const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
const SERVICE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];

const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

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
    vec![
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
