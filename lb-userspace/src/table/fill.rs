//! Weighted Maglev (Eisenbud et al., NSDI 2016), from nothing or from a running table.
//!
//! Each member walks its own permutation of the slots and, whenever it is its turn, takes the first slot that is free
//! to take. Turns are ordered by `(slots owned + 1) / weight`, a number that depends on no other member, so that one
//! member more or less shifts nobody else's turns. Each has exactly as many turns as its quota says.

use lb_common::abi::{BackendId, MAX_BACKENDS, SLOTS};

use super::identity::Permutation;
use super::quota::{Claim, quotas};
use super::{Identity, Member, Table};

/// The table that the members have with no history: a pure function of their identities and weights, the same for
/// every order of the members and every numbering of ids.
pub fn maglev(members: &[Member]) -> Table {
    rebalance(&Table::empty(), members)
}

/// The table nearest to `previous` in which every member is within one slot of its share. Only slots of owners that
/// are gone or above their share move; all others stay where they are. A member without an id, or with an id that
/// another has too, is left out.
pub fn rebalance(previous: &Table, members: &[Member]) -> Table {
    let members = in_hash_order(members);

    let mut owned = vec![0; MAX_BACKENDS as usize];
    previous.owners().for_each(|owner| owned[index(owner)] += 1);
    let claims: Vec<Claim> = members
        .iter()
        .map(|(_, _, member)| Claim { weight: member.weight, owned: owned[index(member.id)] })
        .collect();
    let quotas = quotas(&claims);
    if quotas.iter().all(|&quota| quota == 0) {
        return Table::empty();
    }

    // What is not a quota is up for taking: all of an owner that is gone, the surplus of one that stays.
    let mut surplus = owned;
    let mut takers = Vec::new();
    for ((_, identity, member), (claim, &quota)) in members.iter().zip(claims.iter().zip(&quotas)) {
        surplus[index(member.id)] = claim.owned.saturating_sub(quota);
        if claim.owned < quota {
            takers.push(Taker {
                id: member.id,
                weight: member.weight,
                turns: claim.owned..quota,
                walk: identity.permutation(),
            });
        }
    }
    take(previous, surplus, takers)
}

/// The members in an order that is the same on every node.
fn in_hash_order(members: &[Member]) -> Vec<(u64, Identity, Member)> {
    let mut members: Vec<_> =
        members.iter().map(|&member| (member.identity().hash(), member.identity(), member)).collect();
    members.sort_unstable_by_key(|&(hash, identity, member)| (hash, identity, member.id));
    let mut seen = vec![false; MAX_BACKENDS as usize];
    seen[index(BackendId::NONE)] = true;
    members.retain(|(_, _, member)| !std::mem::replace(&mut seen[index(member.id)], true));
    members
}

/// A member below its quota.
struct Taker {
    id: BackendId,
    weight: u32,
    /// From what it owns up to its quota.
    turns: std::ops::Range<usize>,
    walk: Permutation,
}

/// Lets the takers take in turn. `surplus` is how many slots may be taken from each owner, by id; it adds up to the
/// takers' turns, so every walk ends.
fn take(previous: &Table, mut surplus: Vec<usize>, mut takers: Vec<Taker>) -> Table {
    let mut owners: Vec<BackendId> = previous.owners().collect();
    // One bit per slot: most steps of the walks only ask this, and 8 KiB stay in the first-level cache.
    let mut free = vec![0_u64; SLOTS / 64];
    for (slot, &owner) in owners.iter().enumerate() {
        free[slot / 64] |= u64::from(surplus[index(owner)] > 0) << (slot % 64);
    }
    for taker in turn_order(&takers) {
        let taker = &mut takers[taker];
        loop {
            let slot = taker.walk.step();
            let bit = 1_u64 << (slot % 64);
            if free[slot / 64] & bit == 0 {
                continue;
            }
            free[slot / 64] &= !bit;
            let left = &mut surplus[index(owners[slot])];
            if *left > 0 {
                *left -= 1;
                owners[slot] = taker.id;
                break;
            }
        }
    }
    Table::from_owners(owners).expect("as many owners as before")
}

/// Whose turn it is, from the first turn to the last, as indices into `takers`.
///
/// One integer holds when and who: sorting 65,536 of those is most of the work of a weighted table. The takers stand in
/// the order of their identities' hashes, so ties are the same on every node.
fn turn_order(takers: &[Taker]) -> Vec<usize> {
    const WHO_BITS: u32 = MAX_BACKENDS.ilog2();
    const _: () = assert!(MAX_BACKENDS.is_power_of_two() && SLOTS.ilog2() + 1 + 32 + WHO_BITS < u64::BITS);

    let mut turns: Vec<u64> = Vec::with_capacity(SLOTS);
    for (who, taker) in (0_u64..).zip(takers) {
        let weight = u64::from(taker.weight);
        turns
            .extend(taker.turns.clone().map(|turn| ((((turn as u64 + 1) << 32) / weight) << WHO_BITS) | who));
    }
    turns.sort_unstable();
    let who = |turn: u64| usize::try_from(turn & ((1 << WHO_BITS) - 1)).expect("13 bits");
    turns.into_iter().map(who).collect()
}

fn index(id: BackendId) -> usize {
    id.get() as usize
}
