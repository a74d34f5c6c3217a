//! Stories of attack: clients and a neighbour on the wire who send what they like, and a server whose TCP says what
//! came of it. Whatever they do in passive mode ([`passive`]):
//!
//! * no connection is accepted that no expectation named when its SYN passed;
//! * one expectation, one accepted connection;
//! * nothing of a session outlives it but its open transfers;
//! * an expectation is used up only by who knows the number of the server's SYN-ACK;
//! * a client who does nothing wrong gets its connection.
//!
//! And in active mode ([`active`]), where the server opens and they answer:
//!
//! * the server has no connection that no expectation named when its SYN passed;
//! * one use of an expectation, one connection on which the server says anything;
//! * nothing of a session outlives it but its open transfers;
//! * a client who does nothing wrong gets its connection.
//!
//! The compiled program and the model must agree on every packet besides ([`super::differential`]).

mod active;
pub mod host;
mod matching;
mod passive;
mod scene;

use std::net::IpAddr;
use std::time::Instant;

use ftp_common::keys::Mode;

use super::differential::{Coverage, Differential, Kernels, PATIENCE};
use super::script::{Script, Setting};
use crate::subject::test_run::{Kernel, Setup};
use scene::Scene;

/// Where a story takes place: that of a script with calm sessions of no one, as the story begins its own.
/// Byte 0 of the head: the interface; 1: what the server's TCP does.
fn setting(head: [u8; 8]) -> Setting {
    let mut setting = Setting::of([0; 8]);
    setting.setup = match head[0] % 4 {
        0 | 3 => Setup::SERVERS_BEHIND,
        1 => Setup::SERVERS_BEYOND,
        _ => Setup::LOOPBACK,
    };
    setting.local = head[0].is_multiple_of(4);
    setting.sessions.clear();
    setting
}

/// Plays a story on the model alone.
///
/// # Errors
///
/// What doesn't hold, and the packets that led there.
pub fn alone(mode: Mode, story: &Script) -> Result<Coverage, String> {
    play(mode, story, None)
}

/// Plays a story on the model and the compiled program; they must agree after every packet.
///
/// # Errors
///
/// What doesn't hold, and the packets that led there.
pub fn both(mode: Mode, story: &Script, kernels: &mut Kernels) -> Result<Coverage, String> {
    loop {
        let begun = Instant::now();
        let result = play(mode, story, Some(kernels.of(setting(story.head).setup)));
        // A machine that stood still in between proves nothing.
        if begun.elapsed() < PATIENCE {
            return result;
        }
    }
}

fn play(mode: Mode, story: &Script, kernel: Option<&mut Kernel>) -> Result<Coverage, String> {
    let setting = setting(story.head);
    let stranger: IpAddr = "10.0.1.4".parse().expect("an address");
    let differential = Differential::new(setting.clone(), kernel);
    let scene = Scene::new(setting, differential, story.head);
    if mode == Mode::Active {
        let mut player = active::Player::new(scene, stranger);
        for step in &story.steps {
            player.step(*step)?;
        }
        player.honest_clients_are_served()?;
        return Ok(player.coverage());
    }
    let mut player = passive::Player::new(scene, stranger);
    for step in &story.steps {
        player.step(*step)?;
    }
    player.an_honest_client_is_served()?;
    Ok(player.coverage())
}
