//! `ftptrack doctor` as the tests ask it.

use serde::Deserialize;

use crate::hosts::network::Host;
use crate::subject::ftptrack::{self, PinDirectory};
use crate::support::process;

/// What it found.
#[derive(Clone, Debug, Deserialize)]
pub struct Finding {
    /// `ok`, `not_checked`, `note`, `warning` or `error`.
    pub level: String,
    /// The check.
    pub check: String,
    /// What is so.
    pub what: String,
    /// Why it matters.
    pub why: Option<String>,
    /// The command that fixes it.
    pub fix: Option<String>,
}

/// The doctor on a host.
#[derive(Debug)]
pub struct Doctor<'a> {
    /// Where it looks.
    pub host: &'a Host,
    /// Where ftptrack would pin.
    pub pins: &'a PinDirectory,
    /// What it is asked, as words.
    pub asked: String,
}

impl<'a> Doctor<'a> {
    /// One that is asked these words.
    pub fn new(host: &'a Host, pins: &'a PinDirectory, asked: impl Into<String>) -> Self {
        Self { host, pins, asked: asked.into() }
    }

    /// What it finds, and its exit code.
    #[track_caller]
    pub fn examine(&self) -> (Vec<Finding>, Option<i32>) {
        let mut arguments = vec!["doctor", "--json"];
        arguments.extend(self.asked.split_whitespace());
        let output = ftptrack::finish(self.host, self.pins, &arguments);
        let findings = serde_json::from_str(&output.stdout);
        (findings.unwrap_or_else(|error| panic!("{error}: {output:?}")), output.status.code())
    }

    /// What it finds by one check.
    #[track_caller]
    pub fn of(&self, check: &str) -> Vec<Finding> {
        self.examine().0.into_iter().filter(|finding| finding.check == check).collect()
    }

    /// The finding that has `text` in it, if there is one.
    #[track_caller]
    pub fn finding(&self, text: &str) -> Option<Finding> {
        self.examine().0.into_iter().find(|finding| finding.what.contains(text))
    }

    /// It finds `text` at this level; the command that it names is run; then it finds it no more.
    #[track_caller]
    pub fn mends(&self, level: &str, text: &str) -> Finding {
        let (all, _) = self.examine();
        let found = all.iter().find(|finding| finding.what.contains(text));
        let found = found.unwrap_or_else(|| panic!("no {text:?} among {all:#?}")).clone();
        assert_eq!(found.level, level, "{found:#?}");
        assert!(found.why.is_some(), "{found:#?}");
        let mend = found.fix.clone().unwrap_or_else(|| panic!("{found:#?}"));
        self.run(&mend);
        let (after, _) = self.examine();
        let still = after.iter().find(|finding| finding.what.contains(text));
        assert!(still.is_none(), "after {mend:?}: {still:#?}");
        found
    }

    /// Runs a line of shell on the host, where `ftptrack` is the command under test and no service is restarted: the
    /// machine's are none of the test's.
    #[track_caller]
    pub fn run(&self, line: &str) {
        let binary = ftptrack::binary();
        let directory = binary.parent().expect("it is in a directory").display();
        let mut shell = self.host.namespace.command("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        shell
            .args(["-euc", &format!("systemctl() {{ :; }}\n{line}")])
            .env("PATH", format!("{directory}:{path}:/usr/sbin:/sbin"));
        let output = process::finish(&mut shell);
        assert!(output.status.success(), "{line}: {output:?}");
    }
}
