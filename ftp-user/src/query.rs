//! What the pinned maps say. No daemon is asked.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::maps::{HashMap, Map, MapData};
use ftp_common::ABI_VERSION;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::range::Range;
use ftp_common::session::Session;

use crate::failure::{Failure, OrFail as _};
use crate::netlink::Netlink;
use crate::pins::{DIRECTIONS, Hook, Pins, Record, network_namespace};
use crate::policy::in_force::PolicyMaps;
use crate::policy::row::PolicyRow;
use crate::rows::{ExpectationRow, FlowRow, InterfaceRow, SessionRow, Stats, Status};
use crate::tables::Tables;
use crate::wire::Wire;
use crate::{batch, bpf, clock, detach};

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
            std::io::ErrorKind::NotFound => {
                Failure::failed(given, "ftptrack is not attached", "start it with ftptrack run, or give its --pin-dir")
            }
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
        ranges.iter().flat_map(|(_, range)| range.0.owners).map(|owner| owner.generation).collect();
    let now = clock::monotonic();
    let row = |key: &ConnectionKey, session: &Session| {
        SessionRow::new(key, session, owners.contains(&session.generation), now)
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
        session.is_ok_and(|session| session.0.generation == expectation.generation)
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
    let mut interfaces = Vec::new();
    for record in pins.records()? {
        let attached = is_attached(pins, &record).await?;
        let Record { name, index, side, hook, .. } = record;
        interfaces.push(InterfaceRow { name, index, side, hook, attached });
    }
    Ok(Status {
        version: env!("CARGO_PKG_VERSION"),
        abi: ABI_VERSION,
        pin_dir: pin_dir.display().to_string(),
        interfaces,
        policy: PolicyRow::from(&PolicyMaps::open(tables)?.in_force()?),
        sessions: read::<Wire<ConnectionKey>, Wire<Session>>(&tables.sessions()?)?.len(),
        expectations: expectations(tables)?.len(),
        flows: read::<Wire<ConnectionKey>, Wire<Flow>>(&tables.flows()?)?.len(),
    })
}

/// A network interface that goes away takes its filter with it; the pins stay.
async fn is_attached(pins: &Pins, record: &Record) -> Result<bool, Failure> {
    match record.hook {
        Hook::Tcx => Ok(DIRECTIONS.iter().all(|direction| {
            let link = bpf::open_pinned(&pins.link(&record.name, *direction));
            link.and_then(|link| bpf::tcx_interface(link.as_fd())).is_ok_and(|index| index == record.index)
        })),
        // From elsewhere it can't be seen.
        Hook::Clsact if record.namespace != network_namespace()? => Ok(false),
        Hook::Clsact => {
            let netlink = Netlink::open()?;
            for direction in DIRECTIONS {
                if detach::our_filter(&netlink, pins, record, direction).await?.is_none() {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }
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
