//! Directories that nobody but root can enter, change or put others in the place of: whoever could would lock the pins,
//! or have ftptrack read what they say.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use crate::error::{Failure, OrFail as _};
use crate::sys::bpffs::parent;

/// For root to enter, and nobody else.
const MODE: u32 = 0o700;
/// Group or others may write.
const WRITABLE: u32 = 0o022;
/// Only the owner of a name may take it away.
const STICKY: u32 = 0o1000;

/// Makes a directory if it isn't there.
///
/// # Errors
///
/// The file system's refusal.
pub(super) fn make(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Opens one, and sees that it is root's alone. One that others could only enter is shut from here on; an earlier
/// version made such ones.
///
/// # Errors
///
/// It isn't there, somebody else's, or open to others.
pub(super) fn open(path: &Path) -> Result<Result<File, io::Error>, Failure> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let directory = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(directory) => directory,
        Err(error) => return Ok(Err(error)),
    };
    let hint = "run as root";
    let metadata = directory.metadata().or_fail(path.display(), hint)?;
    check_metadata(path, &metadata)?;
    if metadata.mode() & 0o077 != 0 {
        directory.set_permissions(Permissions::from_mode(MODE)).or_fail(path.display(), hint)?;
    }
    Ok(Ok(directory))
}

/// Sees that a directory is root's, if it is there, and that nobody else can put another in its place.
///
/// # Errors
///
/// What was found, and what to do.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    // What can't be looked at says so itself where it is opened.
    let Ok(metadata) = fs::symlink_metadata(path) else { return Ok(()) };
    check_metadata(path, &metadata)?;
    check_way(path)
}

/// Sees that nobody but root can move a directory away.
///
/// # Errors
///
/// What was found, and what to do.
pub(super) fn check_way(path: &Path) -> Result<(), Failure> {
    // As it is written, and where symbolic links lead.
    let written = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = fs::canonicalize(parent(path)).unwrap_or_default();
    for above in written.ancestors().skip(1).chain(real.ancestors()) {
        let Ok(metadata) = fs::metadata(above) else { continue };
        let hint = |command: &str| format!("run {command} {}, or choose another --pin-dir", above.display());
        let given = format!("--pin-dir {}", path.display());
        let found = format!("{} {}: they could put another in its place", above.display(), found(&metadata));
        if !is_roots(&metadata) {
            return Err(Failure::failed(given, found, hint("chown root:root")));
        }
        let writable = if metadata.gid() == 0 { 0o002 } else { WRITABLE };
        if metadata.mode() & writable != 0 && metadata.mode() & STICKY == 0 {
            return Err(Failure::failed(given, found, hint("chmod go-w")));
        }
    }
    Ok(())
}

fn check_metadata(path: &Path, metadata: &Metadata) -> Result<(), Failure> {
    let given = || format!("--pin-dir {}", path.display());
    let see = "see who made it, and remove it, or choose another --pin-dir";
    if !metadata.is_dir() {
        return Err(Failure::failed(given(), "it is no directory", see));
    }
    if !is_roots(metadata) {
        let hint = format!("{see}; if it is to be used: chown root:root {0} && chmod 0700 {0}", path.display());
        return Err(Failure::failed(given(), format_args!("it {}", found(metadata)), hint));
    }
    if metadata.mode() & WRITABLE != 0 {
        let hint = format!("see that all in it is root's, then run chmod 0700 {}", path.display());
        return Err(Failure::failed(given(), format_args!("it {}", found(metadata)), hint));
    }
    Ok(())
}

/// Root's, or whoever's this process is if it has root's capabilities only.
fn is_roots(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == geteuid().as_raw()
}

fn found(metadata: &Metadata) -> String {
    let (user, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if is_roots(metadata) {
        format!("is open to others than root (mode {mode:04o})")
    } else {
        format!("belongs to user {user} (mode {mode:04o})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn refusal(path: &Path) -> String {
        open(path).map(Result::unwrap).unwrap_err().to_string()
    }

    #[test]
    fn a_directory_is_made_for_root_alone_and_one_that_others_may_enter_is_shut() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ftptrack");
        make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        set(&path, 0o755);
        make(&path).unwrap();
        open(&path).unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
        assert_eq!(open(&scratch.path().join("none")).unwrap().unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_others_own_or_may_write_to_is_refused_and_said_to_be() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ftptrack");
        make(&path).unwrap();
        for mode in [0o1777, 0o770, 0o702] {
            set(&path, mode);
            let refused = refusal(&path);
            assert!(refused.contains(&format!("it is open to others than root (mode {mode:04o}); see")), "{refused}");
            assert!(refused.ends_with(&format!("then run chmod 0700 {}", path.display())), "{refused}");
            assert_eq!(check(&path).unwrap_err().to_string(), refused);
        }
        set(&path, 0o700);
        assert_eq!(check(&path), Ok(()));
        let link = scratch.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(open(&link).unwrap().is_err() && check(&link).is_err(), "a link may be changed");
        // Only root can give it away.
        if geteuid().is_root() {
            chown(&path, Some(1000), None).unwrap();
            assert!(refusal(&path).contains("it belongs to user 1000 (mode 0700)"));
        }
    }

    #[test]
    fn nobody_else_can_put_another_in_its_place() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("ftptrack");
        make(&path).unwrap();
        for (mode, is_right) in [(0o700, true), (0o1777, true), (0o755, true), (0o777, false), (0o702, false)] {
            set(scratch.path(), mode);
            assert_eq!(check_way(&path).is_ok(), is_right, "{mode:o}");
            assert_eq!(check(&path).is_ok(), is_right, "{mode:o}");
        }
        let refused = check_way(&path).unwrap_err().to_string();
        assert!(refused.contains("is open to others than root (mode 0702): they could"), "{refused}");
        assert!(refused.contains(&format!("run chmod go-w {}", scratch.path().display())), "{refused}");
    }
}
