//! A sample of the compatibility matrix. `cargo xtask compat` plays the whole.

use ftptrack_tests::suites::compat::cell::Cell;
use ftptrack_tests::suites::compat::data::Data;
use ftptrack_tests::suites::compat::{judge, page, run};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn ftptrack_makes_no_difference_that_is_not_explained() {
    let data = read("sample.toml");
    let cells = cells(&data);
    let rows = run::play(&cells, &data, false, |_, _, _| ());
    let complaints = judge::complaints(&rows, &data.explanations, false);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_page_is_of_this_matrix() {
    let data = read("matrix.toml");
    let page = fs::read_to_string(page::file()).expect("the page is there");
    let explanations = &data.explanations;
    let whys = [&explanations.differs, &explanations.never, &explanations.chance].into_iter().flatten();
    let lines = whys.map(|explanation| explanation.why.clone());
    for line in lines.chain([page::of_matrix(cells(&data).len(), &data)]) {
        assert!(page.contains(&line), "docs/compatibility.md lacks {line:?}: run cargo xtask compat");
    }
}

/// All of every kind are played by the ordinary tests.
#[test]
fn the_sample_has_something_of_everything() {
    let data = read("sample.toml");
    let cells = cells(&data);
    let misses = |all: &mut dyn Iterator<Item = &String>, of: fn(&Cell) -> &str| -> Vec<String> {
        all.filter(|name| !cells.iter().any(|cell| of(cell) == name.as_str())).cloned().collect()
    };
    assert_eq!(misses(&mut data.servers.keys(), |cell| &cell.server), [""; 0], "servers");
    assert_eq!(misses(&mut data.clients.keys(), |cell| &cell.client), [""; 0], "clients");
    assert_eq!(misses(&mut data.policies.keys(), |cell| &cell.policy), [""; 0], "policies");
    assert_eq!(misses(&mut data.places.iter().map(|place| &place.name), |cell| &cell.place), [""; 0], "places");
    // What takes minutes has a short form of its own.
    let short = |name: &&String| data.actions[*name].limit < 200;
    assert_eq!(misses(&mut data.actions.keys().filter(short), |cell| &cell.action), [""; 0], "actions");
}

#[track_caller]
fn read(matrix: &str) -> Data {
    match Data::load(matrix) {
        Ok(data) => data,
        Err(error) => panic!("tests/compat: {error}"),
    }
}

fn cells(data: &Data) -> Vec<Cell> {
    let cells: BTreeSet<_> = data.blocks.iter().flat_map(|block| Cell::of(block, data)).collect();
    cells.into_iter().collect()
}
