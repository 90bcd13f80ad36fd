//! The real programs, run on packets through `BPF_PROG_TEST_RUN`, with the tables of a [`HostTables`].
//!
//! The same tables and the same packet go through [`lb_common::balance::balance`] on the host and through here; what
//! comes out can be compared byte for byte.

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, ArrayOfMaps, HashMap, MapData, PerCpuArray, RingBuf, xdp::DevMapHash};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_common::Reason;
use lb_common::abi::{
    Backend, Counter, Egress, SLOTS, Service, ServiceKey4, ServiceKey6, Slot, global, map, program,
};
use lb_common::host::{HostAgentTables, HostTables};
use lb_common::wire::{Address, Be32};

/// The device that `BPF_PROG_TEST_RUN` pretends a packet came in by: the namespace's loopback.
pub const INGRESS: u32 = 1;

/// A loaded program and its maps.
#[derive(Debug)]
pub struct Kernel {
    ebpf: Ebpf,
    program: &'static str,
}

/// What the program did with one packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The XDP action.
    pub action: u32,
    /// The reason whose counter went up.
    pub reason: Reason,
    /// The frame afterwards.
    pub bytes: Vec<u8>,
}

impl Kernel {
    /// Loads the balancer, specialised, with these tables.
    ///
    /// # Panics
    ///
    /// When the object is not built, or the kernel refuses it.
    pub fn balancer(features: u32, seed: u64, tables: &HostTables) -> Self {
        let mut kernel = Self::load(program::BALANCER, features, seed, 0);
        kernel.fill(tables);
        kernel
    }

    /// Loads the agent with these tables.
    ///
    /// # Panics
    ///
    /// When the object is not built, or the kernel refuses it.
    pub fn agent(gue_port: u16, tables: &HostAgentTables) -> Self {
        let mut kernel = Self::load(program::AGENT, 0, 0, gue_port);
        let mut addresses: HashMap<_, Address, u32> = kernel.map(map::AGENT_ADDRESSES);
        for (address, family) in &tables.addresses {
            addresses.insert(address, family, 0).unwrap();
        }
        let mut sources: LpmTrie<_, [u32; 1], u32> = kernel.map(map::AGENT_SOURCES4);
        for key in &tables.sources4 {
            sources.insert(&Key::new(key.prefix_len, [key.address.raw()]), 1, 0).unwrap();
        }
        let mut sources: LpmTrie<_, [u32; 4], u32> = kernel.map(map::AGENT_SOURCES6);
        for key in &tables.sources6 {
            sources.insert(&Key::new(key.prefix_len, key.address.map(Be32::raw)), 1, 0).unwrap();
        }
        kernel
    }

    /// Loads the balancer that logs, with everything compiled in: the packets of `service`, so many lines per second.
    ///
    /// # Panics
    ///
    /// When the object is not built, or the kernel refuses it.
    pub fn logging(service: u32, rate: u32, seed: u64, tables: &HostTables) -> Self {
        let mut kernel = Self::with(program::BALANCER_LOG, |loader| {
            loader
                .override_global(global::SEED, &seed, true)
                .override_global(global::LOG_SERVICE, &service, true)
                .override_global(global::LOG_RATE, &rate, true);
        });
        kernel.fill(tables);
        kernel
    }

    /// Takes the log lines that have been written, as aya-log encodes them.
    ///
    /// # Panics
    ///
    /// When the object has no log.
    pub fn take_log(&mut self) -> Vec<Vec<u8>> {
        let mut ring: RingBuf<_> = self.map("AYA_LOGS");
        std::iter::from_fn(|| ring.next().map(|line| line.to_vec())).collect()
    }

    /// Loads a program with nothing in its maps.
    ///
    /// # Panics
    ///
    /// When the object is not built, or the kernel refuses it.
    pub fn load(program: &'static str, features: u32, seed: u64, gue_port: u16) -> Self {
        Self::with(program, |loader| {
            loader
                .override_global(global::SEED, &seed, true)
                .override_global(global::FEATURES, &features, true)
                .override_global(global::AGENT_GUE_PORT, &gue_port, true);
        })
    }

    fn with<'a>(program: &'static str, specialise: impl FnOnce(&mut EbpfLoader<'a>)) -> Self {
        let object = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bpf/xlb-bpf.o");
        let bytes = std::fs::read(object).expect("no BPF object: run `cargo xtask build`");
        let mut loader = EbpfLoader::new();
        specialise(&mut loader);
        let mut ebpf = loader.load(&bytes).unwrap();
        let xdp: &mut Xdp =
            ebpf.program_mut(program).expect("the object has the program").try_into().unwrap();
        if let Err(error) = xdp.load() {
            panic!("{program}: {error:?}");
        }
        Self { ebpf, program }
    }

