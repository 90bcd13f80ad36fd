//! The real programs, loaded and run with `BPF_PROG_TEST_RUN`: maps without pins, filled from the same tables that the
//! host runs on.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::xdp::DevMapHash;
use aya::maps::{Array, ArrayOfMaps, HashMap, Map, MapData, PerCpuArray};
use aya::programs::{TestRun as _, Xdp};
use aya::{Ebpf, EbpfLoader, Pod, TestRunOptions};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_ARRAY;
use lb_common::abi::{Backend, Counter, Egress, Service, Slot, global, map, program};
use lb_common::host::HostTables;
use lb_common::wire::Be32;
use lb_common::{Reason, abi};
use nix::sched::{CloneFlags, unshare};

use super::Action;
use super::fixture::Outcome;
use super::standard::{SEED, standard};
use crate::lab::{End, Links};

/// Longest frame that comes out: as long as one goes in, and room for headers.
const OUTPUT_BYTES: usize = 4096;

/// The ifindex by which tables name the interface that redirected frames leave by.
pub const OTHER_INTERFACE: u32 = 77;

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The verdict.
    pub action: Action,
    /// The frame afterwards.
    pub bytes: Vec<u8>,
    /// What was counted.
    pub outcome: Outcome,
}

/// The balancer in the kernel.
pub struct Balancer {
    program: Program,
    services: Counters,
    backends: Counters,
    entries: Array<MapData, Backend>,
    _interface: Option<File>,
}

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Balancer").field(&self.program).finish()
    }
}

impl Balancer {
    /// Loads it with these tables, specialised as `features` says.
    pub fn load(tables: &HostTables, features: u32, seed: u64) -> Self {
        Self::load_program(program::BALANCER, tables, features, seed)
    }

    /// The balancer with the standard scene, nothing compiled out, loaded once per process.
    pub fn standard() -> MutexGuard<'static, Self> {
        static SHARED: LazyLock<Mutex<Balancer>> =
            LazyLock::new(|| Mutex::new(Balancer::load(&standard().tables(), global::ALL, SEED)));
        // A test that failed left no more behind than counters, whose state is known.
        SHARED.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loads the variant that logs.
    pub fn load_logging(tables: &HostTables, features: u32, seed: u64) -> Self {
        Self::load_program(program::BALANCER_LOG, tables, features, seed)
    }

    /// Runs it over a frame.
    pub fn run(&mut self, bytes: &[u8]) -> Run {
        self.run_behind(0, bytes)
    }

    /// Runs it over a frame that so many bytes of metadata stand in front of; what comes out starts with them.
    pub fn run_behind(&mut self, metadata: usize, bytes: &[u8]) -> Run {
        let (action, out, reason) = self.program.run(metadata, bytes);
        let service = self.services.moved(bytes.len());
        let backend = self.backends.moved(bytes.len());
        let outcome = Outcome { reason, service, backend };
        Run { action, bytes: out, outcome }
    }

    /// Writes another entry for a backend that it was loaded with.
    pub fn set_backend(&mut self, id: u32, egress: &Egress) {
        self.entries.set(id, entry(id, egress), 0).unwrap();
    }

    fn load_program(name: &str, tables: &HostTables, features: u32, seed: u64) -> Self {
        let mut loader = EbpfLoader::new();
        loader.override_global(global::FEATURES, &features, true);
        loader.override_global(global::SEED, &seed, true);
        let mut bpf = load(&mut loader, name);
        fill_services(&mut bpf, tables);
        fill_tables(&mut bpf, tables);
        let entries = fill_backends(&mut bpf, tables);
        let interface = fill_devices(&mut bpf, tables);
        let services = Counters::take(&mut bpf, map::SERVICE_COUNTERS, service_ids(tables));
        let backends = Counters::take(&mut bpf, map::BACKEND_COUNTERS, tables.backends.keys().copied());
        Self { program: Program::new(bpf, name), services, backends, entries, _interface: interface }
    }
}

/// The agent in the kernel.
#[derive(Debug)]
pub struct Agent {
    program: Program,
}

impl Agent {
    /// Loads it.
    pub fn load(tables: &lb_common::host::HostAgentTables, gue_port: u16) -> Self {
        let mut loader = EbpfLoader::new();
        loader.override_global(global::AGENT_GUE_PORT, &gue_port, true);
        let mut bpf = load(&mut loader, program::AGENT);
        let mut sources4: LpmTrie<_, Rest<1>, u32> = typed(&mut bpf, map::AGENT_SOURCES4);
        for key in &tables.sources4 {
            sources4.insert(&Key::new(key.prefix_len, Rest([key.address.raw()])), 1, 0).unwrap();
        }
        let mut sources6: LpmTrie<_, Rest<4>, u32> = typed(&mut bpf, map::AGENT_SOURCES6);
        for key in &tables.sources6 {
            sources6.insert(&Key::new(key.prefix_len, Rest(key.address.map(Be32::raw))), 1, 0).unwrap();
        }
        let mut addresses: HashMap<_, Rest<4>, u32> = typed(&mut bpf, map::AGENT_ADDRESSES);
        for (address, family) in &tables.addresses {
            addresses.insert(Rest(address.map(Be32::raw)), family, 0).unwrap();
        }
        Self { program: Program::new(bpf, program::AGENT) }
    }

