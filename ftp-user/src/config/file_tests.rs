use super::*;
use crate::policy::toml::{self, Detail};
use crate::policy::{ActivePort, Ftps, Mark, PortRange, Rules};
use std::collections::BTreeSet;

fn with_flags(text: &str, flags: &Flags) -> Result<Configuration, Failure> {
    let mut complaints = Complaints::default();
    let mut draft = read_text("f.toml", text, &mut complaints);
    draft.overlay(flags.draft(&mut complaints), &mut complaints);
    flags.overlay_interfaces(&mut draft.interfaces);
    finish(draft, complaints)
}

#[track_caller]
fn good(text: &str) -> Configuration {
    with_flags(text, &Flags::default()).unwrap()
}

#[track_caller]
fn problem(text: &str) -> Vec<String> {
    let failure = with_flags(text, &Flags::default()).unwrap_err();
    assert_eq!(failure.exit_code(), 2);
    failure.to_string().lines().map(str::to_owned).collect()
}

const TWO: &str = r#"
interfaces = ["eth0", { name = "wg0", side = "servers-beyond", hook = "clsact" }]
mode = "monitor"
accounting = false

[[server]]
passive-range = "10240-20480"
mode = "enforce"

[[server]]
address = ["192.0.2.1", "2001:db8::/32"]
control-ports = [21, 2121]
passive-range = "30000:40000"
passive = false
active-port = "any"
active = false
pasv-promiscuous = true
port-promiscuous = true
announced-address = "strict"
expectation-timeout = 60
sessions-per-client = 5
ftps = "client-range"
mark = "0x1/0xff"
"#;

#[test]
fn every_key_is_read() {
    let Configuration { interfaces, policy, .. } = good(TWO);
    let choice = |name: &str, side, hook| InterfaceChoice { name: name.to_owned(), side, hook };
    assert_eq!(
        interfaces,
        [choice("eth0", Side::ServersBehind, None), choice("wg0", Side::ServersBeyond, Some(Hook::Clsact))]
    );
    let own = Rules { passive_range: Some(PortRange { first: 10240, last: 20480 }), ..Rules::default() };
    assert_eq!((policy.own, policy.accounting), (Some(own), false));
    let [named] = &policy.named[..] else { panic!("{:?}", policy.named) };
    assert_eq!(named.prefixes, ["192.0.2.1/32".parse().unwrap(), "2001:db8::/32".parse().unwrap()]);
    assert_eq!(
        named.rules,
        Rules {
            control_ports: vec![21, 2121],
            passive_range: Some(PortRange { first: 30000, last: 40000 }),
            passive: false,
            active_port: ActivePort::Any,
            active: false,
            pasv_promiscuous: true,
            port_promiscuous: true,
            announced_strict: true,
            expectation_timeout: 60,
            sessions_per_client: 5,
            ftps: Ftps::ClientRange,
            monitor: true,
            mark: Some(Mark { value: 1, mask: 0xff }),
        }
    );
}

#[test]
fn what_is_written_reads_back_the_same() {
    let policy = good(TWO).policy;
    for detail in [Detail::All, Detail::Unusual] {
        let text = toml::policy(&policy, &BTreeSet::new(), detail);
        assert_eq!(good(&text).policy, policy, "{text}");
    }
    let none = "[[server]]\npassive-range = \"2000-3000\"\nactive-port = \"none\"\n";
    assert_eq!(good(&toml::policy(&good(none).policy, &BTreeSet::new(), Detail::All)), good(none));
}

