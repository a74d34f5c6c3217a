//! Child processes that do not outlive the demo, and the signals that may cut it short.

use std::{
    os::unix::{net::UnixStream, process::CommandExt as _},
    process::{Child, Command, ExitStatus},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::command;

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(5);

/// Ctrl-C, SIGTERM or a closed terminal: from the first one on, whatever waits gives up, and so the demo ends by way
/// of its guards.
pub(super) struct Interrupt {
    /// Readable once a signal came; never read.
    signalled: UnixStream,
}

impl Interrupt {
    pub(super) fn catch() -> Result<Self> {
        let (signalled, write_end) = UnixStream::pair()?;
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::low_level::pipe::register(signal, write_end.try_clone()?)
                .with_context(|| format!("catch signal {signal}"))?;
        }
        Ok(Self { signalled })
    }

    /// Fails if a signal came.
    pub(super) fn check(&self) -> Result<()> {
        if readable([self.signalled.as_fd()], Duration::ZERO)?[0] {
            bail!("interrupted");
        }
        Ok(())
    }
}

/// A process that ends when this is dropped.
///
/// It has a process group of its own, so that Ctrl-C reaches the demo alone, which then ends its processes in order.
pub(super) struct Process {
    child: Child,
    /// Names this very process, even when its id is used again.
    handle: OwnedFd,
    name: String,
}

impl Process {
    pub(super) fn spawn(command: &mut Command) -> Result<Self> {
        let name = command::shown(command);
        let child = command.process_group(0).spawn().with_context(|| format!("{name}: cannot be run"))?;
        let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        Ok(Self { child, handle, name })
    }

    /// The child, to take its pipes from.
    pub(super) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Waits until the process ends. A signal to the demo, or taking longer than `limit`, is an error.
    pub(super) fn wait(&mut self, limit: Duration, interrupt: &Interrupt) -> Result<ExitStatus> {
        let [ended, signalled] = readable([self.handle.as_fd(), interrupt.signalled.as_fd()], limit)?;
        if signalled {
            bail!("interrupted");
        }
        if !ended {
            bail!("'{}' still runs after {} s", self.name, limit.as_secs());
        }
        Ok(self.child.wait()?)
    }

    /// Asks the process to end, makes it if it doesn't, and returns how it ended.
    pub(super) fn stop(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        pidfd_send_signal(&self.handle, Signal::TERM)?;
        if !readable([self.handle.as_fd()], GRACE)?[0] {
            self.child.kill()?;
        }
        Ok(self.child.wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is left to tell; the process can only have gone already.
        let _ = self.stop();
    }
}

/// Waits until one of `descriptors` is readable or `limit` has passed, and says which are.
fn readable<const N: usize>(descriptors: [BorrowedFd<'_>; N], limit: Duration) -> Result<[bool; N]> {
    let deadline = Instant::now() + limit;
    let mut polled = descriptors.map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN));
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match poll(&mut polled, Some(&Timespec::try_from(left)?)) {
            Ok(_) => return Ok(polled.map(|entry| !entry.revents().is_empty())),
            // A signal handler ran: its end of the pipe is readable now, if it is one of these.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
