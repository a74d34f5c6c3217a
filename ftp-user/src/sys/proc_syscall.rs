//! Whether the program behind a socket waits for what the other end says next (proc_pid_syscall(5)).
//!
//! One that has read all and waits has nothing left to answer. What can't be told, a program that
//! waits by threads and locks above all, doesn't count as waiting.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::proc::holders;

/// Processes that hold a socket, by its inode, all of whose threads wait for input, and one at least
/// for the socket's or for one of several that it watches.
#[must_use]
pub fn for_input(inode: u64) -> bool {
    let link = format!("socket:[{inode}]");
    let mut holders = holders(inode).map(|id| PathBuf::from(format!("/proc/{id}"))).peekable();
    let mut listens = false;
    holders.peek().is_some()
        && holders.all(|process| {
            numbered(&process.join("task")).all(|task| {
                let call = fs::read_to_string(task.join("syscall")).unwrap_or_default();
                match Wait::of(&call) {
                    Some(Wait::Many) => listens = true,
                    Some(Wait::One(fd)) => {
                        let Ok(of) = fs::read_link(process.join(format!("fd/{fd}"))) else { return false };
                        listens |= of == Path::new(&link);
                        // A file, which is read without waiting for anybody, means work.
                        return of.to_str().is_some_and(|of| of.starts_with("socket:") || of.starts_with("pipe:"));
                    }
                    None => return false,
                }
                true
            })
        })
        && listens
}

/// The entries of a directory whose names are numbers.
fn numbered(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())).map(|e| e.path())
}

/// A system call that waits for input.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wait {
    /// From one descriptor.
    One(u64),
    /// From some of several.
    Many,
}

impl Wait {
    /// By what /proc shows: the call's number, decimal, then its arguments in hexadecimal; or `running`.
    fn of(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let call: i64 = fields.next()?.parse().ok()?;
        let mut argument = || u64::from_str_radix(fields.next()?.strip_prefix("0x")?, 16).ok();
        let (first, second) = (argument()?, argument()?);
        match call {
            libc::SYS_read | libc::SYS_recvfrom | libc::SYS_recvmsg => Some(Self::One(first)),
            // With nothing to watch they are a way to sleep.
            libc::SYS_ppoll => (second != 0).then_some(Self::Many),
            libc::SYS_pselect6 => (first != 0).then_some(Self::Many),
            libc::SYS_epoll_pwait | libc::SYS_epoll_pwait2 => Some(Self::Many),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_poll => (second != 0).then_some(Self::Many),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_select => (first != 0).then_some(Self::Many),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_epoll_wait => Some(Self::Many),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_watching_are_waiting_and_sleeping_is_not() {
        let wait = |call: i64, first: u64, second: u64| Wait::of(&format!("{call} {first:#x} {second:#x} 0x0 0x0\n"));
        assert_eq!(wait(libc::SYS_read, 3, 7), Some(Wait::One(3)));
        assert_eq!(wait(libc::SYS_ppoll, 9, 2), Some(Wait::Many));
        assert_eq!(wait(libc::SYS_ppoll, 0, 0), None);
        assert_eq!(wait(libc::SYS_pselect6, 0, 0), None);
        assert_eq!(wait(libc::SYS_nanosleep, 3, 7), None);
        assert_eq!(Wait::of("running\n"), None);
        assert_eq!(Wait::of(""), None);
    }
}
