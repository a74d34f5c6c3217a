//! A network namespace that only its test can reach.

use rustix::process::{Signal, geteuid, set_parent_process_death_signal};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::thread;

use crate::hosts::links;
use crate::support::process;

/// A network namespace without a name: it is held by a file descriptor of this process, so it can
/// meet no other, and the kernel removes it when the test ends, however it ends.
#[derive(Debug)]
pub struct Namespace {
    handle: File,
}

impl Namespace {
    /// A new namespace whose loopback interface is up. Needs root.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one is an effect, and needs rights")]
    pub fn new() -> Self {
        assert!(geteuid().is_root(), "these tests need root: run `cargo xtask test`");
        let made = thread::spawn(|| -> io::Result<File> {
            // SAFETY: no file descriptor table is unshared, and the thread ends right after.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
            File::open("/proc/thread-self/ns/net")
        });
        let handle = made.join().expect("a thread").expect("a network namespace can be made");
        let namespace = Self { handle };
        // Addresses are to be there at once, not after a second of asking whose they are.
        namespace.run(|| fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")).expect("IPv6 is there");
        links::up(&namespace, "lo");
        namespace
    }

    /// Runs `work` on a thread of its own inside the namespace. Sockets made there stay there,
    /// whoever uses them later.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                enter(self.handle.as_fd()).expect("the namespace is there");
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A command that will run inside the namespace, and that the kernel ends when the thread that
    /// started it does. Only the network is another: the mounts stay as they are.
    pub fn command(&self, program: &str) -> Command {
        let handle = self.handle.as_raw_fd();
        let before = move || {
            // SAFETY: commands are started while their namespace is there; were it gone, entering
            // it would fail.
            enter(unsafe { BorrowedFd::borrow_raw(handle) })?;
            set_parent_process_death_signal(Some(Signal::KILL))?;
            Ok(())
        };
        let mut command = Command::new(program);
        // SAFETY: between fork and exec it only makes two system calls.
        unsafe { command.pre_exec(before) };
        command
    }

    /// Runs `ip` with the words of `arguments`.
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        let mut command = self.command("ip");
        command.args(arguments.split_whitespace());
        let output = process::finish(&mut command);
        assert!(output.status.success(), "ip {arguments}: {}", output.stderr);
    }

    /// Asks the kernel's routing socket inside the namespace.
    pub(crate) fn route<T: Send>(
        &self,
        work: impl AsyncFnOnce(rtnetlink::Handle) -> Result<T, rtnetlink::Error> + Send,
    ) -> Result<T, rtnetlink::Error> {
        self.on_runtime(async || {
            let (connection, handle, _) = rtnetlink::new_connection().expect("a routing socket");
            tokio::spawn(connection);
            work(handle).await
        })
    }

    /// Runs `work` inside the namespace on an asynchronous runtime of its own.
    pub(crate) fn on_runtime<T: Send>(&self, work: impl AsyncFnOnce() -> T + Send) -> T {
        self.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
            runtime.block_on(work())
        })
    }

    /// A path that `ip` takes for the namespace's name.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd())
    }

    /// The descriptor that holds it.
    pub(crate) fn descriptor(&self) -> RawFd {
        self.handle.as_raw_fd()
    }
}

/// Moves this thread into a network namespace.
fn enter(handle: BorrowedFd<'_>) -> io::Result<()> {
    move_into_link_name_space(handle, Some(LinkNameSpaceType::Network))?;
    Ok(())
}
