//! Explicit congestion notification through a tunnel (RFC 6040).

use crate::Reason;

/// The two lowest bits of `ToS` or traffic class.
const MASK: u8 = 0b11;
/// The sender does not speak ECN.
const NOT_CAPABLE: u8 = 0b00;
/// Capable, second codepoint; also a weaker congestion mark (RFC 6040, 4.2).
const CAPABLE_1: u8 = 0b01;
/// Capable, first codepoint.
const CAPABLE_0: u8 = 0b10;
/// Congestion experienced.
const CONGESTION: u8 = 0b11;

/// The inner `ToS` or traffic class after the tunnel's end, from those of both headers (figure 4). Congestion that the
/// inner packet's sender would not understand is told it by a loss.
#[inline(always)]
pub const fn decapsulated(outer: u8, inner: u8) -> Result<u8, Reason> {
    match (inner & MASK, outer & MASK) {
        (NOT_CAPABLE, CONGESTION) => Err(Reason::EcnNotCapable),
        (CAPABLE_0 | CAPABLE_1, CONGESTION) => Ok(inner | CONGESTION),
        (CAPABLE_0, CAPABLE_1) => Ok(inner & !MASK | CAPABLE_1),
        _ => Ok(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decapsulation_follows_figure_4() {
        // Rows: inner Not-ECT, ECT(1), ECT(0), CE. Columns: the outer codepoints in the same order of their bits.
        let table = [[0, 0, 0, 9], [1, 1, 1, 3], [2, 1, 2, 3], [3, 3, 3, 3]];
        for (inner, row) in (0_u8..).zip(table) {
            for (outer, expected) in (0_u8..).zip(row) {
                let result = decapsulated(0xa8 | outer, 0x64 | inner);
                let expected = if expected == 9 { Err(Reason::EcnNotCapable) } else { Ok(0x64 | expected) };
                assert_eq!(result, expected, "inner {inner:02b}, outer {outer:02b}");
            }
        }
    }
}
