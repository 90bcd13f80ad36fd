//! Bits of [`super::Egress::flags`].

/// GUE over IPv6: where the inner packet has no checksum to derive the outer one from, send zero (RFC 6935).
pub const ZERO_CHECKSUM: u8 = 1 << 0;
