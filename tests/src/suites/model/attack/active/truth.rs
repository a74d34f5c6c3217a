//! What client and server have really agreed on in active mode: the server may open that, and nothing else.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::super::host::{Accepted, Tuple};
use super::super::matching::Matching;
use super::super::scene::Moment;

/// How long an expectation lasts, seconds; that of the policy of every story.
const TIMEOUT: u64 = 300;

/// A port that a client has announced and the server has agreed to.
#[derive(Clone, Debug)]
struct Agreement {
    /// The session, by its number in the story.
    session: usize,
    client: IpAddr,
    port: u16,
    /// Until when, as another takes its place, or its session ends.
    until: Option<Moment>,
    /// When it was made and when it was renewed: it stands for a while from each.
    renewed: Vec<Moment>,
    /// Transfer commands since.
    transfers: usize,
    /// It was renewed only after its time: whether it stands then depends on who asked for it in between.
    lapsed: bool,
}

impl Agreement {
    fn stood(&self, at: Moment) -> bool {
        // What is renewed in this second may last until the end of the next one.
        let renewed = self.renewed.iter().any(|from| (*from..=(from.0 + TIMEOUT + 1, 0)).contains(&at));
        renewed && self.until.is_none_or(|until| at < until)
    }

    fn ends(&mut self, at: Moment) {
        self.until.get_or_insert(at);
    }
}

/// One connection that may be opened: the first of an agreement, or one for each further transfer command.
#[derive(Clone, Copy, Debug)]
struct Use {
    agreement: usize,
    from: Moment,
}

/// A connection that the server opens, by the number of its SYN.
type Opened = (Tuple, u32);

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    agreements: Vec<Agreement>,
    uses: Vec<Use>,
    /// When SYNs of the server passed.
    syns: HashMap<Opened, Vec<Moment>>,
    /// The uses of the connections on which the server has said something.
    served: Matching,
    /// Those connections.
    speaking: HashSet<Opened>,
}

impl Truth {
    /// The server has agreed to a port. It replaces what the session had negotiated before, and what another session of
    /// the same client had at that port.
    pub(super) fn negotiated(&mut self, now: Moment, session: usize, client: IpAddr, port: u16) {
        for old in &mut self.agreements {
            if old.session == session || old.client == client && old.port == port {
                old.ends(now);
            }
        }
        self.uses.push(Use { agreement: self.agreements.len(), from: now });
        let renewed = vec![now];
        self.agreements.push(Agreement { session, client, port, until: None, renewed, transfers: 0, lapsed: false });
    }

    /// A session's client wants a transfer, and the server agrees.
    pub(super) fn transfer(&mut self, now: Moment, session: usize) {
        let standing =
            |(_, agreement): &(usize, &mut Agreement)| agreement.session == session && agreement.until.is_none();
        let Some((at, agreement)) = self.agreements.iter_mut().enumerate().find(standing) else { return };
        let latest = agreement.renewed.iter().map(|moment| moment.0).max();
        agreement.lapsed |= latest.is_some_and(|latest| now.0 >= latest + TIMEOUT);
        agreement.renewed.push(now);
        agreement.transfers += 1;
        if agreement.transfers > 1 {
            self.uses.push(Use { agreement: at, from: now });
        }
    }

    /// A session has ended.
    pub(super) fn ended(&mut self, now: Moment, session: usize) {
        self.agreements.iter_mut().filter(|agreement| agreement.session == session).for_each(|agreement| {
            agreement.ends(now);
        });
    }

    /// A SYN of the server has passed.
    pub(super) fn syn_passed(&mut self, now: Moment, opened: Opened) {
        self.syns.entry(opened).or_default().push(now);
    }

    /// The uses that a connection may be by.
    fn uses(&self, opened: Opened) -> Vec<usize> {
        let ((client, _), _) = opened;
        let syns = self.syns.get(&opened).map_or(&[][..], Vec::as_slice);
        let may_be = |at: &usize| {
            let Use { agreement, from } = self.uses[*at];
            let agreement = &self.agreements[agreement];
            let named = agreement.client == client.ip() && agreement.port == client.port();
            named && syns.iter().any(|syn| *syn >= from && agreement.stood(*syn))
        };
        (0..self.uses.len()).filter(may_be).collect()
    }

    /// For the server's host a connection is established: somebody must have named it when its SYN passed.
    pub(super) fn established(&self, accepted: Accepted) -> Result<(), String> {
        let Accepted { tuple, syn_seq } = accepted;
        if self.uses((tuple, syn_seq)).is_empty() {
            return Err(format!(
                "{tuple:?} (SYN {syn_seq}) is established, and was never expected: {:#?}",
                self.agreements
            ));
        }
        Ok(())
    }

    /// A segment of the server passes on a connection that its host has. The first on each uses an agreement up, whose
    /// session must live.
    pub(super) fn speaks(&mut self, opened: Opened, alive: &[bool]) -> Result<(), String> {
        if !self.speaking.insert(opened) {
            return Ok(());
        }
        let lives = |at: &usize| alive[self.agreements[self.uses[*at].agreement].session];
        let uses: Vec<_> = self.uses(opened).into_iter().filter(lives).collect();
        if self.served.add(uses.clone()) {
            return Ok(());
        }
        let uses: Vec<_> = uses.iter().map(|at| self.uses[*at]).collect();
        let agreements = &self.agreements;
        Err(format!("on {opened:?} the server speaks, and no use is left: {uses:#?} of {agreements:#?}"))
    }

    /// Whether the server has said anything on a connection.
    pub(super) fn has_spoken(&self, opened: Opened) -> bool {
        self.speaking.contains(&opened)
    }

    /// What must be expected.
    pub(super) fn standing(&self, now: Moment) -> impl Iterator<Item = (IpAddr, u16)> {
        self.agreements
            .iter()
            .filter(move |agreement| {
                let latest = agreement.renewed.iter().map(|moment| moment.0).max();
                let in_time = latest.is_some_and(|latest| now.0 < latest + TIMEOUT);
                agreement.until.is_none() && !agreement.lapsed && in_time
            })
            .map(|agreement| (agreement.client, agreement.port))
    }
}
