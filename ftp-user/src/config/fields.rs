//! A table of the configuration file, read key by key: what is wrong is noted, and reading goes on.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::origin::{Complaints, Given, Origin};
use super::value::Problem;

/// How alike (Jaro) a known key must be to an unknown one to be suggested.
const ALIKE: f64 = 0.75;
/// Bytes of a value that are repeated in a complaint.
const REPEATED: usize = 40;

/// The file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// Its name, as it was given.
    pub(super) name: &'a str,
    text: &'a str,
    /// Where its lines begin.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    /// A file's name and text.
    #[must_use]
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        let behind_newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self { name, text, lines: std::iter::once(0).chain(behind_newlines).collect() }
    }

    /// Line and column of a position, both from 1, the column in characters.
    #[must_use]
    pub(super) fn place(&self, position: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= position);
        let before = self.text.get(self.lines[line - 1]..position).unwrap_or_default();
        (line, before.chars().count() + 1)
    }

    /// `FILE:LINE:COLUMN: KEY VALUE`.
    #[must_use]
    pub(super) fn origin(&self, key: &str, span: Range<usize>) -> Origin {
        let text = self.text.get(span.clone()).unwrap_or_default();
        let first_line = text.lines().next().unwrap_or_default();
        let is_whole = first_line.len() == text.len() && text.len() <= REPEATED;
        let value = if is_whole { format!(" {text}") } else { String::new() };
        Origin::file(self.name, self.place(span.start), format_args!("{key}{value}"))
    }
}

/// A table of which keys are taken one by one.
pub(super) struct Fields<'a, 'c> {
    /// The file that it is in.
    pub(super) source: &'a Source<'a>,
    /// What is wrong.
    pub(super) complaints: &'c mut Complaints,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    /// Where other keys stand: behind a list of those that are known.
    pub(super) elsewhere: &'static str,
}

impl<'a, 'c> Fields<'a, 'c> {
    /// All of a table's keys are still to be taken.
    #[must_use]
    pub(super) const fn new(source: &'a Source<'a>, table: &'a DeTable<'a>, complaints: &'c mut Complaints) -> Self {
        Self { source, complaints, table, known: Vec::new(), elsewhere: "" }
    }

    /// A key's value as it stands.
    pub(super) fn raw(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    /// A key's value, read by `read`.
    pub(super) fn one<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Given<T>> {
        let value = self.raw(key)?;
        self.complaints.unless(self.source.origin(key, value.span()), read(value.as_ref()))
    }

    /// A key's values: one, or a list of them.
    pub(super) fn each<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Vec<Given<T>> {
        let Some(value) = self.raw(key) else {
            return Vec::new();
        };
        let Some(list) = value.as_ref().as_array() else {
            let origin = self.source.origin(key, value.span());
            return self.complaints.unless(origin, read(value.as_ref())).into_iter().collect();
        };
        if list.is_empty() {
            let origin = self.source.origin(key, value.span());
            self.complaints.add(&origin, Problem::new("it is empty", "name one at least, or leave the key out"));
        }
        let mut values = Vec::new();
        for value in list.iter() {
            let origin = self.source.origin(key, value.span());
            values.extend(self.complaints.unless(origin, read(value.as_ref())));
        }
        values
    }

    /// Notes the keys that nobody has taken.
    pub(super) fn finish(self) {
        for (key, _) in self.table.iter().filter(|(key, _)| !self.known.contains(&key.get_ref().as_ref())) {
            let name = key.get_ref();
            let origin = Origin::file(self.source.name, self.source.place(key.span().start), name);
            let like = |known: &&'static str| strsim::jaro(&name.to_lowercase().replace('_', "-"), known);
            let nearest = self.known.iter().copied().max_by(|a, b| like(a).total_cmp(&like(b)));
            let hint = match nearest.filter(|nearest| like(nearest) >= ALIKE) {
                Some(nearest) => format!("did you mean {nearest}?"),
                None => format!("these are known here: {}{}", self.known.join(", "), self.elsewhere),
            };
            self.complaints.add(&origin, Problem::new("there is no such key here", hint));
        }
    }
}

/// A string, read further by `read`.
pub(super) fn string<T>(read: impl Fn(&str) -> Result<T, Problem>) -> impl Fn(&DeValue<'_>) -> Result<T, Problem> {
    move |value| match value.as_str() {
        Some(text) => read(text),
        None => Err(Problem::new(kind(value), "write it in quotes")),
    }
}

/// A whole number, read further by `read`.
pub(super) fn number<T>(read: impl Fn(&str) -> Result<T, Problem>) -> impl Fn(&DeValue<'_>) -> Result<T, Problem> {
    move |value| match value.as_integer() {
        Some(number) => read(&number.to_string()),
        None => Err(Problem::new(kind(value), "write a number, without quotes")),
    }
}

/// True or false.
///
/// # Errors
///
/// It is neither.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Problem> {
    value.as_bool().ok_or_else(|| Problem::new(kind(value), "write true or false"))
}

/// What a value is that should be something else.
#[must_use]
pub(super) fn kind(value: &DeValue<'_>) -> String {
    let article = if matches!(value, DeValue::Integer(_) | DeValue::Array(_)) { "an" } else { "a" };
    format!("it is {article} {}", value.type_str())
}