    /// Runs it over a frame.
    pub fn run(&mut self, bytes: &[u8]) -> Run {
        let (action, out, reason) = self.program.run(0, bytes);
        Run { action, bytes: out, outcome: Outcome { reason, service: None, backend: None } }
    }
}

/// A loaded program and its reasons.
#[derive(Debug)]
struct Program {
    bpf: Ebpf,
    name: String,
    reasons: Counters,
}

impl Program {
    fn new(mut bpf: Ebpf, name: &str) -> Self {
        let reasons = Counters::take(&mut bpf, map::REASONS, 0..lb_common::reason::REASONS);
        Self { bpf, name: name.to_owned(), reasons }
    }

    fn run(&mut self, metadata: usize, bytes: &[u8]) -> (Action, Vec<u8>, Reason) {
        let program: &Xdp = self.bpf.program(&self.name).expect("loaded").try_into().unwrap();
        let mut out = vec![0; OUTPUT_BYTES];
        let input = [&vec![0; metadata], bytes].concat();
        let context = context(metadata, input.len());
        let options = TestRunOptions {
            data_in: Some(&input),
            data_out: Some(&mut out),
            ctx_in: (metadata != 0).then_some(&context),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).unwrap_or_else(|error| panic!("{error:?} for {bytes:02x?}"));
        out.truncate(result.data_size_out as usize);
        let action = Action::new(result.return_value).expect("a known action");
        let moved = self.reasons.moved(bytes.len());
        let reason = moved.and_then(|number| Reason::ALL.get(number as usize).copied());
        (action, out, reason.unwrap_or_else(|| panic!("no reason was counted for {bytes:02x?}")))
    }
}

/// `struct xdp_md` of a frame with metadata: where the frame starts and ends, and nothing else.
fn context(metadata: usize, end: usize) -> [u8; 24] {
    let mut context = [0; 24];
    for (at, value) in [(0, metadata), (4, end)] {
        let value = u32::try_from(value).expect("a frame");
        context[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    context
}

/// Counters of one map, and where they stood.
struct Counters {
    map: PerCpuArray<MapData, Counter>,
    stood: BTreeMap<u32, Counter>,
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Counters").field(&self.stood).finish()
    }
}

impl Counters {
    fn take(bpf: &mut Ebpf, name: &str, ids: impl Iterator<Item = u32>) -> Self {
        let map = typed(bpf, name);
        Self { map, stood: ids.map(|id| (id, Counter::default())).collect() }
    }

    /// Which of them moved, by one packet of `bytes`; none or one does.
    fn moved(&mut self, bytes: usize) -> Option<u32> {
        let bytes = u64::try_from(bytes).expect("a frame");
        let mut found = None;
        for (id, stood) in &mut self.stood {
            let values = self.map.get(id, 0).unwrap();
            let packets: u64 = values.iter().map(|v| v.packets).sum();
            let total = Counter { packets, bytes: values.iter().map(|v| v.bytes).sum() };
            if total != *stood {
                let once = Counter { packets: stood.packets + 1, bytes: stood.bytes + bytes };
                *stood = total;
                assert_eq!(total, once, "counter {id} moves by one packet of {bytes} bytes");
                assert_eq!(found.replace(*id), None, "and no other than {id}");
            }
        }
        found
    }
}

fn object() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/xlb-bpf.o")
}

