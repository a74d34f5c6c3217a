//! Which cells something is about.

use serde::Deserialize;
use std::fmt;

use super::cell::Cell;

/// Cells, by what they have in common; what isn't named doesn't matter.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Select {
    #[serde(default)]
    place: Vec<String>,
    #[serde(default)]
    policy: Vec<String>,
    #[serde(default)]
    server: Vec<String>,
    #[serde(default)]
    second: Vec<String>,
    #[serde(default)]
    client: Vec<String>,
    #[serde(default)]
    mode: Vec<String>,
    #[serde(default)]
    action: Vec<String>,
}

impl Select {
    /// Whether this cell is among them.
    #[must_use]
    pub fn holds(&self, cell: &Cell) -> bool {
        let names = |list: &[String], name: &str| list.is_empty() || list.iter().any(|item| item == name);
        names(&self.place, &cell.place)
            && names(&self.policy, &cell.policy)
            && names(&self.server, &cell.server)
            && names(&self.second, cell.second.as_deref().unwrap_or_default())
            && names(&self.client, &cell.client)
            && names(&self.mode, &cell.mode)
            && names(&self.action, &cell.action)
    }
}

impl fmt::Display for Select {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, policy, server, second, client, mode, action } = self;
        let named = [
            ("place", place),
            ("policy", policy),
            ("server", server),
            ("second server", second),
            ("client", client),
            ("mode", mode),
            ("action", action),
        ];
        let named = named.into_iter().filter(|(_, names)| !names.is_empty());
        let words: Vec<_> = named.map(|(kind, names)| format!("{kind} {}", names.join(" or "))).collect();
        formatter.write_str(&words.join("; "))
    }
}
