//! What the demo looks like: steps with the time that has passed, and aligned tables.

use std::time::Instant;

/// Prints, and knows since when.
#[derive(Debug)]
pub struct Screen {
    start: Instant,
}

impl Screen {
    /// Starts the clock.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// A new chapter.
    pub fn heading(&self, text: &str) {
        println!("\n[{:5.1} s] {text}", self.start.elapsed().as_secs_f64());
    }

    /// A line of a chapter.
    #[expect(clippy::unused_self, reason = "everything that is printed goes through the screen")]
    pub fn line(&self, text: &str) {
        if text.is_empty() { println!() } else { println!("  {text}") }
    }

    /// Lines of a file or of a command's output.
    pub fn quote(&self, text: &str) {
        for line in text.trim_end().lines() {
            self.line(format!("  {line}").trim_end());
        }
    }

    /// Rows under a header, numbers to the right.
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([header[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let numeric: Vec<bool> =
            (0..header.len()).map(|column| rows.iter().all(|row| is_number(&row[column]))).collect();
        let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
        for row in std::iter::once(&header).chain(rows) {
            let cells = row.iter().zip(&widths).zip(&numeric).map(|((cell, &width), &numeric)| {
                if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            self.line(&format!("  {}", line.trim_end()));
        }
    }
}

/// 21845 as `21,845`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == ',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_digits() {
        assert_eq!(
            ["0", "999", "1,000", "65,536", "1,234,567"],
            [0, 999, 1000, 65_536, 1_234_567].map(thousands).each_ref().map(String::as_str)
        );
    }
}
