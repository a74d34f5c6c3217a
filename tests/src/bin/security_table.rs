//! Plays all dialogues, evasion cases and scenarios against ftptrack and against the kernel's FTP helper, and writes
//! what came of them into `docs/security.md`.

use ftptrack_tests::suites::dialogues::table::{self, Row};
use ftptrack_tests::suites::dialogues::{self, Guard};
use ftptrack_tests::suites::evasions::{self, Evasion};
use ftptrack_tests::suites::scenarios::{self, Scenario};
use ftptrack_tests::suites::security_page;
use std::io;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let dialogues = match dialogues::load(&dialogues::directory()) {
        Ok(dialogues) => dialogues,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let ftptrack = dialogues::play_all(&dialogues, Guard::Ftptrack);
    let conntrack = dialogues::play_all(&dialogues, Guard::Conntrack);
    let rows: Vec<_> = dialogues
        .iter()
        .zip(&ftptrack)
        .zip(&conntrack)
        .map(|((dialogue, ftptrack), conntrack)| {
            let ftptrack = ftptrack.as_ref().expect("ftptrack knows its options");
            Row { dialogue, ftptrack, conntrack: conntrack.as_ref() }
        })
        .collect();
    let both = evasions::play_all(Guard::Ftptrack).into_iter().zip(evasions::play_all(Guard::Conntrack));
    let evasions: Vec<_> = Evasion::all()
        .zip(both)
        .map(|(evasion, (ftptrack, conntrack))| evasions::table::Row { evasion, ftptrack, conntrack })
        .collect();
    let both = [Guard::Ftptrack, Guard::Conntrack].map(scenarios::play_all);
    let scenarios: Vec<_> = Scenario::all()
        .zip(both[0].iter().zip(&both[1]))
        .map(|(scenario, (ftptrack, conntrack))| {
            let [ftptrack, conntrack] = [ftptrack, conntrack].map(|found| found.observed.clone());
            scenarios::table::Row { scenario, ftptrack, conntrack }
        })
        .collect();
    let parts = [
        table::write(&rows),
        evasions::table::write(&evasions),
        scenarios::table::write(&scenarios),
        scenarios::table::measurements(&both[0], &both[1]),
    ];
    security_page::replace(&parts.join("\n"))?;
    let page = security_page::file();
    println!(
        "{} dialogues, {} evasions, {} scenarios: {}",
        rows.len(),
        evasions.len(),
        scenarios.len(),
        page.display()
    );
    Ok(ExitCode::SUCCESS)
}
