//! What is taken, and how it is understood.

use crate::config::model::{AttachMode, Config, Forward, HashKey, Ports, Protocol};
use crate::config::{Problem, defaults, parse, parse_on};

/// A file that uses every key.
pub(super) const FULL: &str = r#"seed = "a text"

[daemon]
socket = "/tmp/xlb.sock"
pin_dir = "/sys/fs/bpf/other"

[encapsulation]
source_ipv4 = "10.9.0.0/16"
source_ipv6 = "fd00:9::/96"
gue_port = 6081
gue_zero_checksum = true

[interfaces.eth0]
[interfaces."eth1.100"]
mode = "generic"

[pools.web]
algorithm = "maglev"
forward = "ipip"
stable = false
backends = [
  { name = "web-1", address = "10.0.1.1", weight = 3 },
  { address = "fd00::2" },
]

[pools.dns]
forward = "gue"

[[pools.dns.backends]]
name = "dns-1"
address = "10.0.2.1"
port = 53

[services.web]
address = "192.0.2.10"
protocol = "tcp"
port = 80
pool = "web"

[services.web6]
address = "2001:db8::/64"
protocol = "tcp"
port = "8000-8099"
pool = "web"
hash = { source_prefix_ipv6 = 48 }

[services.dns]
address = "192.0.2.53"
protocol = "udp"
port = 53
pool = "dns"
hash = "source"
"#;

fn full() -> Config {
    parse(FULL, "xlb.toml").unwrap_or_else(|report| panic!("{report}"))
}

#[test]
fn every_key_is_understood() {
    let config = full();
    assert_eq!(config.seed, 0xaf3a_31e6_d211_f228);
    assert_eq!(config.daemon.socket.to_str(), Some("/tmp/xlb.sock"));
    assert_eq!(config.encapsulation.source_ipv4.unwrap().to_string(), "10.9.0.0/16");
    assert_eq!(config.encapsulation.gue_port, 6081);
    assert!(config.encapsulation.gue_zero_checksum);
    assert_eq!(config.interfaces["eth0"].mode, AttachMode::Native);
    assert_eq!(config.interfaces["eth1.100"].mode, AttachMode::Generic);
    let web = &config.pools[&"web".parse().unwrap()];
    assert!(!web.stable && web.forward == Forward::Ipip);
    assert_eq!(web.backends[&"web-1".parse().unwrap()].weight, 3);
    assert_eq!(web.backends[&"fd00--2".parse().unwrap()].weight, 1);
    let dns = &config.pools[&"dns".parse().unwrap()];
    assert_eq!(dns.backends[&"dns-1".parse().unwrap()].port, Some(53));
    let web6 = &config.services[&"web6".parse().unwrap()];
    assert_eq!(web6.ports, Ports::Range { first: 8000, last: 8099 });
    assert_eq!(web6.hash, HashKey::SourcePrefix { ipv4: 24, ipv6: 48 });
    let dns = &config.services[&"dns".parse().unwrap()];
    assert_eq!((dns.protocol, dns.hash), (Protocol::Udp, HashKey::Source));
}

#[test]
fn an_empty_file_is_a_configuration_with_warnings() {
    let loaded = parse_on("", "xlb.toml", crate::config::Interfaces::Unchecked).unwrap();
    let problems: Vec<_> = loaded.warnings.findings().iter().map(|f| f.problem.clone()).collect();
    assert_eq!(problems, [Problem::DefaultSeed {}, Problem::NoInterfaces {}, Problem::NoServices {}]);
    assert_eq!(loaded.config.seed, defaults::SEED);
}
