//! What everything is measured under, one at a time, on the server's host.

use std::path::Path;

use aya::Ebpf;
use aya::programs::SchedClassifier;
use aya::programs::tc::{TcAttachType, qdisc_add_clsact};
use ftptrack_tests::hosts::network::{Host, INTERFACE};
use ftptrack_tests::subject::ftptrack::{self, PinDirectory};
use ftptrack_tests::subject::{conntrack, hooks};
use ftptrack_tests::support::process;

use crate::programs;
use crate::reader::Reader;

/// What stands between client and server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Filter {
    /// Nothing.
    None,
    /// A TC program that does nothing, at both hooks.
    Empty,
    /// nftables with nf_conntrack_ftp.
    Conntrack,
    /// ftptrack, attached as on a server that stays: no process reads its events.
    Ftptrack,
    /// The same, and `ftptrack watch` with journal and metrics.
    Watch,
    /// `ftptrack run`, which prints its events.
    Run,
}

/// Who guards the ports without ftptrack, as in the compatibility matrix.
const RULES: &str = include_str!("../../tests/compat/conntrack.nft");

impl Filter {
    /// Those that differ in what happens to a packet, in the order of each round.
    pub(crate) const ALL: [Self; 4] = [Self::None, Self::Empty, Self::Conntrack, Self::Ftptrack];
    /// All, with those that differ in who reads events.
    pub(crate) const AND_READERS: [Self; 6] =
        [Self::None, Self::Empty, Self::Conntrack, Self::Ftptrack, Self::Watch, Self::Run];

    /// Its name in results.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => crate::NONE,
            Self::Empty => crate::EMPTY,
            Self::Conntrack => crate::CONNTRACK,
            Self::Ftptrack => crate::FTPTRACK,
            Self::Watch => crate::WATCH,
            Self::Run => crate::RUN,
        }
    }

    /// Some of them, beginning with another one each round: none has always the same before it.
    pub(crate) fn in_round<const COUNT: usize>(mut filters: [Self; COUNT], round: usize) -> [Self; COUNT] {
        filters.rotate_left(round % COUNT);
        filters
    }

    /// Puts it in force on a host.
    #[track_caller]
    pub(crate) fn put<'a>(self, host: &'a Host, pins: &'a PinDirectory) -> InForce<'a> {
        self.put_sized(host, pins, None)
    }

    /// The same, ftptrack with a configuration file: one that says how large its maps are.
    #[track_caller]
    pub(crate) fn put_sized<'a>(self, host: &'a Host, pins: &'a PinDirectory, config: Option<&Path>) -> InForce<'a> {
        let mut in_force = InForce { filter: self, host, pins, empty: None, reader: None };
        match self {
            Self::None => {}
            Self::Empty => in_force.empty = Some(attach_empty(host)),
            Self::Conntrack => conntrack::load(host, RULES),
            Self::Ftptrack | Self::Watch => {
                // A port of the last session may still be listened on.
                let mut arguments = vec!["attach", "--force"];
                arguments.extend(ftptrack::USUAL);
                if let Some(config) = config {
                    arguments.extend(["--config", config.to_str().expect("a path in UTF-8")]);
                }
                ftptrack::succeed(host, pins, &arguments);
                if self == Self::Watch {
                    in_force.reader = Some(Reader::watch(host, pins));
                }
            }
            Self::Run => in_force.reader = Some(Reader::run(host, pins)),
        }
        in_force
    }
}

/// A filter in force; dropping it takes it away.
pub(crate) struct InForce<'a> {
    filter: Filter,
    host: &'a Host,
    pins: &'a PinDirectory,
    empty: Option<Ebpf>,
    reader: Option<Reader>,
}

impl Drop for InForce<'_> {
    fn drop(&mut self) {
        drop(self.reader.take());
        match self.filter {
            Filter::None => {}
            // A filter of clsact is removed through the namespace that it is in.
            Filter::Empty => self.host.namespace.run(|| drop(self.empty.take())),
            Filter::Conntrack => {
                process::finish(self.host.namespace.command("nft").args(["delete", "table", "inet", "guard"]));
                conntrack::forget(self.host);
            }
            Filter::Ftptrack | Filter::Watch | Filter::Run => {
                ftptrack::finish(self.host, self.pins, &["detach", "--all"]);
            }
        }
    }
}

fn attach_empty(host: &Host) -> Ebpf {
    let has_tcx = hooks::known().contains(&"tcx");
    host.namespace.run(|| {
        if !has_tcx {
            // It is there from the second time on.
            let _ = qdisc_add_clsact(INTERFACE);
        }
        let mut object = programs::empty();
        let program: &mut SchedClassifier =
            object.program_mut("empty").expect("the object has it").try_into().expect("it is one");
        for way in [TcAttachType::Ingress, TcAttachType::Egress] {
            program.attach(INTERFACE, way).expect("root may");
        }
        object
    })
}
