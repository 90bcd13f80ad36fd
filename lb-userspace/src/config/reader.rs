//! Reading values out of TOML, with their places.
//!
//! Serde would stop at the first mistake and could not say where the other ones are, so tables are walked by hand:
//! every method records what is wrong and lets the caller go on.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::defaults::{Key, Section};
use super::draft::At;
use super::problem::Problem;
use super::report::{Finding, Span};
use super::value::Choice;
use super::words::nearest;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(super) struct Reader {
    pub findings: Vec<Finding>,
}

/// A table whose keys are all known.
#[derive(Clone, Debug)]
pub(super) struct Table<'t, 's> {
    section: Section,
    entries: &'t DeTable<'s>,
    /// How sentences call it.
    title: String,
    /// The place of its name or heading.
    span: Span,
    /// Known keys that unknown ones are near to: these are not missing, but misspelt.
    misspelt: Vec<String>,
}

/// A value in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'t, 's> {
    pub key: &'static Key,
    pub value: &'t Spanned<DeValue<'s>>,
}

impl Entry<'_, '_> {
    pub fn span(&self) -> Span {
        self.value.span().into()
    }
}

impl Reader {
    pub fn record(&mut self, problem: Problem, span: Span) {
        self.findings.push(Finding::new(problem, span));
    }

    /// The value, or its problem recorded.
    pub fn keep<T>(&mut self, result: Result<T, Problem>, span: Span) -> Option<At<T>> {
        match result {
            Ok(value) => Some(At::new(value, span)),
            Err(problem) => {
                self.record(problem, span);
                None
            }
        }
    }

    /// A table, with its unknown keys recorded.
    pub fn table<'t, 's>(
        &mut self,
        section: Section,
        title: String,
        entries: &'t DeTable<'s>,
        span: Span,
    ) -> Table<'t, 's> {
        let mut misspelt = Vec::new();
        for (key, value) in entries {
            let name: &str = key.get_ref();
            if section.keys().any(|known| known.name == name) {
                continue;
            }
            let named = match section {
                Section::Interface => Some("interfaces"),
                Section::Pool => Some("pools"),
                Section::Service => Some("services"),
                Section::Root
                | Section::Daemon
                | Section::Encapsulation
                | Section::Backend
                | Section::Hash => None,
            };
            let nearest = nearest(name, section.keys().map(|key| key.name));
            misspelt.extend(nearest.clone());
            let parent = named.filter(|_| value.get_ref().is_table() && nearest.is_none());
            let problem = match parent {
                Some(table) => {
                    Problem::DottedName { table, name: bare(&title).to_owned(), rest: name.to_owned() }
                }
                None => Problem::UnknownKey {
                    key: name.to_owned(),
                    table: title.clone(),
                    nearest,
                    known: section.keys().map(|key| key.name).collect(),
                },
            };
            self.record(problem, key.span().into());
        }
        Table { section, entries, title, span, misspelt }
    }

    /// A table of named tables: each with its name and the place of the name.
    pub fn named<'t, 's>(
        &mut self,
        root: &Table<'t, 's>,
        name: &'static str,
        section: Section,
    ) -> Vec<(At<String>, Table<'t, 's>)> {
        let Some(entry) = root.get(name) else { return Vec::new() };
        let Some(tables) = self.entries(entry, root) else { return Vec::new() };
        let mut found = Vec::new();
        for (key, value) in tables {
            let span = Span::from(key.span());
            let title = format!("{} `{}`", name.trim_end_matches('s'), key.get_ref());
            match value.get_ref() {
                DeValue::Table(entries) => {
                    let table = self.table(section, title, entries, span);
                    found.push((At::new(key.get_ref().to_string(), span), table));
                }
                other => {
                    let found = article(other);
                    let problem = Problem::WrongType { what: title, expected: "a table", found };
                    self.record(problem, value.span().into());
                }
            }
        }
        found
    }

