//! Plain aligned columns: no boxes, no colour, two spaces between, so that `awk` and eyes both can read them.

use std::fmt;

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// A table that grows row by row and prints itself aligned.
#[derive(Clone, Debug)]
pub struct Columns<const N: usize> {
    aligns: [Align; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Columns<N> {
    /// A table with a heading and an alignment for each column.
    pub fn new(columns: [(&str, Align); N]) -> Self {
        Self {
            aligns: columns.map(|(_, align)| align),
            rows: vec![columns.map(|(heading, _)| heading.to_owned())],
        }
    }

    /// Adds a row. An empty cell prints as `-`, so that every line has as many words as the heading.
    pub fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell }));
    }
}

impl<const N: usize> fmt::Display for Columns<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; N] = std::array::from_fn(width);
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), align) in row.iter().zip(widths).zip(self.aligns) {
                let cell = match align {
                    Align::Left => format!("{cell:<width$}  "),
                    Align::Right => format!("{cell:>width$}  "),
                };
                line.push_str(&cell);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Align, Columns};

    #[test]
    fn columns_align_and_lines_do_not_trail() {
        let mut columns =
            Columns::new([("NAME", Align::Left), ("SLOTS", Align::Right), ("NOTE", Align::Left)]);
        columns.row(["a".to_owned(), "7".to_owned(), String::new()]);
        columns.row(["äbcdef".to_owned(), "123456".to_owned(), "x".to_owned()]);
        assert_eq!(
            columns.to_string(),
            "NAME     SLOTS  NOTE\n\
             a            7  -\n\
             äbcdef  123456  x\n"
        );
    }
}
