//! What the pinned maps say. No daemon is asked.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;

use aya::maps::{HashMap, Map};
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::{Flow, state};
use ftp_common::half_open::{HalfOpenFlow, Id};
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::range::Range;
use ftp_common::session::Session;

use crate::ebpf::batch::read;
use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::pod::AsPod;
use crate::error::{Failure, OrFail as _};
use crate::owner::{self, Learning};
use crate::query::parts::in_parts;
use crate::query::rows::{Encrypted, ExpectationRow, FlowRow, SessionRow, Stats};
use crate::sys::clock;

pub mod flush;
pub mod parts;
pub mod policy_row;
pub mod rows;
pub mod status;
pub mod table;

/// An entry of the FLOWS map.
pub type FlowEntry = (AsPod<ConnectionKey>, AsPod<Flow>);

/// All sessions, the oldest first.
///
/// # Errors
///
/// A map can't be read.
pub fn sessions(maps: PinnedMaps<'_>) -> Result<Vec<SessionRow>, Failure> {
    let mut all: Vec<(AsPod<ConnectionKey>, AsPod<Session>)> = read(&maps.sessions()?)?;
    all.sort_by_key(|(_, session)| session.0.since);
    let ranges: Vec<(AsPod<ExpectationKey>, AsPod<Range>)> = read(&maps.ranges()?)?;
    let owners = ranges.iter().flat_map(|(_, range)| range.0.owners).filter(|owner| owner.opens != 0);
    let owners: BTreeSet<u64> = owners.map(|owner| owner.session_id).collect();
    let owned: HashSet<_> = if Learning::of(maps.pins())?.is_some_and(|learning| learning.problem.is_none()) {
        owner::served_alone(maps)?
    } else {
        HashSet::new()
    };
    let now = clock::monotonic();
    let row = |key: &ConnectionKey, session: &Session| {
        let opens_range = owners.contains(&session.session_id);
        SessionRow::new(key, session, Encrypted { opens_range, is_owned: owned.contains(key) }, now)
    };
    Ok(all.iter().map(|(key, session)| row(&key.0, &session.0)).collect())
}

/// The expectations that stand: not expired, and their session lives. Those that expire next first.
///
/// # Errors
///
/// A map can't be read.
pub fn expectations(maps: PinnedMaps<'_>) -> Result<Vec<ExpectationRow>, Failure> {
    let all: Vec<(AsPod<ExpectationKey>, AsPod<Expectation>)> = read(&maps.expectations()?)?;
    let sessions: HashMap<_, AsPod<ConnectionKey>, AsPod<Session>> =
        HashMap::try_from(Map::LruHashMap(maps.sessions()?)).or_fail("SESSIONS", "run ftptrack detach --all")?;
    let now = clock::monotonic();
    let lives = |expectation: &Expectation| {
        let session = sessions.get(&AsPod(expectation.session), 0);
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
pub fn flows(maps: PinnedMaps<'_>) -> Result<Vec<FlowRow>, Failure> {
    let all = flow_entries(maps)?;
    let now = clock::monotonic();
    // Entries are long: what is put in order is where they are.
    let mut order: Vec<(u64, usize)> = all.iter().map(|(_, flow)| flow.0.since).zip(0..).collect();
    order.sort_unstable();
    let row = |&(_, at): &(u64, usize)| {
        let (key, flow) = &all[at];
        FlowRow::new(&key.0, &flow.0, now)
    };
    let mut rows = Vec::with_capacity(all.len());
    let parts = |part: &[(u64, usize)]| part.iter().map(row).collect::<Vec<_>>();
    let Ok(()) = in_parts(&order, parts, |part| {
        rows.extend(part);
        Ok::<_, Infallible>(())
    });
    Ok(rows)
}

/// The data connections that were accepted, half-open ones too; not those that were denied or refused since.
///
/// # Errors
///
/// A map can't be read.
pub fn flow_entries(maps: PinnedMaps<'_>) -> Result<Vec<FlowEntry>, Failure> {
    let mut all: Vec<FlowEntry> = read(&maps.flows()?)?;
    let half_open: Vec<(Id, AsPod<HalfOpenFlow>)> = read(&maps.half_open()?)?;
    let now = clock::monotonic();
    let open = half_open.into_iter().map(|(_, entry)| entry.0).filter(|entry| {
        let state = entry.flow.state;
        entry.until > now && matches!(state, state::SYN_SENT | state::SYN_RECV | state::UNCONFIRMED)
    });
    all.extend(open.map(|entry| (AsPod(entry.key), AsPod(entry.flow))));
    Ok(all)
}

/// What was counted, on all CPUs together.
///
/// # Errors
///
/// The map can't be read.
pub fn stats(maps: PinnedMaps<'_>) -> Result<Stats, Failure> {
    let stats = maps.stats()?;
    let sum = |counter: &Counter| {
        let values = stats.get(&counter.index(), 0).or_fail("STATS", "run as root")?;
        Ok((*counter, values.iter().sum()))
    };
    Counter::ALL.iter().map(sum).collect::<Result<_, _>>().map(Stats)
}
