//! Every combination of headers.

use lb_common::Reason;
use xlb_tests::packets::{Extension, Frame, Ip, Table, Tag, Transport, standard};

use crate::support::{add, check, word};

#[test]
fn whole_packets_are_forwarded() {
    let scene = standard();
    let mut table = Table::default();
    let four = scene.target("ipip4/4");
    let six = scene.target("ipip4/6");
    for (family, service, to) in [("IPv4", "ipip4/4", four), ("IPv6", "ipip4/6", six)] {
        let mut add =
            |what: &str, frame: Frame| add(&mut table, &scene, &format!("{family}: {what}"), service, &frame);
        add("TCP", Frame::tcp(to));
        add("UDP", Frame::udp(to));
        add("UDP without checksum", Frame::new(to, Transport::UdpUnchecked));
        add("one tag", Frame::tcp(to).tag(Tag::customer(5)));
        add("one service tag", Frame::udp(to).tag(Tag::service(4095)));
        add("two tags", Frame::tcp(to).tag(Tag::service(7)).tag(Tag::customer(8)));
        add("two customer tags", Frame::udp(to).tag(Tag::customer(7)).tag(Tag { tpid: 0x8100, tci: 0xffff }));
        add("TCP options", Frame::new(to, Transport::Tcp { flags: 0x02, options: 40 }));
        add("TCP without payload", Frame::tcp(to).payload(0));
        add("UDP without payload", Frame::udp(to).payload(0));
        add("odd payload", Frame::udp(to).payload(33));
        add("bytes behind the datagram", Frame::udp(to).surplus(11));
        add("one byte of padding", Frame::tcp(to).padded_to(Frame::tcp(to).bytes().len() + 1));
        for flags in 0..=255 {
            add(&format!("TCP flags {flags:#04x}"), Frame::new(to, Transport::Tcp { flags, options: 0 }));
        }
    }
    for length in (4..=40).step_by(4) {
        let frame = Frame::tcp(four).options(&vec![1; length]);
        add(&mut table, &scene, &format!("IPv4: {length} bytes of options"), "ipip4/4", &frame);
        let frame = Frame::udp(four).options(&vec![1; length]).tag(Tag::customer(1));
        add(&mut table, &scene, &format!("IPv4: tag, {length} bytes of options, UDP"), "ipip4/4", &frame);
    }
    let padded = Frame::udp(four).payload(3).padded_to(60);
    assert_eq!(padded.bytes().len(), 60);
    add(&mut table, &scene, "IPv4: padded to 60 bytes", "ipip4/4", &padded);
    let padded = Frame::udp(four).payload(3).tag(Tag::customer(9)).padded_to(64);
    add(&mut table, &scene, "IPv4: tagged, padded to 64 bytes", "ipip4/4", &padded);
    check(&scene, &table);
}

#[test]
fn extension_headers_are_walked() {
    let scene = standard();
    let mut table = Table::default();
    let to = scene.target("ipip6/6");
    let routing = |bytes| Extension::Routing { bytes, segments_left: 0 };
    let atomic = Extension::Fragment { offset: 0, more: false };
    let chains: &[(&str, &[Extension])] = &[
        ("hop-by-hop", &[Extension::HopByHop(8)]),
        ("long hop-by-hop", &[Extension::HopByHop(256)]),
        ("destination options", &[Extension::Destination(8)]),
        ("destination options of 1024 bytes", &[Extension::Destination(1024)]),
        ("routing, no segments left", &[routing(24)]),
        ("atomic fragment", &[atomic]),
        (
            "all of them in RFC 8200's order",
            &[
                Extension::HopByHop(8),
                Extension::Destination(16),
                routing(40),
                atomic,
                Extension::Destination(8),
            ],
        ),
        ("eight, the most there may be", &[Extension::Destination(8); 8]),
        (
            "eight, atomic fragment last",
            &[
                Extension::HopByHop(8),
                routing(8),
                routing(8),
                routing(8),
                Extension::Destination(8),
                Extension::Destination(8),
                Extension::Destination(8),
                atomic,
            ],
        ),
    ];
    for (what, chain) in chains {
        for (over, frame) in [
            ("TCP", Frame::tcp(to)),
            ("UDP", Frame::udp(to)),
            ("tagged TCP", Frame::tcp(to).tag(Tag::customer(2))),
        ] {
            let frame = chain.iter().copied().fold(frame, Frame::extension);
            add(&mut table, &scene, &format!("{what}, {over}"), "ipip6/6", &frame);
        }
    }
    let over = [Extension::Destination(8); 9].into_iter().fold(Frame::tcp(to), Frame::extension);
    table.passes("nine extension headers", Reason::TooManyHeaders, over.bytes());
    for segments_left in [1, 2, 255] {
        for before in [vec![], vec![Extension::HopByHop(8)], vec![atomic]] {
            let frame = before.iter().copied().fold(Frame::tcp(to), Frame::extension);
            let frame = frame.extension(Extension::Routing { bytes: 24, segments_left });
            let what = format!("{segments_left} segments left behind {before:?}");
            table.passes(what, Reason::RoutingHeader, frame.bytes());
        }
    }
    check(&scene, &table);
}

