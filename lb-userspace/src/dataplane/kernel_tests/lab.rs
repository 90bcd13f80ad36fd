//! Namespaces, veth pairs, an example image and a frame.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use aya::maps::{Array, Map, MapData};
use aya::programs::{TestRun, TestRunOptions, Xdp};
use lb_common::abi::{
    Backend, BackendId, BackendRecord, Counter, Egress, MAX_NAME, Name, PoolRecord, PrefixKey4, PrefixKey6,
    SLOTS, Service, ServiceKey4, ServiceKey6, ServiceRecord, global, key_kind, map, mode, protocol,
};
use lb_common::wire::{Address, Be16, Be32, address4, address6};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::dataplane::{Dataplane, Image, Kernel, Presence, Step, Variant};
use crate::table::Table;

/// A bpffs in a mount namespace, and a network namespace.
pub struct Lab {
    bpffs: PathBuf,
}

/// Runs `test` in namespaces of its own.
pub fn in_lab(test: impl FnOnce(&Lab) + Send + 'static) {
    let folder = tempfile::tempdir().unwrap();
    let bpffs = folder.path().to_owned();
    let outcome = thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).expect("these tests need root");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        mount(Some("bpf"), &bpffs, Some("bpf"), MsFlags::empty(), none).unwrap();
        let lab = Lab { bpffs };
        up("lo");
        test(&lab);
        umount2(&lab.bpffs, MntFlags::MNT_DETACH).unwrap();
    })
    .join();
    if let Err(panic) = outcome {
        resume_unwind(panic);
    }
}

impl Lab {
    /// The pin directory most tests use.
    pub fn pins(&self) -> PathBuf {
        self.bpffs.join("xlb")
    }
}

/// A veth pair that is up.
pub fn veth(near: &str, far: &str) {
    veth_with_mtu(near, far, 1500);
}

/// A veth pair that is up, both ends with an MTU.
pub fn veth_with_mtu(near: &str, far: &str, mtu: u32) {
    netlink(|handle| async move {
        handle.link().add(LinkVeth::new(near, far).build()).execute().await.unwrap();
        for name in [near, far] {
            let change = LinkUnspec::new_with_name(name).mtu(mtu).up().build();
            handle.link().set(change).execute().await.unwrap();
        }
    });
}

/// Removes a link, and a veth's other end with it.
pub fn remove(interface: &str) {
    let index = nix::net::if_::if_nametoindex(interface).unwrap();
    netlink(|handle| async move { handle.link().del(index).execute().await.unwrap() });
}

fn up(interface: &str) {
    netlink(|handle| async move {
        let change: LinkMessageBuilder<LinkUnspec> = LinkUnspec::new_with_name(interface).up();
        handle.link().set(change.build()).execute().await.unwrap();
    });
}

fn netlink<F: Future<Output = ()>>(work: impl FnOnce(rtnetlink::Handle) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (connection, handle, _) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        work(handle).await;
    });
}
/// Opens the kernel's side, or panics.
pub fn open(pins: &Path) -> Kernel {
    Kernel::open(pins).unwrap()
}

/// Everything in an image as steps, in a safe order.
pub fn steps(image: &Image) -> Vec<Step> {
    let mut steps = vec![Step::Variant(image.variant)];
    steps.extend(image.devices.iter().map(|ifindex| Step::Device(*ifindex, Presence::Present)));
    steps.extend(image.backend_records.iter().map(|(id, record)| Step::BackendRecord(*id, Some(*record))));
    steps.extend(image.pool_records.iter().map(|(id, record)| Step::PoolRecord(*id, Some(*record))));
    steps.extend(image.service_records.iter().map(|(id, record)| Step::ServiceRecord(*id, Some(*record))));
    steps.extend(image.backends.iter().map(|(id, egress)| Step::Backend(*id, Some(*egress))));
    steps.push(Step::Tables(
        image.tables.iter().map(|(index, table)| (*index, Some(table.clone()))).collect(),
    ));
    steps.extend(image.services4.iter().map(|(key, service)| Step::Service4(*key, Some(*service))));
    steps.extend(image.services6.iter().map(|(key, service)| Step::Service6(*key, Some(*service))));
    steps.extend(image.prefixes4.iter().map(|(key, service)| Step::Prefix4(*key, Some(*service))));
    steps.extend(image.prefixes6.iter().map(|(key, service)| Step::Prefix6(*key, Some(*service))));
    steps.push(Step::Generation(image.generation));
    steps
}

/// Does all of them.
pub fn apply(kernel: &mut Kernel, steps: &[Step]) {
    for step in steps {
        kernel.apply(step).unwrap_or_else(|error| panic!("{step:?}: {error}"));
    }
}

/// A backend's id.
pub fn id(number: u32) -> BackendId {
    BackendId::new(number).unwrap()
}

/// A table in which one backend owns every slot.
pub fn owned_by(owner: BackendId) -> Arc<Table> {
    Arc::new(Table::from_owners(vec![owner; SLOTS]).unwrap())
}

