//! What was decided for a packet, and why.
//!
//! Every packet that the balancer or the agent sees ends with exactly one [`Reason`]. Its number is the index of the
//! counter in [`crate::abi::map::REASONS`], its name is the label in `xlb drops` and `xlb stats`.
#![expect(clippy::doc_markdown, reason = "the doc comments of reasons are output, too")]

/// What happens to a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// To the local stack.
    Pass,
    /// Discarded.
    Drop,
    /// Out by the interface it came in by.
    Transmit,
    /// Out by another interface.
    Redirect,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $variant:ident = $number:literal, $name:literal, $verdict:ident;)*) => {
        /// Why a packet got its verdict. Numbers are part of the ABI: they are counter indices.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])* $variant = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that output, metrics and docs use.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What this reason does with the packet.
            #[inline(always)]
            pub const fn verdict(self) -> Verdict {
                match self {
                    $(Self::$variant => Verdict::$verdict,)*
                }
            }

            /// One sentence for the operator.
            pub const fn describe(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

reasons! {
    /// Forwarded to a backend behind the interface it came in by.
    Transmitted = 0, "transmitted", Transmit;
    /// Forwarded to a backend behind another interface.
    Redirected = 1, "redirected", Redirect;
    /// For a backend that is this host: left to the local stack.
    Local = 2, "local", Pass;
    /// Neither IPv4 nor IPv6, or a family that no service uses.
    NotIp = 3, "not_ip", Pass;
    /// No service has this address, protocol and port.
    NotService = 4, "not_service", Pass;
    /// ICMP or ICMPv6: left to the local stack.
    Icmp = 5, "icmp", Pass;
    /// Neither TCP, UDP nor ICMP.
    OtherProtocol = 6, "other_protocol", Pass;
    /// An IPv6 routing header with segments left: this host is not the packet's last stop.
    RoutingHeader = 7, "routing_header", Pass;
    /// More VLAN tags or IPv6 extension headers than are walked.
    TooManyHeaders = 8, "too_many_headers", Pass;
    /// The frame ends within a header.
    Truncated = 9, "truncated", Pass;
    /// A header contradicts itself or the frame: a version, a header length, a total length.
    Malformed = 10, "malformed", Pass;
    /// The slot names no usable backend: the pool is empty, or all its backends are down or unreachable.
    NoBackend = 11, "no_backend", Drop;
    /// Would not fit the way to the backend once encapsulated.
    TooBig = 12, "too_big", Drop;
    /// A fragment of a packet to a service.
    Fragment = 13, "fragment", Drop;
    /// TTL or hop limit ran out at the balancer.
    HopLimit = 14, "hop_limit", Drop;
    /// The driver left no room in front of the packet for the outer headers.
    NoHeadroom = 15, "no_headroom", Drop;
    /// The tables contradict each other: an index that leads nowhere. A fault of xlb's own, please report it.
    BadTable = 16, "bad_table", Drop;
    /// The agent took the outer headers off and delivered the packet.
    Decapsulated = 17, "decapsulated", Pass;
    /// Not a tunnelled packet for this host: the agent left it alone.
    NotTunnel = 18, "not_tunnel", Pass;
    /// A tunnelled packet whose outer source is in none of the agent's balancer prefixes.
    UnknownBalancer = 19, "unknown_balancer", Drop;
    /// A tunnelled packet whose outer or inner headers are wrong.
    BadTunnel = 20, "bad_tunnel", Drop;
    /// Congestion was marked on the outer header of a packet that does not speak ECN (RFC 6040, 4.2).
    EcnNotCapable = 21, "ecn_not_capable", Drop;
}

/// How many reasons there are.
#[expect(clippy::cast_possible_truncation, reason = "a few dozen")]
pub const REASONS: u32 = Reason::ALL.len() as u32;

const _: () = {
    let mut i = 0;
    while i < Reason::ALL.len() {
        assert!(Reason::ALL[i] as usize == i, "numbers of reasons are dense");
        i += 1;
    }
};
