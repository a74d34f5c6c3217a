//! A history of events, served to others on this host: by a socket that root alone can reach, one for each ring buffer.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net as blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::process::geteuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, timeout};

use crate::error::{Failure, OrFail as _};
use crate::events::history::History;
use crate::events::wire::{self, REQUEST, Request};

/// Where the sockets are.
const DIRECTORY: &str = "/run/ftptrack";
/// What their names begin with; the kernel's number for the ring buffer follows, which is another one in each pin
/// directory, and when others were put in the place of the maps.
const NAME: &str = "events-";
/// Who reads at a time.
const READERS: usize = 16;
/// How long a request may take to come.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after a connection could not be accepted (no descriptor is left, say) it is tried again.
const RETRY: Duration = Duration::from_millis(100);
/// How long who reads has for the last messages, when this ends.
const LAST: Duration = Duration::from_millis(300);

/// The socket for a ring buffer.
pub(super) fn place(map: u32) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{NAME}{map}"))
}

/// Sees that nobody but root can put a socket there.
///
/// # Errors
///
/// Somebody else can.
pub(super) fn check_directory() -> Result<(), Failure> {
    check(Path::new(DIRECTORY))
}

fn check(directory: &Path) -> Result<(), Failure> {
    // Where it isn't, nothing is in it.
    let Ok(metadata) = fs::symlink_metadata(directory) else { return Ok(()) };
    let owner = metadata.uid();
    if metadata.is_dir() && (owner == 0 || owner == geteuid().as_raw()) && metadata.mode() & 0o077 == 0 {
        return Ok(());
    }
    let problem = format!("it is not root's alone (user {owner}, mode {:04o})", metadata.mode() & 0o7777);
    Err(Failure::failed(directory.display(), problem, "see who made it, and remove it"))
}

/// Serves a history until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    place: PathBuf,
    accept: AbortHandle,
    places: Arc<Semaphore>,
}

impl Server {
    /// Within a `LocalSet`.
    ///
    /// # Errors
    ///
    /// The socket can't be made.
    pub(super) fn start(map: u32, history: Arc<History>) -> Result<Self, Failure> {
        let hint = "others can't ask for events here";
        match DirBuilder::new().mode(0o700).create(DIRECTORY) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).or_fail(DIRECTORY, hint),
            _ => {}
        }
        check_directory()?;
        let place = place(map);
        let listener = bind(&place).and_then(UnixListener::from_std).or_fail(place.display(), hint)?;
        let places = Arc::new(Semaphore::new(READERS));
        let accept = spawn_local(accept(listener, history, Arc::clone(&places))).abort_handle();
        Ok(Self { place, accept, places })
    }

    /// When the history has ended: waits a moment for those who read it.
    pub(super) async fn finish(self) {
        self.accept.abort();
        // Those who come now see that nobody is there, and read the kernel's buffer.
        let _ = fs::remove_file(&self.place);
        let _ = timeout(LAST, self.places.acquire_many(READERS as u32)).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accept.abort();
        // Whoever comes now sees at once that nobody is there.
        let _ = fs::remove_file(&self.place);
    }
}

/// Takes the place, from one that was killed if need be, and removes what such have left of other ring buffers.
fn bind(place: &Path) -> io::Result<blocking::UnixListener> {
    // Between a socket's making and its first listening, another would take it for left behind.
    let directory = fs::File::open(DIRECTORY)?;
    flock(&directory, FlockOperation::LockExclusive)?;
    for entry in fs::read_dir(DIRECTORY)?.flatten() {
        let is_socket = entry.file_type().is_ok_and(|kind| kind.is_socket());
        let is_left = is_socket && entry.file_name().to_string_lossy().starts_with(NAME);
        if is_left && is_refused(&entry.path()) {
            fs::remove_file(entry.path())?;
        }
    }
    let listener = blocking::UnixListener::bind(place)?;
    fs::set_permissions(place, fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn is_refused(place: &Path) -> bool {
    blocking::UnixStream::connect(place).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

async fn accept(listener: UnixListener, history: Arc<History>, places: Arc<Semaphore>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(permit) => drop(spawn_local(converse(stream, Arc::clone(&history), permit))),
                Err(_) => drop(spawn_local(refuse(stream))),
            },
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// One too many.
async fn refuse(stream: UnixStream) {
    // However it ends, it is over.
    let _ = timeout(PATIENCE, wire::write(&stream, &wire::BUSY.to_ne_bytes())).await;
}

/// One request, and all that is asked for. However it ends, it is the other's affair.
async fn converse(stream: UnixStream, history: Arc<History>, _permit: OwnedSemaphorePermit) {
    let Ok(Ok(request)) = timeout(PATIENCE, request(&stream)).await else { return };
    let mut reader = history.reader(request.since, request.last);
    let (mut bytes, mut end) = (wire::MAGIC.to_ne_bytes().to_vec(), [0]);
    loop {
        let mut taken = reader.take();
        while !taken.is_empty() {
            taken.iter().for_each(|message| wire::push(&mut bytes, message));
            // Who reads slowly is waited for here; the history goes on meanwhile.
            if wire::write(&stream, &bytes).await.is_err() {
                return;
            }
            bytes.clear();
            taken = reader.take();
        }
        if !request.follow {
            break;
        }
        if wire::write(&stream, &bytes).await.is_err() {
            return;
        }
        bytes.clear();
        tokio::select! {
            more = reader.more() => {
                if !more {
                    return;
                }
            }
            // It has nothing more to say: this is its end.
            _ = wire::read(&stream, &mut end) => return,
        }
    }
    wire::push_end(&mut bytes);
    let _ = wire::write(&stream, &bytes).await;
}

async fn request(stream: &UnixStream) -> io::Result<Request> {
    let (mut bytes, mut read) = ([0; REQUEST], 0);
    while read < REQUEST {
        match wire::read(stream, &mut bytes[read..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    Request::decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn a_directory_that_is_not_roots_alone_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ftptrack");
        assert_eq!(check(&path), Ok(()), "nothing is there");
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        assert_eq!(check(&path), Ok(()));
        for mode in [0o701, 0o710, 0o720, 0o755, 0o1777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = check(&path).unwrap_err().to_string();
            assert!(
                refused.contains(&format!("it is not root's alone (user {}, mode", geteuid().as_raw())),
                "{refused}"
            );
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(check(&link).is_err(), "a link may be changed");
        // Only root can give it away.
        if geteuid().is_root() {
            chown(&path, Some(1000), None).unwrap();
            assert!(check(&path).is_err());
        }
    }
}
