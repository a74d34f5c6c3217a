//! The inputs that are kept beside the fuzz targets, in `fuzz/corpus`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::{env, fs, panic};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// How many cases are drawn: `cargo xtask test --long` draws many more.
#[must_use]
pub fn config(cases: u32) -> Config {
    let long = env::var("FTPTRACK_LONG").is_ok_and(|long| long == "1");
    let cases = if long { cases * 50 } else { cases };
    Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() }
}

/// The files that are kept for a fuzz target, by their names; one at least.
#[must_use]
pub fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let names: BTreeSet<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    assert!(!names.is_empty(), "{target}");
    names.into_iter().map(|path| (path.display().to_string(), fs::read(path).expect("it can be read"))).collect()
}

/// Plays each of them.
pub fn replay(target: &str, body: fn(&[u8])) {
    for (name, bytes) in kept(target) {
        if let Err(failure) = panic::catch_unwind(|| body(&bytes)) {
            eprintln!("it was {name}");
            panic::resume_unwind(failure);
        }
    }
}

/// Bytes as a fuzzer makes them: files of the corpus, cut up and put together. What stands between the pieces is drawn
/// from `noise`.
fn mutations(target: &str, noise: &'static [u8]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let files: Vec<_> = kept(target).into_iter().map(|(_, bytes)| bytes).filter(|bytes| !bytes.is_empty()).collect();
    let piece =
        (prop::sample::select(files), any::<prop::sample::Index>(), 1..60_usize).prop_map(|(file, at, length)| {
            let from = at.index(file.len());
            file[from..(from + length).min(file.len())].to_vec()
        });
    let noise = prop::collection::vec(prop::sample::select(noise), 0..3);
    prop::collection::vec((piece, noise).prop_map(|(piece, noise)| [piece, noise].concat()), 1..8)
        .prop_map(|pieces| pieces.concat())
}

/// Files of the corpus with a few bytes that are others, and perhaps cut: what has a header stays what it was.
fn alterations(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let files: Vec<_> = kept(target).into_iter().map(|(_, bytes)| bytes).filter(|bytes| !bytes.is_empty()).collect();
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&[0, 1, 0x7f, 0x80, 0xff][..])];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte), 0..6);
    (prop::sample::select(files), changes, prop::option::weighted(0.2, any::<prop::sample::Index>())).prop_map(
        |(mut file, changes, cut)| {
            for (at, byte) in changes {
                let at = at.index(file.len());
                file[at] = byte;
            }
            file.truncate(cut.map_or(file.len(), |cut| cut.index(file.len())));
            file
        },
    )
}

fn play(inputs: &impl Strategy<Value = Vec<u8>>, cases: u32, body: fn(&[u8])) {
    let result = TestRunner::new(config(cases)).run(inputs, |bytes| {
        body(&bytes);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// What FTP is made of.
pub const FTP: &[u8] = b"0129,|().- \r\n:\xff\xfb\x01\x02\x03Pa(";

/// Plays pieces of them, with bytes of `noise` between.
pub fn mutate(target: &str, noise: &'static [u8], cases: u32, body: fn(&[u8])) {
    play(&mutations(target, noise), cases, body);
}

/// Plays them with bytes that are others.
pub fn alter(target: &str, cases: u32, body: fn(&[u8])) {
    play(&alterations(target), cases, body);
}
