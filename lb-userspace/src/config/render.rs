//! A configuration as the file that says it, every default spelled out (`xlb check --print`).

use std::fmt::Write as _;

use super::model::{Backend, Config, HashKey, Name, Pool, Ports, Service};
use super::words::Place;

/// The whole configuration as TOML. Parsed again it is the same configuration.
pub fn render(config: &Config) -> String {
    let mut out = String::new();
    let encapsulation = &config.encapsulation;
    line(&mut out, "seed", &config.seed.to_string());
    heading(&mut out, &["daemon"]);
    line(&mut out, "socket", &quoted(&config.daemon.socket.to_string_lossy()));
    line(&mut out, "pin_dir", &quoted(&config.daemon.pin_dir.to_string_lossy()));
    heading(&mut out, &["encapsulation"]);
    for (key, source) in
        [("source_ipv4", encapsulation.source_ipv4), ("source_ipv6", encapsulation.source_ipv6)]
    {
        match source {
            Some(net) => line(&mut out, key, &quoted(&Place(net).to_string())),
            None => {
                let _ = writeln!(out, "# {key}: the address that the host itself would use");
            }
        }
    }
    line(&mut out, "gue_port", &encapsulation.gue_port.to_string());
    line(&mut out, "gue_zero_checksum", &encapsulation.gue_zero_checksum.to_string());
    for (name, interface) in &config.interfaces {
        heading(&mut out, &["interfaces", name]);
        line(&mut out, "mode", &quoted(interface.mode.name()));
    }
    for (name, of) in &config.pools {
        pool(&mut out, name, of);
    }
    for (name, of) in &config.services {
        service(&mut out, name, of);
    }
    out
}

fn pool(out: &mut String, name: &Name, pool: &Pool) {
    heading(out, &["pools", name.as_str()]);
    line(out, "algorithm", &quoted(pool.algorithm.name()));
    line(out, "forward", &quoted(pool.forward.name()));
    line(out, "stable", &pool.stable.to_string());
    if pool.backends.is_empty() {
        line(out, "backends", "[]");
        return;
    }
    out.push_str("backends = [\n");
    for (name, backend) in &pool.backends {
        let Backend { address, port, weight } = backend;
        let port = port.map_or(String::new(), |port| format!(", port = {port}"));
        let name = quoted(name.as_str());
        let _ = writeln!(out, "  {{ name = {name}, address = \"{address}\"{port}, weight = {weight} }},");
    }
    out.push_str("]\n");
}

fn service(out: &mut String, name: &Name, service: &Service) {
    heading(out, &["services", name.as_str()]);
    line(out, "address", &quoted(&Place(service.address).to_string()));
    line(out, "protocol", &quoted(service.protocol.name()));
    let ports = match service.ports {
        Ports::Range { first, last } if first == last => first.to_string(),
        Ports::Any | Ports::Range { .. } => quoted(&service.ports.to_string()),
    };
    line(out, "port", &ports);
    line(out, "pool", &quoted(service.pool.as_str()));
    let hash = match service.hash {
        HashKey::FiveTuple => quoted("five-tuple"),
        HashKey::Source => quoted("source"),
        HashKey::SourcePrefix { ipv4, ipv6 } => {
            format!("{{ source_prefix_ipv4 = {ipv4}, source_prefix_ipv6 = {ipv6} }}")
        }
    };
    line(out, "hash", &hash);
}

fn line(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "{key} = {value}");
}

fn heading(out: &mut String, path: &[&str]) {
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let parts: Vec<String> =
        path.iter().map(|part| if plain(part) { (*part).to_owned() } else { quoted(part) }).collect();
    let _ = writeln!(out, "\n[{}]", parts.join("."));
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
