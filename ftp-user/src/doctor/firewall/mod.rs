//! Whether the host's packet filter, which sees packets after ftptrack at ingress, lets learned ports in; and whether
//! it opens the passive range to those whom ftptrack does not see.

use std::collections::BTreeSet;
use std::io;
use std::process::{Command, Stdio};

use super::{Finding, Level};

mod firewalld;
mod fix;
mod iptables;
mod judge;
mod model;
mod nftables;
mod opened;
mod walk;

pub(super) use judge::check;
use model::Ruleset;

pub(super) const CHECK: &str = "firewall";
/// The variants of iptables; those of Debian 9 and before have one without a variant's name.
const VARIANTS: [&str; 4] = ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"];
const PLAIN: [&str; 2] = ["iptables", "ip6tables"];

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Rulesets {
    pub(super) all: Vec<Ruleset>,
    /// The tools whose rules these are.
    tools: Vec<String>,
    /// Whether a tool that is there failed.
    has_failed: bool,
}

impl Rulesets {
    /// `nft and iptables-nft`, if whatever rules there are were read.
    pub(super) fn whole(&self) -> Option<String> {
        (!self.has_failed && !self.tools.is_empty()).then(|| self.tools.join(", "))
    }

    /// Whether any rule gives connections another destination.
    fn translate(&self) -> bool {
        self.all.iter().any(|ruleset| ruleset.translates)
    }
}

/// A tool, and what it printed of its rules.
pub(super) type Answer = (String, io::Result<String>);

/// Asks nft and iptables for their rules; says what could not be read.
pub(super) fn ask(findings: &mut Vec<Finding>) -> Rulesets {
    let has = |tool: &str| installed().contains(&format!("{tool}-save"));
    let variants: Vec<_> = VARIANTS.into_iter().filter(|tool| has(tool)).collect();
    let tools = if variants.is_empty() { PLAIN.into_iter().filter(|tool| has(tool)).collect() } else { variants };
    if tools.is_empty() {
        let what = "iptables is not installed: its rules, if there are any, can't be listed";
        findings.push(Finding::not_checked(CHECK, what).fix("apt-get install iptables"));
    }
    let nft = ("nft".to_owned(), printed("nft", &["-j", "list", "ruleset"]));
    let iptables = tools.into_iter().map(|tool| (tool.to_owned(), printed(&format!("{tool}-save"), &[])));
    read(&[nft].into_iter().chain(iptables).collect::<Vec<_>>(), findings)
}

/// Reads what they answered.
pub(super) fn read(answers: &[Answer], findings: &mut Vec<Finding>) -> Rulesets {
    let without_iptables = answers.iter().any(|(tool, _)| tool != "nft" && !tool.ends_with("-legacy"));
    let of_nft = answers.iter().filter(|(tool, _)| !tool.ends_with("-legacy"));
    let unlisted =
        of_nft.filter_map(|(tool, printed)| Some((tool, printed.as_ref().ok()?))).flat_map(|(tool, text)| {
            let family = if tool.starts_with("ip6") { "ip6" } else { "ip" };
            iptables::unlisted(text).map(move |table| (family, table))
        });
    let unlisted: Vec<_> = unlisted.collect();
    let mut rulesets = Rulesets::default();
    for (tool, printed) in answers {
        let printed = printed.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()));
        let ruleset = printed.and_then(|text| {
            let read = match tool.as_str() {
                "nft" => nftables::read(text, without_iptables, &unlisted),
                tool => iptables::read(text, tool),
            };
            read.map_err(io::Error::other)
        });
        match ruleset {
            Ok(ruleset) => {
                rulesets.all.push(ruleset);
                rulesets.tools.push(tool.clone());
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("{tool} is not installed: its rules, if there are any, can't be listed");
                findings.push(Finding::not_checked(CHECK, what).fix("apt-get install nftables"));
            }
            Err(error) => {
                rulesets.has_failed = true;
                findings.push(Finding::not_checked(CHECK, format!("rules of {tool}: {error}")));
            }
        }
    }
    rulesets
}

/// Names of the programs that a root shell finds.
fn installed() -> BTreeSet<String> {
    let directories = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin"];
    let entries = directories.into_iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.ends_with("-save")).collect()
}

/// What a program prints, if it ends well.
fn printed(program: &str, arguments: &[&str]) -> io::Result<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new(program)
        .args(arguments)
        // An ordinary user's has no sbin.
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(io::Error::other(said.lines().next().unwrap_or("it failed").to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
