//! What the pinned maps say. No daemon is asked.

use std::collections::BTreeSet;
use std::path::Path;

use aya::maps::{HashMap, Map, MapData};
use ftp_common::ABI_VERSION;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::range::Range;
use ftp_common::session::Session;
use ipnet::IpNet;

use crate::attach::observe::{Seen, State, survey};
use crate::commands::policy::own_addresses;
use crate::ebpf::batch;
use crate::ebpf::maps::Tables;
use crate::ebpf::pod::Wire;
use crate::ebpf::policy_maps::PolicyMaps;
use crate::ebpf::server_keys;
use crate::error::{Failure, Line, OrFail as _};
use crate::pins::{Pins, Record};
use crate::query::policy_row::PolicyRow;
use crate::query::rows::{ExpectationRow, FlowRow, InterfaceRow, SessionRow, Stats, Status};
use crate::sys::clock;
use crate::sys::netlink::Netlink;

pub mod flush;
pub mod policy_row;
pub mod rows;
pub mod table;

/// The pins of this version below a directory, where ftptrack is attached.
///
/// # Errors
///
/// Nothing is there.
pub fn pins(pin_dir: &Path) -> Result<Pins, Failure> {
    let pins = Pins::new(pin_dir);
    let given = format!("--pin-dir {}", pin_dir.display());
    if let Err(error) = std::fs::read_dir(pins.maps()) {
        return Err(match error.kind() {
            std::io::ErrorKind::NotFound => match Pins::all(pin_dir).first() {
                Some(other) => Failure::failed(
                    given,
                    format_args!(
                        "the ftptrack that is attached has maps of another shape: {} and not {}",
                        other.version(),
                        pins.version()
                    ),
                    "use the version that attached it, or run ftptrack attach --replace",
                ),
                None => Failure::failed(
                    given,
                    "ftptrack is not attached",
                    "start it with ftptrack attach, or give its --pin-dir",
                ),
            },
            _ => Failure::failed(given, error, "run as root"),
        });
    }
    Ok(pins)
}

/// All sessions, the oldest first.
///
/// # Errors
///
/// A map can't be read.
pub fn sessions(tables: Tables<'_>) -> Result<Vec<SessionRow>, Failure> {
    let mut all: Vec<(Wire<ConnectionKey>, Wire<Session>)> = read(&tables.sessions()?)?;
    all.sort_by_key(|(_, session)| session.0.since);
    let ranges: Vec<(Wire<ExpectationKey>, Wire<Range>)> = read(&tables.ranges()?)?;
    let owners: BTreeSet<u64> =
        ranges.iter().flat_map(|(_, range)| range.0.owners).map(|owner| owner.session_id).collect();
    let now = clock::monotonic();
    let row = |key: &ConnectionKey, session: &Session| {
        SessionRow::new(key, session, owners.contains(&session.session_id), now)
    };
    Ok(all.iter().map(|(key, session)| row(&key.0, &session.0)).collect())
}

/// The expectations that stand: not expired, and their session lives. Those that expire next first.
///
/// # Errors
///
/// A map can't be read.
pub fn expectations(tables: Tables<'_>) -> Result<Vec<ExpectationRow>, Failure> {
    let all: Vec<(Wire<ExpectationKey>, Wire<Expectation>)> = read(&tables.expectations()?)?;
    let sessions: HashMap<_, Wire<ConnectionKey>, Wire<Session>> =
        HashMap::try_from(Map::LruHashMap(tables.sessions()?)).or_fail("SESSIONS", "run ftptrack detach --all")?;
    let now = clock::monotonic();
    let lives = |expectation: &Expectation| {
        let session = sessions.get(&Wire(expectation.session), 0);
        session.is_ok_and(|session| session.0.session_id == expectation.session_id)
    };
    let mut standing: Vec<_> =
        all.into_iter().filter(|(_, expectation)| expectation.0.expires > now && lives(&expectation.0)).collect();
    standing.sort_by_key(|(_, expectation)| expectation.0.expires);
    Ok(standing.iter().map(|(key, expectation)| ExpectationRow::new(&key.0, &expectation.0, now)).collect())
}

