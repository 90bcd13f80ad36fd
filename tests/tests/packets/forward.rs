//! Every way to forward, byte for byte.

use std::net::IpAddr;

use lb_common::Reason;
use lb_common::abi::global;
use lb_common::host::HEADROOM;
use xlb_tests::packets::{
    Action, Balancer, BalancerHost, Extension, Forward, Frame, Ip, Outcome, SEED, Scene, Table, Tag,
    Transport, forwarded, internet_checksum, standard,
};

use crate::support::{add, check};

/// Backends that encapsulate, by the name of their services.
const ENCAPSULATING: [&str; 4] = ["ipip4", "ipip6", "gue4", "gue6"];
/// Backends that get packets.
const REACHED: [&str; 20] = [
    "ipip4",
    "ipip6",
    "gue4",
    "gue6",
    "gue6-zero",
    "l2",
    "local",
    "drawn4",
    "drawn6",
    "drawn-gue4",
    "drawn-gue6",
    "ipip4-one-tag",
    "ipip6-two-tags",
    "gue4-two-tags",
    "gue6-one-tag",
    "l2-one-tag",
    "l2-two-tags",
    "ipip4-other",
    "gue6-other",
    "l2-other",
];

/// Frames to a service, of every shape that forwarding looks at.
fn shapes(scene: &Scene, service: &str) -> Vec<(String, Frame)> {
    let to = scene.target(service);
    let mut shapes = vec![
        ("TCP", Frame::tcp(to)),
        ("UDP", Frame::udp(to)),
        ("UDP without checksum", Frame::new(to, Transport::UdpUnchecked)),
        ("UDP, odd length", Frame::udp(to).payload(101)),
        ("UDP without checksum, odd length", Frame::new(to, Transport::UdpUnchecked).payload(7)),
        ("UDP without payload", Frame::udp(to).payload(0)),
        ("UDP without checksum and payload", Frame::new(to, Transport::UdpUnchecked).payload(0)),
        ("UDP without checksum, 1200 bytes", Frame::new(to, Transport::UdpUnchecked).payload(1200)),
        ("UDP, bytes behind the datagram", Frame::udp(to).surplus(13)),
        ("UDP, even number of bytes behind the datagram", Frame::udp(to).payload(32).surplus(64)),
        ("TCP, odd length", Frame::tcp(to).payload(1233)),
        ("TCP without payload, padded", Frame::tcp(to).payload(0).padded_to(60)),
        ("UDP, padded by an odd number of bytes", Frame::udp(to).payload(1).padded_to(61)),
        ("UDP without checksum, padded", Frame::new(to, Transport::UdpUnchecked).payload(2).padded_to(75)),
        ("TCP, padded by 400 bytes", Frame::tcp(to).padded_to(500)),
        ("one tag", Frame::tcp(to).tag(Tag::customer(5))),
        ("two tags", Frame::tcp(to).tag(Tag::service(7)).tag(Tag::customer(8))),
        ("one tag, padded UDP without checksum", {
            Frame::new(to, Transport::UdpUnchecked).payload(3).tag(Tag::customer(5)).padded_to(64)
        }),
        ("two tags, UDP", Frame::udp(to).tag(Tag::service(7)).tag(Tag::customer(8)).payload(31)),
    ];
    if to.is_ipv4() {
        shapes.push(("options", Frame::tcp(to).options(&[1; 12])));
        shapes.push((
            "options, UDP without checksum",
            Frame::new(to, Transport::UdpUnchecked).options(&[1; 40]),
        ));
    } else {
        let chained = |frame: Frame| {
            let routing = Extension::Routing { bytes: 24, segments_left: 0 };
            frame.extension(Extension::HopByHop(8)).extension(routing).extension(Extension::Destination(16))
        };
        shapes.push(("extension headers", chained(Frame::tcp(to))));
        shapes.push(("extension headers, UDP, odd length", chained(Frame::udp(to).payload(17))));
        let atomic = Extension::Fragment { offset: 0, more: false };
        shapes.push(("atomic fragment", Frame::udp(to).extension(atomic)));
        shapes.push((
            "atomic fragment, no checksum",
            Frame::new(to, Transport::UdpUnchecked).extension(atomic),
        ));
    }
    shapes.into_iter().map(|(what, frame)| (format!("{service}: {what}"), frame)).collect()
}

#[test]
fn every_mode_forwards_every_shape() {
    let scene = standard();
    let mut table = Table::default();
    for name in REACHED {
        for service in [format!("{name}/4"), format!("{name}/6")] {
            for (what, frame) in shapes(&scene, &service) {
                add(&mut table, &scene, &what, &service, &frame);
            }
        }
    }
    check(&scene, &table);
}

