//! Interfaces: native and generic, occupied, refusing, gone and come again.

use nix::net::if_::if_nametoindex;

use super::lab::{apply, example, in_lab, open, remove, steps, veth, veth_with_mtu};
use crate::config::model::AttachMode;
use crate::dataplane::ethtool::{self, State};
use crate::dataplane::rtlink::{self, OnInterface};
use crate::dataplane::{Dataplane, Error, Step, Variant, attach_pass};

#[test]
fn attaching_again_keeps_the_link_and_detaching_leaves_nothing() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        let first = kernel.attach("near", AttachMode::Native).unwrap();
        assert_eq!(kernel.attach("near", AttachMode::Native).unwrap(), first);
        assert_eq!(kernel.attachments().unwrap(), std::slice::from_ref(&first));
        assert_eq!(
            running("near"),
            Some(OnInterface { mode: Some(AttachMode::Native), program_id: first.program_id })
        );
        kernel.detach("near").unwrap();
        kernel.detach("near").unwrap();
        assert_eq!(kernel.attachments().unwrap(), []);
        assert_eq!(running("near"), None);
    });
}

#[test]
fn a_new_variant_is_swapped_in_everywhere() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        apply(&mut kernel, &steps(&example()));
        kernel.attach("near", AttachMode::Native).unwrap();
        kernel.attach("far", AttachMode::Generic).unwrap();
        let before = kernel.attachments().unwrap();
        let variant = Variant { features: lb_common::abi::global::ALL, ..example().variant };
        kernel.apply(&Step::Variant(variant)).unwrap();
        let after = kernel.attachments().unwrap();
        assert_eq!(after.len(), 2);
        assert_eq!(after[0].program_id, after[1].program_id);
        assert_ne!(after[0].program_id, before[0].program_id);
        assert_eq!((after[0].mode, after[1].mode), (before[0].mode, before[1].mode));
        assert_eq!(running("near").unwrap().program_id, after[0].program_id);
    });
}

#[test]
fn an_interface_that_is_not_there_is_named() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let error = kernel.attach("nowhere", AttachMode::Native).unwrap_err();
        assert!(matches!(error, Error::NoInterface(name) if name == "nowhere"));
    });
}

#[test]
fn somebody_elses_program_is_left_alone_and_named() {
    in_lab(|lab| {
        veth("near", "far");
        let theirs = attach_pass("near").unwrap();
        let there = running("near").unwrap();
        let mut kernel = open(&lab.pins());
        for mode in [AttachMode::Native, AttachMode::Generic] {
            let error = kernel.attach("near", mode).unwrap_err();
            assert!(
                matches!(&error, Error::Occupied { name, id, .. } if name == "pass" && *id == there.program_id),
                "{error}"
            );
        }
        assert_eq!(running("near"), Some(there));
        drop(theirs);
        kernel.attach("near", AttachMode::Native).unwrap();
    });
}

#[test]
fn a_driver_without_native_mode_is_an_error_and_not_generic() {
    in_lab(|lab| {
        let mut kernel = open(&lab.pins());
        let error = kernel.attach("lo", AttachMode::Native).unwrap_err();
        assert!(matches!(&error, Error::NoNative { interface, .. } if interface == "lo"), "{error}");
        assert!(error.to_string().contains("native mode"), "the kernel's words are in {error}");
        assert_eq!(running("lo"), None);
        // The kernel says why, not only that: a frame of this size does not fit one page.
        veth_with_mtu("near", "far", 9000);
        let error = kernel.attach("near", AttachMode::Native).unwrap_err().to_string();
        assert!(error.contains("MTU is too large"), "{error}");
        assert_eq!(running("near"), None);
        kernel.attach("near", AttachMode::Generic).unwrap();
    });
}

#[test]
fn generic_mode_turns_gro_off_and_a_later_process_restores_it() {
    in_lab(|lab| {
        veth("near", "far");
        ethtool::set("near", ethtool::Feature::Gro, State::On).unwrap();
        let mut kernel = open(&lab.pins());
        kernel.attach("near", AttachMode::Generic).unwrap();
        assert_eq!(ethtool::offloads("near").unwrap().gro, State::Off);
        kernel.attach("near", AttachMode::Generic).unwrap();
        drop(kernel);
        let mut kernel = open(&lab.pins());
        assert_eq!(ethtool::offloads("near").unwrap().gro, State::Off);
        kernel.detach("near").unwrap();
        assert_eq!(ethtool::offloads("near").unwrap().gro, State::On);
    });
}

#[test]
fn offloads_that_were_off_stay_off() {
    in_lab(|lab| {
        veth("near", "far");
        ethtool::set("near", ethtool::Feature::Gro, State::Off).unwrap();
        let mut kernel = open(&lab.pins());
        kernel.attach("near", AttachMode::Generic).unwrap();
        kernel.detach("near").unwrap();
        assert_eq!(ethtool::offloads("near").unwrap().gro, State::Off);
    });
}

#[test]
fn the_mode_of_a_running_interface_can_change() {
    in_lab(|lab| {
        veth("near", "far");
        ethtool::set("near", ethtool::Feature::Gro, State::On).unwrap();
        let mut kernel = open(&lab.pins());
        for mode in [AttachMode::Native, AttachMode::Generic, AttachMode::Native] {
            assert_eq!(kernel.attach("near", mode).unwrap().mode, mode);
            assert_eq!(running("near").unwrap().mode, Some(mode));
            assert_eq!(kernel.attachments().unwrap().len(), 1);
        }
        // Loopback takes generic only: what was there before is there again.
        kernel.attach("lo", AttachMode::Generic).unwrap();
        assert!(matches!(kernel.attach("lo", AttachMode::Native), Err(Error::NoNative { .. })));
        assert_eq!(running("lo").unwrap().mode, Some(AttachMode::Generic));
    });
}

#[test]
fn a_nic_that_is_created_again_is_attached_again() {
    in_lab(|lab| {
        veth("near", "far");
        let mut kernel = open(&lab.pins());
        let old = kernel.attach("near", AttachMode::Generic).unwrap();
        remove("near");
        assert_eq!(kernel.attachments().unwrap(), []);
        assert!(matches!(kernel.attach("near", AttachMode::Native), Err(Error::NoInterface(_))));
        veth("near", "far");
        let new = kernel.attach("near", AttachMode::Native).unwrap();
        assert_ne!(new.ifindex, old.ifindex);
        assert_eq!(kernel.attachments().unwrap(), [new]);
        // Also when nobody looked in between, and the new one has the old one's ifindex.
        remove("near");
        veth("near", "far");
        drop(kernel);
        let mut kernel = open(&lab.pins());
        assert_eq!(kernel.attachments().unwrap(), []);
        kernel.attach("near", AttachMode::Native).unwrap();
        assert_eq!(kernel.attachments().unwrap().len(), 1);
    });
}

fn running(interface: &str) -> Option<OnInterface> {
    rtlink::attached(if_nametoindex(interface).unwrap()).unwrap()
}
