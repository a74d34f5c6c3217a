//! The same parser everywhere: the compiled program, the model, and readings line by line agree.

use std::cell::RefCell;

use ftp_common::counter::Counter;
use ftp_common::keys::Mode;
use ftptrack_tests::suites::fuzzing::corpus::{self, config};
use ftptrack_tests::suites::model::differential::{self, Coverage, Kernels};
use ftptrack_tests::suites::model::script::Script;
use ftptrack_tests::suites::model::{attack, fuzz};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

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

/// Plays stories of attack; each of these counters must have been met now and then.
fn play_stories(mode: Mode, counters: &[Counter]) {
    let config = config(2_000);
    let cases = u64::from(config.cases);
    let kernels = RefCell::new(Kernels::load());
    let total = RefCell::new(Coverage::default());
    let result = TestRunner::new(config).run(&scripts(), |story| {
        let coverage = attack::both(mode, &story, &mut kernels.borrow_mut()).map_err(TestCaseError::fail)?;
        total.borrow_mut().add(&coverage);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    let total = total.into_inner();
    println!("{cases} stories: {total:#?}");
    for counter in counters {
        assert!(total.counters.of(*counter) > cases / 200, "{counter:?} in {total:?}");
    }
}

#[test]
fn whatever_attackers_send_the_server_accepts_what_was_negotiated_once() {
    play_stories(
        Mode::Passive,
        &[
            Counter::FlowsEstablished,
            Counter::FlowsEnded,
            Counter::FlowsRefused,
            Counter::DeniedPassive,
            Counter::DeniedUsed,
            Counter::DeniedHandshake,
            Counter::DeniedTupleInUse,
            Counter::DeniedFastOpen,
            Counter::DeniedSessionGone,
            Counter::DeniedVlanTags,
        ],
    );
}

#[test]
fn whatever_peers_answer_the_server_opens_what_was_asked_for_once() {
    play_stories(
        Mode::Active,
        &[
            Counter::ExpectationsActive,
            Counter::ExpectationsWithdrawn,
            Counter::FlowsEstablished,
            Counter::FlowsEnded,
            Counter::FlowsRefused,
            Counter::DeniedActive,
            Counter::DeniedUsed,
            Counter::DeniedHandshake,
            Counter::DeniedTupleInUse,
            Counter::DeniedWrongDirection,
            Counter::DeniedSessionGone,
            Counter::DeniedVlanTags,
        ],
    );
}

/// Plays the corpus, and pieces of it.
fn play(target: &str, body: fn(&[u8])) {
    corpus::replay(target, body);
    corpus::mutate(target, corpus::FTP, 2_000, body);
}

#[test]
fn commands_are_what_a_reading_line_by_line_says() {
    play("command_parser", fuzz::command_parser);
}

#[test]
fn replies_are_what_a_reading_line_by_line_says() {
    play("reply_parser", fuzz::reply_parser);
}

#[test]
fn a_dialogue_opens_the_same_however_it_is_cut_and_repeated() {
    play("dialogue", fuzz::dialogue);
}

#[test]
fn the_packet_path_keeps_its_promises_on_the_corpus() {
    play("packet_path", fuzz::packet_path);
}

#[test]
fn the_compiled_program_and_the_model_agree_on_the_corpus() {
    let mut kernels = Kernels::load();
    let mut total = Coverage::default();
    for (name, bytes) in corpus::kept("packet_path") {
        match differential::both(&Script::from_bytes(&bytes), &mut kernels) {
            Ok(coverage) => total.add(&coverage),
            Err(wrong) => panic!("{name}: {wrong}"),
        }
    }
    assert!(total.counters.of(Counter::FlowsEstablished) >= 10, "{total:?}");
}
