//! What client and server have really agreed on: a filter may let in that, and nothing else.

use std::collections::HashMap;
use std::net::IpAddr;

use super::host::{Accepted, Tuple};

/// How long an expectation lasts, seconds; that of the policy of every story.
const TIMEOUT: u64 = 300;

/// One negotiated passive connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant {
    /// The session, by its number in the story.
    session: usize,
    pub(super) client: IpAddr,
    pub(super) port: u16,
    /// When, and until when it may begin: seconds, and the number of steps before.
    from: (u64, usize),
    until: (u64, usize),
    /// Somebody has acknowledged a SYN-ACK on it.
    claimed: bool,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    /// Seconds, and what happened before: orders what happens in the same second.
    pub(super) now: (u64, usize),
    grants: Vec<Grant>,
    /// Of each accepted connection, the grants that may be its own.
    accepted: Vec<Vec<usize>>,
    /// Whether the session of that number lives.
    pub(super) alive: Vec<bool>,
    /// The numbers of SYNs, and when each passed first.
    syns: HashMap<Tuple, Vec<(u64, usize)>>,
}

impl Truth {
    /// The server has told a client a port. It replaces what the session had negotiated before, and what another session
    /// of the same client had at that port.
    pub(super) fn negotiated(&mut self, session: usize, client: IpAddr, port: u16) {
        let before = self.now;
        self.now.1 += 1;
        for grant in &mut self.grants {
            if grant.session == session || grant.client == client && grant.port == port {
                grant.until = grant.until.min(before);
            }
        }
        // An expectation made in this second may last until the end of the next one.
        let until = (self.now.0 + TIMEOUT + 1, 0);
        self.grants.push(Grant { session, client, port, from: self.now, until, claimed: false });
    }

    /// A session has ended.
    pub(super) fn ended(&mut self, session: usize) {
        self.alive[session] = false;
    }

    /// A SYN has passed.
    pub(super) fn syn_passed(&mut self, tuple: Tuple) {
        let now = self.now;
        self.syns.entry(tuple).or_default().push(now);
    }

    /// A client has acknowledged a SYN-ACK that the server has sent, and the filter let it pass.
    pub(super) fn acknowledged(&mut self, (client, port): Tuple) {
        for grant in &mut self.grants {
            grant.claimed |= grant.client == client.ip() && grant.port == port;
        }
    }

    /// The server's host has accepted a connection: each that it has accepted must have a grant of its own, whichever.
    pub(super) fn accepted(&mut self, accepted: Accepted) -> Result<(), String> {
        let Accepted { tuple: (client, port), syn_seq } = accepted;
        // Any on these addresses and ports: an expectation names no numbers.
        let Some(syns) = self.syns.get(&accepted.tuple) else {
            return Err(format!("{client} > {port} was accepted without a SYN that passed"));
        };
        let may_be = |grant: &Grant| {
            let stood = || syns.iter().any(|syn| (grant.from..=grant.until).contains(syn));
            grant.client == client.ip() && grant.port == port && self.alive[grant.session] && stood()
        };
        let own: Vec<_> = (0..self.grants.len()).filter(|at| may_be(&self.grants[*at])).collect();
        self.accepted.push(own.clone());
        let mut taken = vec![None; self.grants.len()];
        let all = (0..self.accepted.len()).all(|at| self.finds(at, &mut taken, &mut vec![false; self.grants.len()]));
        if all {
            return Ok(());
        }
        let own: Vec<_> = own.iter().map(|at| self.grants[*at]).collect();
        Err(format!("{client} > {port} (SYN {syn_seq}) was accepted, and it or others have no grant: {own:#?}"))
    }

    /// Finds an accepted connection its grant, if need be by finding another one for who has it (Kuhn's algorithm).
    fn finds(&self, at: usize, taken: &mut [Option<usize>], tried: &mut [bool]) -> bool {
        self.accepted[at].iter().any(|grant| {
            if std::mem::replace(&mut tried[*grant], true) {
                return false;
            }
            let free = taken[*grant].is_none_or(|other| self.finds(other, taken, tried));
            if free {
                taken[*grant] = Some(at);
            }
            free
        })
    }

    /// What must be expected still: nobody has acknowledged a SYN-ACK on it.
    pub(super) fn standing(&self) -> impl Iterator<Item = (IpAddr, u16)> + '_ {
        self.grants
            .iter()
            .filter(|grant| self.alive[grant.session] && !grant.claimed)
            .filter(|grant| self.now <= grant.until && self.now.0 < grant.from.0 + TIMEOUT)
            .map(|grant| (grant.client, grant.port))
    }
}
