//! What must hold.

use std::net::SocketAddr;

use anyhow::{Result, ensure};

use super::{
    OTHER_PORT, PASSIVE_RANGE,
    curl::Negotiation,
    ftptrack::{Ftptrack, Tracker},
    probe::{Answer, listen, probe},
    say,
    scene::Host,
};

/// Connects from `host` to every target and shows how each attempt ended. Any other end than `expected` is an error.
pub(super) fn expect(expected: Answer, host: &Host, source_port: Option<u16>, targets: &[SocketAddr]) -> Result<()> {
    let source = source_port.map_or(String::new(), |port| format!(" port {port}"));
    let answers = probe(host, source_port, targets)?;
    for (target, answer) in targets.iter().zip(&answers) {
        say(format_args!("   {host}{source} -> {target}  {answer}"));
    }
    ensure!(answers.iter().all(|answer| *answer == expected), "that should have been '{expected}' every time");
    Ok(())
}

/// Runs a download and an upload negotiated in one way, and checks that ftptrack learned both and let them in.
pub(super) fn transfers(
    negotiation: &Negotiation,
    ftptrack: &Ftptrack<'_>,
    tracker: &Tracker,
    session: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let expectations = if negotiation.passive { "expectations_passive" } else { "expectations_active" };
    let before = ftptrack.stats()?;
    session()?;
    tracker.settle();
    let after = ftptrack.stats()?;
    for name in [expectations, "flows_established", "flows_ended"] {
        let counted = after.of(name)? - before.of(name)?;
        ensure!(counted == 2, "ftptrack counted {counted} {name}, not 2");
    }
    Ok(())
}

/// Tries guarded ports without a negotiation, in both directions; `used` is one that a transfer has used. Returns how
/// many attempts were denied: all.
pub(super) fn uninvited(ftptrack: &Ftptrack<'_>, used: u16) -> Result<usize> {
    let (server, client) = (&ftptrack.scene.server, &ftptrack.scene.client);
    let before = ftptrack.stats()?;
    let _on_server = listen(server, OTHER_PORT)?;
    let _on_client = listen(client, OTHER_PORT)?;

    let mut targets = Vec::new();
    for port in [*PASSIVE_RANGE.start(), *PASSIVE_RANGE.end(), OTHER_PORT, used] {
        targets.extend(server.sockets(port));
    }
    say(format_args!(
        "   From the client: both ends of the range, port {OTHER_PORT} where the other program listens, and a port that a transfer has used:"
    ));
    expect(Answer::Silence, client, None, &targets)?;
    say("   From the server's port 20, where active data connections come from:");
    expect(Answer::Silence, server, Some(20), &client.sockets(OTHER_PORT))?;
    say("   From another port of the server, which is not guarded:");
    expect(Answer::Connected, server, None, &client.sockets(OTHER_PORT))?;

    let attempts = targets.len() + client.addresses().len();
    let after = ftptrack.stats()?;
    let mut counted = 0;
    for name in ["denied_passive", "denied_active"] {
        counted += after.of(name)? - before.of(name)?;
    }
    ensure!(counted >= attempts as u64, "{attempts} attempts were denied, but ftptrack counted {counted}");
    Ok(attempts)
}
