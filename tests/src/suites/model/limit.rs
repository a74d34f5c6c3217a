//! The limit on the sessions of one client.

use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::FULL;
use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;

use super::Model;

/// The sessions of one client: each by its key and session id, which may be gone.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    full_since: Option<u64>,
    places: Vec<(ConnectionKey, u64)>,
}

impl Model {
    /// Whether there is room for a session that is made now.
    pub(super) fn admits(&mut self, key: &ConnectionKey) -> bool {
        let now = self.now;
        let limit = self.policy.sessions_per_client.min(MAX_SESSIONS_PER_CLIENT) as usize;
        let client = self.clients.entry(ClientKey::from(key)).or_default();
        let looks = client.full_since.is_none_or(|since| now - since >= FULL);
        if looks {
            let alive = &self.sessions;
            client.places.retain(|(key, session_id)| {
                alive.get(key).is_some_and(|of| of.session_id == *session_id && of.is_alive(now))
            });
            if client.places.len() < limit {
                client.places.push((*key, now));
                return true;
            }
            client.full_since = Some(now);
        }
        false
    }
}
