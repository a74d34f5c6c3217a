//! What the library notes, and with `-v` what the kernel program logs, on standard error.

use std::io::{self, Write as _};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Target of the library's own records.
const LIBRARY: &str = env!("CARGO_CRATE_NAME");
/// Target of the kernel program's.
const PROGRAM: &str = "ftptrack";

/// Shows the library's warnings as notes of the command's own, and leaves all others to `others`.
struct Logger {
    others: env_logger::Logger,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_note(metadata) || self.others.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if is_note(record.metadata()) {
            // Nobody may read it.
            let _ = writeln!(io::stderr(), "note: {}", record.args());
        } else {
            self.others.log(record);
        }
    }

    fn flush(&self) {}
}

fn is_note(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with(LIBRARY) && metadata.level() <= Level::Warn
}

/// Begins to show them; what others than the library log only with `-v`, given so many times.
pub(super) fn init(verbose: u8) {
    let (program, rest) = match verbose {
        0 => (LevelFilter::Off, LevelFilter::Off),
        1 => (LevelFilter::Debug, LevelFilter::Warn),
        _ => (LevelFilter::Trace, LevelFilter::Warn),
    };
    let others = env_logger::Builder::new()
        .filter_level(rest)
        // It warns of every attribute that is newer than itself.
        .filter_module("netlink_packet_route", rest.min(LevelFilter::Error))
        .filter_module(PROGRAM, program)
        .build();
    let most = others.filter().max(LevelFilter::Warn);
    if log::set_boxed_logger(Box::new(Logger { others })).is_ok() {
        log::set_max_level(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_the_librarys_warnings_and_nothing_else() {
        let of = |target, level| is_note(&Metadata::builder().target(target).level(level).build());
        assert!(of(module_path!(), Level::Warn));
        assert!(!of(module_path!(), Level::Debug));
        assert!(!of("netlink_packet_route", Level::Warn));
        assert!(!of(PROGRAM, Level::Warn));
    }
}
