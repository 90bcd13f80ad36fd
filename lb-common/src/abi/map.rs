//! Names of the maps, as they stand in the object file and under the pin directory.

/// `HASH<ServiceKey4, Service>`: exact and any-port services, and address markers.
pub const SERVICES4: &str = "SERVICES4";
/// `HASH<ServiceKey6, Service>`.
pub const SERVICES6: &str = "SERVICES6";
/// `LPM_TRIE<PrefixKey4, Service>`: services on a prefix of addresses.
pub const PREFIXES4: &str = "PREFIXES4";
/// `LPM_TRIE<PrefixKey6, Service>`.
pub const PREFIXES6: &str = "PREFIXES6";
/// `ARRAY_OF_MAPS<ARRAY<[Slot; SLOTS], 1>>`, indexed by [`super::Service::table`].
pub const TABLES: &str = "TABLES";
/// `ARRAY<Backend>`, indexed by [`super::BackendId`].
pub const BACKENDS: &str = "BACKENDS";
/// `DEVMAP_HASH<u32, u32>`: ifindex to itself.
pub const DEVICES: &str = "DEVICES";
/// `PERCPU_ARRAY<Counter>`, indexed by [`super::Service::id`].
pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
/// `PERCPU_ARRAY<Counter>`, indexed by [`super::BackendId`].
pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";
/// `PERCPU_ARRAY<Counter>`, indexed by [`crate::Reason`].
pub const REASONS: &str = "REASONS";
/// `ARRAY<State, 1>`: what the daemon must know about the maps before it adopts them.
pub const STATE: &str = "STATE";
/// `ARRAY<BackendRecord>`, indexed by [`super::BackendId`]: who owns which id.
pub const BACKEND_RECORDS: &str = "BACKEND_RECORDS";
/// `ARRAY<PoolRecord>`, indexed by [`super::Service::table`].
pub const POOL_RECORDS: &str = "POOL_RECORDS";
/// `ARRAY<ServiceRecord>`, indexed by [`super::Service::id`].
pub const SERVICE_RECORDS: &str = "SERVICE_RECORDS";
/// `LPM_TRIE<AgentKey4, u32>`: outer sources the agent accepts.
pub const AGENT_SOURCES4: &str = "AGENT_SOURCES4";
/// `LPM_TRIE<AgentKey6, u32>`.
pub const AGENT_SOURCES6: &str = "AGENT_SOURCES6";
/// `HASH<Address, u32>`: this host's addresses, which outer packets must be addressed to (IPv4 in word 0; the
/// value is the family, 4 or 6).
pub const AGENT_ADDRESSES: &str = "AGENT_ADDRESSES";
