//! Who may know whom, of the folders of this crate: read from the sources, so that it stays so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each room, and those that it uses: all of them stand above it, so there is no circle.
const ROOMS: [(&str, &[&str]); 19] = [
    ("escape", &[]),
    ("error", &["escape"]),
    ("endpoint", &[]),
    ("policy", &[]),
    ("sys", &["error"]),
    ("pins", &["error", "policy", "sys"]),
    ("config", &["error", "policy"]),
    ("import", &["config", "error", "escape", "policy"]),
    ("ebpf", &["error", "pins", "policy", "sys"]),
    ("owner", &["ebpf", "error", "pins", "policy", "sys"]),
    ("events", &["ebpf", "endpoint", "error", "escape", "pins", "sys"]),
    ("attach", &["config", "ebpf", "error", "owner", "pins", "policy", "sys"]),
    ("query", &["attach", "ebpf", "endpoint", "error", "escape", "owner", "pins", "policy", "sys"]),
    ("export", &["ebpf", "error", "events", "pins", "query"]),
    ("doctor", &["attach", "config", "ebpf", "error", "escape", "import", "owner", "pins", "policy", "sys"]),
    ("replay", &["config", "ebpf", "endpoint", "error", "events", "policy", "query", "sys"]),
    ("top", &["ebpf", "endpoint", "error", "escape", "events", "pins", "query", "sys"]),
    ("commands", &["attach", "config", "ebpf", "error", "events", "export", "owner", "pins", "policy", "sys"]),
    (
        "cli",
        &[
            "attach", "commands", "config", "doctor", "ebpf", "error", "escape", "events", "export", "import", "pins",
            "policy", "query", "replay", "sys", "top",
        ],
    ),
];
/// What is written to the terminal is written there.
const MAY_PRINT: [&str; 2] = ["cli", "commands"];
/// A file below has one idea.
const MOST_LINES: usize = 400;

/// The sources of each room, with their names.
fn sources() -> Vec<(String, PathBuf, String)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&top).unwrap().to_owned();
                let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                found.push((room, inside, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// Rooms that a line of code names.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    let end = |text: &str| text.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(text.len());
    code.split("crate::").skip(1).map(move |rest| &rest[..end(rest)])
}

#[test]
fn rooms_know_only_those_above_them() {
    let mut uses: BTreeMap<&str, BTreeSet<String>> = ROOMS.map(|(room, _)| (room, BTreeSet::new())).into();
    for (room, file, text) in sources() {
        let Some(used) = uses.get_mut(room.as_str()) else {
            assert!(["lib", "main", "rooms"].contains(&room.as_str()), "{} is in no room", file.display());
            continue;
        };
        used.extend(text.lines().flat_map(named).filter(|other| *other != room).map(str::to_owned));
    }
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        let used: Vec<_> = uses[room].iter().map(String::as_str).collect();
        assert_eq!(used, *allowed, "what {room} uses");
        let above = ROOMS[..index].iter().map(|(above, _)| *above).collect::<BTreeSet<_>>();
        assert!(allowed.iter().all(|other| above.contains(other)), "{room} stands too high");
    }
}

#[test]
fn only_the_command_prints() {
    let prints = |line: &str| {
        let code = line.split("//").next().unwrap_or_default();
        ["println!", "print!", "dbg!"].iter().any(|name| code.contains(name))
    };
    for (room, file, text) in sources() {
        let may = MAY_PRINT.contains(&room.as_str()) || room == "rooms";
        assert!(may || !text.lines().any(prints), "{} prints", file.display());
    }
}

#[test]
fn files_are_short() {
    for (_, file, text) in sources() {
        assert!(text.lines().count() < MOST_LINES, "{} has {} lines", file.display(), text.lines().count());
    }
}