#[test]
fn all_errors_of_a_file_are_told_with_their_places() {
    let text = r#"interfaces = "eth0"
mood = "monitor"

[[server]]
passive-range = "20480-10240"
control_ports = 21
control-ports = [0, "21"]
pasv-promiscuous = 1

[[server]]
address = ["192.0.2.1", "192.0.2.1/24"]
active-port = 20000
passive-range = "10240-20480"
ftps = "allow"

[[server]]
address = "192.0.2.1"
"#;
    assert_eq!(
        problem(text),
        [
            "f.toml:1:14: interfaces \"eth0\": it is a string; write a list: interfaces = [\"eth0\"]",
            "f.toml:2:1: mood: there is no such key here; did you mean mode?",
            "f.toml:5:17: passive-range \"20480-10240\": the range is reversed; vsftpd ignores a pasv_max_port below \
             pasv_min_port and uses 20480-65535; fix vsftpd.conf first, to pasv_min_port=10240 and \
             pasv_max_port=20480, then give 10240-20480 here",
            "f.toml:6:1: control_ports: there is no such key here; did you mean control-ports?",
            "f.toml:7:18: control-ports 0: there is no such port; give a port from 1 to 65535",
            "f.toml:7:21: control-ports \"21\": it is a string; write a number, without quotes",
            "f.toml:8:20: pasv-promiscuous 1: it is an integer; write true or false",
            "f.toml:11:25: address \"192.0.2.1/24\": the address has bits behind the prefix; write 192.0.2.0/24 for \
             the network or 192.0.2.1 for the one address",
            "f.toml:12:15: active-port 20000: it lies in the passive range 10240-20480; choose a passive range \
             without it, here and in the server's configuration",
            "f.toml:14:8: ftps \"allow\": there is no such choice; give deny, learn to open what the server's process \
             opens for an encrypted session, or client-range to open the whole passive range to its client",
            "f.toml:17:11: address \"192.0.2.1\": 192.0.2.1 is named twice; name each address and network once",
        ]
    );
}

#[test]
fn what_is_no_toml_is_told_beside_the_rest() {
    let text = "[[server]]\npassive-range = 10240-20480\nftps = deny\nmark = \"x\"\n";
    let lines = problem(text);
    let places: Vec<_> = lines.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places[..1], ["f.toml:2:17:"], "{lines:#?}");
    assert_eq!(places.last(), Some(&"f.toml:4:8:"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("f.toml:3:8: TOML: ")), "{lines:#?}");
    assert!(problem("[[server]\n")[0].starts_with("f.toml:1:"));
}

#[test]
fn a_servers_key_that_stands_outside_is_told_where_it_belongs() {
    assert_eq!(
        problem("passive-range = \"10240-20480\"\n")[0],
        "f.toml:1:1: passive-range: there is no such key here; these are known here: interfaces, mode, accounting, \
         max-sessions, max-flows, server; settings of a server stand below [[server]]"
    );
}

#[test]
fn columns_count_characters() {
    let lines = problem("[[server]]\nmark = \"ä\" # ö\n\"ü\" = 1\n");
    assert!(lines[0].starts_with("f.toml:2:8: mark \"ä\""), "{lines:?}");
    assert!(lines[1].starts_with("f.toml:3:1: ü: there is no such key here; these are known here: address, "));
}

#[test]
fn a_file_names_a_server_unless_options_do() {
    assert_eq!(
        problem(""),
        ["f.toml:1:1: configuration: it names no server; add [[server]] with passive-range = \"FIRST-LAST\" below it"]
    );
    let flags = Flags { passive_range: Some("2000-3000".to_owned()), ..Flags::default() };
    let configuration = with_flags("interfaces = [\"eth0\"]", &flags).unwrap();
    assert_eq!(configuration.interfaces[0].name, "eth0");
    assert!(configuration.policy.own.unwrap().passive_range.is_some());
    assert!(
        problem("[server]\n")[0].ends_with("it is a table; write [[server]], in two brackets, and its settings below")
    );
}

#[test]
fn servers_without_an_address_are_one() {
    assert_eq!(
        problem("[[server]]\n[[server]]\n"),
        ["f.toml:2:1: [[server]]: it is the second without an address; give it an address; only one can be \
             this host's own"]
    );
}

#[test]
fn a_mode_needs_what_it_goes_by() {
    let hint = "give the server's own range: passive-range = \"FIRST-LAST\", or --passive-range FIRST-LAST";
    assert_eq!(
        problem("[[server]]\npassive = true\n"),
        [format!("f.toml:2:11: passive true: there is no passive range; {hint}")]
    );
    assert_eq!(
        problem("[[server]]\nftps = \"client-range\"\n"),
        [format!("f.toml:2:8: ftps \"client-range\": there is no passive range to open; {hint}")]
    );
    assert_eq!(
        problem("[[server]]\npassive-range = \"2000-3000\"\nactive-port = \"none\"\nactive = true\n"),
        ["f.toml:4:10: active true: active-port is none; give the port that active data connections come from, or any"]
    );
    // It is wrong already: that it is missing then is no second error.
    assert_eq!(problem("[[server]]\npassive = true\npassive-range = \"a\"\n").len(), 1);
}

