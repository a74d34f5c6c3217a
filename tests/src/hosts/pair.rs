//! Two hosts joined by one cable: a veth pair, without a bridge that would cost something too.

use crate::actors::probe::{self, Outcome};
use crate::hosts::network::{Family, Host, INTERFACE};
use crate::support::wait;

/// The hosts.
#[derive(Debug)]
pub struct Pair {
    /// Where the FTP server runs, and ftptrack with it.
    pub server: Host,
    /// Where the FTP client runs.
    pub client: Host,
}

impl Pair {
    /// Joins two hosts, which reach each other over these families then.
    #[track_caller]
    pub fn of(server: Host, client: Host, families: &[Family]) -> Self {
        let [at_server, at_client] =
            [&server, &client].map(|host| host.mac().map(|byte| format!("{byte:02x}")).join(":"));
        // Both ends are made where they belong: the machine's own namespace never sees them.
        server.namespace.ip(&format!(
            "link add {INTERFACE} address {at_server} type veth peer name {INTERFACE} address {at_client} netns {}",
            client.namespace.path()
        ));
        let pair = Self { server, client };
        for host in [&pair.server, &pair.client] {
            host.namespace.ip(&format!("link set {INTERFACE} up"));
            for family in families {
                let length = if *family == Family::V4 { 24 } else { 64 };
                host.namespace.ip(&format!("address add {}/{length} dev {INTERFACE}", host.address(*family)));
            }
        }
        for family in families {
            let to = pair.server.at(*family, 9);
            wait::until("the hosts reach each other", || {
                (probe::to(&pair.client, to) == Outcome::Refused).then_some(())
            });
        }
        pair
    }
}