    /// Runs one packet.
    ///
    /// # Panics
    ///
    /// When the kernel refuses to run it, or not exactly one reason counts it.
    pub fn run(&self, packet: &[u8]) -> Run {
        let before = self.reasons();
        let mut out = vec![0; packet.len() + 256];
        let mut options = TestRunOptions::new();
        options.data_in = Some(packet);
        options.data_out = Some(&mut out);
        let result = self.xdp().test_run(options).unwrap();
        let length = result.data_size_out as usize;
        out.truncate(length);
        let after = self.reasons();
        let mut counted =
            Reason::ALL.iter().zip(before.iter().zip(&after)).filter(|(_, (before, after))| before != after);
        let (reason, (before, after)) = counted.next().expect("a reason counts the packet");
        assert!(counted.next().is_none(), "one reason counts the packet");
        assert_eq!(after.packets - before.packets, 1);
        assert_eq!(after.bytes - before.bytes, packet.len() as u64);
        Run { action: result.return_value, reason: *reason, bytes: out }
    }

    /// Instructions of the program as the verifier left it, and how many it looked at.
    ///
    /// # Panics
    ///
    /// When the kernel does not say.
    pub fn instructions(&self) -> (u32, u32) {
        let info = self.xdp().info().unwrap();
        (info.size_translated().unwrap() / 8, info.verified_instruction_count().unwrap())
    }

    /// A per-CPU counter, summed.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn counter(&self, name: &str, index: u32) -> Counter {
        let counters: PerCpuArray<&MapData, Counter> =
            PerCpuArray::try_from(self.ebpf.map(name).expect("the object has the map")).unwrap();
        counters.get(&index, 0).unwrap().iter().fold(Counter::default(), |sum, one| Counter {
            packets: sum.packets + one.packets,
            bytes: sum.bytes + one.bytes,
        })
    }

    fn reasons(&self) -> Vec<Counter> {
        Reason::ALL.iter().map(|reason| self.counter(map::REASONS, *reason as u32)).collect()
    }

    fn xdp(&self) -> &Xdp {
        self.ebpf.program(self.program).expect("the object has the program").try_into().unwrap()
    }

    fn map<'a, M>(&'a mut self, name: &str) -> M
    where
        M: TryFrom<&'a mut aya::maps::Map, Error = aya::maps::MapError>,
    {
        self.ebpf.map_mut(name).expect("the object has the map").try_into().unwrap()
    }

    fn fill(&mut self, tables: &HostTables) {
        let mut services4: HashMap<_, ServiceKey4, Service> = self.map(map::SERVICES4);
        for (key, service) in &tables.services4 {
            services4.insert(key, service, 0).unwrap();
        }
        let mut services6: HashMap<_, ServiceKey6, Service> = self.map(map::SERVICES6);
        for (key, service) in &tables.services6 {
            services6.insert(key, service, 0).unwrap();
        }
        let mut prefixes4: LpmTrie<_, [u32; 2], Service> = self.map(map::PREFIXES4);
        for (key, service) in &tables.prefixes4 {
            let head =
                u32::from_ne_bytes([key.protocol, key.kind, low(key.port.raw()), high(key.port.raw())]);
            prefixes4.insert(&Key::new(key.prefix_len, [head, key.address.raw()]), service, 0).unwrap();
        }
        let mut prefixes6: LpmTrie<_, [u32; 5], Service> = self.map(map::PREFIXES6);
        for (key, service) in &tables.prefixes6 {
            let head =
                u32::from_ne_bytes([key.protocol, key.kind, low(key.port.raw()), high(key.port.raw())]);
            let [a, b, c, d] = key.address.map(Be32::raw);
            prefixes6.insert(&Key::new(key.prefix_len, [head, a, b, c, d]), service, 0).unwrap();
        }
        let mut outer: ArrayOfMaps<_, Array<MapData, [Slot; SLOTS]>> = self.map(map::TABLES);
        for (index, slots) in &tables.tables {
            let slots: Box<[Slot; SLOTS]> = slots.clone().into_boxed_slice().try_into().unwrap();
            let mut inner: Array<MapData, [Slot; SLOTS]> = Array::create(1, 0).unwrap();
            inner.set(0, slots, 0).unwrap();
            outer.set(*index, &inner, 0).unwrap();
        }
        let mut backends: Array<_, Backend> = self.map(map::BACKENDS);
        for (id, egress) in &tables.backends {
            // The idle copy holds nonsense: a program that reads it is found out.
            let nonsense = Egress { mode: 0xff, ..*egress };
            let live = id & 1;
            let copies = if live == 0 { [*egress, nonsense] } else { [nonsense, *egress] };
            backends.set(*id, Backend { live, epoch: 1, copies }, 0).unwrap();
        }
        let mut devices: DevMapHash<_> = self.map(map::DEVICES);
        for ifindex in &tables.devices {
            devices.insert(*ifindex, *ifindex, None, 0).unwrap();
        }
    }
}

const fn low(word: u16) -> u8 {
    word.to_ne_bytes()[0]
}

const fn high(word: u16) -> u8 {
    word.to_ne_bytes()[1]
}