#[test]
fn packets_without_a_way_are_dropped() {
    let scene = standard();
    let mut table = Table::default();
    for (name, reason) in [
        ("nobody", Reason::NoBackend),
        ("unresolved", Reason::NoBackend),
        ("untabled", Reason::BadTable),
        ("l2-no-device", Reason::BadTable),
    ] {
        for service in [format!("{name}/4"), format!("{name}/6")] {
            for (what, frame) in shapes(&scene, &service) {
                table.drops(what, reason, &scene, &service, frame.bytes());
            }
        }
    }
    check(&scene, &table);
}

/// Bytes that a backend's outer headers add.
fn added(scene: &Scene, name: &str) -> usize {
    let outer = |destination: IpAddr| if destination.is_ipv4() { 20 } else { 40 };
    match scene.backends[name].forward {
        Forward::Ipip(wire) => outer(wire.destination),
        Forward::Gue { wire, .. } => outer(wire.destination) + 12,
        Forward::None | Forward::L2 | Forward::Local => 0,
    }
}

#[test]
fn what_does_not_fit_the_way_is_dropped() {
    let scene = standard();
    let mut table = Table::default();
    for name in REACHED {
        let most = usize::from(scene.backends[name].mtu) - added(&scene, name);
        for service in [format!("{name}/4"), format!("{name}/6")] {
            let to = scene.target(&service);
            for (over, frame) in
                [("TCP", Frame::tcp(to)), ("UDP, tagged", Frame::udp(to).tag(Tag::customer(1)))]
            {
                let fits = frame.clone().ip_length(most);
                add(&mut table, &scene, &format!("{service}: {over}, just fits"), &service, &fits);
                let padded = fits.padded_to(1700);
                add(&mut table, &scene, &format!("{service}: {over}, just fits, padded"), &service, &padded);
                for more in [1, 2, 500] {
                    let frame = frame.clone().ip_length(most + more);
                    let what = format!("{service}: {over}, {more} too many");
                    if name == "local" {
                        add(&mut table, &scene, &what, &service, &frame);
                    } else {
                        table.drops(what, Reason::TooBig, &scene, &service, frame.bytes());
                    }
                }
            }
        }
    }
    check(&scene, &table);
}

#[test]
fn the_last_hop_is_the_balancer() {
    let scene = standard();
    let mut table = Table::default();
    for name in REACHED {
        let hops = added(&scene, name) != 0;
        for service in [format!("{name}/4"), format!("{name}/6")] {
            let to = scene.target(&service);
            for ttl in [255, 128, 65, 64, 3, 2, 1, 0] {
                for (over, frame) in [("TCP", Frame::tcp(to).ttl(ttl)), ("UDP", Frame::udp(to).ttl(ttl))] {
                    let what = format!("{service}: {over}, {ttl} hops left");
                    if hops && ttl < 2 {
                        table.drops(what, Reason::HopLimit, &scene, &service, frame.bytes());
                    } else {
                        add(&mut table, &scene, &what, &service, &frame);
                    }
                }
            }
        }
    }
    check(&scene, &table);
}

#[test]
fn traffic_class_is_copied_outward() {
    let scene = standard();
    let mut table = Table::default();
    for name in ENCAPSULATING {
        for service in [format!("{name}/4"), format!("{name}/6")] {
            for tos in 0..=255 {
                let frame = Frame::udp(scene.target(&service)).tos(tos);
                add(&mut table, &scene, &format!("{service}: ToS {tos:#04x}"), &service, &frame);
            }
        }
    }
    for service in ["l2/4", "l2/6", "local/4", "local/6"] {
        let frame = Frame::udp(scene.target(service)).tos(0xff);
        add(&mut table, &scene, &format!("{service}: ToS"), service, &frame);
    }
    check(&scene, &table);
}

/// Whoever hears about IPv4 flags, identification and flow labels keeps what the sender wrote; the outer header has its
/// own.
#[test]
fn inner_fields_are_left_alone() {
    let scene = standard();
    let mut table = Table::default();
    for name in ENCAPSULATING {
        let service = format!("{name}/4");
        let frame = Frame::tcp(scene.target(&service));
        for flags in [0x0000, 0x4000, 0x8000_u16] {
            // With other flags the header's checksum is another; the expected inner header is changed the same way.
            let mut input = frame.bytes();
            set_flags(&mut input[14..34], flags);
            let mut expect = forwarded(&scene, &service, &frame);
            let bytes = expect.bytes.as_mut().expect("forwarded");
            let inner = bytes.len() - frame.ip_bytes().len();
            set_flags(&mut bytes[inner..inner + 20], flags);
            table.add(format!("{service}: flags {flags:#x}"), input, expect);
        }
    }
    check(&scene, &table);
}

