use super::*;
use crate::policy::{ActivePort, Ftps, Mark, PortRange, Rules};
use ftp_common::policy::flag;

fn usual(range: &str) -> Flags {
    Flags { passive_range: Some(range.to_owned()), ..Flags::default() }
}

fn controls(ports: &[&str]) -> Flags {
    Flags { control_ports: ports.iter().map(ToString::to_string).collect(), ..usual("10240-20480") }
}

fn active(port: &str) -> Flags {
    Flags { active_port: Some(port.to_owned()), ..usual("10240-20480") }
}

/// What the options alone come to, whatever configuration file this machine has.
fn resolved(flags: &Flags) -> Result<Configuration, Failure> {
    let mut complaints = Complaints::default();
    let mut draft = flags.draft(&mut complaints);
    flags.overlay_interfaces(&mut draft.interfaces);
    finish(draft, complaints)
}

#[track_caller]
fn rules(flags: &Flags) -> Rules {
    resolved(flags).unwrap().policy.own.unwrap()
}

#[track_caller]
fn refused(flags: &Flags, line: &str) {
    let failure = resolved(flags).unwrap_err();
    assert_eq!(failure.to_string(), line);
    assert_eq!(failure.exit_code(), 2);
}

#[test]
fn the_defaults_are_an_ordinary_server() {
    let Configuration { interfaces, policy, .. } = resolved(&usual("10240-20480")).unwrap();
    assert!(interfaces.is_empty() && policy.named.is_empty());
    let range = Some(PortRange { first: 10240, last: 20480 });
    assert_eq!(policy.own, Some(Rules { passive_range: range, ..Rules::default() }));
    assert_eq!(rules(&Flags::default()), Rules::default());
}

#[test]
fn a_colon_is_taken_too_and_a_range_may_be_one_port() {
    assert_eq!(rules(&usual("10240:20480")), rules(&usual("10240-20480")));
    assert_eq!(rules(&usual("1024-1024")).passive_range.unwrap().to_string(), "1024-1024");
    assert!(resolved(&usual("1024-65535")).is_ok());
}

#[test]
fn a_reversed_range_says_how_to_mend_vsftpd_first() {
    refused(
        &usual("20480-10240"),
        "--passive-range 20480-10240: the range is reversed; vsftpd ignores a pasv_max_port below pasv_min_port \
         and uses 20480-65535; fix vsftpd.conf first, to pasv_min_port=10240 and pasv_max_port=20480, then give \
         10240-20480 here",
    );
}

#[test]
fn a_low_range_is_refused() {
    refused(
        &usual("1000-2000"),
        "--passive-range 1000-2000: it begins below 1024, where the system's services are; choose a range from \
         1024 to 65535, here and in the server's configuration",
    );
    assert!(resolved(&usual("0-2000")).is_err());
}

#[test]
fn what_is_no_range_is_refused() {
    for text in ["-", "10240", "10240-", "-20480", "a-b", "10240-20480-3", "+10240-20480", "10240 - 20480", "1e4-2e4"] {
        let line = format!(
            "--passive-range {text}: it is not a range of ports; write it as FIRST-LAST, for example 10240-20480"
        );
        refused(&usual(text), &line);
    }
    assert!(resolved(&usual("")).is_err());
    refused(
        &usual("10240-70000"),
        "--passive-range 10240-70000: ports end at 65535; choose a range from 1024 to 65535",
    );
}

