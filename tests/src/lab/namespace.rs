//! Network namespaces, each held by a thread of its own.
//!
//! A thread that unshares a namespace lives in it, and so does every thread and process that it starts. So there is
//! nothing to enter and leave, no name under `/run/netns` that a killed test would leave behind, and no code between
//! fork and exec: what runs in a namespace is started by the namespace's thread.
//!
//! Each has a mount namespace too, with a `/sys` of its own that shows its own interfaces, and a bpffs where machines
//! have theirs. What is pinned there goes with the namespace, and two agents that pin the same name do not meet.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A thread that does jobs in the namespaces it has made for itself.
#[derive(Debug)]
struct Anchor {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Anchor {
    /// Starts a thread called `name` that first does `enter`.
    fn start(name: &str, enter: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (entered, outcome) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = enter();
            let usable = result.is_ok();
            let told = entered.send(result).is_ok();
            if usable && told {
                for job in queue {
                    job();
                }
            }
        })?;
        outcome.recv().map_err(|_| anyhow!("thread {name} ended before it began"))??;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Does `job` on the thread and waits for its result, or panics with the job's own panic.
    fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        let job: Job = Box::new(move || {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            // The receiver waits below; it can only be gone when the process ends.
            drop(done.send(result));
        });
        let jobs = self.jobs.as_ref().expect("only drop takes it");
        jobs.send(job).expect("the thread outlives its anchor");
        match result.recv().expect("the job sends its result") {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panicking job was reported where it was asked for.
            drop(thread.join());
        }
    }
}

/// A network namespace. It ends with the last thread, process and descriptor that is in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    anchor: Anchor,
    net: File,
    mount: File,
}

impl Namespace {
    /// Makes a namespace.
    pub fn new(name: &str) -> Result<Self> {
        let anchor = Anchor::start(name, isolate)?;
        let handles = anchor.run(|| Ok::<_, std::io::Error>((open("net")?, open("mnt")?)));
        let (net, mount) = handles.context("cannot open the new namespaces")?;
        Ok(Self { name: name.to_owned(), anchor, net, mount })
    }

    /// What it is called in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does `job` inside and waits for its result.
    ///
    /// # Panics
    ///
    /// With the job's own panic.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.anchor.run(job)
    }

    /// Does `work` inside on a thread of its own.
    pub fn spawn<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let builder = std::thread::Builder::new().name(name.to_owned());
        Ok(self.run(move || builder.spawn(work))?)
    }

    /// Writes `value` to `/proc/sys/KEY` as this namespace sees it.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        let (path, value) = (PathBuf::from("/proc/sys").join(key), value.to_owned());
        let name = self.name.clone();
        self.run(move || {
            std::fs::write(&path, &value)
                .with_context(|| format!("cannot write {value} to {} in namespace {name}", path.display()))
        })
    }

    /// A counter of TCP, by its name in `/proc/net/netstat`, since the namespace began.
    pub fn tcp_counter(&self, name: &'static str) -> Result<u64> {
        let text = self.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat"))?;
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let place = names.split_whitespace().position(|known| known == name);
        let value = place.and_then(|place| values.split_whitespace().nth(place)?.parse().ok());
        value.with_context(|| format!("the kernel does not count {name}"))
    }

    /// Paths by which other processes can enter its network and mounts while this process lives.
    pub fn paths(&self) -> [PathBuf; 2] {
        let path =
            |file: &File| PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        [path(&self.net), path(&self.mount)]
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.net.as_fd()
    }
}

/// Puts the calling thread into namespaces of its own.
fn isolate() -> Result<()> {
    let (none, plain) = (None::<&str>, MsFlags::empty());
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context("cannot make a network namespace")?;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("cannot keep mounts private")?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), plain, none).context("cannot mount a sysfs")?;
    mount(Some("bpf"), "/sys/fs/bpf", Some("bpf"), plain, none).context("cannot mount a bpffs")
}

fn open(kind: &str) -> std::io::Result<File> {
    File::open(format!("/proc/thread-self/ns/{kind}"))
}
