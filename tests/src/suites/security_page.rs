//! The part of `docs/security.md` that is generated: between two markers.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// What makes it anew.
pub const COMMAND: &str = "cargo xtask security";
const BEGIN: &str = "<!-- cargo xtask security: begin -->\n";
const END: &str = "<!-- cargo xtask security: end -->\n";

/// Where the page is.
#[must_use]
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md")
}

/// Puts `generated` in the place of what is between the markers.
///
/// # Errors
///
/// The page can't be read or written, or a marker is missing.
pub fn replace(generated: &str) -> io::Result<()> {
    let page = fs::read_to_string(file())?;
    let (before, _, after) = parts(&page)?;
    fs::write(file(), format!("{before}{BEGIN}\n{generated}\n{END}{after}"))
}

/// Compares a part of what is generated with the page as it is.
#[track_caller]
pub fn must_contain(part: &str) {
    let page = fs::read_to_string(file()).expect("the page is there");
    if let Err(error) = compare(&page, part) {
        panic!("{error}; run {COMMAND}");
    }
}

fn compare(page: &str, part: &str) -> io::Result<()> {
    let (_, generated, _) = parts(page)?;
    if generated.contains(&format!("\n{part}\n")) {
        return Ok(());
    }
    let differing: Vec<_> = part.lines().filter(|line| !generated.lines().any(|other| other == *line)).collect();
    Err(io::Error::other(format!(
        "docs/security.md: it lacks these lines (if none, it has more, or another order):\n{}",
        differing.join("\n")
    )))
}

/// What is before the first marker, between the two and behind the second.
fn parts(page: &str) -> io::Result<(&str, &str, &str)> {
    let cut = |text, marker: &str| {
        str::split_once(text, marker).ok_or_else(|| {
            io::Error::other(format!("docs/security.md: a line '{}' is missing; put it back", marker.trim_end()))
        })
    };
    let (before, rest) = cut(page, BEGIN)?;
    let (generated, after) = cut(rest, END)?;
    Ok((before, generated, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_cut_at_its_markers() {
        let page = format!("before\n{BEGIN}between\n{END}after\n");
        assert_eq!(parts(&page).expect("both are there"), ("before\n", "between\n", "after\n"));
    }

    #[test]
    fn a_missing_marker_is_named() {
        for (page, missing) in [(format!("{END}{END}"), BEGIN), (format!("{BEGIN}between"), END)] {
            let error = parts(&page).expect_err("one is missing").to_string();
            assert!(error.contains(missing.trim_end()), "{error}");
        }
    }

    #[test]
    fn a_part_must_stand_there_line_by_line() {
        let page = |part| format!("one\n{BEGIN}\n{part}\n{END}two\n");
        compare(&page("one\ntwo\n"), "one\ntwo\n").expect("it is there");
        for other in ["one\nthree\n", "two\none\n", "one\n", "one\nmore\ntwo\n"] {
            compare(&page(other), "one\ntwo\n").expect_err(other);
        }
        compare("one\ntwo\n", "one\ntwo\n").expect_err("only what is between the markers counts");
    }
}
