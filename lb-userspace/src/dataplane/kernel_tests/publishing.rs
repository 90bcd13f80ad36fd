//! Writing an image, reading it back, and what packets see meanwhile.

use std::thread;
use std::time::{Duration, Instant};

use lb_common::Reason;
use lb_common::abi::{Backend, Egress, Service, ServiceKey4, global, map};
use lb_common::wire::Be16;

use super::lab::{XDP_PASS, XDP_TX, apply, egress, entry, example, id, in_lab, open, owned_by, run, steps};
use super::slow_reader::SlowReader;
use crate::dataplane::{Dataplane, Image, Log, Step, Variant};

#[test]
fn an_image_reads_back_as_it_was_written() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        assert_eq!(kernel.read().unwrap(), Image::default());
        apply(&mut kernel, &steps(&example()));
        assert_eq!(kernel.read().unwrap(), example());
    });
}

#[test]
fn what_is_removed_reads_back_as_nothing() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let image = example();
        apply(&mut kernel, &steps(&image));
        let mut undo: Vec<Step> = Vec::new();
        undo.extend(image.services4.keys().map(|key| Step::Service4(*key, None)));
        undo.extend(image.services6.keys().map(|key| Step::Service6(*key, None)));
        undo.extend(image.prefixes4.keys().map(|key| Step::Prefix4(*key, None)));
        undo.extend(image.prefixes6.keys().map(|key| Step::Prefix6(*key, None)));
        undo.push(Step::Tables(image.tables.keys().map(|index| (*index, None)).collect()));
        undo.push(Step::GracePeriod);
        undo.extend(image.backends.keys().map(|id| Step::Backend(*id, None)));
        undo.extend(image.backend_records.keys().map(|id| Step::BackendRecord(*id, None)));
        undo.extend(image.pool_records.keys().map(|index| Step::PoolRecord(*index, None)));
        undo.extend(image.service_records.keys().map(|id| Step::ServiceRecord(*id, None)));
        undo.extend(
            image.devices.iter().map(|index| Step::Device(*index, crate::dataplane::Presence::Absent)),
        );
        undo.push(Step::Variant(Variant::default()));
        undo.push(Step::Generation(0));
        // Twice: removing what is gone is no error.
        apply(&mut kernel, &undo);
        apply(&mut kernel, &undo);
        assert_eq!(kernel.read().unwrap(), Image::default());
    });
}

#[test]
fn a_swapped_table_is_what_the_next_packet_sees() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        for (owner, byte) in [(1, 0xa1), (2, 0xa2), (1, 0xa1)] {
            apply(&mut kernel, &[Step::Tables(vec![(5, Some(owned_by(id(owner)))), (17, None)])]);
            let (verdict, frame) = run(kernel.program().unwrap());
            assert_eq!((verdict, &frame[..6]), (XDP_TX, &[byte; 6][..]), "backend {owner}");
        }
    });
}

#[test]
fn a_step_that_fails_leaves_every_table_as_it_was() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        let beyond = lb_common::abi::MAX_POOLS;
        let step = Step::Tables(vec![(5, Some(owned_by(id(2)))), (beyond, Some(owned_by(id(2))))]);
        kernel.apply(&step).unwrap_err();
        let step = Step::Tables(vec![(5, Some(owned_by(id(2)))), (17, None), (beyond, None)]);
        kernel.apply(&step).unwrap_err();
        assert_eq!(kernel.read().unwrap(), example());
    });
}

#[test]
fn every_feature_set_loads_and_only_what_is_compiled_in_works() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let image = example();
        apply(&mut kernel, &steps(&image));
        let sets =
            (0..global::ALL.count_ones()).map(|bit| 1 << bit).chain([0, global::ALL, image.variant.features]);
        for features in sets {
            apply(&mut kernel, &[Step::Variant(Variant { features, ..image.variant })]);
            let (verdict, _) = run(kernel.program().unwrap());
            let forwards = features & image.variant.features == image.variant.features;
            if forwards || features & global::IPV4 == 0 {
                assert_eq!(verdict, if forwards { XDP_TX } else { XDP_PASS }, "features {features:#x}");
            }
        }
        assert_eq!(kernel.read().unwrap(), image);
    });
}

#[test]
fn packets_are_counted() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        assert_eq!(kernel.counters().unwrap().reasons.iter().map(|c| c.packets).sum::<u64>(), 0);
        for _ in 0..3 {
            run(kernel.program().unwrap());
        }
        let counters = kernel.counters().unwrap();
        assert_eq!((counters.services[&1].packets, counters.services[&1].bytes), (3, 180));
        assert_eq!((counters.backends[&id(1)].packets, counters.backends.len()), (3, 1));
        assert_eq!(counters.reasons[Reason::Transmitted as usize].packets, 3);
        assert_eq!(counters.reasons.len(), Reason::ALL.len());
    });
}

