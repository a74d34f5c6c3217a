//! Making and withdrawing expectations.

use ftp_common::SECOND;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::session::{Negotiated, Session, decision};

use super::Model;

const fn key_of(session: &ConnectionKey, negotiated: &Negotiated) -> ExpectationKey {
    ExpectationKey {
        client: negotiated.client,
        server: session.server,
        port: negotiated.port,
        mode: negotiated.mode,
        zero: 0,
        scope: session.scope,
    }
}

impl Model {
    fn expiry(&self) -> u64 {
        self.now + u64::from(self.policy.expectation_timeout) * SECOND
    }

    /// Does what a segment of the server decided.
    pub(super) fn carry_out(&mut self, key: ConnectionKey, session: &mut Session) {
        let decided = session.server.decision;
        let renews = session.server.renew != 0;
        session.server.decision = decision::KEEP;
        session.server.renew = 0;
        if decided == decision::KEEP {
            if renews {
                self.renew(key, session);
            }
            return;
        }
        self.withdraw(key, session);
        session.server.standing = Negotiated::default();
        if decided == decision::REPLACE {
            let wanted = session.server.wanted;
            session.server.serial = session.server.serial.wrapping_add(1);
            session.server.standing = wanted;
            let expectation = Expectation {
                session_id: session.session_id,
                expires: self.expiry(),
                session: key,
                serial: session.server.serial,
                transfers_before: wanted.transfers_before,
                ..Expectation::default()
            };
            self.expectations.insert(key_of(&key, &wanted), expectation);
            let passive = Mode::from_number(wanted.mode) == Mode::Passive;
            self.count(if passive { Counter::ExpectationsPassive } else { Counter::ExpectationsActive });
        }
    }

    pub(super) fn withdraw(&mut self, key: ConnectionKey, session: &Session) {
        let standing = key_of(&key, &session.server.standing);
        let own = self.expectations.get(&standing).is_some_and(|expectation| {
            expectation.session_id == session.session_id && expectation.serial == session.server.serial
        });
        if standing.mode != 0
            && own
            && let Some(gone) = self.expectations.remove(&standing)
            && gone.uses == 0
        {
            self.count(Counter::ExpectationsWithdrawn);
        }
    }

    /// The expectation is still wanted.
    pub(super) fn renew(&mut self, key: ConnectionKey, session: &Session) {
        let expires = self.expiry();
        if session.server.standing.mode != 0
            && let Some(expectation) = self.expectations.get_mut(&key_of(&key, &session.server.standing))
            && expectation.session_id == session.session_id
        {
            expectation.expires = expires;
        }
    }
}
