//! Random frames: most of them nearly right, since those get furthest.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use lb_common::abi::{Egress, VlanTag};
use lb_common::wire::{Be16, address6};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use xlb_tests::packets::{Extension, Frame, OTHER_INTERFACE, Scene, Tag, Transport};

/// Shortest frame that `BPF_PROG_TEST_RUN` takes.
pub const SHORTEST: usize = 14;

/// A well-formed frame, most likely to a service of the scene.
pub fn frame(scene: &Scene) -> impl Strategy<Value = Frame> + use<> {
    let targets: Vec<SocketAddr> = scene.services.iter().map(|s| scene.target(&s.name)).collect();
    let destination = prop_oneof![
        8 => select(targets.clone()),
        1 => (select(targets), any::<u16>()).prop_map(|(target, port)| SocketAddr::new(target.ip(), port)),
        1 => address(),
    ];
    shaped(destination)
}

/// A well-formed frame to one of these services.
pub fn frame_to(scene: &Scene, services: &[&str]) -> impl Strategy<Value = Frame> + use<> {
    shaped(select(services.iter().map(|name| scene.target(name)).collect::<Vec<_>>()))
}

/// A backend's entry: what userspace would write, and what it never would.
pub fn egress() -> impl Strategy<Value = Egress> {
    let way = (select(vec![1_u32, 1, OTHER_INTERFACE, 88, 0]), 0_u8..=8, 0_u8..=3, 0_u8..=255);
    let limits =
        (prop_oneof![1 => 0_u8..=32, 1 => any::<u8>()], select(vec![1500_u16, 1500, 9000, 65_535, 100, 0]));
    let macs = (any::<[u8; 6]>(), any::<[u8; 6]>(), any::<[u16; 4]>(), any::<u16>());
    let addresses = (any::<[u8; 16]>(), any::<[u8; 16]>(), of(0_u32..1 << 20));
    (way, limits, macs, addresses).prop_map(
        |(way, (source_bits, mtu), macs, (source, destination, wrong))| {
            let ((ifindex, mode, tag_count, flags), (destination_mac, source_mac, tags, port)) = (way, macs);
            let [a, b, c, d] = tags.map(Be16::new);
            let mut egress = Egress {
                ifindex,
                mode,
                tag_count,
                flags,
                source_bits,
                mtu,
                gue_port: Be16::new(port),
                destination_mac,
                source_mac,
                tags: [VlanTag { tpid: a, tci: b }, VlanTag { tpid: c, tci: d }],
                outer_source: address6(source),
                outer_destination: address6(destination),
                checksum: 0,
            };
            egress.checksum = wrong.unwrap_or_else(|| egress.outer4_sum());
            egress
        },
    )
}

fn shaped(destination: impl Strategy<Value = SocketAddr>) -> impl Strategy<Value = Frame> {
    let shape = (destination, transport(), tags(), payload());
    let header = (any::<u8>(), hops(), any::<u16>(), any::<u32>(), 0_usize..64);
    let rest = (vec(extension(), 0..10), select(vec![0_usize, 4, 8, 40]), fragment());
    (shape, header, rest).prop_map(|((to, transport, tags, bytes), header, (extensions, options, part))| {
        let (tos, ttl, port, low, padding) = header;
        let mut frame =
            Frame::new(to, transport).tos(tos).ttl(ttl).payload(bytes).from(client(to, low, port));
        frame.tags = tags;
        frame.padding = padding;
        if to.is_ipv4() {
            let (offset, more) = part;
            frame.options(&vec![1; options]).fragment(offset, more)
        } else {
            extensions.into_iter().fold(frame, Frame::extension)
        }
    })
}

/// A frame that no service of the scene is for: other addresses, and other protocols to its addresses.
pub fn stranger(scene: &Scene) -> impl Strategy<Value = Vec<u8>> + use<> {
    let away = (frame(scene), address()).prop_map(|(frame, to)| {
        let mut other = Frame::new(to, frame.transport).tos(frame.tos).ttl(frame.ttl);
        (other.tags, other.padding, other.payload) = (frame.tags, frame.padding, frame.payload);
        other.bytes()
    });
    let ports: Vec<SocketAddr> = scene.services.iter().map(|s| scene.target(&s.name)).collect();
    let protocol = (select(ports), select(vec![1_u8, 2, 47, 50, 51, 58, 132, 253]), payload())
        .prop_map(|(to, number, bytes)| Frame::new(to, Transport::Other(number)).payload(bytes).bytes());
    let noise =
        (vec(any::<u8>(), SHORTEST..200), select(vec![0x0806_u16, 0x88cc, 0x8847, 0x8863, 3, 0xffff]))
            .prop_map(|(mut bytes, ether_type)| {
                bytes[12..14].copy_from_slice(&ether_type.to_be_bytes());
                bytes
            });
    prop_oneof![3 => away, 2 => protocol, 1 => noise]
}

