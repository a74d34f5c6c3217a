//! What a policy refuses or cannot guard: reported when it becomes active, not found out later.

use ipnet::IpNet;

use super::summary::shown;
use super::{ActivePort, Ftps, Policy, Rules};

/// Servers that are named in front of a note.
const NAMED: usize = 3;

impl Policy {
    /// A line for each thing that it refuses or cannot guard, each once: with the servers that it is true
    /// of, if it isn't true of all.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let own = self.own.iter().map(|rules| ("own addresses".to_owned(), rules));
        let named = self.named.iter().map(|named| (name(&named.prefixes), &named.rules));
        let servers: Vec<_> = own.chain(named).collect();
        let mut notes: Vec<(String, Vec<&str>)> = Vec::new();
        for (name, rules) in &servers {
            for note in rules.notes() {
                match notes.iter_mut().find(|(other, _)| *other == note) {
                    Some((_, names)) => names.push(name),
                    None => notes.push((note, vec![name])),
                }
            }
        }
        notes.into_iter().map(|(note, names)| format!("{}{note}", about(&names, servers.len()))).collect()
    }
}

fn about(names: &[&str], servers: usize) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len() {
        all if all == servers => String::new(),
        few if few <= NAMED => format!("{shown}: "),
        many => format!("{shown} and {} more servers: ", many - NAMED),
    }
}

fn name(prefixes: &[IpNet]) -> String {
    let more = prefixes.len().saturating_sub(1);
    let first = prefixes.first().map(shown).unwrap_or_default();
    if more == 0 { first } else { format!("{first} and {more} more") }
}

impl Rules {
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        notes.extend(self.passive_note().map(str::to_owned));
        notes.extend(self.active_note());
        notes.extend(self.ftps_note().filter(|_| self.passive_range.is_some()).map(str::to_owned));
        if self.monitor {
            notes.push("monitor mode: nothing is denied, only counted and shown".to_owned());
        }
        notes
    }

    fn ftps_note(&self) -> Option<&'static str> {
        match self.ftps {
            Ftps::Deny => {
                Some("encrypted control connections (FTPS) can't be read: their passive data connections are denied")
            }
            Ftps::ClientRange => Some(
                "encrypted control connections (FTPS) can't be read: while one lives, its client's address may connect \
                 to the whole passive range",
            ),
            Ftps::Learn => None,
        }
    }

    fn passive_note(&self) -> Option<&'static str> {
        match (self.passive_range, self.passive) {
            (None, _) => Some(
                "passive mode is refused, as there is no passive range; but then no passive port is guarded: leave \
                 them shut in the firewall",
            ),
            (Some(_), false) => Some("passive mode is refused; its range stays guarded"),
            (Some(_), true) => None,
        }
    }

    fn active_note(&self) -> Option<String> {
        match (self.active_port, self.active) {
            (ActivePort::None, _) | (ActivePort::Any, false) => Some(
                "active mode is refused; but no source port is guarded: data connections that the server opens all the \
                 same pass"
                    .to_owned(),
            ),
            (ActivePort::Port(port), false) => Some(format!(
                "active mode is refused, and source port {port} stays guarded; data connections that the server opens \
                 from other ports pass"
            )),
            (ActivePort::Port(port), true) => Some(format!(
                "active data connections from other source ports than {port} pass unguarded (vsftpd without \
                 connect_from_port_20=YES, proftpd without RootRevoke off, pyftpdlib)"
            )),
            (ActivePort::Any, true) => Some(
                "active data connections may come from any source port, so none can be guarded: what the server opens \
                 unasked passes too"
                    .to_owned(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Named, PortRange};

    fn notes(change: impl FnOnce(&mut Rules)) -> String {
        let mut rules = Rules { passive_range: Some(PortRange { first: 10240, last: 20480 }), ..Rules::default() };
        change(&mut rules);
        rules.notes().join("\n")
    }

    #[test]
    fn refused_modes_say_what_stays_guarded() {
        assert!(notes(|rules| rules.passive_range = None).contains("no passive port is guarded"));
        assert!(notes(|rules| rules.passive = false).contains("its range stays guarded"));
        assert!(notes(|rules| rules.active_port = ActivePort::None).contains("no source port is guarded"));
        assert!(notes(|rules| rules.active = false).contains("source port 20 stays guarded"));
    }

    #[test]
    fn what_cannot_be_guarded_is_named() {
        assert!(notes(|_| ()).contains("other source ports than 20 pass unguarded"));
        assert!(notes(|_| ()).contains("(FTPS) can't be read: their passive data connections are denied"));
        assert!(notes(|rules| rules.active_port = ActivePort::Any).contains("none can be guarded"));
        assert!(notes(|rules| rules.ftps = Ftps::ClientRange).contains("the whole passive range"));
        assert!(notes(|rules| rules.monitor = true).contains("nothing is denied"));
    }

    #[test]
    fn several_servers_are_told_apart_and_the_same_is_said_once() {
        let monitor = Rules { monitor: true, ..Rules::default() };
        let prefixes = vec!["192.0.2.1/32".parse().unwrap(), "192.0.2.2/32".parse().unwrap()];
        let named = Named { prefixes, rules: monitor };
        let policy = Policy { own: Some(Rules::default()), named: vec![named.clone()], ..Policy::default() };
        let notes = policy.notes();
        assert!(notes[0].starts_with("passive mode is refused"), "{notes:?}");
        assert!(notes[1].starts_with("active data connections from other"), "{notes:?}");
        assert!(notes[2].starts_with("192.0.2.1 and 1 more: monitor mode"), "{notes:?}");
        assert_eq!(notes.len(), 3, "{notes:?}");
        let policy = Policy { named: vec![named; 5], ..policy };
        let notes = policy.notes();
        let all = "192.0.2.1 and 1 more, 192.0.2.1 and 1 more, 192.0.2.1 and 1 more and 2 more servers: monitor mode";
        assert!(notes[2].starts_with(all), "{notes:?}");
    }
}
