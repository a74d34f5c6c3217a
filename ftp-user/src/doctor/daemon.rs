//! Whether an FTP server that runs has read its configuration as it is now.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::settings::{is_usual, restart};
use super::{FTP_SERVER, Finding, Level};
use crate::import::Server;
use crate::sys::proc::{listening_as, started};

/// A change this soon after the start is none: whoever writes a file and then starts the server may meet a clock that
/// was set in between.
const SOON: Duration = Duration::from_secs(1);

/// Says of a server that listens on one of these ports that it is older than its configuration, which is these files.
/// Nothing is reported where that is unknown: where inetd or systemd listens, or another file may be meant.
pub(super) fn check(server: Server, path: &Path, files: &[PathBuf], ports: &[u16]) -> Option<Finding> {
    let changed = files.iter().flat_map(|file| with_entries(file)).filter_map(|file| Some((modified(&file)?, file)));
    let (changed, file) = changed.max()?;
    let daemons = listening_as(server.name(), ports).into_iter().filter(|id| goes_by(*id, server, path));
    // Where there are several, the oldest is the one that the others come from.
    let (started, id) = daemons.filter_map(|id| Some((started(id)?, id))).min()?;
    if changed <= started.checked_add(SOON)? {
        return None;
    }
    let (name, file) = (server.name(), file.display());
    let what = format!("{name} (pid {id}) is older than {file}: it may still go by what the file said before");
    let why = "an FTP server reads its configuration when it starts: what is said here of the file need not be so of the \
               server";
    Some(Finding::new(Level::Warning, FTP_SERVER, what).because(why).fix(restart(server)))
}

/// A file, or all files of a directory.
fn with_entries(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    [path.to_owned()].into_iter().chain(entries).collect()
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

/// Whether a process goes by this file: its command line names it, or names none where it is at a usual place.
fn goes_by(id: u32, server: Server, path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    // As it sees it: it may be in a container.
    let is_it = |seen: &Path| {
        let (top, inside) = seen.strip_prefix("/").map_or(("cwd", seen), |inside| ("root", inside));
        let seen = file(&Path::new(&format!("/proc/{id}/{top}")).join(inside));
        seen.is_some() && seen == file(path)
    };
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).into_owned();
    let told: Vec<_> = line.split('\0').skip(1).filter(|word| !word.is_empty() && !word.starts_with('-')).collect();
    if told.iter().any(|word| is_it(Path::new(word))) {
        return true;
    }
    // To vsftpd a word is a configuration.
    let names_another = server == Server::Vsftpd && !told.is_empty();
    !names_another && is_usual(server, path) && is_it(path)
}
