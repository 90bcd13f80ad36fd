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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Folding 32-bit words gives what adding 16-bit words one by one gives.
        #[test]
        fn folds_agree_with_a_word_by_word_sum(words in prop::collection::vec(any::<u32>(), 0..40)) {
            let slow = words.iter().flat_map(|word| [word & 0xffff, word >> 16]).fold(0_u32, |sum, half| {
                let sum = sum + half;
                (sum & 0xffff) + (sum >> 16)
            });
            let fast = fold_words(words.iter().map(|word| u64::from(*word)).sum());
            prop_assert_eq!(u32::from(fast), slow);
        }

        /// Changing a word and its checksum gives the checksum of the changed words.
        #[test]
        fn replacing_agrees_with_summing_anew(mut words in prop::collection::vec(1_u16.., 2..20), new in any::<u16>()) {
            let sum = |words: &[u16]| !fold(words.iter().map(|word| u32::from(*word)).sum());
            let before = sum(&words);
            let old = core::mem::replace(&mut words[0], new);
            let replaced = replace(Be16::from_raw(before), Be16::from_raw(old), Be16::from_raw(new));
            prop_assert_eq!(replaced.raw(), sum(&words));
        }
    }
}
