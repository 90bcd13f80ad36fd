//! What the tables of fixtures have in common.

use lb_common::abi::global;
use xlb_tests::packets::{Balancer, BalancerHost, Frame, SEED, Scene, Table, forwarded};

/// Runs a table in the kernel, and on the host for the same answers.
pub fn check(scene: &Scene, table: &Table) {
    let host = BalancerHost::new(scene.tables(), global::ALL, SEED);
    table.check("host", |bytes| host.run(bytes));
    let mut kernel = Balancer::standard();
    table.check("kernel", |bytes| kernel.run(bytes));
}

/// A frame that is forwarded as its description says.
pub fn add(table: &mut Table, scene: &Scene, what: &str, service: &str, frame: &Frame) {
    table.add(what, frame.bytes(), forwarded(scene, service, frame));
}

pub fn byte(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    assert_ne!(changed[at], value, "the byte is changed");
    changed[at] = value;
    changed
}

pub fn word(bytes: &[u8], at: usize, value: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let value = u16::try_from(value).expect("16 bits").to_be_bytes();
    assert_ne!(changed[at..at + 2], value, "the word is changed");
    changed[at..at + 2].copy_from_slice(&value);
    changed
}
