//! Is a port shut at every moment: connections are begun as fast as they can be, and none may be accepted.

use socket2::{Domain, Socket, Type};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::actors::probe;
use crate::hosts::network::Host;

/// Begins connections to `target` on `server` from `client` while `work` lasts. Returns how many, how many of
/// them were accepted, and what `work` returned.
#[track_caller]
pub fn while_doing<T>(client: &Host, server: &Host, target: SocketAddr, work: impl FnOnce() -> T) -> (u64, u64, T) {
    let listener = probe::listen(server, target);
    listener.set_nonblocking(true).expect("a socket");
    let done = AtomicBool::new(false);
    let mut accepted = 0;
    let mut accept = || loop {
        match listener.accept() {
            Ok(_) => accepted += 1,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    };
    let (tried, result) = thread::scope(|scope| {
        let knocking = scope.spawn(|| client.namespace.run(|| knock(target, &done)));
        // Ends the other thread even if this one panics.
        let ends = Ends(&done);
        let result = work();
        accept();
        drop(ends);
        (knocking.join().expect("it only counts"), result)
    });
    accept();
    (tried, accepted, result)
}

fn knock(target: SocketAddr, done: &AtomicBool) -> u64 {
    let mut tried = 0;
    while !done.load(Ordering::Relaxed) {
        let socket = Socket::new(Domain::for_address(target), Type::STREAM, None).expect("a socket");
        socket.set_nonblocking(true).expect("a socket");
        // Its SYN is on the way when this returns, and nobody waits for an answer.
        let _ = socket.connect(&target.into());
        tried += 1;
    }
    tried
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
