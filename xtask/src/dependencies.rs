//! Dependencies keep to the rules of `deny.toml`: licences, banned crates, sources.
//!
//! cargo-deny reads the same file. It is not run here because building it takes longer than all of ours; what it would
//! check and this does not is refused as an unknown setting.

use std::env::consts::ARCH;

use cargo_metadata::MetadataCommand;
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::command;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Deny,
    unknown_git: Deny,
}

/// The only value that is understood.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Deny {
    Deny,
}

/// What the rules are about.
#[derive(Clone, Copy)]
struct Dependency<'a> {
    name: &'a str,
    license: Option<&'a str>,
    /// As in `Cargo.lock`; a crate of this workspace has none.
    source: Option<&'a str>,
}

impl Rules {
    fn read() -> Self {
        let text = std::fs::read_to_string(command::workspace().join("deny.toml")).expect("it is in the repository");
        toml::from_str(&text).expect("only settings that are checked here")
    }

    fn problem(&self, dependency: &Dependency<'_>) -> Option<String> {
        let Sources { unknown_registry: Deny::Deny, unknown_git: Deny::Deny } = self.sources;
        let Dependency { name, license, source } = dependency;
        if self.bans.deny.iter().any(|ban| ban.name == *name) {
            return Some(format!("{name}: banned"));
        }
        if source.is_some_and(|source| source != CRATES_IO) {
            return Some(format!("{name}: comes from {}", source.unwrap_or_default()));
        }
        let license = license.unwrap_or("none");
        (!self.allows(license)).then(|| format!("{name}: its licence is {license}"))
    }

    fn allows(&self, license: &str) -> bool {
        // "MIT/Apache-2.0" is what older crates write.
        Expression::parse_mode(license, ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|term| {
                let id = term.license.id().map(|id| id.name);
                term.addition.is_none() && self.licenses.allow.iter().any(|allowed| id == Some(allowed))
            })
        })
    }
}

#[test]
fn dependencies_keep_to_the_rules() {
    let rules = Rules::read();
    let host = format!("{ARCH}-unknown-linux-gnu");
    assert!(rules.graph.targets.contains(&host), "deny.toml: targets lacks {host}");
    let mut metadata = MetadataCommand::new();
    metadata.current_dir(command::workspace());
    metadata.other_options(["--locked", "--filter-platform", &host].map(str::to_owned));
    let packages = metadata.exec().expect("Cargo.lock is complete").packages;
    assert!(packages.len() > 100);
    let problems: Vec<_> = packages
        .iter()
        .filter_map(|package| {
            rules.problem(&Dependency {
                name: &package.name,
                license: package.license.as_deref(),
                source: package.source.as_ref().map(|source| source.repr.as_str()),
            })
        })
        .collect();
    assert_eq!(problems, [""; 0], "against deny.toml");
}

#[test]
fn what_is_against_the_rules_is_found() {
    let rules = Rules::read();
    let good = Dependency { name: "a", license: Some("MIT/Apache-2.0"), source: Some(CRATES_IO) };
    assert_eq!(rules.problem(&good), None);
    assert_eq!(rules.problem(&Dependency { source: None, ..good }), None);
    for license in ["GPL-3.0-only OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert_eq!(rules.problem(&Dependency { license: Some(license), ..good }), None);
    }
    let bad = [
        Dependency { name: "openssl-sys", ..good },
        Dependency { license: Some("GPL-3.0-only"), ..good },
        Dependency { license: Some("MIT AND GPL-3.0-only"), ..good },
        Dependency { license: Some("Apache-2.0 WITH LLVM-exception"), ..good },
        Dependency { license: None, ..good },
        Dependency { source: Some("git+https://example.org/a#0123456"), ..good },
        Dependency { source: Some("registry+https://example.org/index"), ..good },
    ];
    for dependency in bad {
        assert!(rules.problem(&dependency).is_some(), "{:?} {:?}", dependency.license, dependency.source);
    }
}
