//! The Internet checksum (RFC 1071), computed from what is already known.
//!
//! Sums are of 16-bit words as the CPU loads them: the one's-complement sum does not care about byte order, as long as
//! its result is stored the way its words were loaded.

use crate::wire::{Address, Be16};

/// Folds a sum of 16-bit words to 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "two folds leave nothing above 16 bits")]
pub const fn fold(sum: u32) -> u16 {
    let once = (sum & 0xffff) + (sum >> 16);
    (once + (once >> 16)) as u16
}

/// Folds a sum of 32-bit words to 16 bits.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "two folds leave nothing above 32 bits")]
pub const fn fold_words(sum: u64) -> u16 {
    let once = (sum & 0xffff_ffff) + (sum >> 32);
    fold((once + (once >> 32)) as u32)
}

/// The sum of an address's words.
#[inline(always)]
pub const fn words(address: &Address) -> u64 {
    address[0].raw() as u64 + address[1].raw() as u64 + address[2].raw() as u64 + address[3].raw() as u64
}

/// The checksum after one of the words it covers has changed (RFC 1624, equation 3).
#[inline(always)]
pub const fn replace(checksum: Be16, old: Be16, new: Be16) -> Be16 {
    let sum = (!checksum.raw()) as u32 + (!old.raw()) as u32 + new.raw() as u32;
    Be16::from_raw(!fold(sum))
}
