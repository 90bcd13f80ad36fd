//! The `xlb` binary.

fn main() {}
