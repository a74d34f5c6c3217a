//! Connections that nobody negotiated.

use std::{
    fmt,
    io::ErrorKind,
    net::{Ipv6Addr, SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use socket2::{Domain, Socket, Type};

use super::scene::Host;

/// How long to wait for an answer. Between two namespaces one takes less than a millisecond.
const PATIENCE: Duration = Duration::from_secs(1);

/// How an attempt to connect ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A connection was made.
    Connected,
    /// The host itself answered that nothing listens: the attempt reached it.
    Refused,
    /// Nothing came back.
    Silence,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connected => "connected",
            Self::Refused => "refused by the host, so it got there",
            Self::Silence => "no answer: denied",
        })
    }
}

/// Tries to connect from `host` to every target at once, from `source_port` if that is given.
pub(super) fn probe(host: &Host, source_port: Option<u16>, targets: &[SocketAddr]) -> Result<Vec<Answer>> {
    host.inside(|| {
        thread::scope(|scope| {
            let attempts: Vec<_> =
                targets.iter().map(|target| scope.spawn(move || connect(source_port, *target))).collect();
            attempts.into_iter().map(|attempt| attempt.join().map_err(|_| anyhow!("a thread panicked"))?).collect()
        })
    })
}

/// Listens on `port` of `host`, as any program there could. Connections need not be accepted to be made.
pub(super) fn listen(host: &Host, port: u16) -> Result<TcpListener> {
    host.inside(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).with_context(|| format!("listen on port {port}")))
}

fn connect(source_port: Option<u16>, target: SocketAddr) -> Result<Answer> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    if let Some(port) = source_port {
        // The port's earlier connections may still be in TIME_WAIT.
        socket.set_reuse_address(true)?;
        let any: SocketAddr =
            if target.is_ipv4() { ([0, 0, 0, 0], port).into() } else { (Ipv6Addr::UNSPECIFIED, port).into() };
        socket.bind(&any.into())?;
    }
    match socket.connect_timeout(&target.into(), PATIENCE) {
        Ok(()) => Ok(Answer::Connected),
        Err(error) => match error.kind() {
            ErrorKind::ConnectionRefused => Ok(Answer::Refused),
            ErrorKind::TimedOut => Ok(Answer::Silence),
            _ => Err(error).with_context(|| format!("connect to {target}")),
        },
    }
}
