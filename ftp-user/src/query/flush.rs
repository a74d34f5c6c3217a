//! Taking entries out of the maps: a session, an expectation, a flow, or all.

use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::session::Session;

use crate::ebpf::batch::remove;
use crate::ebpf::maps::PinnedMaps;
use crate::endpoint::pair;
use crate::error::Failure;
use crate::query::rows::ExpectationRow;

/// Which entries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum What {
    /// Control connections; what they negotiated goes with them.
    Sessions,
    /// Negotiated data connections.
    Expectations,
    /// Data connections: their counts go, they themselves go on.
    Flows,
}

/// Takes out the entry of that name, as the lists show it, or all; how many there were.
///
/// # Errors
///
/// There is no such entry, or a map can't be changed.
pub fn flush(maps: PinnedMaps<'_>, what: What, name: Option<&str>) -> Result<usize, Failure> {
    let count = match what {
        What::Sessions => remove::<ConnectionKey, Session>(maps.sessions()?, |key, _| wanted(name, &connection(key)))?,
        What::Expectations => remove::<ExpectationKey, Expectation>(maps.expectations()?, |key, value| {
            wanted(name, &ExpectationRow::new(key, value, 0).name())
        })?,
        What::Flows => remove::<ConnectionKey, Flow>(maps.flows()?, |key, _| wanted(name, &connection(key)))?,
    };
    match name {
        Some(name) if count == 0 => {
            let list = match what {
                What::Sessions => "ftptrack sessions: CLIENT-SERVER, each with its port",
                What::Expectations => "ftptrack expectations: MODE:CLIENT-SERVER:PORT",
                What::Flows => "ftptrack flows: CLIENT-SERVER, each with its port",
            };
            Err(Failure::failed(name, "there is no such entry", format_args!("name one of {list}")))
        }
        _ => Ok(count),
    }
}

fn wanted(name: Option<&str>, entry: &str) -> bool {
    name.is_none_or(|name| name == entry)
}

fn connection(key: &ConnectionKey) -> String {
    pair(key.client, key.client_port, key.server, key.server_port)
}
