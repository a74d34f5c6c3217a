//! Every dialogue in `tests/dialogues`, with ftptrack, with the kernel's own FTP helper, and with neither;
//! and the evasion cases with the helper.

use ftptrack_tests::suites::dialogues::table::{self, Row};
use ftptrack_tests::suites::dialogues::{self, Access, Dialogue, Guard, Played};
use ftptrack_tests::suites::evasions::{self, Evasion};
use ftptrack_tests::suites::security_page;

#[track_caller]
fn all() -> Vec<Dialogue> {
    dialogues::load(&dialogues::directory()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn without_a_filter_every_attempt_succeeds_and_every_line_arrives() {
    let dialogues = all();
    let played = dialogues::play_all(&dialogues, Guard::Nobody);
    for (dialogue, played) in dialogues.iter().zip(&played) {
        let played = played.as_ref().expect("all are played");
        assert_eq!(played.hang, None, "{}", dialogue.name);
        assert!(
            played.observed.iter().all(|observed| *observed == Access::Open),
            "{}: {:?}",
            dialogue.name,
            played.observed
        );
    }
}

#[test]
fn with_ftptrack_every_dialogue_ends_as_it_must() {
    let dialogues = all();
    let played = dialogues::play_all(&dialogues, Guard::Ftptrack);
    let complaints: Vec<_> = dialogues
        .iter()
        .zip(&played)
        .flat_map(|(dialogue, played)| {
            let complaints = played.iter().flat_map(|played| &played.complaints);
            complaints.map(|complaint| format!("{}: {complaint}", dialogue.name))
        })
        .collect();
    assert!(complaints.is_empty(), "of {} dialogues:\n{}", dialogues.len(), complaints.join("\n"));
    println!("{} dialogues played", dialogues.len());
}

/// The other test says that ftptrack is as the files want it; so is its column.
#[test]
fn with_the_kernels_helper_they_end_as_the_table_says() {
    let dialogues = all();
    let played = dialogues::play_all(&dialogues, Guard::Conntrack);
    let as_wanted: Vec<_> = dialogues
        .iter()
        .map(|dialogue| {
            let observed = dialogue.attempts().map(|attempt| attempt.wanted).collect();
            Played { observed, ..Played::default() }
        })
        .collect();
    let rows: Vec<_> = dialogues
        .iter()
        .zip(&as_wanted)
        .zip(&played)
        .map(|((dialogue, ftptrack), conntrack)| Row { dialogue, ftptrack, conntrack: conntrack.as_ref() })
        .collect();
    security_page::must_contain(&table::write(&rows));
}

/// So it is here: `tests/tests/{tcp_order,tcp_urgent,tcp_blind,tcp_disguise}.rs` are about ftptrack's.
#[test]
fn with_the_kernels_helper_evasion_cases_end_as_the_table_says() {
    let rows: Vec<_> = Evasion::all()
        .zip(evasions::play_all(Guard::Conntrack))
        .map(|(evasion, conntrack)| evasions::table::Row { evasion, ftptrack: evasion.expected(), conntrack })
        .collect();
    security_page::must_contain(&evasions::table::write(&rows));
}
