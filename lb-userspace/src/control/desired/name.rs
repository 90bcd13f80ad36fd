//! Names as they stand in pinned records.

use lb_common::abi;

use crate::config::model::Name;

/// A name, padded with zero bytes.
pub fn padded(name: &Name) -> abi::Name {
    let mut padded = [0; abi::MAX_NAME];
    let bytes = name.as_str().as_bytes();
    padded[..bytes.len()].copy_from_slice(bytes);
    padded
}

/// The name in a record; `None` when it holds none.
pub fn text(padded: &abi::Name) -> Option<Name> {
    let end = padded.iter().position(|&byte| byte == 0).unwrap_or(padded.len());
    std::str::from_utf8(&padded[..end]).ok()?.parse().ok()
}
