//! The agent: what it accepts, and that it outlives its process.

use lb_common::Reason;

use super::lab::{XDP_DROP, XDP_PASS, frame, in_lab, run_frame, veth};
use crate::config::model::AttachMode;
use crate::dataplane::agent::{Accept, Agent};
use crate::dataplane::rtlink;

#[test]
fn only_configured_balancers_are_listened_to() {
    in_lab(|lab| {
        let mut agent = Agent::open(&lab.pins(), &accept("10.0.0.0/24", "10.1.0.2")).unwrap();
        let tunnelled = ipip([10, 0, 0, 1], [10, 1, 0, 2]);
        let (verdict, out) = run_frame(agent.program().unwrap(), &tunnelled);
        assert_eq!(
            (verdict, &out[14..]),
            (XDP_PASS, &frame()[14..]),
            "the inner packet is what the host gets"
        );
        let counted = |agent: &Agent, reason: Reason| agent.counters().unwrap()[reason as usize].packets;
        assert_eq!(counted(&agent, Reason::Decapsulated), 1);

        // Another balancer, then another host's address: what is no longer accepted is not accepted.
        agent.accept(&accept("10.9.0.0/16", "10.1.0.2")).unwrap();
        assert_eq!(run_frame(agent.program().unwrap(), &tunnelled).0, XDP_DROP);
        assert_eq!(counted(&agent, Reason::UnknownBalancer), 1);
        agent.accept(&accept("10.0.0.0/24", "10.1.0.3")).unwrap();
        assert_eq!(run_frame(agent.program().unwrap(), &tunnelled), (XDP_PASS, tunnelled));
        assert_eq!(counted(&agent, Reason::NotTunnel), 1);
    });
}

#[test]
fn both_families_are_written_and_taken_back() {
    in_lab(|lab| {
        let both = Accept {
            sources: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
            addresses: vec!["10.1.0.2".parse().unwrap(), "2001:db8::2".parse().unwrap()],
            gue_port: 6080,
        };
        let mut agent = Agent::open(&lab.pins(), &both).unwrap();
        assert_eq!(agent.accepted().unwrap(), (2, 2));
        agent.accept(&Accept { sources: Vec::new(), addresses: Vec::new(), gue_port: 6081 }).unwrap();
        assert_eq!(agent.accepted().unwrap(), (0, 0));
    });
}

#[test]
fn it_goes_on_without_its_process_and_is_adopted_by_the_next() {
    in_lab(|lab| {
        veth("near", "far");
        let index = nix::net::if_::if_nametoindex("near").unwrap();
        let accept = accept("10.0.0.0/24", "10.1.0.2");
        let mut agent = Agent::open(&lab.pins(), &accept).unwrap();
        let before = agent.attach("near", AttachMode::Native).unwrap();
        run_frame(agent.program().unwrap(), &frame());
        drop(agent);
        assert_eq!(rtlink::attached(index).unwrap().unwrap().program_id, before.program_id);
        let mut agent = Agent::open(&lab.pins(), &accept).unwrap();
        assert_eq!(agent.attachments().unwrap().len(), 1);
        // At least: the interface has traffic of its own.
        assert!(agent.counters().unwrap()[Reason::NotTunnel as usize].packets >= 1, "counters go on");
        assert_eq!(agent.remove_all().unwrap(), ["near"]);
        assert_eq!(rtlink::attached(index).unwrap(), None);
        assert!(!lab.pins().exists());
    });
}

fn accept(source: &str, address: &str) -> Accept {
    Accept {
        sources: vec![source.parse().unwrap()],
        addresses: vec![address.parse().unwrap()],
        gue_port: 6080,
    }
}

/// The lab's frame in an outer IPv4 header.
fn ipip(source: [u8; 4], destination: [u8; 4]) -> Vec<u8> {
    let inner = frame();
    let length = u16::try_from(inner.len() - 14 + 20).unwrap();
    let mut outer = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 4, 0, 0];
    outer[2..4].copy_from_slice(&length.to_be_bytes());
    outer.extend(source);
    outer.extend(destination);
    let sum = super::lab::checksum(&outer);
    outer[10..12].copy_from_slice(&sum.to_be_bytes());
    [&inner[..14], &outer, &inner[14..]].concat()
}
