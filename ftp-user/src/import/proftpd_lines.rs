//! proftpd.conf as directives: lines joined, files included, conditions decided.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Findings, Place, Text};
use crate::error::Failure;

/// Files within files that proftpd itself would follow no further.
const DEPTH: usize = 16;
/// Files that are read, at most: those that include each other are read again and again.
const MOST_FILES: usize = 1_000;
/// Compiled in everywhere (`proftpd -l` of Debian's 1.3.8); others are there if they are loaded.
const ALWAYS: [&str; 16] = [
    "mod_auth.c",
    "mod_auth_file.c",
    "mod_auth_pam.c",
    "mod_auth_unix.c",
    "mod_cap.c",
    "mod_core.c",
    "mod_ctrls.c",
    "mod_delay.c",
    "mod_dso.c",
    "mod_facts.c",
    "mod_lang.c",
    "mod_log.c",
    "mod_ls.c",
    "mod_rlimit.c",
    "mod_site.c",
    "mod_xfer.c",
];

/// A line that counts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Directive {
    pub(super) place: Place,
    /// In lower case: `passiveports`, `<virtualhost`, `</virtualhost`.
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
}

/// The directives of a file and of those that it includes, without what its conditions leave out.
///
/// # Errors
///
/// The file can't be read. An included one is warned of, as proftpd does.
pub(super) fn directives(path: &Path, findings: &mut Findings) -> Result<Vec<Directive>, Failure> {
    let mut reader = Reader::default();
    reader.file(path, DEPTH, findings)?;
    Ok(reader.directives)
}

#[derive(Default)]
struct Reader {
    directives: Vec<Directive>,
    loaded: BTreeSet<String>,
    defined: BTreeSet<String>,
    /// For each open condition whether it holds.
    conditions: Vec<bool>,
    /// Files so far.
    files: usize,
}

impl Reader {
    fn file(&mut self, path: &Path, depth: usize, findings: &mut Findings) -> Result<(), Failure> {
        self.files += 1;
        let text = Text::of(path)?;
        let mut lines = (1..).zip(text.text.lines());
        while let Some((line, content)) = lines.next() {
            let mut joined = content.trim_end().to_owned();
            while joined.ends_with('\\') {
                joined.pop();
                joined += lines.next().unwrap_or_default().1.trim_end();
            }
            let words = words(&joined);
            if let Some((name, arguments)) = words.split_first() {
                let place = Place { file: text.name.clone(), line };
                let name = name.to_ascii_lowercase();
                self.directive(Directive { place, name, arguments: arguments.to_vec() }, depth, findings);
            }
        }
        Ok(())
    }

    fn directive(&mut self, directive: Directive, depth: usize, findings: &mut Findings) {
        let first = || directive.arguments.first().cloned().unwrap_or_default();
        match directive.name.as_str() {
            "<ifmodule" => self.conditions.push(holds(&first(), |name| self.has_module(name))),
            "<ifdefine" => self.conditions.push(holds(&first(), |name| self.defined.contains(name))),
            "</ifmodule" | "</ifdefine" => drop(self.conditions.pop()),
            _ if self.conditions.contains(&false) => {}
            "loadmodule" => drop(self.loaded.insert(first())),
            "define" => drop(self.defined.insert(first())),
            "include" => self.include(&directive, depth, findings),
            _ => self.directives.push(directive),
        }
    }

    /// Where nothing is loaded, modules are compiled in, and which can't be known: it is taken to be there.
    fn has_module(&self, name: &str) -> bool {
        ALWAYS.contains(&name) || self.loaded.is_empty() || self.loaded.contains(name)
    }

    fn include(&mut self, directive: &Directive, depth: usize, findings: &mut Findings) {
        let pattern = directive.arguments.first().map_or("", String::as_str);
        let files = included(pattern, Path::new(&directive.place.file));
        let Some(files) = files.filter(|_| depth != 0 && self.files < MOST_FILES) else {
            findings.warn(
                &directive.place,
                format_args!("Include {pattern}: nothing to read"),
                "see what it should be",
            );
            return;
        };
        for file in files {
            if let Err(failure) = self.file(&file, depth - 1, findings) {
                findings.warn(&directive.place, failure.complaint(), "make it readable");
            }
        }
    }
}

fn holds(argument: &str, is: impl Fn(&str) -> bool) -> bool {
    match argument.strip_prefix('!') {
        Some(name) => !is(name),
        None => is(argument),
    }
}

/// The files of a path or pattern; of a directory all. One that is relative begins where `from` is.
/// `None` if a single file is not there: a pattern or a directory may be empty.
fn included(pattern: &str, from: &Path) -> Option<Vec<PathBuf>> {
    let path = from.parent().unwrap_or(from).join(pattern);
    let path = if path.is_dir() { path.join("*") } else { path };
    let is_pattern = path.to_string_lossy().contains(['*', '?', '[']);
    let found = glob::glob(&path.to_string_lossy()).into_iter().flatten().flatten();
    let files: Vec<_> = found.filter(|path| path.is_file()).collect();
    (is_pattern || !files.is_empty()).then_some(files)
}

/// Words, of which those in quotes may hold blanks; `<` stays with the first, `>` goes. A # ends it.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = if line.starts_with('<') { line.trim_end_matches('>') } else { line };
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '#' => break,
            '"' => rest[1..].split_once('"').unwrap_or((&rest[1..], "")),
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_apart_by_blanks_but_for_quotes() {
        assert_eq!(words("  PassivePorts\t40000  40010 # tail"), ["PassivePorts", "40000", "40010"]);
        assert_eq!(words("ServerName \"a # b\" x"), ["ServerName", "a # b", "x"]);
        assert_eq!(words("<VirtualHost 10.0.0.1 10.0.0.2>"), ["<VirtualHost", "10.0.0.1", "10.0.0.2"]);
        assert!(words("# PassivePorts 1 2").is_empty());
    }
    #[test]
    fn files_that_include_themselves_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.conf");
        std::fs::write(&path, "Include a.conf\nInclude a.conf\nInclude a.conf\nPort 21\n").unwrap();
        let mut findings = Findings::default();
        let read = directives(&path, &mut findings).unwrap();
        assert!((1..=MOST_FILES).contains(&read.len()), "{}", read.len());
        assert!(findings.warnings.iter().all(|warning| warning.problem == "Include a.conf: nothing to read"));
    }
}
