//! The demo's steps.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use lb_userspace::config::model::{AttachMode, Forward, Protocol};
use lb_userspace::control::view::Applied;
use xlb_tests::eventually;
use xlb_tests::lab::{Family, Plan};
use xlb_tests::stage::Stage;
use xlb_tests::traffic::{Direction, Pace, Transfer, Transfers, client};
use xlb_tests::xlb::{Fate, Owners, Setup, moved, slot};

use crate::hold::{self, Signals};
use crate::screen::{Screen, thousands};

/// What happens when all is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is taken down.
    CleanUp,
    /// The lab stays until it is no longer wanted.
    Hold,
}

/// Connections per family.
const CONNECTIONS: usize = 200;
/// Connections at a time.
const AT_ONCE: usize = 16;
/// Transfers per direction.
const TRANSFERS: usize = 16;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays the demo; returns what was not as it should be, in sentences.
pub fn play(ending: Ending) -> Result<Vec<String>> {
    let mut demo = Demo::set_up()?;
    demo.spread()?;
    demo.change_under_load()?;
    demo.look_back()?;
    demo.next(ending)?;
    Ok(demo.wrong)
}

/// Where connections went.
#[derive(Debug, Default)]
struct Spread {
    /// Per backend, over IPv4 and over IPv6.
    counts: BTreeMap<String, [usize; 2]>,
    /// How many went to the owner of their slot.
    right: usize,
    /// What became of those that went nowhere.
    failed: Vec<String>,
}

struct Demo {
    screen: Screen,
    stage: Stage,
    signals: Signals,
    wrong: Vec<String>,
}

impl Demo {
    fn set_up() -> Result<Self> {
        let screen = Screen::new();
        screen.heading("A network of namespaces, with xlb in it");
        screen.line("");
        screen.quote(PICTURE);
        let mut signals = None;
        let stage = Stage::up(Plan { backends: 4, ..Plan::default() }, |lab| {
            signals = Some(Signals::listen(lab.folder()));
            Setup::new(lab, AttachMode::Native)
                .pool(lab, "web", Forward::Ipip, Family::V4, 1..=3)
                .service("web4", Family::V4, Protocol::Tcp, 80, "web")
                .service("web6", Family::V6, Protocol::Tcp, 80, "web")
        })?;
        let config = stage.daemon.config().display();
        screen.heading(&format!("The daemon is ready: xlb run -c {config}"));
        screen.line("");
        screen.quote(&std::fs::read_to_string(stage.daemon.config())?);
        let signals = signals.context("the setup was made")??;
        Ok(Self { screen, stage, signals, wrong: Vec::new() })
    }