#[test]
fn fragments_of_services_are_dropped() {
    let scene = standard();
    let mut table = Table::default();
    for service in ["ipip4/4", "l2/4", "gue6/4", "local/4"] {
        let to = scene.target(service);
        for (what, offset, more) in [("first", 0, true), ("middle", 5, true), ("last", 180, false)] {
            for (over, frame) in [("TCP", Frame::tcp(to)), ("UDP", Frame::udp(to))] {
                let frame = frame.fragment(offset, more);
                table.drops(
                    format!("{service}: {what} {over}"),
                    Reason::Fragment,
                    &scene,
                    service,
                    frame.bytes(),
                );
                let frame = frame.tag(Tag::service(3)).options(&[1; 8]);
                table.drops(
                    format!("{service}: {what} {over}, tag, options"),
                    Reason::Fragment,
                    &scene,
                    service,
                    frame.bytes(),
                );
            }
        }
        let short = Frame::new(to, Transport::Other(6)).payload(0).fragment(0, true);
        let ports = [&short.bytes()[..], &[0x9c, 0x41, 0, 80]].concat();
        let ports = word(&ports, 16, 24);
        table.drops(format!("{service}: first, ports alone"), Reason::Fragment, &scene, service, ports);
    }
    for service in ["ipip4/6", "l2/6", "gue6/6", "local/6"] {
        let to = scene.target(service);
        for (what, offset, more) in [("first", 0, true), ("middle", 5, true), ("last", 180, false)] {
            for (over, frame) in [("TCP", Frame::tcp(to)), ("UDP", Frame::udp(to))] {
                let header = Extension::Fragment { offset, more };
                let plain = frame.clone().extension(header);
                table.drops(
                    format!("{service}: {what} {over}"),
                    Reason::Fragment,
                    &scene,
                    service,
                    plain.bytes(),
                );
                let chain = frame.extension(Extension::HopByHop(16)).extension(header);
                table.drops(
                    format!("{service}: {what} {over} behind options"),
                    Reason::Fragment,
                    &scene,
                    service,
                    chain.bytes(),
                );
            }
        }
    }
    for bit in 0..13 {
        let last = Frame::udp(scene.target("ipip4/4")).fragment(1 << bit, false);
        table.drops(format!("IPv4 offset bit {bit}"), Reason::Fragment, &scene, "ipip4/4", last.bytes());
        let header = Extension::Fragment { offset: 1 << bit, more: false };
        let last = Frame::udp(scene.target("ipip4/6")).extension(header);
        table.drops(format!("IPv6 offset bit {bit}"), Reason::Fragment, &scene, "ipip4/6", last.bytes());
    }
    let away4 = Frame::tcp("192.0.2.9:80".parse().unwrap());
    table.passes("first to no service", Reason::NotService, away4.clone().fragment(0, true).bytes());
    table.passes("last to no service", Reason::NotService, away4.fragment(9, false).bytes());
    let away6 = Frame::udp("[2001:db8:5::9]:80".parse().unwrap());
    let last = Extension::Fragment { offset: 9, more: false };
    table.passes("last to no service, IPv6", Reason::NotService, away6.extension(last).bytes());
    let to = scene.target("ipip4/4");
    let port = Frame::tcp((to.ip(), 81).into()).fragment(0, true);
    table.passes("first to a port without service", Reason::NotService, port.bytes());
    let icmp = Frame::new(to, Transport::Other(1)).fragment(9, false);
    table.passes("last of an ICMP packet", Reason::Icmp, icmp.bytes());
    check(&scene, &table);
}

#[test]
fn what_is_neither_tcp_nor_udp_passes() {
    let scene = standard();
    let mut table = Table::default();
    let (four, six) = (scene.target("ipip4/4"), scene.target("ipip4/6"));
    for (what, number, reason) in [
        ("ICMP", 1, Reason::Icmp),
        ("ICMPv6", 58, Reason::Icmp),
        ("IGMP", 2, Reason::OtherProtocol),
        ("IPIP", 4, Reason::OtherProtocol),
        ("IPv6 in IP", 41, Reason::OtherProtocol),
        ("GRE", 47, Reason::OtherProtocol),
        ("ESP", 50, Reason::OtherProtocol),
        ("SCTP", 132, Reason::OtherProtocol),
        ("no next header", 59, Reason::OtherProtocol),
        ("255", 255, Reason::OtherProtocol),
    ] {
        for to in [four, six] {
            for payload in [1, 8, 64] {
                let frame = Frame::new(to, Transport::Other(number)).payload(payload);
                table.passes(format!("{what} to {to}, {payload} bytes"), reason, frame.bytes());
                let frame = frame.tag(Tag::customer(1));
                table.passes(format!("{what} to {to}, tagged"), reason, frame.bytes());
            }
        }
    }
    for (what, ether_type) in
        [("ARP", 0x0806), ("LLDP", 0x88cc), ("MPLS", 0x8847), ("PPPoE", 0x8864), ("802.3", 46)]
    {
        let mut frame = Frame::tcp(four).payload(46);
        frame.ip = Ip::Other(ether_type);
        table.passes(what, Reason::NotIp, frame.bytes());
        let tagged = frame.tag(Tag::customer(1));
        table.passes(format!("{what}, tagged"), Reason::NotIp, tagged.bytes());
        let double = tagged.tag(Tag::customer(1));
        table.passes(format!("{what}, two tags"), Reason::NotIp, double.bytes());
    }
    for frame in [Frame::tcp(four), Frame::tcp(six)] {
        let three = frame.tag(Tag::service(1)).tag(Tag::customer(2)).tag(Tag::customer(3));
        table.passes("three tags", Reason::TooManyHeaders, three.bytes());
    }
    check(&scene, &table);
}
