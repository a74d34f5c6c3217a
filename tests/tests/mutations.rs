//! The list of `cargo xtask mutate`, which takes too long for every test run: that each entry can still be run.

use serde::Deserialize;
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
struct List {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
struct Mutation {
    check: String,
    file: String,
    find: String,
    package: String,
    suite: Option<String>,
    test: String,
}

#[test]
fn each_check_of_the_list_stands_once_in_its_file_and_its_test_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let list = fs::read_to_string(root.join("tests/mutations.toml")).expect("it is there");
    let list: List = toml::from_str(&list).expect("it is well-formed");
    let mut complaints = Vec::new();
    for Mutation { check, file, find, package, suite, test } in list.mutation {
        let text = fs::read_to_string(root.join(&file)).unwrap_or_default();
        let times = text.matches(&find).count();
        if times != 1 {
            complaints.push(format!("{check}: its text stands {times} times in {file}"));
        }
        // Unit tests are named with their modules, whose files may be named otherwise.
        let Some(suite) = suite else { continue };
        let tests = root.join(if package == "ftp-common" { "ftp-common/tests" } else { "tests/tests" });
        let name = test.rsplit("::").next().expect("there is always a last");
        let module = test.split("::").next().expect("there is always a first");
        let places = [format!("{suite}.rs"), format!("{suite}/main.rs"), format!("{suite}/{module}.rs")];
        let there = places
            .iter()
            .any(|place| fs::read_to_string(tests.join(place)).is_ok_and(|text| text.contains(&format!("fn {name}("))));
        if !there {
            complaints.push(format!("{check}: there is no test {test} in {suite}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
