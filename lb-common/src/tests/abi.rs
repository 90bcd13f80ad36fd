//! A layout cannot change unless [`ABI_VERSION`] does.

use core::mem::offset_of;
use std::fmt::Write as _;
use std::string::String;

use crate::Reason;
use crate::abi::{
    ABI_VERSION, AgentKey4, AgentKey6, Backend, BackendRecord, Counter, Egress, MAX_BACKENDS, MAX_POOLS,
    MAX_PREFIX_KEYS, MAX_SERVICE_KEYS, MAX_SERVICES, PoolRecord, PrefixKey4, PrefixKey6, SLOTS, Service,
    ServiceKey4, ServiceKey6, ServiceRecord, Slot, State, VlanTag, global, map, mode,
};

/// The digest of each version's layouts. Rows are added, never changed: a daemon adopts maps of its own version.
const DIGESTS: &[(u32, u64)] = &[(1, 0x13cd_7790_01e8_49b5)];

macro_rules! layout {
    ($text:ident, $($name:ident { $($field:ident),* $(,)? })*) => {
        $(
            // A field that is not listed does not compile.
            let _ = |value: $name| { let $name { $($field: _),* } = value; };
            write!($text, "{} {} {}:", stringify!($name), size_of::<$name>(), align_of::<$name>()).unwrap();
            $(write!($text, " {}@{}", stringify!($field), offset_of!($name, $field)).unwrap();)*
            $text.push('\n');
        )*
    };
}

#[test]
fn layout_changes_only_with_the_version() {
    let text = describe();
    let digest = fnv1a(text.as_bytes());
    let row = DIGESTS.iter().find(|(version, _)| *version == ABI_VERSION);
    assert_eq!(
        row,
        Some(&(ABI_VERSION, digest)),
        "the ABI is now\n{text}with the digest {digest:#018x}: raise ABI_VERSION and add a row to DIGESTS"
    );
}

fn describe() -> String {
    let mut text = String::new();
    layout!(text,
        ServiceKey4 { address, port, protocol, kind }
        ServiceKey6 { address, port, protocol, kind }
        PrefixKey4 { prefix_len, protocol, kind, port, address }
        PrefixKey6 { prefix_len, protocol, kind, port, address }
        Service { id, table, source_mask, tuple_mask, flags }
        VlanTag { tpid, tci }
        Egress {
            ifindex, mode, tag_count, flags, source_bits, mtu, gue_port, destination_mac, source_mac, tags,
            outer_source, outer_destination, checksum,
        }
        Backend { live, epoch, copies }
        Counter { packets, bytes }
        State { abi_version, features, generation, seed }
        BackendRecord { state, table, address, family, port, base, carried, name }
        PoolRecord { state, _reserved, name }
        ServiceRecord { state, _reserved, base, carried, name }
        AgentKey4 { prefix_len, address }
        AgentKey6 { prefix_len, address }
    );
    writeln!(text, "Slot {} {SLOTS}", size_of::<Slot>()).unwrap();
    let entries = [MAX_POOLS, MAX_BACKENDS, MAX_SERVICE_KEYS, MAX_PREFIX_KEYS, MAX_SERVICES];
    writeln!(text, "entries {entries:?}").unwrap();
    for reason in Reason::ALL {
        writeln!(text, "reason {} {}", *reason as u32, reason.name()).unwrap();
    }
    let modes = [mode::NONE, mode::IPIP4, mode::IPIP6, mode::GUE4, mode::GUE6, mode::L2, mode::LOCAL];
    writeln!(text, "modes {modes:?}").unwrap();
    let names = [
        map::SERVICES4,
        map::SERVICES6,
        map::PREFIXES4,
        map::PREFIXES6,
        map::TABLES,
        map::BACKENDS,
        map::DEVICES,
        map::SERVICE_COUNTERS,
        map::BACKEND_COUNTERS,
        map::REASONS,
        map::STATE,
        map::BACKEND_RECORDS,
        map::POOL_RECORDS,
        map::SERVICE_RECORDS,
        map::AGENT_SOURCES4,
        map::AGENT_SOURCES6,
        map::AGENT_ADDRESSES,
        global::SEED,
        global::FEATURES,
    ];
    writeln!(text, "names {names:?}").unwrap();
    text
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
