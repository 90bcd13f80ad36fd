//! How many slots each member is to own.
//!
//! A share is `weight / sum of weights * SLOTS`, seldom a whole number. Every member gets it rounded down or up, and
//! the roundings add up to [`SLOTS`]. Who is rounded up matters to a running table: a member that already owns the
//! slot in question keeps it, so that nothing moves for the sake of arithmetic.

use lb_common::abi::SLOTS;

/// What one member brings to the apportionment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// Its weight.
    pub weight: u32,
    /// How many slots it owns now.
    pub owned: usize,
}

/// The quota of each claim, in their order. Ties go to the earlier claim. All zero when all weights are.
pub(super) fn quotas(claims: &[Claim]) -> Vec<usize> {
    let total: u64 = claims.iter().map(|claim| u64::from(claim.weight)).sum();
    if total == 0 {
        return vec![0; claims.len()];
    }
    let exact = |claim: &Claim| u64::from(claim.weight) * SLOTS as u64;
    let mut quotas: Vec<usize> =
        claims.iter().map(|claim| usize::try_from(exact(claim) / total).expect("at most SLOTS")).collect();
    let spare = SLOTS - quotas.iter().sum::<usize>();

    let mut by_need: Vec<usize> = (0..claims.len()).filter(|&i| exact(&claims[i]) % total > 0).collect();
    by_need.sort_by_key(|&i| {
        let would_lose_one = claims[i].owned > quotas[i];
        std::cmp::Reverse((would_lose_one, exact(&claims[i]) % total))
    });
    for i in by_need.into_iter().take(spare) {
        quotas[i] += 1;
    }
    quotas
}
