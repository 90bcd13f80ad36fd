//! Network namespaces, each held by a thread of its own.
//!
//! A thread that unshares a namespace lives in it, and so does every thread and process that it starts. So there is
//! nothing to enter and leave, no name under `/run/netns` that a killed test would leave behind, and no code between
//! fork and exec: what runs in a namespace is started by the namespace's thread.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};

/// A thread that does jobs in the namespaces it has made for itself.
#[derive(Debug)]
pub struct Anchor {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Anchor {
    /// Starts a thread called `name` that first does `enter`. It inherits the caller's namespaces.
    pub fn start(name: &str, enter: impl FnOnce() -> Result<()> + Send + 'static) -> Result<Self> {
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

    /// Does `job` on the thread and waits for its result.
    ///
    /// # Panics
    ///
    /// With the job's own panic.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
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
    handle: File,
}

impl Namespace {
    /// Makes a namespace with `lo` up. It shares every other namespace with `parent`'s thread.
    pub fn new(name: &str, parent: &Anchor) -> Result<Self> {
        let title = name.to_owned();
        let anchor = parent.run(move || {
            Anchor::start(&title, || {
                unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")
            })
        })?;
        let handle = anchor.run(|| File::open("/proc/thread-self/ns/net"))?;
        Ok(Self { name: name.to_owned(), anchor, handle })
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

    /// A path by which other processes can enter it while this process lives.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd()))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}
