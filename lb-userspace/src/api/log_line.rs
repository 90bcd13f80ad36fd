//! Names in place of numbers in the lines of the log variant: the program knows ids, people know names.

use lb_common::Reason;
use lb_common::abi::protocol;

use crate::control::view::View;

/// A line of `key=value` words with the ids of services, backends, protocols and reasons replaced by what they are
/// called. What is not known stays as it is.
pub fn named(line: &str, view: &View) -> String {
    let words: Vec<String> =
        line.split(' ').map(|word| named_word(word, view).unwrap_or_else(|| word.into())).collect();
    words.join(" ")
}

fn named_word(word: &str, view: &View) -> Option<String> {
    let (key, value) = word.split_once('=')?;
    let number: u32 = value.parse().ok()?;
    let name = match key {
        "service" => view.services.iter().find(|service| service.id == number)?.name.to_string(),
        "backend" if number == 0 => "none".to_owned(),
        "backend" => view.pools.iter().find_map(|pool| {
            let backend = pool.backends.iter().find(|backend| backend.id == Some(number))?;
            Some(format!("{}/{}", pool.name, backend.name))
        })?,
        "protocol" if number == u32::from(protocol::TCP) => "tcp".to_owned(),
        "protocol" if number == u32::from(protocol::UDP) => "udp".to_owned(),
        "reason" => Reason::ALL.get(usize::try_from(number).ok()?)?.name().to_owned(),
        _ => return None,
    };
    Some(format!("{key}={name}"))
}

#[cfg(test)]
mod tests {
    use super::named;
    use crate::api::fixture::view;

    #[test]
    fn what_is_known_gets_its_name() {
        let line = "service=1 flow=10.0.0.1:5>192.0.2.10:80 protocol=6 slot=6 backend=5 reason=1";
        assert_eq!(
            named(line, &view()),
            "service=dns flow=10.0.0.1:5>192.0.2.10:80 protocol=tcp slot=6 backend=dns/ns-1 reason=redirected"
        );
        let line = "service=99 protocol=132 backend=77 reason=4096 backend=0 =";
        assert_eq!(named(line, &view()), "service=99 protocol=132 backend=77 reason=4096 backend=none =");
    }
}
