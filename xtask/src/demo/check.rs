//! What must hold.

use std::{collections::HashSet, net::SocketAddr};

use anyhow::{Result, ensure};

use super::{
    MEBIBYTES, OTHER_PORT, PASSIVE_RANGE,
    curl::Negotiation,
    ftptrack::{Flow, Ftptrack},
    probe::{Answer, listen, probe},
    say,
    scene::Host,
};

/// A data connection: client and server.
pub(super) type Ends = (SocketAddr, SocketAddr);

/// Connects from `host` to every target and shows how each attempt ended. Any other end than `expected` is an error.
pub(super) fn expect(
    expected: Answer,
    host: &Host,
    source_port: Option<u16>,
    targets: &[SocketAddr],
) -> Result<()> {
    let source = source_port.map_or(String::new(), |port| format!(" port {port}"));
    let answers = probe(host, source_port, targets)?;
    for (target, answer) in targets.iter().zip(&answers) {
        say(format_args!("   {host}{source} -> {target}  {answer}"));
    }
    ensure!(
        answers.iter().all(|answer| *answer == expected),
        "that should have been '{expected}' every time"
    );
    Ok(())
}

/// Checks that ftptrack saw one download and one upload more than those in `known`, with all their bytes, and returns
/// the ports that were negotiated for them.
pub(super) fn learned(
    ftptrack: &Ftptrack<'_>,
    negotiation: &Negotiation,
    known: &mut HashSet<Ends>,
) -> Result<String> {
    let flows: Vec<Flow> = ftptrack
        .flows()?
        .into_iter()
        .filter(|flow| known.insert((flow.client, flow.server)))
        .collect();
    ensure!(
        flows.len() == 2,
        "ftptrack saw {} new flows, not 2",
        flows.len()
    );
    ensure!(
        flows.iter().all(|flow| flow.passive == negotiation.passive),
        "ftptrack took active for passive mode or the reverse"
    );
    let size = (MEBIBYTES << 20) as u64;
    let down = flows.iter().map(|flow| flow.server_bytes).max();
    let up = flows.iter().map(|flow| flow.client_bytes).max();
    ensure!(
        down >= Some(size) && up >= Some(size),
        "ftptrack counted fewer bytes than arrived: {down:?} down, {up:?} up"
    );
    let ports: Vec<String> = flows
        .iter()
        .map(|flow| flow.learned_port().to_string())
        .collect();
    Ok(ports.join(" and "))
}

/// Tries guarded ports without a negotiation, in both directions. Returns how many attempts were denied: all.
pub(super) fn uninvited(ftptrack: &Ftptrack<'_>, known: &HashSet<Ends>) -> Result<usize> {
    let (server, client) = (&ftptrack.scene.server, &ftptrack.scene.client);
    let denied_before = denied(ftptrack)?;
    let _on_server = listen(server, OTHER_PORT)?;
    let _on_client = listen(client, OTHER_PORT)?;

    let used = known
        .iter()
        .map(|(_, server)| server.port())
        .find(|port| PASSIVE_RANGE.contains(port));
    let mut targets = Vec::new();
    for port in [*PASSIVE_RANGE.start(), OTHER_PORT, *PASSIVE_RANGE.end()]
        .into_iter()
        .chain(used)
    {
        targets.extend(server.sockets(port));
    }
    say(format_args!(
        "   From the client: both ends of the range, port {OTHER_PORT} where the other program listens, and a port that a transfer has used:"
    ));
    expect(Answer::Silence, client, None, &targets)?;
    say("   From the server's port 20, where active data connections come from:");
    expect(
        Answer::Silence,
        server,
        Some(20),
        &client.sockets(OTHER_PORT),
    )?;
    say("   From another port of the server, which is not guarded:");
    expect(Answer::Connected, server, None, &client.sockets(OTHER_PORT))?;

    let attempts = targets.len() + client.addresses().len();
    let counted = denied(ftptrack)? - denied_before;
    ensure!(
        counted >= attempts as u64,
        "{attempts} attempts were denied, but ftptrack counted {counted}"
    );
    Ok(attempts)
}

fn denied(ftptrack: &Ftptrack<'_>) -> Result<u64> {
    Ok(ftptrack.counter("denied_passive")? + ftptrack.counter("denied_active")?)
}
