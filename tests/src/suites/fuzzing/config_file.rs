//! The configuration file: whatever its text is, it is a policy that keeps what its types promise, or everything that
//! is wrong with it, each on a line for people.

use std::collections::{BTreeSet, HashSet};

use ftp_common::policy::{CONTROL_PORTS, MAX_POLICIES, MAX_SESSIONS_PER_CLIENT};
use ftp_user::config::Configuration;
use ftp_user::config::origin::Complaints;
use ftp_user::config::read_text;
use ftp_user::error::Failure;
use ftp_user::escape::is_hidden;
use ftp_user::policy::toml::{self, Detail};
use ftp_user::policy::{
    ActivePort, FIRST_PASSIVE, MAX_EXPECTATION_TIMEOUT, MAX_NAMED, Policy, Rules, attachment::Sizes, summary,
};

const NAME: &str = "config.toml";

/// Any text as a configuration file.
pub fn config_file(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match read(&text) {
        Ok(configuration) => {
            keeps_its_promises(&configuration);
            is_the_same_when_written(&configuration.policy);
        }
        Err(failure) => is_for_people(&failure, &text),
    }
}

/// The configuration that a text is, or all that is wrong with it.
pub(super) fn read(text: &str) -> Result<Configuration, Failure> {
    let mut complaints = Complaints::default();
    let configuration = read_text(NAME, text, &mut complaints).resolve(&mut complaints);
    complaints.into_result().map(|()| configuration)
}

/// Each complaint has a place within the text, and a line of its own.
fn is_for_people(failure: &Failure, text: &str) {
    let report = failure.report();
    assert!(!report.is_empty() && report.ends_with('\n'), "{report:?}");
    let lines = text.split('\n').count();
    for line in report.lines() {
        assert!(!line.chars().any(is_hidden), "{line:?}");
        let place = line.strip_prefix(NAME).and_then(|rest| rest.strip_prefix(':')).expect(line);
        let mut parts = place.splitn(3, ':');
        let mut number = || parts.next().and_then(|number| number.parse::<usize>().ok());
        let (row, column) = number().zip(number()).expect(line);
        assert!((1..=lines).contains(&row) && column >= 1, "{line:?} in {lines} lines");
        let said = parts.next().unwrap_or_default();
        let (problem, hint) = said.rsplit_once("; ").expect(line);
        assert!(problem.split_once(": ").is_some_and(|(_, problem)| !problem.is_empty()), "{line:?}");
        assert!(!hint.is_empty(), "{line:?}");
    }
    assert_eq!(failure.exit_code(), 2, "what was given is to blame");
}

fn keeps_its_promises(configuration: &Configuration) {
    let Configuration { interfaces, policy, sizes } = configuration;
    let names: HashSet<_> = interfaces.iter().map(|interface| &interface.name).collect();
    assert_eq!(names.len(), interfaces.len(), "{interfaces:?}");
    let Sizes { sessions, flows } = sizes;
    for size in [sessions, flows].into_iter().flatten() {
        assert!((1_024..=4_194_304).contains(size), "{sizes:?}");
    }
    assert!(policy.own.is_some() || !policy.named.is_empty(), "of one server at least");
    assert!(policy.named.len() < MAX_POLICIES as usize, "{}", policy.named.len());
    let prefixes: Vec<_> = policy.named.iter().flat_map(|named| &named.prefixes).collect();
    assert!(prefixes.len() <= MAX_NAMED, "{}", prefixes.len());
    assert!(prefixes.iter().all(|net| net.addr() == net.network()), "{prefixes:?}");
    assert_eq!(prefixes.iter().collect::<HashSet<_>>().len(), prefixes.len(), "{prefixes:?}");
    assert!(policy.named.iter().all(|named| !named.prefixes.is_empty()), "{policy:?}");
    for rules in policy.own.iter().chain(policy.named.iter().map(|named| &named.rules)) {
        rules_keep_their_promises(rules);
    }
    // What is said of it has no more lines than it says.
    let lines = policy.notes().into_iter().chain(summary::server_lines(policy, None));
    lines.for_each(|line| assert!(!line.is_empty() && !line.chars().any(is_hidden), "{line:?}"));
}

/// Control ports, passive range and active port lie apart, and every number is one that the kernel program takes.
fn rules_keep_their_promises(rules: &Rules) {
    let ports = &rules.control_ports;
    assert!((1..=CONTROL_PORTS).contains(&ports.len()) && !ports.contains(&0), "{rules:?}");
    assert_eq!(ports.iter().collect::<HashSet<_>>().len(), ports.len(), "{rules:?}");
    if let Some(range) = rules.passive_range {
        assert!(FIRST_PASSIVE <= range.first && range.first <= range.last, "{rules:?}");
        assert!(!ports.iter().any(|port| range.contains(*port)), "{rules:?}");
    }
    if let ActivePort::Port(port) = rules.active_port {
        let is_passive = rules.passive_range.is_some_and(|range| range.contains(port));
        assert!(port != 0 && !ports.contains(&port) && !is_passive, "{rules:?}");
    }
    assert!((1..=MAX_EXPECTATION_TIMEOUT).contains(&rules.expectation_timeout), "{rules:?}");
    assert!((1..=MAX_SESSIONS_PER_CLIENT).contains(&rules.sessions_per_client), "{rules:?}");
    if let Some(mark) = rules.mark {
        assert!(mark.mask != 0 && mark.value & !mark.mask == 0, "{rules:?}");
    }
}

/// `policy show` writes what `policy apply` reads.
fn is_the_same_when_written(policy: &Policy) {
    for detail in [Detail::All, Detail::Unusual] {
        let text = toml::policy(policy, &BTreeSet::new(), detail);
        let again = read(&text).unwrap_or_else(|failure| panic!("{failure}\nof\n{text}"));
        assert_eq!(again.policy, *policy, "{text}");
    }
}
