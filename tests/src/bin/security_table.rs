//! Plays all dialogues, TCP games and trials against ftptrack and against the kernel's FTP helper, and writes
//! what came of them into `docs/security.md`.

use ftptrack_tests::dialogue::table::{self, Row};
use ftptrack_tests::dialogue::{self, Guard};
use ftptrack_tests::games::{self, Game};
use ftptrack_tests::security_page;
use ftptrack_tests::trials::{self, Trial};
use std::io;
use std::process::ExitCode;

fn main() -> io::Result<ExitCode> {
    let dialogues = match dialogue::load(&dialogue::directory()) {
        Ok(dialogues) => dialogues,
        Err(errors) => {
            eprintln!("{errors}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let ftptrack = dialogue::play_all(&dialogues, Guard::Ftptrack);
    let conntrack = dialogue::play_all(&dialogues, Guard::Conntrack);
    let rows: Vec<_> = dialogues
        .iter()
        .zip(&ftptrack)
        .zip(&conntrack)
        .map(|((dialogue, ftptrack), conntrack)| {
            let ftptrack = ftptrack.as_ref().expect("ftptrack knows its options");
            Row { dialogue, ftptrack, conntrack: conntrack.as_ref() }
        })
        .collect();
    let both = games::play_all(Guard::Ftptrack).into_iter().zip(games::play_all(Guard::Conntrack));
    let games: Vec<_> = Game::all()
        .zip(both)
        .map(|(game, (ftptrack, conntrack))| games::table::Row { game, ftptrack, conntrack })
        .collect();
    let both = [Guard::Ftptrack, Guard::Conntrack].map(trials::play_all);
    let trials: Vec<_> = Trial::all()
        .zip(both[0].iter().zip(&both[1]))
        .map(|(trial, (ftptrack, conntrack))| {
            let [ftptrack, conntrack] = [ftptrack, conntrack].map(|found| found.met.clone());
            trials::table::Row { trial, ftptrack, conntrack }
        })
        .collect();
    let parts = [
        table::write(&rows),
        games::table::write(&games),
        trials::table::write(&trials),
        trials::table::measurements(&both[0], &both[1]),
    ];
    security_page::replace(&parts.join("\n"))?;
    let page = security_page::file();
    println!("{} dialogues, {} games, {} trials: {}", rows.len(), games.len(), trials.len(), page.display());
    Ok(ExitCode::SUCCESS)
}