/// Changes to the bytes of a frame.
#[derive(Clone, Debug)]
pub struct Mutations(Vec<Mutation>);

impl Mutations {
    /// Makes the changes.
    pub fn apply(&self, mut bytes: Vec<u8>) -> Vec<u8> {
        for mutation in &self.0 {
            mutation.apply(&mut bytes);
        }
        bytes
    }
}

/// None, or a few changes.
pub fn mutations() -> impl Strategy<Value = Mutations> {
    let offset = prop_oneof![3 => 12_usize..120, 1 => 0_usize..1600];
    let words = vec![
        0_u16, 1, 7, 8, 19, 20, 21, 39, 40, 0x0800, 0x8100, 0x88a8, 0x86dd, 0x2000, 0x1fff, 0x4500, 0xffff,
    ];
    let one = prop_oneof![
        3 => (offset.clone(), any::<u8>()).prop_map(|(at, to)| Mutation::Byte(at, to)),
        2 => (offset.clone(), 0_u32..8).prop_map(|(at, bit)| Mutation::Bit(at, bit)),
        2 => (offset.clone(), select(words)).prop_map(|(at, to)| Mutation::Word(at, to)),
        2 => offset.prop_map(Mutation::Truncate),
        1 => (1_usize..80).prop_map(Mutation::Extend),
    ];
    prop_oneof![1 => Just(Mutations(vec![])), 4 => vec(one, 1..4).prop_map(Mutations)]
}

#[derive(Clone, Debug)]
enum Mutation {
    Byte(usize, u8),
    Bit(usize, u32),
    Word(usize, u16),
    Truncate(usize),
    Extend(usize),
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match *self {
            Self::Byte(at, to) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = to),
            Self::Bit(at, bit) => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << bit),
            Self::Word(at, to) => {
                bytes.iter_mut().skip(at).zip(to.to_be_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Self::Truncate(to) => bytes.truncate(to.max(SHORTEST)),
            Self::Extend(by) => bytes.extend(std::iter::repeat_n(0x5a, by)),
        }
    }
}

fn client(to: SocketAddr, low: u32, port: u16) -> SocketAddr {
    let ip: IpAddr = if to.is_ipv4() {
        Ipv4Addr::from_bits(low).into()
    } else {
        Ipv6Addr::from_bits(0x2001_0db8_000c << 80 | u128::from(low) << 40 | u128::from(port)).into()
    };
    SocketAddr::new(ip, port)
}

/// An address that no service has.
fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<u16>(), any::<u16>()).prop_map(|(low, port)| {
            SocketAddr::new(Ipv4Addr::from_bits(0x0a63_0000 | u32::from(low)).into(), port)
        }),
        (any::<u64>(), any::<u16>()).prop_map(|(low, port)| {
            SocketAddr::new(Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(low)).into(), port)
        }),
    ]
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![
        5 => (any::<u8>(), select(vec![0_usize, 4, 12, 40]))
            .prop_map(|(flags, options)| Transport::Tcp { flags, options }),
        4 => Just(Transport::Udp),
        1 => Just(Transport::UdpUnchecked),
        1 => any::<u8>().prop_filter("has its own variant", |n| ![6, 17].contains(n)).prop_map(Transport::Other),
    ]
}

fn tags() -> impl Strategy<Value = Vec<Tag>> {
    let tag = (select(vec![0x8100_u16, 0x88a8]), any::<u16>()).prop_map(|(tpid, tci)| Tag { tpid, tci });
    prop_oneof![3 => Just(vec![]), 2 => vec(tag, 1..4)]
}

fn payload() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0_usize..150, 2 => 1380_usize..1480, 1 => 1480_usize..3200]
}

fn hops() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 3_u8..=255, 1 => 0_u8..3]
}

fn fragment() -> impl Strategy<Value = (u16, bool)> {
    prop_oneof![8 => Just((0, false)), 1 => Just((0, true)), 1 => (1_u16..0x1fff, any::<bool>())]
}

fn extension() -> impl Strategy<Value = Extension> {
    let bytes = || prop_oneof![6 => Just(8_usize), 2 => Just(16), 1 => (3_usize..12).prop_map(|n| n * 8)];
    prop_oneof![
        3 => bytes().prop_map(Extension::HopByHop),
        3 => bytes().prop_map(Extension::Destination),
        3 => bytes().prop_map(|bytes| Extension::Routing { bytes, segments_left: 0 }),
        1 => (bytes(), any::<u8>()).prop_map(|(bytes, segments_left)| Extension::Routing { bytes, segments_left }),
        1 => Just(Extension::Fragment { offset: 0, more: false }),
        1 => (0_u16..0x1fff, any::<bool>()).prop_map(|(offset, more)| Extension::Fragment { offset, more }),
    ]
}
