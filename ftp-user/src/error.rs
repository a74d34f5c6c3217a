//! Why a command failed: a line that says what was given, what is wrong and what to do.

use std::error::Error;
use std::fmt;

use crate::escape;

/// The exit code of a failed command; success is 0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The machine, the kernel or another program stood in the way.
    Failed = 1,
    /// The arguments or the policy are wrong.
    Usage = 2,
    /// `status` has found something that is to be guarded and isn't.
    Unprotected = 3,
    /// `doctor` has found nothing worse than warnings.
    Warned = 4,
}

/// One thing that is wrong, shown as `what was given: what is wrong; what to do`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    given: String,
    problem: String,
    hint: String,
    /// Whether `given` begins with `FILE:LINE:COLUMN:`, as editors know it.
    is_located: bool,
}

impl Line {
    /// One line, whatever its parts are.
    pub fn new(
        given: impl fmt::Display,
        problem: impl fmt::Display,
        hint: impl fmt::Display,
        is_located: bool,
    ) -> Self {
        Self { given: one_line(&given), problem: one_line(&problem), hint: one_line(&hint), is_located }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.given, self.problem, self.hint)
    }
}

/// A failure: one line, or one for each error of a policy, or for each interface and address that is unprotected.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    lines: Vec<Line>,
    exit: Exit,
}

impl Failure {
    /// Something in the machine's state stands in the way.
    pub fn failed(given: impl fmt::Display, problem: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { lines: vec![Line::new(given, problem, hint, false)], exit: Exit::Failed }
    }

    /// Something is to be guarded and isn't; nothing if there are no such things.
    ///
    /// # Errors
    ///
    /// A line for each.
    pub fn unprotected(lines: Vec<Line>) -> Result<(), Self> {
        if lines.is_empty() { Ok(()) } else { Err(Self { lines, exit: Exit::Unprotected }) }
    }

    /// The arguments are wrong whatever the machine's state.
    pub fn usage(given: impl fmt::Display, problem: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { lines: vec![Line::new(given, problem, hint, false)], exit: Exit::Usage }
    }

    /// What is wrong was shown already.
    #[must_use]
    pub const fn shown(exit: Exit) -> Self {
        Self { lines: Vec::new(), exit }
    }

    /// The same, where what was given is to blame.
    #[must_use]
    pub fn as_usage(self) -> Self {
        Self { exit: Exit::Usage, ..self }
    }

    /// A policy is wrong whatever the machine's state, in one respect at least.
    #[must_use]
    pub const fn policy(lines: Vec<Line>) -> Self {
        Self { lines, exit: Exit::Usage }
    }

    /// What was given and what is wrong, without a remedy.
    #[must_use]
    pub fn complaint(&self) -> String {
        let complaints: Vec<_> = self.lines.iter().map(|line| format!("{}: {}", line.given, line.problem)).collect();
        complaints.join("; ")
    }

    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        self.exit as u8
    }

    /// What goes to standard error: each line with the command's name in front, unless it names a place in a file.
    #[must_use]
    pub fn report(&self) -> String {
        let name = |line: &Line| if line.is_located { "" } else { "ftptrack: " };
        self.lines.iter().map(|line| format!("{}{line}\n", name(line))).collect()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.lines.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Error for Failure {}

/// Turns any error into a [`Failure`] of the machine.
pub trait OrFail<T> {
    /// Says what was given and what to do; what is wrong is the error's own text.
    ///
    /// # Errors
    ///
    /// The error itself, as a [`Failure`].
    fn or_fail(self, given: impl fmt::Display, hint: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: Error> OrFail<T> for Result<T, E> {
    fn or_fail(self, given: impl fmt::Display, hint: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::failed(given, causes(&error), hint))
    }
}

/// The texts of an error and its sources. Many errors repeat their source's text; once is enough.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

/// Errors of the verifier and of netlink span lines; a failure is one line.
fn one_line(text: &impl fmt::Display) -> String {
    escape::text(&text.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_failure_is_one_line_whatever_its_cause() {
        let error: Result<(), _> = Err(io::Error::other("first\n  second"));
        let failure = error.or_fail("eth0", "try again").unwrap_err();
        assert_eq!(failure.to_string(), "eth0: first second; try again");
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(Failure::usage("a", "b", "c").exit_code(), 2);
    }

    #[test]
    fn what_others_have_named_steers_no_terminal() {
        let failure = Failure::failed("a\u{9b}2J", "b\x1b[m", "c\u{202e}d");
        assert_eq!(failure.to_string(), r"a\u{9b}2J: b\u{1b}[m; c\u{202e}d");
    }

    #[test]
    fn the_commands_name_stands_in_front_unless_a_place_does() {
        let failure = Failure::policy(vec![
            Line::new("--ftps x", "wrong", "fix it", false),
            Line::new("a.toml:3:5: ftps x", "wrong", "fix it", true),
        ]);
        assert_eq!(failure.report(), "ftptrack: --ftps x: wrong; fix it\na.toml:3:5: ftps x: wrong; fix it\n");
    }
}