/// Loads the object and one of its programs; after that its maps may be taken.
fn load(loader: &mut EbpfLoader<'_>, name: &str) -> Ebpf {
    crate::need_root();
    let path = object();
    let bytes = std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask build`", path.display()));
    let mut bpf = loader.load(&bytes).unwrap_or_else(|error| panic!("the object does not load: {error:?}"));
    let program: &mut Xdp = bpf.program_mut(name).expect("the object has it").try_into().unwrap();
    if let Err(error) = program.load() {
        panic!("{name} does not load: {error:?}");
    }
    bpf
}

fn typed<M: TryFrom<Map, Error: std::fmt::Debug>>(bpf: &mut Ebpf, name: &str) -> M {
    bpf.take_map(name).unwrap_or_else(|| panic!("the object has no map {name}")).try_into().unwrap()
}

/// A key without the prefix length that it starts with.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct Rest<const WORDS: usize>([u32; WORDS]);

// SAFETY: an array of integers.
unsafe impl<const WORDS: usize> Pod for Rest<WORDS> {}

impl<const WORDS: usize> Rest<WORDS> {
    fn of(protocol: u8, kind: u8, port: u16, address: &[Be32]) -> Self {
        let mut words = [0; WORDS];
        let [low, high] = port.to_ne_bytes();
        words[0] = u32::from_ne_bytes([protocol, kind, low, high]);
        for (word, part) in words[1..].iter_mut().zip(address) {
            *word = part.raw();
        }
        Self(words)
    }
}

fn fill_services(bpf: &mut Ebpf, tables: &HostTables) {
    let mut services4: HashMap<_, abi::ServiceKey4, Service> = typed(bpf, map::SERVICES4);
    for (key, service) in &tables.services4 {
        services4.insert(key, service, 0).unwrap();
    }
    let mut services6: HashMap<_, abi::ServiceKey6, Service> = typed(bpf, map::SERVICES6);
    for (key, service) in &tables.services6 {
        services6.insert(key, service, 0).unwrap();
    }
    let mut prefixes4: LpmTrie<_, Rest<2>, Service> = typed(bpf, map::PREFIXES4);
    for (key, service) in &tables.prefixes4 {
        let rest = Rest::of(key.protocol, key.kind, key.port.raw(), &[key.address]);
        prefixes4.insert(&Key::new(key.prefix_len, rest), service, 0).unwrap();
    }
    let mut prefixes6: LpmTrie<_, Rest<5>, Service> = typed(bpf, map::PREFIXES6);
    for (key, service) in &tables.prefixes6 {
        let rest = Rest::of(key.protocol, key.kind, key.port.raw(), &key.address);
        prefixes6.insert(&Key::new(key.prefix_len, rest), service, 0).unwrap();
    }
}

fn fill_tables(bpf: &mut Ebpf, tables: &HostTables) {
    let mut outer: ArrayOfMaps<_, Array<MapData, [Slot; abi::SLOTS]>> = typed(bpf, map::TABLES);
    for (index, slots) in &tables.tables {
        let bytes = u32::try_from(size_of::<Slot>() * slots.len()).expect("256 KiB");
        let definition = aya_obj::Map::new_from_params(BPF_MAP_TYPE_ARRAY as u32, 4, bytes, 1, 0);
        let data = MapData::create(definition, "table", None).unwrap();
        let mut inner: Array<_, [Slot; abi::SLOTS]> = Map::Array(data).try_into().unwrap();
        let slots: &[Slot; abi::SLOTS] = slots.as_slice().try_into().expect("SLOTS of them");
        inner.set(0, slots, 0).unwrap();
        outer.set(*index, &inner, 0).unwrap();
    }
}

fn fill_backends(bpf: &mut Ebpf, tables: &HostTables) -> Array<MapData, Backend> {
    let mut backends: Array<_, Backend> = typed(bpf, map::BACKENDS);
    for (id, egress) in &tables.backends {
        backends.set(*id, entry(*id, egress), 0).unwrap();
    }
    backends
}

/// An entry whose other copy is what nobody may look at.
fn entry(id: u32, egress: &Egress) -> Backend {
    let stale = Egress { mode: abi::mode::L2, mtu: u16::MAX, ifindex: 1, ..Egress::default() };
    let live = id % 2;
    let copies = if live == 0 { [*egress, stale] } else { [stale, *egress] };
    Backend { live, epoch: 1, copies }
}

/// Points the devmap's entries at a veth in a namespace of its own, which lives as long as the file.
fn fill_devices(bpf: &mut Ebpf, tables: &HostTables) -> Option<File> {
    if tables.devices.is_empty() {
        return None;
    }
    let mut devices: DevMapHash<_> = typed(bpf, map::DEVICES);
    let handle = std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace");
            let handle = File::open("/proc/thread-self/ns/net").expect("its handle");
            let end = |name: &str, last| End { name: name.into(), mtu: 1500, mac: [2, 0, 0, 0, 0, last] };
            let links = Links::open().unwrap();
            links.add_veth(&end("near", 1), &end("far", 2), std::os::fd::AsFd::as_fd(&handle)).unwrap();
            let index = links.index("near").unwrap();
            for device in &tables.devices {
                devices.insert(*device, index, None, 0).unwrap();
            }
            handle
        });
        work.join().expect("the veth pair is made")
    });
    Some(handle)
}

fn service_ids(tables: &HostTables) -> impl Iterator<Item = u32> {
    let exact = tables.services4.values().chain(tables.services6.values());
    let all = exact.chain(tables.prefixes4.values()).chain(tables.prefixes6.values());
    all.map(|service| service.id).collect::<Vec<_>>().into_iter()
}