#[test]
fn control_ports_are_ports_and_named_once() {
    assert_eq!(rules(&controls(&["21", "2121"])).control_ports, [21, 2121]);
    refused(&controls(&["ftp"]), "--control-port ftp: it is not a number; give a port from 1 to 65535");
    refused(&controls(&["0"]), "--control-port 0: there is no such port; give a port from 1 to 65535");
    refused(&controls(&["65536"]), "--control-port 65536: there is no such port; give a port from 1 to 65535");
    refused(&controls(&["21", "21"]), "--control-port 21: it is given twice; give each control port once");
    refused(
        &controls(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        "--control-port 9: it is one too many: at most 8 are possible; name only the ports that FTP servers listen on",
    );
}

#[test]
fn the_ports_of_one_server_lie_apart() {
    refused(
        &controls(&["10240"]),
        "--control-port 10240: it lies in the passive range 10240-20480; choose a passive range without it, here \
         and in the server's configuration",
    );
    refused(
        &active("20480"),
        "--active-port 20480: it lies in the passive range 10240-20480; choose a passive range without it, here \
         and in the server's configuration",
    );
    let line = |given: &str| {
        format!(
            "{given}: it is a control port too; name the port that the server's active data connections come from, \
             20 as a rule"
        )
    };
    refused(&active("21"), &line("--active-port 21"));
    refused(&controls(&["20"]), &line("--control-port 20"));
    refused(&active("all"), "--active-port all: it is not a number; give a port from 1 to 65535, any or none");
    refused(&active("0"), "--active-port 0: there is no such port; give a port from 1 to 65535");
}

#[test]
fn a_policy_that_allows_nothing_is_refused() {
    let nothing = Flags { passive_range: None, ..active("none") };
    refused(
        &nothing,
        "--active-port none: without a passive range too, no data connection could be allowed; give the server's own \
         range: passive-range = \"FIRST-LAST\", or --passive-range FIRST-LAST",
    );
}

#[test]
fn a_gateway_to_servers_beyond_names_them() {
    let beyond = Flags { interfaces: vec!["eth0".to_owned()], side: Some(Side::ServersBeyond), ..usual("10240-20480") };
    refused(
        &beyond,
        "--side servers-beyond: the servers are not on this host, and none is named; name them with --server PREFIX \
         or address, all of them as 0.0.0.0/0 and ::/0",
    );
    let named = Flags { servers: vec!["192.0.2.0/24".to_owned()], ..beyond };
    let Configuration { interfaces, policy, .. } = resolved(&named).unwrap();
    assert_eq!((policy.own, &policy.named[0].prefixes[..]), (None, &["192.0.2.0/24".parse().unwrap()][..]));
    assert_eq!(interfaces[0].side, Side::ServersBeyond);
}

#[test]
fn interfaces_are_named_once() {
    let twice = Flags { interfaces: vec!["eth0".to_owned(), "eth0".to_owned()], ..usual("10240-20480") };
    refused(&twice, "-i eth0: it is given twice; name each interface once");
}

#[test]
fn the_kernel_reads_what_was_resolved() {
    let kernel = rules(&Flags { monitor: true, ..controls(&["21", "2121"]) }).to_kernel();
    assert!(kernel.is_control(2121) && !kernel.is_control(22));
    assert!(kernel.is_passive(10240) && kernel.is_passive(20480) && !kernel.is_passive(20481));
    assert_eq!(kernel.active_port, 20);
    assert!(kernel.has(flag::MONITOR));
}

#[test]
fn choices_are_taken() {
    let with = |change: fn(&mut Flags)| {
        let mut flags = usual("10240-20480");
        change(&mut flags);
        rules(&flags)
    };
    assert!(with(|flags| flags.pasv_promiscuous = true).pasv_promiscuous);
    assert!(with(|flags| flags.port_promiscuous = true).port_promiscuous);
    assert!(!with(|flags| flags.no_passive = true).passive);
    assert!(!with(|flags| flags.no_active = true).active);
    let no_accounting = Flags { no_accounting: true, ..usual("10240-20480") };
    assert!(!resolved(&no_accounting).unwrap().policy.accounting);
    assert!(with(|flags| flags.announced_address = Some("strict".to_owned())).announced_strict);
    assert!(!with(|flags| flags.announced_address = Some("any".to_owned())).announced_strict);
    assert_eq!(with(|flags| flags.ftps = Some("client-range".to_owned())).ftps, Ftps::ClientRange);
    assert_eq!(with(|flags| flags.ftps = Some("deny".to_owned())).ftps, Ftps::Deny);
    assert_eq!(with(|flags| flags.expectation_timeout = Some("60".to_owned())).expectation_timeout, 60);
    assert_eq!(with(|flags| flags.sessions_per_client = Some("4".to_owned())).sessions_per_client, 4);
    assert_eq!(with(|flags| flags.active_port = Some("any".to_owned())).active_port, ActivePort::Any);
    assert_eq!(with(|flags| flags.active_port = Some("none".to_owned())).active_port, ActivePort::None);
    let mark = |text: &str| rules(&Flags { mark: Some(text.to_owned()), ..usual("10240-20480") }).mark;
    assert_eq!(mark("0x1/0xff"), Some(Mark { value: 1, mask: 255 }));
    assert_eq!(mark("16"), Some(Mark { value: 16, mask: u32::MAX }));
}

#[test]
fn other_choices_are_refused() {
    let with = |change: fn(&mut Flags, String), text: &str| {
        let mut flags = usual("10240-20480");
        change(&mut flags, text.to_owned());
        flags
    };
    refused(
        &with(|flags, text| flags.announced_address = Some(text), "none"),
        "--announced-address none: there is no such choice; give any, or strict where the server announces the very \
         address that clients connect to",
    );
    refused(
        &with(|flags, text| flags.ftps = Some(text), "allow"),
        "--ftps allow: there is no such choice; give deny, learn to open what the server's process opens for an \
         encrypted session, or client-range to open the whole passive range to its client",
    );
    for seconds in ["0", "86401", "-1", "soon"] {
        let line = format!(
            "--expectation-timeout {seconds}: it is not a number of seconds that is possible; give 1 to 86400, 300 as \
             a rule"
        );
        refused(&with(|flags, text| flags.expectation_timeout = Some(text), seconds), &line);
    }
    for count in ["0", "129"] {
        let line = format!("--sessions-per-client {count}: it is not a number that is possible; give 1 to 128");
        refused(&with(|flags, text| flags.sessions_per_client = Some(text), count), &line);
    }
    for (mark, line) in [
        ("0x", "it is not a mark; write it as VALUE/MASK, for example 0x1/0xff"),
        ("0x+1", "it is not a mark; write it as VALUE/MASK, for example 0x1/0xff"),
        ("1/0", "its mask has no bits; write it as VALUE/MASK, for example 0x1/0xff"),
        ("0x101/0xff", "its value has bits outside of its mask; write 0x1/0xff, or a wider mask"),
    ] {
        refused(&with(|flags, text| flags.mark = Some(text), mark), &format!("--mark {mark}: {line}"));
    }
    refused(
        &Flags { ftps: Some("client-range".to_owned()), ..Flags::default() },
        "--ftps client-range: there is no passive range to open; give the server's own range: passive-range = \
         \"FIRST-LAST\", or --passive-range FIRST-LAST",
    );
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let flags = Flags { ftps: Some("x".to_owned()), ..controls(&["0", "10241"]) };
    let failure = resolved(&flags).unwrap_err().to_string();
    let given: Vec<_> = failure.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(given, ["--control-port 0", "--ftps x", "--control-port 10241"]);
}
