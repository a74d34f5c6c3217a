//! Events asked for where another process reads them: see [`crate::events::serve`].

use std::io;

use tokio::net::UnixStream;

use crate::error::{Failure, OrFail as _};
use crate::events::message::Message;
use crate::events::serve::{check_directory, place};
use crate::events::wire::{self, BUSY, MAGIC, RECORD, Request};

const GIVEN: &str = "events";

/// What comes.
#[derive(Debug)]
pub enum Answer {
    /// Some messages.
    Messages(Vec<Message>),
    /// That was all.
    End,
    /// The other process has ended.
    Gone,
}

/// A connection to a process that keeps events.
#[derive(Debug)]
pub struct Remote {
    stream: UnixStream,
    /// What has come and is no whole record yet.
    bytes: Vec<u8>,
    /// The last one has come.
    is_complete: bool,
    is_over: bool,
}

impl Remote {
    /// Asks for the events of a ring buffer (the kernel's number for it); `None` if no process keeps them.
    ///
    /// # Errors
    ///
    /// It can't be asked, or does not answer as this version does.
    pub async fn ask(map: u32, request: Request) -> Result<Option<Self>, Failure> {
        check_directory()?;
        let stream = match UnixStream::connect(place(map)).await {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            other => other.or_fail(place(map).display(), "run as root")?,
        };
        let mut remote = Self { stream, bytes: Vec::new(), is_complete: false, is_over: false };
        let head = wire::write(&remote.stream, &request.encode()).await;
        while head.is_ok() && remote.bytes.len() < size_of_val(&MAGIC) && !remote.is_over {
            remote.read().await;
        }
        // It is just ending.
        if remote.bytes.len() < size_of_val(&MAGIC) {
            return Ok(None);
        }
        if remote.bytes.starts_with(&BUSY.to_ne_bytes()) {
            let hint = "end another ftptrack events --follow, or try again";
            return Err(Failure::failed(GIVEN, "the ftptrack that keeps them has as many readers as it takes", hint));
        }
        if !remote.bytes.starts_with(&MAGIC.to_ne_bytes()) {
            let problem = "they are kept by an ftptrack of another version";
            return Err(Failure::failed(GIVEN, problem, "restart that ftptrack run or watch, or use its version"));
        }
        remote.bytes.drain(..size_of_val(&MAGIC));
        Ok(Some(remote))
    }

    /// Waits for more. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Answer {
        loop {
            if self.is_complete {
                return Answer::End;
            }
            let whole = self.bytes.len() - self.bytes.len() % RECORD;
            let messages: Vec<_> = self.bytes[..whole].chunks(RECORD).map_while(wire::message).collect();
            self.bytes.drain(..whole);
            self.is_complete = messages.len() * RECORD < whole;
            if !messages.is_empty() {
                return Answer::Messages(messages);
            }
            if self.is_over && !self.is_complete {
                return Answer::Gone;
            }
            if !self.is_complete {
                self.read().await;
            }
        }
    }

    async fn read(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        match wire::read(&self.stream, &mut bytes).await {
            Ok(0) | Err(_) => self.is_over = true,
            Ok(read) => self.bytes.extend(&bytes[..read]),
        }
    }
}
