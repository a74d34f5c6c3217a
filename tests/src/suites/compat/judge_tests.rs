use super::*;

fn cell(client: &str) -> Cell {
    let text = |text: &str| text.to_owned();
    Cell {
        place: text("host"),
        policy: text("usual"),
        server: text("vsftpd"),
        second: None,
        client: text(client),
        action: text("download"),
        mode: text("passive-v4"),
    }
}

fn row(without: bool, ftptrack: bool, alarm: Option<&str>) -> Row {
    let outcome = |works| if works { Outcome::works() } else { Outcome::fails("because".to_owned()) };
    let mut row = Row { cell: cell("curl"), without: outcome(without), ftptrack: outcome(ftptrack), conntrack: None };
    row.ftptrack.alarms.extend(alarm.map(|name| (name.to_owned(), 1)));
    row
}

fn explanations(text: &str) -> Explanations {
    toml::from_str(text).expect("it is right")
}

const DIFFERS: &str = "[[differs]]\ncells = { client = [\"curl\"] }\nwhy = \"so\"\ncounters = [\"denied_passive\"]";
const NEVER: &str = "[[never]]\ncells = { action = [\"download\"] }\nwhy = \"so\"";
const CHANCE: &str = "[[chance]]\ncells = {}\nwhy = \"so\"";

#[test]
fn a_difference_must_be_explained() {
    let none = explanations("");
    assert!(complaints(&[row(true, true, None)], &none, true).is_empty());
    for differing in [row(true, false, None), row(true, true, Some("refused_low_port"))] {
        assert_eq!(complaints(&[differing], &none, true).len(), 1);
    }
    assert!(complaints(&[row(true, false, Some("denied_passive"))], &explanations(DIFFERS), true).is_empty());
}

#[test]
fn an_explanation_must_hold_for_all_its_cells() {
    let list = explanations(DIFFERS);
    assert_eq!(complaints(&[row(true, true, None)], &list, true).len(), 1);
    // By the reason that it gives.
    assert_eq!(complaints(&[row(true, false, None)], &list, true).len(), 1);
    assert_eq!(complaints(&[row(true, true, None)], &explanations(NEVER), true).len(), 1);
}

#[test]
fn what_fails_without_a_filter_must_be_explained() {
    assert_eq!(complaints(&[row(false, false, None)], &explanations(""), true).len(), 1);
    assert!(complaints(&[row(false, false, None)], &explanations(NEVER), true).is_empty());
}

#[test]
fn chance_does_not_explain_a_denial() {
    let list = explanations(CHANCE);
    assert!(complaints(&[row(true, false, None), row(false, true, None)], &list, true).is_empty());
    assert_eq!(complaints(&[row(true, true, Some("denied_active"))], &list, true).len(), 1);
}

#[test]
fn an_explanation_of_nothing_is_no_explanation() {
    let mut other = row(true, true, None);
    other.cell = cell("lftp");
    assert_eq!(complaints(&[other.clone()], &explanations(DIFFERS), true).len(), 1);
    assert!(complaints(&[other], &explanations(DIFFERS), false).is_empty());
}
