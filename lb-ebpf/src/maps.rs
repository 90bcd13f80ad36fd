//! The maps, and the packet logic's view of them. Names, types and sizes are `lb_common::abi`'s.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, ArrayOfMaps, DevMapHash, HashMap, LpmTrie, PerCpuArray};
use aya_ebpf::macros::btf_map;
use lb_common::Reason;
use lb_common::abi::{
    AgentKey4, AgentKey6, Backend, BackendRecord, Counter, Egress, MAX_AGENT_ADDRESSES, MAX_AGENT_PREFIXES,
    MAX_BACKENDS, MAX_INTERFACES, MAX_POOLS, MAX_PREFIX_KEYS, MAX_SERVICE_KEYS, MAX_SERVICES, PoolRecord,
    PrefixKey4, PrefixKey6, SLOTS, Service, ServiceKey4, ServiceKey6, ServiceRecord, Slot, State,
};
use lb_common::reason::REASONS as REASON_COUNT;
use lb_common::tables::{AgentTables, Tables};
use lb_common::wire::Address;

#[btf_map]
static SERVICES4: HashMap<ServiceKey4, Service, { MAX_SERVICE_KEYS as usize }> = HashMap::new();

#[btf_map]
static SERVICES6: HashMap<ServiceKey6, Service, { MAX_SERVICE_KEYS as usize }> = HashMap::new();

#[btf_map]
static PREFIXES4: LpmTrie<[u32; 2], Service, { MAX_PREFIX_KEYS as usize }> = LpmTrie::new();

#[btf_map]
static PREFIXES6: LpmTrie<[u32; 5], Service, { MAX_PREFIX_KEYS as usize }> = LpmTrie::new();

#[btf_map]
static TABLES: ArrayOfMaps<Array<[Slot; SLOTS], 1>, { MAX_POOLS as usize }> = ArrayOfMaps::new();

#[btf_map]
static BACKENDS: Array<Backend, { MAX_BACKENDS as usize }> = Array::new();

#[btf_map]
static DEVICES: DevMapHash<{ MAX_INTERFACES as usize }> = DevMapHash::new();

#[btf_map]
pub static SERVICE_COUNTERS: PerCpuArray<Counter, { MAX_SERVICES as usize }> = PerCpuArray::new();

#[btf_map]
pub static BACKEND_COUNTERS: PerCpuArray<Counter, { MAX_BACKENDS as usize }> = PerCpuArray::new();

#[btf_map]
pub static REASONS: PerCpuArray<Counter, { REASON_COUNT as usize }> = PerCpuArray::new();

// Userspace's own. They are declared here so that one loader creates and pins all maps alike.

#[btf_map]
static STATE: Array<State, 1> = Array::new();

#[btf_map]
static BACKEND_RECORDS: Array<BackendRecord, { MAX_BACKENDS as usize }> = Array::new();

#[btf_map]
static POOL_RECORDS: Array<PoolRecord, { MAX_POOLS as usize }> = Array::new();

#[btf_map]
static SERVICE_RECORDS: Array<ServiceRecord, { MAX_SERVICES as usize }> = Array::new();

// The agent's.

#[btf_map]
static AGENT_SOURCES4: LpmTrie<[u32; 1], u32, { MAX_AGENT_PREFIXES as usize }> = LpmTrie::new();

#[btf_map]
static AGENT_SOURCES6: LpmTrie<[u32; 4], u32, { MAX_AGENT_PREFIXES as usize }> = LpmTrie::new();

#[btf_map]
static AGENT_ADDRESSES: HashMap<Address, u32, { MAX_AGENT_ADDRESSES as usize }> = HashMap::new();

/// The maps behind [`Tables`] and [`AgentTables`].
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn service4(&self, key: &ServiceKey4) -> Option<&Service> {
        // SAFETY: the program neither inserts nor removes; an entry that userspace removes meanwhile may be reused
        // for another service, of which a packet in flight then reads a whole, if foreign, value.
        unsafe { SERVICES4.get(key) }
    }

    #[inline(always)]
    fn service6(&self, key: &ServiceKey6) -> Option<&Service> {
        // SAFETY: as in `service4`.
        unsafe { SERVICES6.get(key) }
    }

    #[inline(always)]
    fn prefix4(&self, key: &PrefixKey4) -> Option<&Service> {
        PREFIXES4.get(lpm(key))
    }

    #[inline(always)]
    fn prefix6(&self, key: &PrefixKey6) -> Option<&Service> {
        PREFIXES6.get(lpm(key))
    }

    #[inline(always)]
    fn slot(&self, table: u32, hash: u32) -> Option<Slot> {
        let slots = TABLES.get_value(table, &0)?;
        slots.get(hash as usize & (SLOTS - 1)).copied()
    }

    #[inline(always)]
    fn egress(&self, backend: u32) -> Option<&Egress> {
        let entry = BACKENDS.get_ptr(backend)?;
        // SAFETY: the map returned the pointer, and its values live as long as the program runs. The selector is read
        // once, and volatile: userspace may flip it between two reads.
        let live = unsafe { (&raw const (*entry).live).read_volatile() } & 1;
        // SAFETY: 0 or 1 is inside the array. Userspace does not write the live copy.
        Some(unsafe { &*(&raw const (*entry).copies).cast::<Egress>().add(live as usize) })
    }

    #[inline(always)]
    fn redirect(&self, ifindex: u32) -> Result<(), Reason> {
        // The flags are what comes back when the device is not in the map; without them it would be XDP_ABORTED.
        DEVICES.redirect(ifindex, u64::from(xdp_action::XDP_DROP)).map(|_| ()).map_err(|_| Reason::BadTable)
    }
}

impl AgentTables for Maps {
    #[inline(always)]
    fn own_address(&self, address: &Address) -> Option<u32> {
        // SAFETY: as in `service4`; the value is one word.
        unsafe { AGENT_ADDRESSES.get(address) }.copied()
    }

    #[inline(always)]
    fn source4(&self, key: &AgentKey4) -> Option<()> {
        AGENT_SOURCES4.get(lpm(key)).map(|_| ())
    }

    #[inline(always)]
    fn source6(&self, key: &AgentKey6) -> Option<()> {
        AGENT_SOURCES6.get(lpm(key)).map(|_| ())
    }
}

/// A key that starts with its prefix length, as the map's own key type.
#[inline(always)]
fn lpm<K, const WORDS: usize>(key: &K) -> &Key<[u32; WORDS]> {
    const { assert!(size_of::<K>() == size_of::<Key<[u32; WORDS]>>()) };
    // SAFETY: both are a 32-bit length and then words without padding, of the same size; the map's type is packed.
    unsafe { &*core::ptr::from_ref(key).cast() }
}
