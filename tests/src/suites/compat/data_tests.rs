use super::*;

fn with(block: &str) -> Result<(), String> {
    let mut data = Data::load("matrix.toml").expect("it is right");
    data.blocks = vec![toml::from_str(block).expect("a block")];
    data.check("matrix.toml")
}

const BLOCK: &str = "title = 'some'
    places = ['host']
    policy = 'usual'
    servers = ['vsftpd/ftps']
    clients = ['curl']
    modes = ['passive-v4']
    actions = ['download']";

#[test]
fn every_name_must_be_of_something() {
    with(BLOCK).expect("all are there");
    with(&BLOCK.replace("['curl']", "['*']")).expect("all there are");
    for (name, kind) in [
        ("host", "place"),
        ("usual", "policy"),
        ("vsftpd/ftps", "server"),
        ("curl", "client"),
        ("passive-v4", "mode"),
        ("download", "action"),
    ] {
        let error = with(&BLOCK.replace(name, "elsewhere")).expect_err(name);
        assert_eq!(error, format!("matrix.toml: \"some\": there is no {kind} elsewhere"));
    }
    with(&BLOCK.replace("/ftps", "/elsewhere")).expect_err("a variant");
}

#[test]
fn a_misspelt_key_is_an_error() {
    let error = toml::from_str::<Block>(&BLOCK.replace("modes", "mode")).expect_err("there is no such key");
    assert!(error.to_string().contains("mode"), "{error}");
}

#[test]
fn a_cell_is_what_client_and_action_have_in_common() {
    let mut data = Data::load("matrix.toml").expect("it is right");
    // NcFTP has no IPv6, and BusyBox no active mode and no listing.
    let block = BLOCK.replace("['curl']", "['ncftp', 'busybox']").replace("['download']", "['download', 'list']");
    let block = block.replace("['passive-v4']", "['passive-v4', 'passive-v6', 'active-v4']");
    data.blocks = vec![toml::from_str(&block).expect("a block")];
    let cells: Vec<_> = crate::suites::compat::cell::Cell::of(&data.blocks[0], &data)
        .into_iter()
        .map(|cell| format!("{} {} {}", cell.client, cell.action, cell.mode))
        .collect();
    assert_eq!(
        cells,
        [
            "busybox download passive-v4",
            "busybox download passive-v6",
            "ncftp download active-v4",
            "ncftp download passive-v4",
            "ncftp list active-v4",
            "ncftp list passive-v4",
        ]
    );
}