/// Out by loopback, which is where `BPF_PROG_TEST_RUN` says that frames come in, with `byte` in every place.
pub fn egress(byte: u8) -> Egress {
    Egress {
        ifindex: LOOPBACK,
        mode: mode::L2,
        mtu: 1500,
        destination_mac: [byte; 6],
        source_mac: [byte; 6],
        outer_source: [Be32::new(u32::from(byte)); 4],
        outer_destination: [Be32::new(u32::from(byte)); 4],
        checksum: u32::from(byte),
        ..Egress::default()
    }
}

/// One of everything; the service on 192.0.2.1:80/udp is table 5, all of which backend 1 owns.
pub fn example() -> Image {
    let name = |text: &str| -> Name {
        let mut name = [0; MAX_NAME];
        name[..text.len()].copy_from_slice(text.as_bytes());
        name
    };
    let address: Address = address4([192, 0, 2, 1]);
    let udp = protocol::UDP;
    let kind = key_kind::SERVICE;
    let port = Be16::new(80);
    let owners = (0..SLOTS).map(|slot| id(u32::try_from(slot % 3).unwrap())).collect();
    let record = BackendRecord {
        state: 1,
        table: 5,
        address,
        family: 4,
        port: 0,
        base: Counter { packets: 3, bytes: 4 },
        carried: Counter::default(),
        name: name("web-1"),
    };
    Image {
        generation: 7,
        variant: Variant { seed: 0x1234_5678_9abc_def0, features: global::IPV4 | global::L2, log: None },
        services4: BTreeMap::from([
            (ServiceKey4 { address: address[0], port, protocol: udp, kind }, service(1, 5)),
            (ServiceKey4 { address: address[0], port: Be16::new(0), protocol: udp, kind: 1 }, service(1, 0)),
        ]),
        services6: BTreeMap::from([(
            ServiceKey6 { address: address6([7; 16]), port, protocol: udp, kind },
            service(2, 5),
        )]),
        prefixes4: BTreeMap::from([(
            PrefixKey4 {
                prefix_len: 32 + 24,
                protocol: udp,
                kind,
                port,
                address: address4([198, 51, 100, 0])[0],
            },
            service(3, 5),
        )]),
        prefixes6: BTreeMap::from([(
            PrefixKey6 { prefix_len: 32 + 64, protocol: udp, kind, port, address: address6([9; 16]) },
            service(4, 5),
        )]),
        tables: BTreeMap::from([(5, owned_by(id(1))), (17, Arc::new(Table::from_owners(owners).unwrap()))]),
        backends: BTreeMap::from([(id(1), egress(0xa1)), (id(2), egress(0xa2))]),
        backend_records: BTreeMap::from([(id(1), record), (id(8191), BackendRecord { state: 2, ..record })]),
        pool_records: BTreeMap::from([(5, PoolRecord { state: 1, _reserved: 0, name: name("web") })]),
        service_records: BTreeMap::from([(
            1,
            ServiceRecord {
                state: 1,
                _reserved: 0,
                base: Counter::default(),
                carried: Counter { packets: 1, bytes: 2 },
                name: name("web"),
            },
        )]),
        devices: BTreeSet::from([LOOPBACK]),
    }
}

/// A backend's entry with both copies.
pub fn entry(lab: &Lab, id: BackendId) -> Backend {
    let data = MapData::from_pin(lab.pins().join(map::BACKENDS)).unwrap();
    let entries: Array<_, Backend> = Map::Array(data).try_into().unwrap();
    entries.get(&id.get(), 0).unwrap()
}

/// What the program makes of a frame to the example's service.
pub fn run(xdp: &Xdp) -> (u32, Vec<u8>) {
    run_frame(xdp, &frame())
}

/// What the program makes of a frame.
pub fn run_frame(xdp: &Xdp, frame: &[u8]) -> (u32, Vec<u8>) {
    let mut out = vec![0; frame.len() + 64];
    let options =
        TestRunOptions { data_in: Some(frame), data_out: Some(&mut out), ..TestRunOptions::default() };
    let result = xdp.test_run(options).unwrap();
    out.truncate(result.data_size_out as usize);
    (result.return_value, out)
}

/// The verdict of a frame that goes nowhere.
pub const XDP_DROP: u32 = 1;
/// The verdict of a forwarded frame.
pub const XDP_TX: u32 = 3;
/// The verdict of a frame that is left alone.
pub const XDP_PASS: u32 = 2;

const LOOPBACK: u32 = 1;

fn service(id: u32, table: u32) -> Service {
    Service { id, table, source_mask: [Be32::new(u32::MAX); 4], tuple_mask: u32::MAX, flags: 0 }
}

/// UDP from 203.0.113.9:1000 to 192.0.2.1:80, 18 bytes of payload.
pub fn frame() -> Vec<u8> {
    let mut ip = vec![0x45, 0, 0, 46, 0, 1, 0x40, 0, 64, protocol::UDP, 0, 0, 203, 0, 113, 9, 192, 0, 2, 1];
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let mut frame = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]].concat();
    frame.extend([8, 0]);
    frame.extend(ip);
    frame.extend([1000u16.to_be_bytes(), 80u16.to_be_bytes(), 26u16.to_be_bytes(), [0, 0]].concat());
    frame.extend([0x55; 18]);
    frame
}

/// An IPv4 header's checksum.
pub fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap()
}
