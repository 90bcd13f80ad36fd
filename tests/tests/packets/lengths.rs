//! Frames that end too early, and lengths that lie.

use lb_common::Reason;
use lb_common::abi::global;
use xlb_tests::packets::{
    Balancer, BalancerHost, Expect, Extension, Frame, SEED, Scene, Table, Tag, Transport, standard,
};

use crate::support::{byte, check, word};

/// Frames of each shape, the shortest that hold all they must.
fn representatives(scene: &Scene) -> Vec<(&'static str, Frame)> {
    let (four, six) = (scene.target("gue6/4"), scene.target("gue6/6"));
    vec![
        ("IPv4 TCP", Frame::tcp(four)),
        ("IPv4 UDP", Frame::udp(four)),
        (
            "two tags, IPv4 with options, TCP with options",
            Frame::new(four, Transport::Tcp { flags: 2, options: 20 })
                .options(&[1; 24])
                .tag(Tag::service(1))
                .tag(Tag::customer(2)),
        ),
        ("IPv6 TCP", Frame::tcp(six)),
        ("one tag, IPv6 UDP", Frame::udp(six).tag(Tag::customer(2))),
        (
            "IPv6 with four extension headers, UDP",
            Frame::udp(six)
                .extension(Extension::HopByHop(8))
                .extension(Extension::Routing { bytes: 24, segments_left: 0 })
                .extension(Extension::Fragment { offset: 0, more: false })
                .extension(Extension::Destination(16)),
        ),
        ("IPv4 fragment", Frame::udp(four).fragment(3, true)),
        ("IPv6 fragment", Frame::udp(six).extension(Extension::Fragment { offset: 3, more: true })),
    ]
}

#[test]
fn truncated_anywhere_they_pass_as_they_are() {
    let scene = standard();
    let mut kernel = Balancer::standard();
    let host = BalancerHost::new(scene.tables(), global::ALL, SEED);
    for (what, frame) in representatives(&scene) {
        let bytes = frame.bytes();
        let headers = frame.transport_at();
        for length in 0..bytes.len() {
            let cut = &bytes[..length];
            let on_host = host.run(cut);
            let expect = Expect::pass(on_host.outcome.reason, cut);
            // The frame ends within a header, or its IP length says more than there is.
            assert!(
                matches!(on_host.outcome.reason, Reason::Truncated | Reason::Malformed),
                "{what} cut to {length}: {on_host:?}"
            );
            if length < frame.link_length() + 20 {
                assert_eq!(on_host.outcome.reason, Reason::Truncated, "{what} cut to {length}");
            }
            if length >= headers + 20 {
                assert_eq!(on_host.outcome.reason, Reason::Malformed, "{what} cut to {length}");
            }
            assert_eq!(expect.bytes.as_deref(), Some(&on_host.bytes[..]), "{what} cut to {length}");
            assert_eq!(on_host.outcome, expect.outcome, "{what} cut to {length}");
            // The kernel runs nothing on less than an Ethernet header.
            if length >= 14 {
                assert_eq!(kernel.run(cut), on_host, "{what} cut to {length}");
            }
        }
    }
}

/// The frame cut to an IP length that its header admits to: within its transport header.
#[test]
fn too_short_for_its_transport_header_passes() {
    let scene = standard();
    let mut table = Table::default();
    for (what, service, transport, header) in [
        ("IPv4 TCP", "gue6/4", Transport::Tcp { flags: 2, options: 0 }, 20),
        ("IPv4 UDP", "gue6/4", Transport::Udp, 8),
        ("IPv6 TCP", "gue6/6", Transport::Tcp { flags: 2, options: 0 }, 20),
        ("IPv6 UDP", "gue6/6", Transport::Udp, 8),
    ] {
        let to = scene.target(service);
        let whole = Frame::new(to, transport).payload(0);
        for kept in 0..header {
            let number = if header == 20 { 6 } else { 17 };
            let mut part = Frame::new(to, Transport::Other(number));
            part.payload = whole.bytes()[whole.transport_at()..][..kept].to_vec();
            if to.is_ipv6() && kept == 0 {
                // Its payload length is zero, which is another fixture's.
                continue;
            }
            table.passes(format!("{what}: {kept} bytes of it"), Reason::Malformed, part.bytes());
            let padded = part.padded_to(90);
            table.passes(
                format!("{what}: {kept} bytes of it, and padding"),
                Reason::Malformed,
                padded.bytes(),
            );
        }
    }
    let first = Frame::new(scene.target("ipip4/4"), Transport::Other(17)).fragment(0, true);
    for kept in 0..4 {
        table.passes(
            format!("first fragment with {kept} bytes"),
            Reason::Malformed,
            first.clone().payload(kept).bytes(),
        );
    }
    check(&scene, &table);
}

