//! Misuse of the command line, in one line like every other failure.

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;
use crate::error::Failure;

/// Help and version as they are; anything else as [`line`].
pub(super) fn report(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    eprint!("{}", line(error, env::args_os()).report());
    ExitCode::from(2)
}

/// The first paragraph of clap's message says what is wrong; of the rest, what to do.
pub(super) fn line(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> Failure {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let lines = paragraphs.next().unwrap_or_default().lines().map(str::trim);
    let problem = lines.collect::<Vec<_>>().join(" ");
    let see = format!("see {} --help", command(arguments));
    let hint = match similar(&text).or_else(|| bare_word(error)) {
        Some(hint) => format!("{hint}; {see}"),
        None => see,
    };
    Failure::usage("command line", problem.trim_start_matches("error: "), &hint)
}

/// The command that was misused, as far as there is such a one: `ftptrack policy import`. Not all of clap's errors
/// know it.
fn command(arguments: impl Iterator<Item = OsString>) -> String {
    let mut path = String::from("ftptrack");
    let root = Cli::command();
    let mut command = &root;
    for argument in arguments {
        if let Some(sub) = command.find_subcommand(&argument) {
            path = format!("{path} {}", sub.get_name());
            command = sub;
        }
    }
    path
}

/// What clap takes for a misspelling.
fn similar(text: &str) -> Option<String> {
    let name = text.lines().find_map(|line| {
        let tip = line.trim().strip_prefix("tip: ")?;
        Some(tip.split_once(" similar ")?.1.split_once(": ")?.1)
    })?;
    Some(format!("did you mean {name}?"))
}

/// A word where none is taken.
fn bare_word(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else { return None };
    let is_word = error.kind() == ErrorKind::UnknownArgument && !word.starts_with('-');
    is_word.then(|| format!("if it is an interface, write -i {word}"))
}
