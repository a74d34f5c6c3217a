//! Which versions were played.

use std::collections::BTreeMap;
use std::process::Command;

use super::daemon;
use super::data::Data;
use crate::support::process;

/// What servers and clients say that they are.
#[derive(Debug)]
pub struct Versions {
    servers: BTreeMap<String, String>,
    clients: BTreeMap<String, String>,
}

impl Versions {
    /// Asks all of them.
    #[track_caller]
    #[must_use]
    pub fn ask(data: &Data) -> Self {
        let servers = data.servers.iter().map(|(name, server)| (name.clone(), daemon::version(name, server)));
        let clients = data.clients.iter().map(|(name, client)| {
            let output = process::finish(Command::new("sh").args(["-c", &client.version]));
            (name.clone(), output.stdout.trim().to_owned())
        });
        Self { servers: servers.collect(), clients: clients.collect() }
    }

    /// Title and version of a server.
    #[must_use]
    pub fn of_server(&self, name: &str, data: &Data) -> String {
        format!("{} {}", data.servers[name].title, self.servers[name])
    }

    /// Title and version of a client.
    #[must_use]
    pub fn of_client(&self, name: &str, data: &Data) -> String {
        format!("{} {}", data.clients[name].title, self.clients[name])
    }
}
