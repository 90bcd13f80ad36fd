//! The promises of both ways to make a table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::abi::{BackendId, SLOTS};
use proptest::prelude::*;

use super::*;

fn id(number: u32) -> BackendId {
    BackendId::new(number).unwrap()
}

/// Backend `n` of a made-up farm, a third of them on IPv6.
fn member(n: u32, weight: u32) -> Member {
    let address = if n % 3 == 2 {
        IpAddr::V6(Ipv6Addr::from((0x2001_0db8_u128 << 96) + u128::from(n)))
    } else {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + n))
    };
    Member { id: id(n + 1), address, port: if n.is_multiple_of(5) { 8080 } else { 0 }, weight }
}

fn farm(count: u32) -> Vec<Member> {
    (0..count).map(|n| member(n, 1)).collect()
}

/// Floor and ceiling of each member's share, by id.
fn bounds(members: &[Member]) -> BTreeMap<BackendId, (u64, u64)> {
    let total: u64 = members.iter().map(|m| u64::from(m.weight)).sum();
    let bounds = |m: &Member| {
        let exact = u64::from(m.weight) * SLOTS as u64;
        exact.checked_div(total).map_or((0, 0), |floor| (floor, exact.div_ceil(total)))
    };
    members.iter().map(|m| (m.id, bounds(m))).collect()
}

fn assert_fair(table: &Table, members: &[Member]) {
    let shares = table.shares();
    let bounds = bounds(members);
    if bounds.values().all(|&(_, ceiling)| ceiling == 0) {
        assert_eq!(shares, BTreeMap::from([(BackendId::NONE, 65_536)]));
        return;
    }
    assert!(shares.keys().all(|owner| bounds.contains_key(owner)), "only members own slots");
    for (id, &(floor, ceiling)) in &bounds {
        let owned = u64::from(shares.get(id).copied().unwrap_or(0));
        assert!((floor..=ceiling).contains(&owned), "{id:?} owns {owned}, its share is {floor} to {ceiling}");
    }
}

/// The fewest moves from `previous` to any table in which every member has its share rounded down or up, counted
/// without the code under test: what gone owners leave, what is above the ceiling, and those among the owners of a
/// ceiling for whom there is no rounding up left.
fn fewest_moves(previous: &Table, members: &[Member]) -> u64 {
    let owned = previous.shares();
    let bounds = bounds(members);
    let gone: u64 = owned.iter().filter(|(id, _)| !bounds.contains_key(id)).map(|(_, &n)| u64::from(n)).sum();
    let spare = SLOTS as u64 - bounds.values().map(|b| b.0).sum::<u64>();
    let (mut above, mut at_ceiling) = (0, 0);
    for (id, &(floor, ceiling)) in &bounds {
        let owned = u64::from(owned.get(id).copied().unwrap_or(0));
        above += owned.saturating_sub(ceiling);
        at_ceiling += u64::from(ceiling > floor && owned >= ceiling);
    }
    gone + above + at_ceiling.saturating_sub(spare)
}

fn moved(from: &Table, to: &Table) -> u64 {
    from.moves(to).values().map(|&count| u64::from(count)).sum()
}

fn slots_of(table: &Table, owner: BackendId) -> usize {
    table.owners().filter(|&o| o == owner).count()
}

/// Slots that changed owner although their owner is still there, as a part of all.
fn disruption(count: u32, removed: usize) -> f64 {
    let before = farm(count);
    let mut after = before.clone();
    let gone = after.remove(removed);
    let (old, new) = (maglev(&before), maglev(&after));
    let moved = moved(&old, &new) - slots_of(&old, gone.id) as u64;
    f64::from(u32::try_from(moved).unwrap()) / 65_536.0
}

