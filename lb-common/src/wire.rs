//! Integers in network byte order.
//!
//! Wire order lives only in these two types: a value leaves them through [`Be16::get`] or [`Be32::get`] and nowhere
//! else is a byte swapped.

/// A 16-bit integer as it stands on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Be16(u16);

impl Be16 {
    /// The wire form of `host`.
    #[inline(always)]
    pub const fn new(host: u16) -> Self {
        Self(host.to_be())
    }

    /// The value in host order.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        u16::from_be(self.0)
    }

    /// The 16 bits as the CPU loads them, without a swap: for hashes and checksums, which do not care.
    #[inline(always)]
    pub const fn raw(self) -> u16 {
        self.0
    }

    /// The inverse of [`Be16::raw`].
    #[inline(always)]
    pub const fn from_raw(raw: u16) -> Self {
        Self(raw)
    }
}

impl core::fmt::Debug for Be16 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.get())
    }
}

/// A 32-bit integer as it stands on the wire.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Be32(u32);

impl Be32 {
    /// The wire form of `host`.
    #[inline(always)]
    pub const fn new(host: u32) -> Self {
        Self(host.to_be())
    }

    /// The value in host order.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        u32::from_be(self.0)
    }

    /// The 32 bits as the CPU loads them, without a swap: for hashes and checksums, which do not care.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.0
    }

    /// The inverse of [`Be32::raw`].
    #[inline(always)]
    pub const fn from_raw(raw: u32) -> Self {
        Self(raw)
    }
}

impl core::fmt::Debug for Be32 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#010x}", self.get())
    }
}

/// An address in wire order, one shape for both families: IPv4 stands in word 0 and the rest is zero.
///
/// Which family it is follows from where it stands (the map, the [`crate::abi::mode`]), never from its value.
pub type Address = [Be32; 4];

/// An IPv4 address in the shape of [`Address`].
pub const fn address4(octets: [u8; 4]) -> Address {
    [Be32::from_raw(u32::from_ne_bytes(octets)), Be32::from_raw(0), Be32::from_raw(0), Be32::from_raw(0)]
}

/// An IPv6 address in the shape of [`Address`].
pub const fn address6(o: [u8; 16]) -> Address {
    [
        Be32::from_raw(u32::from_ne_bytes([o[0], o[1], o[2], o[3]])),
        Be32::from_raw(u32::from_ne_bytes([o[4], o[5], o[6], o[7]])),
        Be32::from_raw(u32::from_ne_bytes([o[8], o[9], o[10], o[11]])),
        Be32::from_raw(u32::from_ne_bytes([o[12], o[13], o[14], o[15]])),
    ]
}
