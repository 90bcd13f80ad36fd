//! Opening a pin directory: fresh, adopted, half there, somebody else's.

use std::fs;

use aya::maps::MapData;
use aya::programs::Xdp;
use lb_common::abi::{ABI_VERSION, Backend, State, map};
use nix::sched::{CloneFlags, setns, unshare};

use super::lab::{XDP_TX, apply, example, in_lab, open, run, steps, veth};
use crate::config::model::AttachMode;
use crate::dataplane::{Dataplane, Error, Image, Kernel, remove_all};

#[test]
fn a_second_process_adopts_what_it_finds() {
    in_lab(|lab| {
        veth("near", "far");
        let mut first = open(&lab.pins());
        apply(&mut first, &steps(&example()));
        let attached = first.attach("near", AttachMode::Native).unwrap();
        drop(first);

        let mut second = open(&lab.pins());
        assert_eq!(second.read().unwrap(), example());
        let found = second.attachments().unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].interface, found[0].mode), (&attached.interface, attached.mode));
        assert_ne!(found[0].program_id, attached.program_id, "this build's program replaces the one before");
        assert_eq!(run(second.program().unwrap()).0, XDP_TX);
        // Written by another process a moment ago: the same entry again is a wait, not an error.
        apply(&mut second, &steps(&example()));
    });
}

#[test]
fn packets_are_forwarded_while_no_process_is_there() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        let id = kernel.attach("near", AttachMode::Native).unwrap().program_id;
        drop(kernel);
        let running =
            crate::dataplane::rtlink::attached(nix::net::if_::if_nametoindex("near").unwrap()).unwrap();
        assert_eq!(running.unwrap().program_id, id);
    });
}

#[test]
fn two_processes_exclude_each_other_and_the_second_says_who_is_there() {
    in_lab(|lab| {
        let kernel = open(&lab.pins());
        let error = Kernel::open(&lab.pins()).err().unwrap();
        assert!(matches!(&error, Error::Busy { .. }), "{error}");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        assert!(matches!(remove_all(&lab.pins()), Err(Error::Busy { .. })));
        drop(kernel);
        open(&lab.pins());
    });
}

#[test]
fn maps_of_another_abi_are_refused() {
    in_lab(|lab| {
        let kernel = open(&lab.pins());
        drop(kernel);
        let data = MapData::from_pin(lab.pins().join(map::STATE)).unwrap();
        let mut state: aya::maps::Array<_, State> = aya::maps::Map::Array(data).try_into().unwrap();
        state.set(0, State { abi_version: ABI_VERSION + 1, ..State::default() }, 0).unwrap();
        let error = Kernel::open(&lab.pins()).err().unwrap();
        assert!(
            matches!(error, Error::AbiMismatch { found, wanted: ABI_VERSION, .. } if found == ABI_VERSION + 1)
        );
        assert_eq!(remove_all(&lab.pins()).unwrap(), Vec::<String>::new());
        open(&lab.pins());
    });
}

#[test]
fn a_map_of_another_shape_is_refused_by_name() {
    in_lab(|lab| {
        drop(open(&lab.pins()));
        let pin = lab.pins().join(map::BACKENDS);
        fs::remove_file(&pin).unwrap();
        let size = u32::try_from(size_of::<Backend>()).unwrap();
        let small = aya_obj::Map::new_from_params(2, 4, size, 16, 0);
        MapData::create(small, "BACKENDS", None).unwrap().pin(&pin).unwrap();
        let error = Kernel::open(&lab.pins()).err().unwrap();
        assert!(matches!(&error, Error::Shape { map, .. } if map.ends_with("/BACKENDS")), "{error}");
        assert!(error.to_string().contains("16 entries"), "{error}");
    });
}

#[test]
fn a_start_that_was_cut_off_between_two_pins_is_finished() {
    in_lab(|lab| {
        drop(open(&lab.pins()));
        for name in [map::STATE, map::TABLES, map::REASONS] {
            fs::remove_file(lab.pins().join(name)).unwrap();
        }
        let mut kernel = open(&lab.pins());
        assert_eq!(kernel.read().unwrap(), Image::default());
        apply(&mut kernel, &steps(&example()));
        assert_eq!(kernel.read().unwrap(), example());
    });
}

#[test]
fn a_map_that_vanished_under_a_running_program_is_refused() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        kernel.attach("near", AttachMode::Native).unwrap();
        drop(kernel);
        fs::remove_file(lab.pins().join(map::TABLES)).unwrap();
        assert!(matches!(Kernel::open(&lab.pins()), Err(Error::Missing { .. })));
        assert_eq!(remove_all(&lab.pins()).unwrap(), ["near"]);
    });
}

#[test]
fn links_of_another_network_namespace_are_left_alone() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        let attached = kernel.attach("near", AttachMode::Native).unwrap();
        drop(kernel);
        let here = fs::File::open("/proc/thread-self/ns/net").unwrap();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert!(matches!(Kernel::open(&lab.pins()), Err(Error::Elsewhere { .. })));
        assert!(matches!(remove_all(&lab.pins()), Err(Error::Elsewhere { .. })));
        setns(&here, CloneFlags::CLONE_NEWNET).unwrap();
        let running = crate::dataplane::rtlink::attached(attached.ifindex).unwrap().unwrap();
        assert_eq!(running.program_id, attached.program_id);
    });
}

#[test]
fn removing_everything_leaves_no_pin_and_no_program() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        kernel.attach("near", AttachMode::Native).unwrap();
        kernel.attach("far", AttachMode::Generic).unwrap();
        let mut names = kernel.remove_all().unwrap();
        names.sort();
        assert_eq!(names, ["far", "near"]);
        assert!(!lab.pins().exists());
        for name in names {
            let index = nix::net::if_::if_nametoindex(name.as_str()).unwrap();
            assert_eq!(crate::dataplane::rtlink::attached(index).unwrap(), None);
        }
        assert_eq!(remove_all(&lab.pins()).unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_failed_load_keeps_the_program_before() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        let id = |xdp: &mut Xdp| xdp.info().unwrap().id();
        let before = id(kernel.program().unwrap());
        // The load opens the pinned maps; one of another kind does not verify.
        let pin = lab.pins().join(map::BACKENDS);
        fs::remove_file(&pin).unwrap();
        let wrong = aya_obj::Map::new_from_params(2, 4, 4, 1, 0);
        MapData::create(wrong, "BACKENDS", None).unwrap().pin(&pin).unwrap();
        let variant = crate::dataplane::Variant { seed: 1, ..example().variant };
        let error = kernel.apply(&crate::dataplane::Step::Variant(variant)).unwrap_err();
        assert!(matches!(error, Error::Load { .. }), "{error}");
        assert_eq!(id(kernel.program().unwrap()), before);
        assert_eq!(run(kernel.program().unwrap()).0, XDP_TX);
    });
}