#[test]
fn servers_beyond_every_interface_are_named() {
    let lines = problem("interfaces = [{ name = \"eth0\", side = \"servers-beyond\" }]\n[[server]]\n");
    assert!(lines[0].starts_with("f.toml:2:1: [[server]]: the servers are not on this host"), "{lines:?}");
    good("interfaces = [\"eth1\", { name = \"eth0\", side = \"servers-beyond\" }]\n[[server]]\n");
    let lines = problem("interfaces = [{ side = \"left\" }, 3, \"eth0\", \"eth0\"]\n[[server]]\n");
    let ends: Vec<_> = lines.iter().map(|line| line.split(": ").nth(2).unwrap()).collect();
    assert_eq!(
        ends,
        [
            "it has no name; write { name = \"NAME\", … }",
            "there is no such choice; give servers-behind or servers-beyond",
            "it is an integer; write \"NAME\", or { name = \"NAME\", side = \"servers-beyond\" }",
            "it is given twice; name each interface once",
        ]
    );
}

#[test]
fn options_override_the_only_server() {
    let text = "interfaces = [\"eth0\"]\n[[server]]\npassive-range = \"2000-3000\"\ncontrol-ports = 2121\n";
    let flags = Flags {
        interfaces: vec!["eth1".to_owned()],
        side: Some(Side::ServersBeyond),
        servers: vec!["192.0.2.1".to_owned()],
        passive_range: Some("4000-5000".to_owned()),
        no_accounting: true,
        ..Flags::default()
    };
    let Configuration { interfaces, policy, .. } = with_flags(text, &flags).unwrap();
    assert_eq!(interfaces, [InterfaceChoice { name: "eth1".to_owned(), side: Side::ServersBeyond, hook: None }]);
    let rules = &policy.named[0].rules;
    assert_eq!(rules.passive_range.unwrap().to_string(), "4000-5000");
    assert_eq!((&rules.control_ports[..], policy.accounting), (&[2121][..], false));
}

#[test]
fn which_of_several_servers_an_option_means_can_not_be_known() {
    let flags = Flags { passive_range: Some("4000-5000".to_owned()), ..Flags::default() };
    assert_eq!(
        with_flags(TWO, &flags).unwrap_err().to_string(),
        "--passive-range 4000-5000: the configuration has 2 servers, and which is meant is not said; write it into the \
         configuration file"
    );
    // What is for all of them is clear.
    let flags = Flags { monitor: true, hook: Some(Hook::Tcx), ..Flags::default() };
    let Configuration { interfaces, policy, .. } = with_flags(TWO, &flags).unwrap();
    assert!(policy.rules().all(|rules| rules.monitor));
    assert!(interfaces.iter().all(|interface| interface.hook == Some(Hook::Tcx)));
}

#[test]
fn so_many_servers_and_addresses_have_room() {
    let server = |n: u32| format!("[[server]]\naddress = \"10.{}.{}.0/24\"\n", n >> 8, n & 255);
    let text = |count| (0..count).map(server).collect::<String>();
    assert_eq!(good(&text(1023)).policy.named.len(), 1023);
    assert!(problem(&text(1024))[0].starts_with("f.toml:2047:1: [[server]]: more than 1023 servers are named"));
    let address = |n: u32| format!("\"10.0.{}.{}\",\n", n >> 8, n & 255);
    let text = |count| format!("[[server]]\naddress = [\n{}]\n", (0..count).map(address).collect::<String>());
    assert_eq!(good(&text(8000)).policy.named[0].prefixes.len(), 8000);
    let lines = problem(&text(8001));
    assert!(lines[0].starts_with("f.toml:8003:1: address \"10.0.31.64\": more than 8000 addresses"), "{lines:?}");
}

/// The page on policies names every key, and its example is right.
#[test]
fn the_page_on_policies_keeps_up() {
    let page = include_str!("../../../docs/policy.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(good(example).policy.named.len(), 1);
    for text in ["?\n[[server]]\n", "[[server]]\n?\n"] {
        let lines = problem(&text.replace('?', "zzz = 1"));
        let known = lines[0].split("these are known here: ").nth(1).unwrap().split("; ").next().unwrap();
        for key in known.split(", ").filter(|key| *key != "server") {
            assert!(page.contains(&format!("\n| `{key}` |")), "{key}");
        }
    }
}
