//! One testbed: hosts, a server, a filter or none; and the cells that are played on it.

use std::fmt;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::cell::Cell;
use super::daemon::Daemon;
use super::data::{self, Attach, Data, Policy};
use super::outcome::Outcome;
use super::shell;
use super::topology::Topology;
use crate::INSIDE;
use crate::actors::probe::{self, Outcome as Access};
use crate::actors::server::ACTIVE;
use crate::hosts::network::{Family, Host};
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory};
use crate::subject::report::Stats;
use crate::suites::dialogues::Guard;
use crate::support::file;
use crate::support::process;
use crate::support::wait;

/// The length of `up`, which clients upload.
const UPLOAD: u64 = 256 << 10;
/// The length of `base`, which they append to.
const BASE: u64 = 1000;

/// Connections that [`uninvited`] tries.
const UNINVITED: u64 = 4;

static GETTING_READY: Mutex<()> = Mutex::new(());

/// What several cells have in common.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Setting {
    /// They mostly wait.
    pub waits: bool,
    /// As in [`Cell`].
    pub place: String,
    /// As in [`Cell`].
    pub policy: String,
    /// As in [`Cell`].
    pub server: String,
    /// As in [`Cell`].
    pub second: Option<String>,
    /// As in [`Cell`]; not in common if they wait.
    pub client: Option<String>,
    /// As in [`Cell`]; in common only if they wait: pyftpdlib does not always cope with two at once in active mode.
    pub mode: Option<String>,
}

impl Setting {
    /// Of this cell.
    #[must_use]
    pub fn of(cell: &Cell, data: &Data) -> Self {
        let waits = data.actions[&cell.action].waits;
        Self {
            waits,
            place: cell.place.clone(),
            policy: cell.policy.clone(),
            server: cell.server.clone(),
            second: cell.second.clone(),
            client: (!waits).then(|| cell.client.clone()),
            mode: waits.then(|| cell.mode.clone()),
        }
    }

    /// Builds the testbed and plays cells on it, all of this setting. What came of each, in their order.
    #[track_caller]
    #[must_use]
    pub fn play(&self, guard: Guard, cells: &[Cell], data: &Data) -> Vec<Outcome> {
        let place = data.place(&self.place);
        // All that wait begin at once; that many at the same time would take too long to get ready.
        let turn = self.waits.then(|| GETTING_READY.lock().expect("nobody goes on after a panic"));
        let topology = Topology::new(place.way);
        let mut daemons = self.start_servers(&topology, data);
        let pins: Vec<_> = place.ftptrack.iter().map(|_| PinDirectory::new()).collect();
        let mut filters = Vec::new();
        match guard {
            Guard::Nobody => {}
            Guard::Ftptrack => {
                let policy = &data.policies[&self.policy];
                let filter = |(attach, pins)| attach_to(&topology, attach, policy, pins);
                filters.extend(place.ftptrack.iter().zip(&pins).map(filter));
            }
            Guard::Conntrack => {
                let rules = fs::read_to_string(data::directory().join("conntrack.nft")).expect("it is there");
                place.conntrack.iter().for_each(|role| conntrack::load(topology.host(*role), &rules));
            }
        }
        let wanted = if guard == Guard::Nobody { [Access::Refused, Access::Opened] } else { [Access::Silence; 2] };
        for access in uninvited(&topology) {
            assert_eq!(access, wanted, "{guard:?} at {}: passive and active without a negotiation", self.place);
        }
        drop(turn);

        let counted = || filters.iter().map(Ftptrack::stats).collect::<Vec<_>>();
        // A SYN that waited until its next hop was found arrives after its probe gave up.
        let are_denied = |counted: &Vec<Stats>| counted.iter().map(Stats::denied).sum::<u64>() >= UNINVITED;
        let mut before = match guard {
            Guard::Ftptrack => wait::until("all that came uninvited is denied", || Some(counted()).filter(are_denied)),
            Guard::Nobody | Guard::Conntrack => Vec::new(),
        };
        if self.waits {
            let testbed = Testbed { topology: &topology, daemons: &daemons, data };
            let mut outcomes: Vec<_> = thread::scope(|scope| {
                let play = |(number, cell)| scope.spawn(move || testbed.play(number, cell));
                let playing: Vec<_> = cells.iter().enumerate().map(play).collect();
                playing.into_iter().map(|thread| thread.join().expect("it only plays")).collect()
            });
            let after = counted();
            // Which of them raised a counter can't be told.
            outcomes.iter_mut().for_each(|outcome: &mut Outcome| outcome.count(&before, &after));
            return outcomes;
        }
        let play = |(number, cell)| {
            let mut outcome = Testbed { topology: &topology, daemons: &daemons, data }.play(number, cell);
            if !outcome.works {
                // What it still tries to connect to is not the next cell's business.
                daemons.clear();
                daemons = self.start_servers(&topology, data);
            }
            let after = counted();
            outcome.count(&before, &after);
            before = after;
            outcome
        };
        cells.iter().enumerate().map(play).collect()
    }

    /// Starts the server, and the second one if there is one.
    #[track_caller]
    fn start_servers(&self, topology: &Topology, data: &Data) -> Vec<Daemon> {
        let names = [Some(&self.server), self.second.as_ref()].into_iter().flatten();
        names.zip(&topology.servers).map(|(name, host)| Daemon::start(host, name, &data.servers)).collect()
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, policy, server, second, client, mode, .. } = self;
        let client = client.as_deref().or(mode.as_deref()).unwrap_or_default();
        write!(formatter, "{place}, {policy}: {client} {server} {}", second.as_deref().unwrap_or_default())
    }
}

