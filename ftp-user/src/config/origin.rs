//! Where a setting stands, and all that is wrong with several of them.

use std::fmt;

use super::value::Problem;
use crate::error::{Failure, Line};

/// A value and where it was given.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub origin: Origin,
}

/// Where a setting was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// `--option value`, or `FILE:LINE:COLUMN: key value`.
    given: String,
    /// Line and column of a file, both from 1.
    place: Option<(usize, usize)>,
}

impl Origin {
    /// An option, with its value if it has one.
    pub fn option(given: impl fmt::Display) -> Self {
        Self { given: given.to_string(), place: None }
    }

    /// What stands in a file at a line and column.
    pub fn file(file: &str, (line, column): (usize, usize), what: impl fmt::Display) -> Self {
        Self { given: format!("{file}:{line}:{column}: {what}"), place: Some((line, column)) }
    }

    /// Whether it is in a file.
    #[must_use]
    pub const fn is_in_file(&self) -> bool {
        self.place.is_some()
    }
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default)]
pub struct Complaints(Vec<(Origin, Problem)>);

impl Complaints {
    /// Adds one.
    pub fn add(&mut self, origin: &Origin, problem: Problem) {
        self.0.push((origin.clone(), problem));
    }

    /// The value, unless it is wrong: that is added.
    pub fn unless<T>(&mut self, origin: Origin, result: Result<T, Problem>) -> Option<Given<T>> {
        match result {
            Ok(value) => Some(Given { value, origin }),
            Err(problem) => {
                self.add(&origin, problem);
                None
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those of another reading, but for those on lines of the file that `left_out` names.
    pub fn take(&mut self, others: Self, left_out: impl Fn(usize) -> bool) {
        let stays = |origin: &Origin| origin.place.is_none_or(|(line, _)| !left_out(line));
        self.0.extend(others.0.into_iter().filter(|(origin, _)| stays(origin)));
    }

    /// All of them as one failure, those of a file in its order.
    ///
    /// # Errors
    ///
    /// That failure, if there is any.
    pub fn into_result(mut self) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|(origin, _)| origin.place);
        let lines = self.0.into_iter().map(|(origin, problem)| {
            let is_located = origin.is_in_file();
            Line::new(origin.given, problem.problem, problem.hint, is_located)
        });
        Err(Failure::policy(lines.collect()))
    }
}