#[test]
fn lengths_that_lie_pass() {
    let scene = standard();
    let mut table = Table::default();
    let (four, six) = (scene.target("ipip4/4"), scene.target("ipip4/6"));
    for (over, frame) in [("", Frame::tcp(four)), ("tag, ", Frame::tcp(four).tag(Tag::customer(1)))] {
        let (bytes, ip) = (frame.bytes(), frame.link_length());
        let length = frame.ip_bytes().len();
        for wrong in [0, 1, 19, 20, 21, 39, length + 1, length + 2, 1500, 65_535] {
            table.passes(
                format!("{over}total length {wrong}"),
                Reason::Malformed,
                word(&bytes, ip + 2, wrong),
            );
        }
        for version_ihl in [0x40, 0x41, 0x44, 0x4f, 0x35, 0x55, 0x65, 0x05] {
            table.passes(
                format!("{over}version and IHL {version_ihl:#x}"),
                Reason::Malformed,
                byte(&bytes, ip, version_ihl),
            );
        }
        for data_offset in [0x00, 0x10, 0x40, 0xa0, 0xf0] {
            let at = frame.transport_at() + 12;
            table.passes(
                format!("{over}data offset {data_offset:#x}"),
                Reason::Malformed,
                byte(&bytes, at, data_offset),
            );
        }
    }
    let frame = Frame::tcp(six).extension(Extension::HopByHop(8));
    let (bytes, ip) = (frame.bytes(), frame.link_length());
    let length = frame.ip_bytes().len() - 40;
    for wrong in [0, 1, 7, 8, 9, 27, length + 1, length + 8, 1500, 65_535] {
        table.passes(format!("payload length {wrong}"), Reason::Malformed, word(&bytes, ip + 4, wrong));
    }
    for version in [0x00, 0x40, 0x50, 0x70, 0xf0] {
        table.passes(format!("IPv6 with version {version:#x}"), Reason::Malformed, byte(&bytes, ip, version));
    }
    table.passes("an extension header longer than the packet", Reason::Malformed, {
        // It ends where padding goes on, so that nothing is truncated.
        byte(&frame.clone().padded_to(300).bytes(), ip + 41, 20)
    });
    table.passes("an extension header longer than the frame", Reason::Malformed, byte(&bytes, ip + 41, 255));
    for frame in [Frame::udp(four), Frame::udp(six)] {
        let (bytes, at) = (frame.bytes(), frame.transport_at() + 4);
        for wrong in [0, 1, 7, 25, 26, 1400, 65_535] {
            table.passes(
                format!("UDP length {wrong} to {}", frame.destination),
                Reason::Malformed,
                word(&bytes, at, wrong),
            );
        }
    }
    check(&scene, &table);
}

#[test]
fn ipv4_in_an_ipv6_frame_is_malformed() {
    let scene = standard();
    let mut table = Table::default();
    let four = Frame::tcp(scene.target("ipip4/4")).payload(60).bytes();
    table.passes("IPv4 under IPv6's ethertype", Reason::Malformed, word(&four, 12, 0x86dd));
    let six = Frame::tcp(scene.target("ipip4/6")).bytes();
    table.passes("IPv6 under IPv4's ethertype", Reason::Malformed, word(&six, 12, 0x0800));
    check(&scene, &table);
}