fn set_flags(header: &mut [u8], flags: u16) {
    header[6..8].copy_from_slice(&flags.to_be_bytes());
    header[10..12].fill(0);
    let checksum = internet_checksum(header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

/// Local checksum offload takes the inner checksum's word for what it covers: a packet that arrives broken leaves with a
/// broken outer checksum, never with a right one around it.
#[test]
fn a_broken_packet_has_a_broken_outer_checksum() {
    let scene = standard();
    let mut kernel = Balancer::standard();
    let host = BalancerHost::new(scene.tables(), global::ALL, SEED);
    for service in ["gue6/4", "gue6/6"] {
        let to = scene.target(service);
        for frame in [Frame::tcp(to), Frame::udp(to)] {
            let mut at = vec![frame.bytes().len() - 1];
            if to.is_ipv4() {
                // The header's checksum.
                at.push(14 + 10);
            }
            for at in at {
                let mut broken = frame.bytes();
                broken[at] ^= 0x10;
                let run = kernel.run(&broken);
                assert_eq!(run, host.run(&broken));
                assert_eq!(run.outcome.reason, Reason::Transmitted);
                assert_ne!(outer_sum(&run.bytes), 0, "{service}, byte {at}");
                assert_eq!(outer_sum(&kernel.run(&frame.bytes()).bytes), 0, "{service}, unbroken");
            }
        }
    }
}

/// Zero says that there is no checksum, so a computed zero is sent as all ones (RFC 768).
#[test]
fn a_checksum_of_zero_is_sent_as_all_ones() {
    let scene = standard();
    let mut table = Table::default();
    for service in ["gue6/4", "gue6/6"] {
        // The payload's first word is no part of the hash, and without an inner checksum it is summed.
        let mut frame = Frame::new(scene.target(service), Transport::UdpUnchecked);
        frame.payload[..2].fill(0);
        let checksum = outer_checksum(&scene, service, &frame);
        frame.payload[..2].copy_from_slice(&checksum);
        assert_eq!(outer_checksum(&scene, service, &frame), [0xff; 2]);
        add(&mut table, &scene, &format!("{service}: summed"), service, &frame);

        // An inner checksum that is all ones.
        let mut frame = Frame::udp(scene.target(service));
        frame.payload[..2].fill(0);
        let at = frame.transport_at() + 6;
        let checksum: [u8; 2] = frame.bytes()[at..at + 2].try_into().expect("two bytes");
        frame.payload[..2].copy_from_slice(&checksum);
        assert_eq!(frame.bytes()[at..at + 2], [0xff; 2]);
        add(&mut table, &scene, &format!("{service}: inner all ones"), service, &frame);
    }
    // Neither is the flow label a part of the hash.
    let mut frame = Frame::tcp(scene.target("gue6/6"));
    let label = |low: [u8; 2]| Ip::V6 { label: u16::from_be_bytes(low).into(), extensions: vec![] };
    frame.ip = label([0; 2]);
    frame.ip = label(outer_checksum(&scene, "gue6/6", &frame));
    assert_eq!(outer_checksum(&scene, "gue6/6", &frame), [0xff; 2]);
    add(&mut table, &scene, "derived", "gue6/6", &frame);
    check(&scene, &table);
}

/// The checksum of the outer UDP header over IPv6 that is expected around a frame.
fn outer_checksum(scene: &Scene, service: &str, frame: &Frame) -> [u8; 2] {
    let bytes = forwarded(scene, service, frame).bytes.expect("forwarded");
    [bytes[14 + 40 + 6], bytes[14 + 40 + 7]]
}

/// Metadata in front of the frame takes the room that outer headers need.
#[test]
fn without_headroom_a_frame_is_dropped() {
    let scene = standard();
    let mut kernel = Balancer::standard();
    for (service, needed) in
        [("ipip4/4", 20), ("ipip6/4", 40), ("gue6/6", 52), ("l2-one-tag/4", 4), ("ipip4-one-tag/6", 24)]
    {
        let frame = Frame::tcp(scene.target(service));
        let expect = forwarded(&scene, service, &frame);
        for left in [needed - 4, needed] {
            let run = kernel.run_behind(HEADROOM - left, &frame.bytes());
            if left < needed {
                assert_eq!(run.action, Action::Drop, "{service} with {left} bytes left");
                let outcome = Outcome { reason: Reason::NoHeadroom, backend: None, ..expect.outcome };
                assert_eq!(run.outcome, outcome, "{service} with {left} bytes left");
            } else {
                assert_eq!(run.action, expect.action, "{service} with {left} bytes left");
                assert_eq!(run.outcome, expect.outcome, "{service} with {left} bytes left");
            }
        }
    }
}

/// The sum of an outer UDP datagram over IPv6 with its pseudo header: zero when its checksum is right.
fn outer_sum(frame: &[u8]) -> u16 {
    let (addresses, datagram) = (&frame[14 + 8..14 + 40], &frame[14 + 40..]);
    let length = u32::try_from(datagram.len()).expect("short").to_be_bytes();
    internet_checksum(&[addresses, &length, &[0, 0, 0, 17], datagram].concat())
}