    /// The table that stands under a key, or an empty one.
    pub fn entries<'t, 's>(
        &mut self,
        entry: Entry<'t, 's>,
        table: &Table<'_, '_>,
    ) -> Option<&'t DeTable<'s>> {
        let entries = entry.value.get_ref().as_table();
        if entries.is_none() {
            self.wrong_type(entry, table);
        }
        entries
    }

    /// The entry of a key that must be there.
    pub fn required<'t, 's>(&mut self, table: &Table<'t, 's>, name: &'static str) -> Option<Entry<'t, 's>> {
        let entry = table.get(name);
        if entry.is_none() && !table.misspelt.iter().any(|key| key == name) {
            let takes = table.key(name).takes;
            self.record(Problem::MissingKey { key: name, table: table.title.clone(), takes }, table.span);
        }
        entry
    }

    /// A text.
    pub fn text<'t>(&mut self, entry: Entry<'t, '_>, table: &Table<'_, '_>) -> Option<&'t str> {
        let text = entry.value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(entry, table);
        }
        text
    }

    /// A text that means something.
    pub fn parse<T>(
        &mut self,
        entry: Entry<'_, '_>,
        table: &Table<'_, '_>,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<At<T>> {
        let text = self.text(entry, table)?;
        self.keep(parse(text), entry.span())
    }

    /// A number. It comes as its decimal text, so that numbers of any size have one way to be refused.
    pub fn number<T>(
        &mut self,
        entry: Entry<'_, '_>,
        table: &Table<'_, '_>,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<At<T>> {
        let DeValue::Integer(number) = entry.value.get_ref() else {
            self.wrong_type(entry, table);
            return None;
        };
        self.keep(parse(&decimal(number)), entry.span())
    }

    /// `true` or `false`, or what holds where the key is absent.
    pub fn truth(&mut self, table: &Table<'_, '_>, name: &'static str, default: bool) -> bool {
        let Some(entry) = table.get(name) else { return default };
        let truth = entry.value.get_ref().as_bool();
        if truth.is_none() {
            self.wrong_type(entry, table);
        }
        truth.unwrap_or(default)
    }

    /// One of a few words, or what holds where the key is absent.
    pub fn choice<T: Choice>(&mut self, table: &Table<'_, '_>, default: T) -> T {
        let entry = table.get(T::KEY);
        entry.and_then(|entry| self.parse(entry, table, T::from_word)).map_or(default, |at| at.value)
    }

    /// Records that a value is of the wrong type.
    pub fn wrong_type(&mut self, entry: Entry<'_, '_>, table: &Table<'_, '_>) {
        let what = match table.section {
            Section::Root => format!("`{}`", entry.key.name),
            Section::Daemon
            | Section::Encapsulation
            | Section::Interface
            | Section::Pool
            | Section::Backend
            | Section::Service
            | Section::Hash => format!("`{}` of {}", entry.key.name, table.title),
        };
        let problem =
            Problem::WrongType { what, expected: entry.key.takes, found: article(entry.value.get_ref()) };
        self.record(problem, entry.span());
    }
}

impl<'t, 's> Table<'t, 's> {
    /// The entry of a key, if it is there.
    pub fn get(&self, name: &'static str) -> Option<Entry<'t, 's>> {
        let (_, value) = self.entries.iter().find(|(key, _)| key.get_ref() == name)?;
        Some(Entry { key: self.key(name), value })
    }

    /// How sentences call it.
    pub fn title(&self) -> &str {
        &self.title
    }

    fn key(&self, name: &'static str) -> &'static Key {
        self.section
            .keys()
            .find(|key| key.name == name)
            .expect("the reader asks for keys of the section only")
    }
}

/// A type of TOML with its article.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(true) => "`true`",
        DeValue::Boolean(false) => "`false`",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A number's decimal text; as it is written when it does not even fit 128 bits.
pub(super) fn decimal(number: &toml::de::DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |value| value.to_string())
}

/// The name in a title like ``pool `web` ``.
fn bare(title: &str) -> &str {
    title.split('`').nth(1).unwrap_or(title)
}
