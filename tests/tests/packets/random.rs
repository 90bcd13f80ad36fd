//! Random and mutated frames: the kernel and the host decide alike, and what is none of ours passes.
//!
//! `PROPTEST_CASES` asks for more cases than the usual number. A case that fails is to become a fixture with a name.

use std::cell::RefCell;

use lb_common::abi::global;
use lb_common::{Reason, Verdict};
use proptest::prelude::{Strategy, any};
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest::{prop_assert, prop_assert_eq};
use xlb_tests::packets::{Action, Agent, AgentHost, Balancer, BalancerHost, Run, SEED, Tunnel, standard};

use crate::agent::{GUE_PORT, tables};
use crate::strategy::{egress, frame, frame_to, mutations, stranger};

/// Cases of each property, where nobody asks for more.
const CASES: u32 = 3_000;

fn runner() -> TestRunner {
    let asked = Config::default().cases;
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { asked.max(CASES) } else { CASES };
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    TestRunner::new(config)
}

fn alike(kernel: &Run, host: &Run) -> Result<(), TestCaseError> {
    prop_assert!(kernel.action != Action::Aborted);
    prop_assert_eq!(kernel.action, host.action);
    prop_assert_eq!(kernel.outcome, host.outcome);
    if kernel.action != Action::Drop {
        prop_assert_eq!(&kernel.bytes, &host.bytes);
    }
    Ok(())
}

/// Passed on for any other reason than that this host is the backend, a frame is as it was.
fn untouched(run: &Run, input: &[u8]) -> Result<(), TestCaseError> {
    if run.outcome.reason.verdict() == Verdict::Pass && run.outcome.reason != Reason::Decapsulated {
        prop_assert_eq!(&run.bytes, input);
    }
    Ok(())
}

#[test]
fn the_balancer_decides_in_the_kernel_as_on_the_host() {
    let scene = standard();
    let mut kernel = Balancer::standard();
    let host = BalancerHost::new(scene.tables(), global::ALL, SEED);
    let mut seen = [0_u32; Reason::ALL.len()];
    let inputs = (frame(&scene), mutations()).prop_map(|(frame, mutations)| mutations.apply(frame.bytes()));
    let counted = RefCell::new(&mut seen);
    let kernel = RefCell::new(&mut *kernel);
    runner()
        .run(&inputs, |bytes| {
            let run = kernel.borrow_mut().run(&bytes);
            counted.borrow_mut()[run.outcome.reason as usize] += 1;
            alike(&run, &host.run(&bytes))?;
            untouched(&run, &bytes)
        })
        .unwrap_or_else(|error| panic!("{error}"));
    // Frames that are all refused early would show nothing.
    for reason in [
        Reason::Transmitted,
        Reason::Redirected,
        Reason::Local,
        Reason::NotIp,
        Reason::NotService,
        Reason::RoutingHeader,
        Reason::TooManyHeaders,
        Reason::Malformed,
        Reason::NoBackend,
        Reason::TooBig,
        Reason::Fragment,
        Reason::HopLimit,
    ] {
        assert!(seen[reason as usize] > 0, "no case was {reason:?}: {seen:?}");
    }
}

/// Whatever stands in a backend's entry, be it nonsense.
#[test]
fn any_backend_entry_is_read_in_the_kernel_as_on_the_host() {
    let scene = standard();
    let tables = scene.tables();
    let kernel = RefCell::new(Balancer::load(&tables, global::ALL, SEED));
    let host = RefCell::new(BalancerHost::new(tables, global::ALL, SEED));
    let backend = scene.backends["ipip4"].id;
    let inputs = (egress(), frame_to(&scene, &["ipip4/4", "ipip4/6"]), mutations());
    runner()
        .run(&inputs, |(egress, frame, mutations)| {
            let bytes = mutations.apply(frame.bytes());
            kernel.borrow_mut().set_backend(backend, &egress);
            host.borrow_mut().set_backend(backend, egress);
            let run = kernel.borrow_mut().run(&bytes);
            alike(&run, &host.borrow().run(&bytes))?;
            untouched(&run, &bytes)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn the_agent_decides_in_the_kernel_as_on_the_host() {
    let scene = standard();
    let kernel = RefCell::new(Agent::load(&tables(), GUE_PORT));
    let host = AgentHost::new(tables(), GUE_PORT);
    let seen = RefCell::new([0_u32; Reason::ALL.len()]);
    let four =
        |own: u8| Tunnel::gue("198.51.100.9:50000".parse().unwrap(), ([10, 0, 0, own], GUE_PORT).into());
    let six = Tunnel::gue(
        "[2001:db8:b::9]:50000".parse().unwrap(),
        "[2001:db8:10::ffff:fffe:3]:6080".parse().unwrap(),
    );
    let ipip4 = Tunnel::ipip("198.51.100.9".parse().unwrap(), "10.0.0.1".parse().unwrap());
    let ipip6 = Tunnel::ipip("2001:db8:b::9".parse().unwrap(), "2001:db8:10::ffff:fffe:3".parse().unwrap());
    let tunnels = vec![
        four(1),
        four(1).without_checksum(),
        four(99),
        six.clone(),
        six.without_checksum(),
        ipip4.clone(),
        ipip4.from("192.0.2.1".parse().unwrap()),
        ipip6,
    ];
    let inputs = (frame(&scene), select(tunnels), any::<u8>(), 0_usize..40, mutations()).prop_map(
        |(frame, tunnel, tos, padding, mutations)| {
            let mut bytes = Tunnel { tos, ..tunnel }.around(&frame);
            bytes.extend(std::iter::repeat_n(0xaa, padding));
            mutations.apply(bytes)
        },
    );
    runner()
        .run(&inputs, |bytes| {
            let run = kernel.borrow_mut().run(&bytes);
            seen.borrow_mut()[run.outcome.reason as usize] += 1;
            alike(&run, &host.run(&bytes))?;
            untouched(&run, &bytes)
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let seen = seen.into_inner();
    for reason in [
        Reason::Decapsulated,
        Reason::NotTunnel,
        Reason::UnknownBalancer,
        Reason::BadTunnel,
        Reason::EcnNotCapable,
    ] {
        assert!(seen[reason as usize] > 0, "no case was {reason:?}: {seen:?}");
    }
}

/// Traffic that matches no service is passed unmodified.
#[test]
fn strangers_pass_unmodified() {
    let scene = standard();
    let mut balancer = Balancer::standard();
    let balancer = RefCell::new(&mut *balancer);
    let agent = RefCell::new(Agent::load(&tables(), GUE_PORT));
    runner()
        .run(&stranger(&scene), |bytes| {
            for run in [balancer.borrow_mut().run(&bytes), agent.borrow_mut().run(&bytes)] {
                prop_assert_eq!(run.action, Action::Pass, "{:?}", run.outcome);
                prop_assert_eq!(&run.bytes, &bytes, "{:?}", run.outcome);
                prop_assert_eq!((run.outcome.service, run.outcome.backend), (None, None));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