#[test]
fn golden_vectors() {
    let five: Vec<Member> = (0..5).map(|n| member(n, n + 1)).collect();
    let table = maglev(&five);
    let first: Vec<u32> = (0..16).map(|slot| table.owner(slot).get()).collect();
    let digest = |members: &[Member]| {
        let known: BTreeMap<_, _> = members.iter().map(|m| (m.id, m.identity())).collect();
        format!("{:016x}", maglev(members).digest(|id| known.get(&id).copied()))
    };
    let hashes: Vec<String> = five.iter().map(|m| format!("{:016x}", m.identity().hash())).collect();
    let text = format!(
        "{first:?}\n{hashes:?}\n5 {}\n1 {}\n100 {}\n1000 {}\n0 {}",
        digest(&five),
        digest(&farm(1)),
        digest(&farm(100)),
        digest(&farm(1_000)),
        digest(&[])
    );
    insta::assert_snapshot!(text, @r#"
    [4, 1, 5, 2, 5, 5, 3, 4, 3, 1, 3, 3, 5, 4, 4, 4]
    ["71a73779b2756907", "0c3ba3f8841110d2", "efd68ac6450b3d0d", "8437b6117415c948", "bb090d796c6fc6a7"]
    5 125c19b86fec76bc
    1 0b67a8bd5c55c6fc
    100 f0488aa4ad22ef3e
    1000 3df27530b8f83dbe
    0 dd53d568b3cc15dd
    "#);
}

#[test]
fn nobody_to_serve_is_a_table_of_nobody() {
    assert_eq!(maglev(&[]), Table::empty());
    assert_eq!(maglev(&[member(0, 0), member(1, 0)]), Table::empty());
    assert_eq!(rebalance(&maglev(&farm(3)), &[]), Table::empty());
}

#[test]
fn the_largest_farm_is_fair() {
    let members = farm(lb_common::abi::MAX_BACKENDS - 1);
    assert_fair(&maglev(&members), &members);
}

#[test]
fn impossible_member_lists_end() {
    let twice = [member(0, 1), Member { weight: 3, ..member(0, 1) }, Member { id: id(1), ..member(7, 2) }];
    assert_eq!(maglev(&twice).shares(), BTreeMap::from([(id(1), 65_536)]));
    assert_eq!(maglev(&[Member { id: BackendId::NONE, ..member(0, 9) }]), Table::empty());
}

#[test]
fn removal_of_one_of_100_leaves_the_others_alone() {
    let worst = (0..100).step_by(19).map(|removed| disruption(100, removed)).fold(0.0, f64::max);
    assert!(worst <= 0.007, "{worst}");
}

#[test]
fn removal_of_one_of_1000_leaves_the_others_alone() {
    let worst = (0..1_000).step_by(199).map(|removed| disruption(1_000, removed)).fold(0.0, f64::max);
    assert!(worst <= 0.008, "{worst}");
}

#[test]
fn equal_tables_have_equal_digests_whatever_the_ids() {
    let here = farm(20);
    let there: Vec<Member> = here.iter().map(|m| Member { id: id(5_000 - m.id.get()), ..*m }).collect();
    let digest = |members: &[Member]| {
        let known: BTreeMap<_, _> = members.iter().map(|m| (m.id, m.identity())).collect();
        maglev(members).digest(|id| known.get(&id).copied())
    };
    assert_eq!(digest(&here), digest(&there));
    assert_ne!(digest(&here), digest(&farm(21)));
    assert_ne!(digest(&here), digest(&here[1..]));
}

#[test]
fn slots_survive_the_way_to_the_kernel_and_back() {
    let table = maglev(&farm(7));
    assert_eq!(Table::from_slots(table.to_slots().as_slice()), Some(table.clone()));
    assert_eq!(Table::from_slots(&table.to_slots()[1..]), None);
    assert!(table.to_slots().iter().all(|slot| slot.current() == slot.previous()));
}

#[test]
fn moves_name_both_ends() {
    let (old, new) = (maglev(&farm(2)), maglev(&farm(1)));
    assert_eq!(old.moves(&new), BTreeMap::from([((id(2), id(1)), 32_768)]));
    assert_eq!(Table::empty().moves(&new), BTreeMap::from([((BackendId::NONE, id(1)), 65_536)]));
    assert_eq!(old.moves(&old), BTreeMap::new());
}

fn weights() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 1_u32..=4, 2 => 0_u32..=65_535, 1 => Just(0), 1 => Just(65_535), 1 => Just(u32::MAX)]
}

fn members(most: usize) -> impl Strategy<Value = Vec<Member>> {
    proptest::collection::btree_map(0_u32..300, weights(), 0..most)
        .prop_map(|farm| farm.into_iter().map(|(n, weight)| member(n, weight)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn maglev_is_fair(members in members(120)) {
        assert_fair(&maglev(&members), &members);
    }

    #[test]
    fn maglev_ignores_order_and_ids(
        (sorted, shuffled) in members(40).prop_flat_map(|m| (Just(m.clone()), Just(m).prop_shuffle()))
    ) {
        let table = maglev(&sorted);
        prop_assert_eq!(&table, &maglev(&shuffled));
        let renumbered = |old: BackendId| if old == BackendId::NONE { old } else { id(4_000 - old.get()) };
        let others: Vec<Member> = shuffled.iter().map(|m| Member { id: renumbered(m.id), ..*m }).collect();
        let expected = Table::from_owners(table.owners().map(renumbered).collect()).unwrap();
        prop_assert_eq!(maglev(&others), expected);
    }

    #[test]
    fn rebalance_moves_what_it_must_and_no_more(history in proptest::collection::vec(members(40), 2..5)) {
        let mut table = maglev(&history[0]);
        for members in &history[1..] {
            let next = rebalance(&table, members);
            assert_fair(&next, members);
            if members.iter().any(|m| m.weight > 0) {
                prop_assert_eq!(moved(&table, &next), fewest_moves(&table, members));
            }
            prop_assert_eq!(moved(&next, &rebalance(&next, members)), 0);
            table = next;
        }
    }

    #[test]
    fn rebalance_takes_only_from_the_gone_and_from_those_who_lose(
        before in members(40), after in members(40)
    ) {
        let table = maglev(&before);
        let next = rebalance(&table, &after);
        let (had, has) = (table.shares(), next.shares());
        let givers: BTreeSet<_> = table.moves(&next).into_keys().map(|(from, _)| from).collect();
        for giver in givers {
            prop_assert!(has.get(&giver).unwrap_or(&0) < &had[&giver], "{:?} gave and took", giver);
        }
    }
}