/// Everything is in place.
#[derive(Clone, Copy)]
struct Testbed<'a> {
    topology: &'a Topology,
    daemons: &'a [Daemon],
    data: &'a Data,
}

impl Testbed<'_> {
    /// Plays one cell, by as many clients as it takes.
    fn play(self, number: usize, cell: &Cell) -> Outcome {
        let clients = &self.topology.clients[..self.data.actions[&cell.action].clients];
        let outcomes: Vec<_> = thread::scope(|scope| {
            let play = |(client, host)| scope.spawn(move || self.play_on(host, &format!("{number}.{client}"), cell));
            let playing: Vec<_> = clients.iter().enumerate().map(play).collect();
            playing.into_iter().map(|thread| thread.join().expect("it only plays")).collect()
        });
        let worst = outcomes.into_iter().min_by_key(|outcome| outcome.works);
        worst.expect("at least one")
    }

    /// Plays one cell on a client's host, with files of its own, on the server in the directory `in/room`.
    fn play_on(self, host: &Host, room: &str, cell: &Cell) -> Outcome {
        let (client, action) = (&self.data.clients[&cell.client], &self.data.actions[&cell.action]);
        let directory = file::directory();
        let own = |name: &str| directory.path().join(name);
        file::write_random(&own("up"), UPLOAD);
        file::write_random(&own("base"), BASE);
        for daemon in self.daemons {
            daemon.make_room(room, &own("base"));
        }
        let original = fs::read(self.daemons[0].root().join("file")).expect("it is there");
        fs::write(own("part"), &original[..original.len() / 3]).expect("there is room");

        let prelude = fs::read_to_string(data::directory().join("prelude.sh")).expect("it is there");
        let shell = |parts: &[&str]| {
            let mut command = shell::alone(host, &["sh", "-eu", "-c", &parts.join("\n")]);
            command.current_dir(directory.path()).env("HOME", directory.path()).env("LC_ALL", "C");
            command.env("DATA", data::directory()).env("IN", format!("in/{room}")).envs(&action.env);
            self.introduce(&mut command, cell);
            process::finish_within(&mut command, action.limit())
        };
        let begun = Instant::now();
        let script = &client.actions[action.script(&cell.action)];
        let outcome = match shell(&[&prelude, &client.modes[&cell.mode], &client.prelude, script]) {
            None => Outcome::fails(format!("not done after {} s", action.limit)),
            Some(output) if !output.status.success() => Outcome::fails(last_line(&output)),
            Some(_) => match shell(&[&prelude, &action.check]) {
                None => Outcome::fails("its check did not end".to_owned()),
                Some(output) if !output.status.success() => Outcome::fails(last_line(&output)),
                Some(_) => Outcome::works(),
            },
        };
        outcome.after(begun.elapsed())
    }

    /// Tells shell lines who the servers are.
    fn introduce(self, command: &mut Command, cell: &Cell) {
        let names = [Some(&cell.server), cell.second.as_ref()].into_iter().flatten();
        let words = [["SERVER", "USER", "PASSWORD", "S"], ["SECOND", "SECOND_USER", "SECOND_PASSWORD", "T"]];
        for (((name, host), daemon), [address, user, password, root]) in
            names.zip(&self.topology.servers).zip(self.daemons).zip(words)
        {
            let server = &self.data.servers[data::split(name).0];
            command.env(address, host.address(cell.family()).to_string()).env(root, daemon.root());
            command.env(user, &server.user).env(password, &server.password);
        }
    }
}

/// Runs ftptrack where and as a place says, with the options of a policy.
#[track_caller]
fn attach_to<'a>(topology: &'a Topology, attach: &Attach, policy: &Policy, pins: &'a PinDirectory) -> Ftptrack<'a> {
    let directory = file::directory();
    let config = directory.path().join("config.toml");
    // Else it would read the machine's own, if there is one.
    fs::write(&config, &attach.config).expect("there is room");
    let config = config.to_string_lossy();
    let options = [&attach.options, &policy.options].into_iter().flat_map(|options| options.split_whitespace());
    let options: Vec<_> = ["--config", &config].into_iter().chain(options).collect();
    Ftptrack::run(topology.host(attach.on), pins, &options)
}

/// What a program complained of last.
fn last_line(output: &process::Output) -> String {
    let text = if output.stderr.trim().is_empty() { &output.stdout } else { &output.stderr };
    let line = text.trim().lines().next_back().unwrap_or_default();
    if line.is_empty() { output.status.to_string() } else { line.to_owned() }
}

/// For each family: what becomes of a connection into the passive range and of one from the active
/// port that nobody negotiated.
#[track_caller]
fn uninvited(topology: &Topology) -> [[Access; 2]; 2] {
    let (server, client) = (&topology.servers[0], &topology.clients[0]);
    thread::scope(|scope| {
        Family::BOTH
            .map(|family| {
                let active = scope.spawn(move || {
                    let target = client.at(family, INSIDE);
                    let _listener = probe::listen(client, target);
                    probe::from_port(server, ACTIVE, target)
                });
                let passive = scope.spawn(move || probe::to(client, server.at(family, INSIDE)));
                [passive, active]
            })
            .map(|both| both.map(|thread| thread.join().expect("it only connects")))
    })
}
