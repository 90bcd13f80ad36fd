//! Counts go up, whatever happens to the ids behind the names.

use std::collections::BTreeMap;

use lb_common::abi::{BackendId, Counter};

use super::lab::{Bench, WEB};

/// Traffic: every id that the image knows counts a little more, each at its own pace.
fn traffic(bench: &Bench) {
    let mut state = bench.memory.state();
    let image = state.image.clone();
    let more = |counter: &mut Counter, pace: u64| {
        counter.packets += 10 + pace;
        counter.bytes += (10 + pace) * 100;
    };
    for &id in image.backends.keys() {
        more(state.counters.backends.entry(id).or_default(), u64::from(id.get()));
    }
    for &id in image.service_records.keys() {
        more(state.counters.services.entry(id).or_default(), u64::from(id));
    }
}

fn counts(bench: &mut Bench) -> BTreeMap<String, u64> {
    let stats = bench.stats();
    let backends = stats.backends.into_iter().map(|b| (format!("{}/{}", b.pool, b.backend), b.packets));
    backends.chain(stats.services.into_iter().map(|s| (s.name.to_string(), s.packets))).collect()
}

fn assert_grown(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) {
    for (name, count) in after {
        assert!(before.get(name).is_none_or(|before| before <= count), "{name}: {before:?} to {after:?}");
    }
}

#[test]
fn a_count_begins_at_zero_and_goes_on_over_a_restart() {
    let mut bench = Bench::new(WEB);
    traffic(&bench);
    assert_eq!(counts(&mut bench)["web/a"], 11);
    let mut bench = bench.restart(WEB);
    traffic(&bench);
    assert_eq!(counts(&mut bench)["web/a"], 22);
    bench.add("d", "10.0.0.4").unwrap();
    assert_eq!(counts(&mut bench)["web/d"], 0);
}

#[test]
fn names_that_swap_addresses_keep_their_own_counts() {
    let mut bench = Bench::new(WEB);
    traffic(&bench);
    let before = counts(&mut bench);
    let swapped =
        WEB.replace("10.0.0.1", "10.0.0.x").replace("10.0.0.3", "10.0.0.1").replace("10.0.0.x", "10.0.0.3");
    bench.reload(&swapped).unwrap();
    assert_eq!(counts(&mut bench), before);
    traffic(&bench);
    assert_eq!(counts(&mut bench)["web/a"], before["web/a"] + 13, "counted by the id of 10.0.0.3");
}

#[test]
fn a_name_that_comes_back_goes_on() {
    let mut bench = Bench::new(WEB);
    traffic(&bench);
    let before = counts(&mut bench);
    bench.remove("b").unwrap();
    traffic(&bench);
    bench.add("b", "10.0.0.77").unwrap();
    assert_grown(&before, &counts(&mut bench));
    traffic(&bench);
    bench.remove("b").unwrap();
    bench.add("b", "10.0.0.2").unwrap();
    assert_grown(&before, &counts(&mut bench));
    assert_eq!(counts(&mut bench)["web/b"], 12 + 14);
}

#[test]
fn a_pool_with_another_pools_index_counts_for_itself() {
    let mut bench = Bench::new(WEB);
    traffic(&bench);
    let nothing = "[interfaces.eth0]";
    bench.reload(nothing).unwrap();
    bench.reload(&WEB.replace("web", "shop").replace("10.0.0.1", "10.0.0.11")).unwrap();
    assert_eq!(bench.room.view(&bench.network).pools[0].table, 0);
    let counted = counts(&mut bench);
    assert_eq!((counted["shop/a"], counted["shop/b"]), (0, 0));
}

#[test]
fn a_service_id_with_a_past_starts_at_zero() {
    let mut bench = Bench::new(WEB);
    traffic(&bench);
    let renamed = WEB.replace("[services.http]", "[services.other]");
    bench.reload(&renamed).unwrap();
    assert_eq!(counts(&mut bench)["other"], 0);
    traffic(&bench);
    bench.reload(WEB).unwrap();
    assert_eq!(counts(&mut bench)["http"], 0, "its id has counted before, under another name or its own");
}

#[test]
fn a_reused_backend_id_does_not_inherit() {
    let mut bench = Bench::new(WEB);
    // Nothing is free but what rests.
    {
        let mut state = bench.memory.state();
        let resting = lb_common::abi::BackendRecord {
            state: 2,
            table: 900,
            ..state.image.backend_records[&BackendId::new(1).unwrap()]
        };
        for id in (4..lb_common::abi::MAX_BACKENDS).filter_map(BackendId::new) {
            state.image.backend_records.insert(id, resting);
        }
        state.counters.backends.insert(BackendId::new(4).unwrap(), Counter { packets: 1_000, bytes: 1 });
    }
    bench = bench.restart(WEB);
    bench.add("d", "10.0.0.4").unwrap();
    assert_eq!(bench.backend("d").id, Some(4));
    assert_eq!(counts(&mut bench)["web/d"], 0);
}
