//! One cell of the matrix.

use std::collections::BTreeSet;
use std::fmt;

use super::data::{Block, Data};
use crate::hosts::network::Family;

/// A client that does something with a server, and where the filter stands.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Cell {
    /// Where the filter stands.
    pub place: String,
    /// What ftptrack is told.
    pub policy: String,
    /// `NAME` or `NAME/VARIANT`.
    pub server: String,
    /// The same, for the second server.
    pub second: Option<String>,
    /// Who connects.
    pub client: String,
    /// What it does.
    pub action: String,
    /// How it negotiates.
    pub mode: String,
}

impl Cell {
    /// The cells of a block.
    #[must_use]
    pub fn of(block: &Block, data: &Data) -> BTreeSet<Self> {
        let names = |list: &[String], all: &mut dyn Iterator<Item = &String>| -> Vec<String> {
            if list.iter().any(|name| name == "*") { all.cloned().collect() } else { list.to_vec() }
        };
        let servers = names(&block.servers, &mut data.servers.keys());
        let clients = names(&block.clients, &mut data.clients.keys());
        let places = names(&block.places, &mut data.places.iter().map(|place| &place.name));
        let seconds: Vec<_> = match &block.second[..] {
            [] => vec![None],
            list => names(list, &mut data.servers.keys()).into_iter().map(Some).collect(),
        };
        let mut cells = BTreeSet::new();
        for name in &clients {
            let client = &data.clients[name];
            let modes = names(&block.modes, &mut client.modes.keys());
            let actions = names(&block.actions, &mut client.actions.keys());
            let modes = || modes.iter().filter(|mode| client.modes.contains_key(*mode));
            let can = |action: &&String| client.actions.contains_key(data.actions[*action].script(action));
            for action in actions.iter().filter(can) {
                for (mode, server) in modes().flat_map(|mode| servers.iter().map(move |server| (mode, server))) {
                    for (second, place) in
                        seconds.iter().flat_map(|second| places.iter().map(move |place| (second, place)))
                    {
                        cells.insert(Self {
                            place: place.clone(),
                            policy: block.policy.clone(),
                            server: server.clone(),
                            second: second.clone(),
                            client: name.clone(),
                            action: action.clone(),
                            mode: mode.clone(),
                        });
                    }
                }
            }
        }
        cells
    }

    /// Over which IP.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.mode.ends_with("-v6") { Family::V6 } else { Family::V4 }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, policy, server, second, client, action, mode } = self;
        write!(formatter, "{place}, {policy}: {client} {action} {mode} {server}")?;
        if let Some(second) = second {
            write!(formatter, " {second}")?;
        }
        Ok(())
    }
}