    fn expect(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    fn owners(&self) -> Result<Owners> {
        self.stage.daemon.owners(&self.stage.lab, "web")
    }

    /// A few hundred connections, and where they went.
    fn spread(&mut self) -> Result<()> {
        let total = 2 * CONNECTIONS;
        self.screen.heading(&format!("{total} HTTP connections, half over IPv4 and half over IPv6"));
        let Spread { counts, right, failed } = self.connect()?;
        let view = self.stage.daemon.view(&self.stage.lab)?;
        let pool = view.pools.first().context("the daemon shows no pool")?;
        let rows = pool.backends.iter().map(|backend| {
            let [v4, v6] = counts.get(backend.name.as_str()).copied().unwrap_or_default();
            let next_hop = backend.next_hop.as_ref().map_or("none".to_owned(), |hop| hop.mac.clone());
            let mut row = vec![backend.name.to_string(), backend.address.to_string(), next_hop];
            row.extend([backend.slots as usize, v4, v6].map(thousands));
            row
        });
        let rows: Vec<_> = rows.collect();
        self.screen.line("");
        self.screen.table(&["backend", "address", "next hop", "slots", "IPv4", "IPv6"], &rows);
        self.screen.line("");
        self.screen
            .line(&format!("{right} of {total} went to the owner of their slot, {} failed.", failed.len()));
        let (wrong, lost) = (total - right - failed.len(), failed.len());
        self.expect(lost == 0, || format!("{lost} connections failed: {failed:?}"));
        self.expect(wrong == 0, || {
            format!("{wrong} connections were served by another backend than their slot's owner")
        });
        // A third of 200 is 67 with a standard deviation under 7: half of that does not happen by chance.
        let even = pool.backends.iter().all(|backend| {
            counts
                .get(backend.name.as_str())
                .is_some_and(|counts| counts.iter().all(|&count| count >= CONNECTIONS / 6))
        });
        self.expect(even, || "the connections are not spread over all backends".to_owned());
        Ok(())
    }

    fn connect(&self) -> Result<Spread> {
        let owners = self.owners()?;
        let mut spread = Spread::default();
        for (column, family) in Family::ALL.into_iter().enumerate() {
            let target = family.target(80);
            let answers = client::block_on(&self.stage.lab.client, move || {
                client::ask(target, CONNECTIONS, AT_ONCE, PATIENCE)
            })?;
            for answer in answers {
                match answer {
                    Ok(served) => {
                        let owner = &owners[slot(Protocol::Tcp, served.local, served.remote)];
                        spread.right += usize::from(owner.as_ref() == Some(&served.by));
                        spread.counts.entry(served.by).or_default()[column] += 1;
                    }
                    Err(failure) => spread.failed.push(format!("{family}: {failure}")),
                }
            }
        }
        Ok(spread)
    }

    /// Long transfers in both directions while a backend goes and another comes.
    fn change_under_load(&mut self) -> Result<()> {
        self.screen
            .heading(&format!("{TRANSFERS} long downloads and {TRANSFERS} uploads, over both families"));
        let flows: Vec<_> = (0..TRANSFERS)
            .flat_map(|i| {
                [Direction::Download, Direction::Upload].map(|way| (way, Family::ALL[i % 2].target(80)))
            })
            .collect();
        let transfers = Transfers::start(&self.stage.lab.client, &flows, &self.stage.pace)?;
        self.say_segments(&transfers.now());
        let mut tables = vec![self.owners()?];
        self.check_servers(&transfers.now(), &tables);
        self.change(&["backend", "remove", "web", "web-2"], &transfers, &mut tables)?;
        let address = self.stage.lab.plan().backend_address(4, Family::V4).to_string();
        self.change(&["backend", "add", "web", "web-4", &address], &transfers, &mut tables)?;
        self.screen.heading("The others run to their end");
        let ends = transfers.finish();
        self.judge(&ends, &tables)
    }

    fn say_segments(&mut self, transfers: &[Transfer]) {
        for family in Family::ALL {
            let of_family =
                transfers.iter().filter(|transfer| transfer.remote.is_ipv4() == (family == Family::V4));
            let segments: Vec<_> = of_family.map(|transfer| transfer.segment.unwrap_or(0)).collect();
            let full = match family {
                Family::V4 => 1500 - 20 - 32,
                Family::V6 => 1500 - 40 - 32,
            };
            self.screen.line(&format!("{family}: {} flows, segments of {full} bytes", segments.len()));
            self.expect(segments.iter().all(|&segment| segment == full), || {
                format!("{family} segments are not of full size: {segments:?} where each should be {full}")
            });
        }
    }

    /// Who serves a flow is who owns its slot.
    fn check_servers(&mut self, transfers: &[Transfer], tables: &[Owners]) {
        let owner = |transfer| Fate::of(transfer, tables).and_then(|fate| fate.owners[0].clone());
        let stray = transfers.iter().filter(|transfer| owner(transfer) != transfer.by).count();
        let total = transfers.len();
        self.expect(stray == 0, || {
            format!("{stray} of {total} transfers are served by another than their slot's owner")
        });
    }

    /// One change by the command line, what it moved, and which flows it cut.
    fn change(&mut self, command: &[&str], transfers: &Transfers, tables: &mut Vec<Owners>) -> Result<()> {
        let title = format!("xlb {}", command.join(" "));
        self.screen.heading(&title);
        let applied = self.stage.daemon.change(&self.stage.lab, command)?;
        let before = tables.last().context("there is a table before the first change")?;
        let after = self.owners()?;
        let slots = moved(before, &after);
        tables.push(after);
        self.say_moves(&applied, slots);

        let start = transfers.now();
        let change = tables.len() - 1;
        let moved_by: Vec<_> = start
            .iter()
            .map(|transfer| Fate::of(transfer, tables).and_then(|fate| fate.moved_by()))
            .collect();
        let settled = || {
            transfers.now().iter().zip(&start).zip(&moved_by).all(|((now, then), &moved_by)| {
                let ran_on = now.bytes > then.bytes + 8 * Pace::BURST as u64;
                now.end.is_some() || (moved_by != Some(change) && ran_on)
            })
        };
        let all = eventually(PATIENCE, settled);
        self.expect(all, || format!("after `{title}` some flows neither ran on nor were cut"));

        let now = transfers.now();
        let count = |moved: Option<usize>| {
            let of = now.iter().zip(&moved_by).filter(|(_, moved_by)| **moved_by == moved);
            let cut = of.clone().filter(|(transfer, _)| transfer.cut().is_some());
            (of.count(), cut.count())
        };
        let ((flows, cut), (others, hurt)) = (count(Some(change)), count(None));
        self.screen.line(&format!("flows in moved slots  {flows:>2}, of them cut {cut:>2}"));
        self.screen.line(&format!("flows in other slots  {others:>2}, of them cut {hurt:>2}"));
        self.expect(cut == flows, || {
            format!("`{title}` moved the slots of {flows} flows but cut {cut} of them")
        });
        self.expect(hurt == 0, || format!("`{title}` cut {hurt} flows whose slots did not move"));
        Ok(())
    }

    fn say_moves(&mut self, applied: &Applied, slots: usize) {
        let name = |name: &Option<lb_userspace::config::model::Name>| {
            name.as_ref().map_or("nobody".to_owned(), ToString::to_string)
        };
        self.screen.line(&format!(
            "generation {}, {} of 65,536 slots moved:",
            applied.generation,
            thousands(slots)
        ));
        let moves: Vec<_> = applied.moved.iter().flat_map(|moved| &moved.moves).collect();
        let rows: Vec<_> = moves
            .iter()
            .map(|moved| vec![name(&moved.from), name(&moved.to), thousands(moved.slots as usize)])
            .collect();
        self.screen.table(&["from", "to", "slots"], &rows);
        self.screen.line("");
        let told: usize = moves.iter().map(|moved| moved.slots as usize).sum();
        self.expect(told == slots, || {
            format!("the daemon says that {told} slots moved; its tables differ in {slots}")
        });
    }

    /// Every flow, what had to become of it and what did.
    fn judge(&mut self, ends: &[Transfer], tables: &[Owners]) -> Result<()> {
        let mut rows = Vec::new();
        let (mut complete, mut cut) = (0, 0);
        for transfer in ends {
            let fate = Fate::of(transfer, tables).context("a transfer was never connected")?;
            let fits = match fate.moved_by() {
                Some(_) => transfer.cut().is_some(),
                None => transfer.complete(),
            };
            complete += usize::from(transfer.complete());
            cut += usize::from(transfer.cut().is_some());
            let end = transfer.cut().map_or("complete".to_owned(), |failure| format!("cut ({failure})"));
            let port = transfer.local.map_or(0, |local| local.port());
            let family = if transfer.remote.is_ipv4() { Family::V4 } else { Family::V6 };
            let owners = fate.owners.iter().map(|owner| owner.clone().unwrap_or("nobody".to_owned()));
            let mut row = vec![
                transfer.direction.to_string(),
                family.to_string(),
                port.to_string(),
                thousands(fate.slot),
            ];
            row.extend(owners);
            row.push(end.clone());
            rows.push(row);
            self.expect(fits, || {
                format!(
                    "the {} from port {port}, in slot {}, ended with: {end}",
                    transfer.direction, fate.slot
                )
            });
        }
        rows.sort_by_key(|row| (row[7].clone(), row[4].clone()));
        self.screen.line("");
        self.screen.table(&["flow", "family", "port", "slot", "at first", "removed", "added", "end"], &rows);
        self.screen.line("");
        self.screen.line(&format!(
            "{cut} flows were cut, those whose slot got another owner; {complete} ran on, every byte right."
        ));
        self.screen
            .line("(A backend that never saw a flow answers its packets with a reset: that is the cut.)");
        Ok(())
    }

    /// What xlb itself has counted.
    fn look_back(&mut self) -> Result<()> {
        self.screen.heading("What xlb has counted");
        for command in [&["pool", "show", "web"][..], &["drops"]] {
            self.screen.line("");
            self.screen.line(&format!("$ xlb {}", command.join(" ")));
            let text = self.stage.daemon.cli(&self.stage.lab, command)??;
            self.screen.quote(&text);
        }
        let stats = self.stage.daemon.stats(&self.stage.lab)?;
        let dropped: Vec<_> =
            stats.reasons.iter().filter(|count| count.verdict == "drop" && count.packets > 0).collect();
        self.expect(dropped.is_empty(), || format!("packets were dropped: {dropped:?}"));
        Ok(())
    }

    fn next(&mut self, ending: Ending) -> Result<()> {
        match ending {
            Ending::CleanUp => {
                self.screen.heading("What to try next");
                self.screen.line("cargo xtask demo --hold        keep this lab up and look around in it");
                self.screen.line("cargo xtask test               every test there is");
                self.screen.line("target/debug/xlb --help        the command line");
                self.screen.line("README.md                      a tour of ten minutes");
            }
            Ending::Hold => {
                self.screen.heading("The lab stays up");
                hold::explain(&self.screen, &self.stage)?;
                self.screen.line("");
                for sentence in &self.wrong {
                    self.screen.line(&format!("Not as it should be: {sentence}"));
                }
                self.screen.line("Enter or Ctrl-C takes everything down.");
                self.signals.hold()?;
            }
        }
        Ok(())
    }
}

const PICTURE: &str = "\
client ---- router ---- balancer    xlb on lb0, native XDP, forwarding by IPIP
              |
              +-------- web-1 .. web-3    HTTP servers; the xlb agent takes the outer header off,
              |                           answers go straight to the client
              +-------- web-4             comes later

services 192.0.2.10:80 and [2001:db8::10]:80, MTU 1500 at the client and 1600 behind the router";
