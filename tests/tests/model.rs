//! The same parser everywhere: the compiled program, the model, and readings line by line agree.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::{env, panic};

use ftp_common::counter::Counter;
use ftptrack_tests::suites::model::differential::{self, Coverage, Kernels};
use ftptrack_tests::suites::model::fuzz;
use ftptrack_tests::suites::model::script::Script;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// `cargo xtask test --long` draws many more.
fn config(cases: u32) -> Config {
    let long = env::var("FTPTRACK_LONG").is_ok_and(|long| long == "1");
    let cases = if long { cases * 50 } else { cases };
    Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() }
}

fn scripts() -> impl Strategy<Value = Script> {
    let step = any::<[u8; 8]>();
    (any::<[u8; 8]>(), prop::collection::vec(step, 0..40)).prop_map(|(head, steps)| Script { head, steps })
}

#[test]
fn the_compiled_program_and_the_model_agree_on_random_dialogues() {
    let config = config(2_000);
    let cases = u64::from(config.cases);
    let kernels = RefCell::new(Kernels::load());
    let total = RefCell::new(Coverage::default());
    let result = TestRunner::new(config).run(&scripts(), |script| {
        let coverage = differential::both(&script, &mut kernels.borrow_mut()).map_err(TestCaseError::fail)?;
        total.borrow_mut().add(&coverage);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let total = total.into_inner();
    println!("{cases} scripts: {total:#?}");
    // Scripts that get nowhere would prove nothing.
    let often = |counter| total.counters.of(counter) > cases / 10;
    for counter in [
        Counter::ExpectationsPassive,
        Counter::ExpectationsActive,
        Counter::ExpectationsWithdrawn,
        Counter::FlowsEstablished,
        Counter::DeniedPassive,
        Counter::DeniedActive,
        Counter::SegmentsDeferred,
        Counter::Desyncs,
        Counter::SessionsMidstream,
    ] {
        assert!(often(counter), "{counter:?} in {total:?}");
    }
}

/// The files that are kept for a fuzz target, by their names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let names: BTreeSet<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!names.is_empty());
    names.into_iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

fn replay(target: &str, body: fn(&[u8])) {
    for (name, bytes) in corpus(target) {
        if let Err(failure) = panic::catch_unwind(|| body(&bytes)) {
            eprintln!("it was {name}");
            panic::resume_unwind(failure);
        }
    }
}

/// Bytes as a fuzzer makes them: files of the corpus, cut up and put together.
fn mutations(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let files: Vec<_> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
    let piece =
        (prop::sample::select(files), any::<prop::sample::Index>(), 1..60_usize).prop_map(|(file, at, length)| {
            let from = at.index(file.len());
            file[from..(from + length).min(file.len())].to_vec()
        });
    let noise = prop::collection::vec(prop::sample::select(b"0129,|().- \r\n:\xff\xfb\x01\x02\x03Pa(".to_vec()), 0..3);
    prop::collection::vec((piece, noise).prop_map(|(piece, noise)| [piece, noise].concat()), 1..8)
        .prop_map(|pieces| pieces.concat())
}

fn mutate(target: &str, body: fn(&[u8])) {
    let result = TestRunner::new(config(2_000)).run(&mutations(target), |bytes| {
        body(&bytes);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn commands_are_what_a_reading_line_by_line_says() {
    replay("command_parser", fuzz::command_parser);
    mutate("command_parser", fuzz::command_parser);
}

#[test]
fn replies_are_what_a_reading_line_by_line_says() {
    replay("reply_parser", fuzz::reply_parser);
    mutate("reply_parser", fuzz::reply_parser);
}

#[test]
fn a_dialogue_opens_the_same_however_it_is_cut_and_repeated() {
    replay("dialogue", fuzz::dialogue);
    mutate("dialogue", fuzz::dialogue);
}

#[test]
fn the_packet_path_keeps_its_promises_on_the_corpus() {
    replay("packet_path", fuzz::packet_path);
    mutate("packet_path", fuzz::packet_path);
}

#[test]
fn the_compiled_program_and_the_model_agree_on_the_corpus() {
    let mut kernels = Kernels::load();
    let mut total = Coverage::default();
    for (name, bytes) in corpus("packet_path") {
        match differential::both(&Script::from_bytes(&bytes), &mut kernels) {
            Ok(coverage) => total.add(&coverage),
            Err(wrong) => panic!("{name}: {wrong}"),
        }
    }
    assert!(total.counters.of(Counter::FlowsEstablished) >= 10, "{total:?}");
}