#[test]
fn the_log_variant_says_what_it_decides_and_is_taken_out_again() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let image = example();
        apply(&mut kernel, &steps(&image));
        let (send, lines) = std::sync::mpsc::channel();
        kernel.log_to(std::sync::Arc::new(move |line: &str| {
            let _ = send.send(line.to_owned());
        }));
        let log = Some(Log { service: None, rate: 100 });
        apply(&mut kernel, &[Step::Variant(Variant { log, ..image.variant })]);
        assert_eq!(kernel.read().unwrap().variant.log, log);
        run(kernel.program().unwrap());
        let line = lines.recv_timeout(Duration::from_secs(5)).expect("a line");
        assert!(!line.is_empty());
        apply(&mut kernel, &[Step::Variant(image.variant)]);
        run(kernel.program().unwrap());
        assert_eq!(kernel.read().unwrap(), image);
        assert!(lines.recv_timeout(Duration::from_millis(100)).is_err(), "the normal variant logs nothing");
    });
}

/// Three entries (with two, each copy would always hold the same one) that differ in their first and their last word
/// are written in turn, while a reader that dawdles between the two words looks for one with halves of both.
#[test]
fn a_rewritten_entry_is_never_seen_half() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let entry = |word| Egress { ifindex: word, checksum: word, ..egress(0) };
        kernel.apply(&Step::Backend(id(1), Some(entry(1)))).unwrap();
        let reader = SlowReader::of_backend(&lab.pins().join(map::BACKENDS), id(1));
        never_torn(&reader, |round| {
            kernel.apply(&Step::Backend(id(1), Some(entry(1 + round % 3)))).unwrap();
        });
    });
}

/// Two services that are removed and added in turn, and changed, while a reader that found the one dawdles: its entry
/// must not become the other's.
#[test]
fn the_entry_of_a_removed_service_is_not_given_away_while_it_is_read() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let image = example();
        let (&key, &service) = image.services4.first_key_value().unwrap();
        let other = ServiceKey4 { port: Be16::new(key.port.get() ^ 1), ..key };
        kernel.apply(&Step::Service4(key, Some(service))).unwrap();
        let reader = SlowReader::of_service(&lab.pins().join(map::SERVICES4), key);
        never_torn(&reader, |round| {
            let mine = Service { id: 2 * round, ..service };
            let others = Service { id: 2 * round + 1, ..service };
            kernel.apply(&Step::Service4(key, None)).unwrap();
            kernel.apply(&Step::Service4(other, Some(others))).unwrap();
            kernel.apply(&Step::Service4(other, None)).unwrap();
            kernel.apply(&Step::Service4(key, Some(mine))).unwrap();
        });
        never_torn(&reader, |round| {
            kernel.apply(&Step::Service4(key, Some(Service { id: round, ..service }))).unwrap();
        });
    });
}

/// Calls `write`, with the number of the call, while `reader` reads, for two seconds.
fn never_torn(reader: &SlowReader, mut write: impl FnMut(u32)) {
    let deadline = Instant::now() + Duration::from_secs(2);
    thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut reads, mut torn) = (0, 0);
            while Instant::now() < deadline {
                torn += reader.torn();
                reads += SlowReader::READS;
            }
            (reads, torn)
        });
        let mut writes = 0;
        while Instant::now() < deadline {
            writes += 1;
            write(writes);
        }
        let (reads, torn) = reading.join().unwrap();
        assert_eq!(torn, 0, "of {reads} reads during {writes} writes");
        assert!(writes > 10 && reads > 1000, "{writes} writes and {reads} reads prove nothing");
    });
}

/// The other half of the promise, without a race: the idle copy is the only one that a write touches.
#[test]
fn a_write_leaves_the_copy_that_was_live_as_it_is() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let mut before = entry(lab, id(1));
        assert_eq!(before, Backend::default());
        for byte in [0x11, 0x22, 0x33] {
            kernel.apply(&Step::Backend(id(1), Some(egress(byte)))).unwrap();
            let after = entry(lab, id(1));
            assert_eq!(after.live, 1 - before.live);
            assert_eq!(after.copies[after.live as usize], egress(byte));
            assert_eq!(after.copies[before.live as usize], before.copies[before.live as usize]);
            assert_eq!(after.epoch, 1);
            before = after;
        }
        kernel.apply(&Step::Backend(id(1), None)).unwrap();
        kernel.apply(&Step::Backend(id(1), Some(egress(0x44)))).unwrap();
        let after = entry(lab, id(1));
        assert_eq!((after.epoch, after.copies[1 - after.live as usize]), (2, Egress::default()));
    });
}
