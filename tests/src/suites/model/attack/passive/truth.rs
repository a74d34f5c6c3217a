//! What client and server have really agreed on: a filter may let in that, and nothing else.

use std::collections::HashMap;
use std::net::IpAddr;

use super::super::host::{Accepted, Tuple};
use super::super::matching::Matching;
use super::super::scene::Moment;

/// How long an expectation lasts, seconds; that of the policy of every story.
const TIMEOUT: u64 = 300;

/// One negotiated passive connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    /// The session, by its number in the story.
    session: usize,
    pub(super) client: IpAddr,
    pub(super) port: u16,
    /// When, and until when it may begin.
    from: Moment,
    until: Moment,
    /// Somebody has acknowledged a SYN-ACK on it.
    claimed: bool,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    grants: Vec<Grant>,
    /// Of each accepted connection, the grants that may be its own.
    accepted: Matching,
    /// When SYNs passed.
    syns: HashMap<Tuple, Vec<Moment>>,
}

impl Truth {
    /// The server has told a client a port. It replaces what the session had negotiated before, and what another session
    /// of the same client had at that port.
    pub(super) fn negotiated(&mut self, now: Moment, session: usize, client: IpAddr, port: u16) {
        let before = (now.0, now.1 - 1);
        for grant in &mut self.grants {
            if grant.session == session || grant.client == client && grant.port == port {
                grant.until = grant.until.min(before);
            }
        }
        // An expectation made in this second may last until the end of the next one.
        let until = (now.0 + TIMEOUT + 1, 0);
        self.grants.push(Grant { session, client, port, from: now, until, claimed: false });
    }

    /// A SYN has passed.
    pub(super) fn syn_passed(&mut self, now: Moment, tuple: Tuple) {
        self.syns.entry(tuple).or_default().push(now);
    }

    /// A client has acknowledged a SYN-ACK that the server has sent, and the filter let it pass.
    pub(super) fn acknowledged(&mut self, (client, port): Tuple) {
        for grant in &mut self.grants {
            grant.claimed |= grant.client == client.ip() && grant.port == port;
        }
    }

    /// The server's host has accepted a connection: each that it has accepted must have a grant of its own, whichever.
    /// `alive`: the sessions that are.
    pub(super) fn accepted(&mut self, accepted: Accepted, alive: &[bool]) -> Result<(), String> {
        let Accepted { tuple: (client, port), syn_seq } = accepted;
        // Any on these addresses and ports: an expectation names no numbers.
        let Some(syns) = self.syns.get(&accepted.tuple) else {
            return Err(format!("{client} > {port} was accepted without a SYN that passed"));
        };
        let may_be = |grant: &Grant| {
            let stood = || syns.iter().any(|syn| (grant.from..=grant.until).contains(syn));
            grant.client == client.ip() && grant.port == port && alive[grant.session] && stood()
        };
        let own: Vec<_> = (0..self.grants.len()).filter(|at| may_be(&self.grants[*at])).collect();
        if self.accepted.add(own.clone()) {
            return Ok(());
        }
        let own: Vec<_> = own.iter().map(|at| self.grants[*at]).collect();
        Err(format!("{client} > {port} (SYN {syn_seq}) was accepted, and it or others have no grant: {own:#?}"))
    }

    /// What must be expected still: nobody has acknowledged a SYN-ACK on it.
    pub(super) fn standing(&self, now: Moment, alive: &[bool]) -> impl Iterator<Item = (IpAddr, u16)> {
        self.grants
            .iter()
            .filter(|grant| alive[grant.session] && !grant.claimed)
            .filter(move |grant| now <= grant.until && now.0 < grant.from.0 + TIMEOUT)
            .map(|grant| (grant.client, grant.port))
    }
}
