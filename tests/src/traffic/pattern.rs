//! The bytes of downloads and uploads: both ends know what stands at each offset, so a byte that is lost, doubled or
//! from somewhere else is seen.

use std::sync::LazyLock;

/// A prime, so that no offset that is a power of two or a number of segments away looks the same.
const PERIOD: usize = 65_521;

static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x2545_f491_u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(PERIOD).collect()
});

/// The bytes from `offset`: at most `most`, at least one.
pub fn at(offset: u64, most: usize) -> &'static [u8] {
    let start = place(offset);
    let end = PERIOD.min(start.saturating_add(most.max(1)));
    &PATTERN[start..end]
}

/// How many of `bytes`, which came from `offset` on, are right before the first wrong one.
pub fn right(offset: u64, bytes: &[u8]) -> usize {
    let mut seen = 0;
    while seen < bytes.len() {
        let expected = at(offset + seen as u64, bytes.len() - seen);
        let actual = &bytes[seen..seen + expected.len()];
        if expected != actual {
            // Slices are compared whole as long as they are equal: byte by byte is slow where many megabytes flow.
            return seen + expected.iter().zip(actual).take_while(|(a, b)| a == b).count();
        }
        seen += expected.len();
    }
    seen
}

fn place(offset: u64) -> usize {
    usize::try_from(offset % PERIOD as u64).expect("below the period")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            bytes.extend(at(offset + bytes.len() as u64, length - bytes.len()));
        }
        bytes
    }

    #[test]
    fn is_right_across_the_period() {
        let offset = PERIOD as u64 - 10;
        assert_eq!(right(offset, &take(offset, 200_000)), 200_000);
    }

    #[test]
    fn sees_a_wrong_byte_and_a_lost_one() {
        let mut bytes = take(7, 100_000);
        bytes[70_000] ^= 1;
        assert_eq!(right(7, &bytes), 70_000);
        let mut bytes = take(7, 100_000);
        bytes.remove(500);
        assert!((500..520).contains(&right(7, &bytes)));
    }
}
