//! The whole state, and whether all is guarded that is to be.

use std::path::Path;

use ftp_common::ABI_VERSION;
use ftp_common::keys::ConnectionKey;
use ftp_common::session::Session;
use ipnet::IpNet;

use crate::attach::addresses::own_addresses;
use crate::attach::observe::{Observed, State, observe};
use crate::ebpf::batch::read;
use crate::ebpf::features::Features;
use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::ebpf::policy_maps::PolicyMaps;
use crate::error::{Failure, Line};
use crate::owner::Learning;
use crate::pins::{Pins, Record};
use crate::policy::summary::shown;
use crate::query::policy_row::PolicyRow;
use crate::query::rows::{InterfaceRow, Status};
use crate::query::{expectations, flow_entries};
use crate::sys::netlink::Netlink;

/// The whole state.
///
/// # Errors
///
/// A map or an attachment can't be read.
pub async fn status(pin_dir: &Path, pins: &Pins) -> Result<Status, Failure> {
    let maps = PinnedMaps::new(pins);
    let netlink = Netlink::open()?;
    let active = PolicyMaps::open(maps)?.active()?;
    let interfaces: Vec<_> = observe(pins, &netlink).await?.into_iter().map(interface).collect();
    let own = own_addresses(&pins.records()?).now(&netlink).await?;
    let known = |net: &IpNet| active.own.contains(net);
    let follows = active.policy.own.is_some();
    let wanted = active.policy.without_named(&own);
    // Those of an interface without a filter go without saying.
    let open: Vec<_> = interfaces.iter().filter(|row| !row.attached).map(|row| row.index).collect();
    let of_open: Vec<_> = netlink.addresses().await?.into_iter().filter(|(index, _)| open.contains(index)).collect();
    let is_of_open = |net: &IpNet| of_open.iter().any(|(_, address)| address.addr() == net.addr());
    let unprotected = wanted.iter().filter(|net| follows && !known(net) && !is_of_open(net));
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        abi: ABI_VERSION,
        pin_dir: pin_dir.display().to_string(),
        kernel: Features::saved(pins)?,
        interfaces,
        unprotected_addresses: unprotected.map(shown).collect(),
        policy: PolicyRow::from(&active),
        learning: Learning::of(pins)?,
        sessions: read::<AsPod<ConnectionKey>, AsPod<Session>>(&maps.sessions()?)?.len(),
        expectations: expectations(maps)?.len(),
        flows: flow_entries(maps)?.len(),
    })
}

fn interface(observed: Observed) -> InterfaceRow {
    let Observed { record, link, state } = observed;
    let Record { name, index, side, hook, version, .. } = record;
    InterfaceRow {
        // Renamed or not.
        name: link.as_ref().map_or(name, |link| link.name.clone()),
        index: link.map_or(index, |link| link.index),
        side,
        hook,
        attached: state == State::Attached,
        state: match state {
            State::Attached => "attached",
            State::Unprotected => "unprotected",
            State::Missing => "missing",
        },
        version,
    }
}

/// Whether all is guarded that is to be.
///
/// # Errors
///
/// What isn't.
pub fn whole(status: &Status) -> Result<(), Failure> {
    let line = |given: &str, problem: &str, hint: &str| Line::new(given, problem, hint, false);
    let interfaces = status.interfaces.iter().filter_map(|row| match row.state {
        "unprotected" => {
            let problem = "it is unprotected: no filter is attached, and the passive range is open";
            Some(line(&row.name, problem, "run ftptrack attach now, and ftptrack watch to have it done by itself"))
        }
        "missing" => {
            let problem = "there is no such interface, and so no filter";
            Some(line(&row.name, problem, "have ftptrack watch running for when it comes, or run ftptrack detach -i"))
        }
        _ => None,
    });
    let addresses = status.unprotected_addresses.iter().map(|address| {
        let problem = "the active policy does not know this address of the host yet: its passive range is shut, and no \
                       session with it is tracked";
        line(address, problem, "run ftptrack attach now, and ftptrack watch to have it done by itself")
    });
    Failure::unprotected(interfaces.chain(addresses).collect())
}