/// All flows, the oldest first.
///
/// # Errors
///
/// A map can't be read.
pub fn flows(tables: Tables<'_>) -> Result<Vec<FlowRow>, Failure> {
    let mut all: Vec<(Wire<ConnectionKey>, Wire<Flow>)> = read(&tables.flows()?)?;
    all.sort_by_key(|(_, flow)| flow.0.since);
    let now = clock::monotonic();
    Ok(all.iter().map(|(key, flow)| FlowRow::new(&key.0, &flow.0, now)).collect())
}

/// What was counted, on all CPUs together.
///
/// # Errors
///
/// The map can't be read.
pub fn stats(tables: Tables<'_>) -> Result<Stats, Failure> {
    let stats = tables.stats()?;
    let sum = |counter: &Counter| {
        let values = stats.get(&counter.index(), 0).or_fail("STATS", "run as root")?;
        Ok((*counter, values.iter().sum()))
    };
    Counter::ALL.iter().map(sum).collect::<Result<_, _>>().map(Stats)
}

/// The whole state.
///
/// # Errors
///
/// A map or an attachment can't be read.
pub async fn status(pin_dir: &Path, pins: &Pins) -> Result<Status, Failure> {
    let tables = Tables::new(pins);
    let netlink = Netlink::open()?;
    let in_force = PolicyMaps::open(tables)?.in_force()?;
    let interfaces = survey(pins, &netlink).await?.into_iter().map(interface).collect();
    let own = own_addresses(&pins.records()?).now(&netlink).await?;
    let known = |net: &IpNet| in_force.own.contains(net);
    let follows = in_force.policy.own.is_some();
    let wanted = in_force.policy.without_named(&own);
    let bare = wanted.iter().filter(|net| follows && !known(net));
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        abi: ABI_VERSION,
        pin_dir: pin_dir.display().to_string(),
        kernel: pins.features()?,
        interfaces,
        bare_addresses: bare.map(server_keys::shown).collect(),
        policy: PolicyRow::from(&in_force),
        sessions: read::<Wire<ConnectionKey>, Wire<Session>>(&tables.sessions()?)?.len(),
        expectations: expectations(tables)?.len(),
        flows: read::<Wire<ConnectionKey>, Wire<Flow>>(&tables.flows()?)?.len(),
    })
}

fn interface(seen: Seen) -> InterfaceRow {
    let Seen { record, link, state } = seen;
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
            State::Bare => "bare",
            State::Absent => "absent",
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
    let line = |given: &str, wrong: &str, remedy: &str| Line::new(given, wrong, remedy, false);
    let interfaces = status.interfaces.iter().filter_map(|row| match row.state {
        "bare" => {
            let wrong = "it is bare: no filter is in force there, and the passive range is open";
            Some(line(&row.name, wrong, "run ftptrack attach now, and ftptrack watch to have it done by itself"))
        }
        "absent" => {
            let wrong = "there is no such interface, and so no filter";
            Some(line(&row.name, wrong, "have ftptrack watch running for when it comes, or run ftptrack detach -i"))
        }
        _ => None,
    });
    let addresses = status.bare_addresses.iter().map(|address| {
        let wrong = "it is bare: the policy in force does not know this address of the interface yet";
        line(address, wrong, "run ftptrack attach now, and ftptrack watch to have it done by itself")
    });
    Failure::bare(interfaces.chain(addresses).collect())
}

/// All entries of a map.
///
/// # Errors
///
/// It can't be read.
pub(crate) fn read<K, V>(map: &MapData) -> Result<Vec<(K, V)>, Failure>
where
    K: aya::Pod + Default,
    V: aya::Pod + Default,
{
    batch::entries(map).or_fail("pinned map", "run as root")
}
