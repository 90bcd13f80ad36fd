//! The order of steps, on images made by hand.

use crate::control::plan::{plan, undo};
use crate::dataplane::{Image, Log, Step, Variant};

fn image(features: u32) -> Image {
    Image { variant: Variant { seed: 1, features, log: None }, ..Image::default() }
}

#[test]
fn equal_images_need_nothing() {
    assert_eq!(plan(&image(3), &image(3)), []);
}

#[test]
fn a_program_is_widened_first_and_narrowed_last() {
    let only = |steps: Vec<Step>| -> Vec<u32> {
        let features = |step: &Step| match step {
            Step::Variant(variant) => variant.features,
            other => panic!("{other:?}"),
        };
        steps.iter().map(features).collect()
    };
    assert_eq!(only(plan(&image(0b01), &image(0b11))), [0b11]);
    assert_eq!(only(plan(&image(0b11), &image(0b01))), [0b01]);
    assert_eq!(only(plan(&image(0b01), &image(0b10))), [0b11, 0b10]);
}

#[test]
fn a_log_variant_is_one_step_each_way() {
    let log = Some(Log { service: None, rate: 5 });
    let logged = Image { variant: Variant { log, ..image(1).variant }, ..image(1) };
    assert_eq!(plan(&image(1), &logged), [Step::Variant(logged.variant)]);
    assert_eq!(plan(&logged, &image(1)), [Step::Variant(image(1).variant)]);
}

#[test]
fn undoing_tables_waits_before_what_they_named_is_cleared() {
    let steps = [Step::Backend(lb_common::abi::BackendId::NONE, None), Step::Tables(Vec::new())];
    let inverses = undo(&image(0), &steps);
    assert!(matches!(inverses[..], [Step::Tables(_), Step::GracePeriod, Step::Backend(..)]), "{inverses:?}");
}
