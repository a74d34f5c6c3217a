//! Plays all dialogues against ftptrack and against the kernel's FTP helper, and writes
//! `docs/security-table.md`.

use ftptrack_tests::dialogue::table::{self, Row};
use ftptrack_tests::dialogue::{self, Guard};
use std::process::ExitCode;
use std::{fs, io};

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
    fs::write(table::file(), table::write(&rows))?;
    println!("{} dialogues: {}", rows.len(), table::file().display());
    Ok(ExitCode::SUCCESS)
}
