use super::*;
use crate::suites::compat::outcome::Outcome;

fn data() -> Data {
    Data::load("matrix.toml").expect("it is right")
}

fn row(mode: &str, works: [bool; 3]) -> Row {
    let text = |text: &str| text.to_owned();
    let cell = Cell {
        place: text("host"),
        policy: text("usual"),
        server: text("vsftpd"),
        second: None,
        client: text("curl"),
        action: text("download"),
        mode: text(mode),
    };
    let [without, ftptrack, conntrack] =
        works.map(|works| if works { Outcome::works() } else { Outcome::fails(text("because")) });
    Row { cell, without, ftptrack, conntrack: Some(conntrack) }
}

#[test]
fn a_field_says_in_how_many_modes_it_works() {
    let [all, but_conntrack, but_ftptrack] = [[true; 3], [true, true, false], [true, false, true]];
    for (rows, text) in [
        (vec![], "–"),
        (vec![all, all], "✓"),
        (vec![all, but_conntrack], "2 2 1 of 2"),
        (vec![all, but_ftptrack], "**2 1 2 of 2**"),
        (vec![[false; 3]], "0 0 0 of 1"),
    ] {
        let rows: Vec<_> = rows.into_iter().map(|works| row("passive-v4", works)).collect();
        assert_eq!(in_short(&rows.iter().collect::<Vec<_>>(), &data()), text);
    }
}

#[test]
fn something_denied_on_the_way_is_a_difference() {
    let mut denied = row("passive-v4", [true; 3]);
    denied.ftptrack.alarms.insert("denied_passive".to_owned(), 1);
    assert_eq!(in_short(&[&denied], &data()), "**1 1 1 of 1**");
}

#[test]
fn a_matrix_has_a_row_for_each_pair_and_a_column_for_each_action() {
    let data = data();
    let block: Block = toml::from_str(BLOCK).expect("a block");
    let rows = [row("passive-v4", [true; 3]), row("active-v4", [true, true, false])];
    let table = block_table(&block, &rows.iter().collect::<Vec<_>>(), &data);
    assert_eq!(table, "| server | client | download |\n|---|---|---|\n| vsftpd | curl | 2 2 1 of 2 |\n");
}

const BLOCK: &str = "title = ''
    places = ['host']
    servers = ['vsftpd']
    clients = ['curl']
    modes = ['*']
    actions = ['download']";
