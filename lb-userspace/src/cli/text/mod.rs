//! Answers as text: pure functions from the API's types to what is printed.

pub mod change;
pub mod count;
pub mod object;
pub mod status;

/// A share of the slots, in percent.
fn share(slots: u32) -> String {
    let all = f64::from(u32::try_from(lb_common::abi::SLOTS).unwrap_or(u32::MAX));
    format!("{:.1}%", f64::from(slots) * 100.0 / all)
}

/// `1 pool`, `2 pools`.
fn counted(number: usize, singular: &str) -> String {
    format!("{number} {singular}{}", if number == 1 { "" } else { "s" })
}

/// Text of an optional value, empty where there is none.
fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The word that configuration, API and command line use for a value.
fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}
