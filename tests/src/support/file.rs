//! Files to transfer, and where to put them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

use crate::support::process;

/// A new directory, which goes when it is dropped; one left by a test that was killed says whose it is.
#[track_caller]
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("ftptrack-tests-").tempdir().expect("there is room")
}

/// Writes `length` bytes that nothing can guess to a new file.
#[track_caller]
pub fn write_random(path: &Path, length: u64) {
    let mut file = File::create(path).expect("the directory is there");
    let random = File::open("/dev/urandom").expect("every Linux has it");
    let written = io::copy(&mut random.take(length), &mut file).expect("there is room");
    assert_eq!(written, length);
}

/// The SHA-256 of a file, in hexadecimal.
#[track_caller]
pub fn hash(path: &Path) -> String {
    let output = process::finish(Command::new("sha256sum").arg("--").arg(path));
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout.split_whitespace().next().expect("hash and name").to_owned()
}
