use super::*;

fn request(range: &str) -> Request {
    Request { passive_range: Some(range.to_owned()), ..Request::default() }
}

fn controls(ports: &[&str]) -> Request {
    Request { control_ports: ports.iter().map(ToString::to_string).collect(), ..request("10240-20480") }
}

fn active(port: &str) -> Request {
    Request { active_port: Some(port.to_owned()), ..request("10240-20480") }
}

#[track_caller]
fn refused(request: &Request, line: &str) {
    let failure = request.resolve().unwrap_err();
    assert_eq!(failure.to_string(), line);
    assert_eq!(failure.exit_code(), 2);
}

#[test]
fn the_defaults_are_an_ordinary_server() {
    let policy = request("10240-20480").resolve().unwrap();
    assert_eq!(policy.servers, Servers::Own);
    assert_eq!(policy.control_ports, [21]);
    assert_eq!(policy.passive_range, Some(PortRange { first: 10240, last: 20480 }));
    assert_eq!(policy.active_port, Some(20));
    assert!(!policy.monitor);
}

#[test]
fn a_colon_is_taken_too_and_a_range_may_be_one_port() {
    assert_eq!(request("10240:20480").resolve().unwrap(), request("10240-20480").resolve().unwrap());
    assert_eq!(request("1024-1024").resolve().unwrap().passive_range.unwrap().to_string(), "1024-1024");
    assert!(request("1024-65535").resolve().is_ok());
}

#[test]
fn a_reversed_range_says_how_to_mend_vsftpd_first() {
    refused(
        &request("20480-10240"),
        "--passive-range 20480-10240: the range is reversed; vsftpd ignores a pasv_max_port below pasv_min_port \
         and uses 20480-65535; mend vsftpd.conf first, to pasv_min_port=10240 and pasv_max_port=20480, then give \
         --passive-range 10240-20480",
    );
}

#[test]
fn a_low_range_is_refused() {
    refused(
        &request("1000-2000"),
        "--passive-range 1000-2000: it begins below 1024, where the system's services are; choose a range from \
         1024 to 65535, here and in the server's configuration",
    );
    assert!(request("0-2000").resolve().is_err());
}

#[test]
fn what_is_no_range_is_refused() {
    for text in ["-", "10240", "10240-", "-20480", "a-b", "10240-20480-3", "+10240-20480", "10240 - 20480", "1e4-2e4"] {
        let line = format!(
            "--passive-range {text}: it is not a range of ports; write it as FIRST-LAST, for example 10240-20480"
        );
        refused(&request(text), &line);
    }
    assert!(request("").resolve().is_err());
    refused(
        &request("10240-70000"),
        "--passive-range 10240-70000: ports end at 65535; choose a range from 1024 to 65535",
    );
}

#[test]
fn control_ports_are_ports_and_named_once() {
    assert_eq!(controls(&["21", "2121"]).resolve().unwrap().control_ports, [21, 2121]);
    refused(&controls(&["ftp"]), "--control-port ftp: it is not a number; give a port from 1 to 65535");
    refused(&controls(&["0"]), "--control-port 0: there is no such port; give a port from 1 to 65535");
    refused(&controls(&["65536"]), "--control-port 65536: there is no such port; give a port from 1 to 65535");
    refused(&controls(&["21", "21"]), "--control-port 21: it is given twice; give each control port once");
    refused(
        &controls(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
        "--control-port, 9 times: at most 8 are possible; name only the ports that FTP servers listen on",
    );
}

#[test]
fn the_ports_of_one_policy_lie_apart() {
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
    refused(
        &active("21"),
        "--active-port 21: it is a control port too; name the port that the server's active data connections come \
         from, 20 as a rule",
    );
    refused(&active("all"), "--active-port all: it is not a number; give a port from 1 to 65535");
}

#[test]
fn a_policy_that_allows_nothing_is_refused() {
    let nothing = Request { passive_range: None, ..active("none") };
    refused(
        &nothing,
        "--active-port none: without a passive range too, no data connection could be allowed; give --passive-range \
         FIRST-LAST, the server's own range",
    );
}

#[test]
fn a_gateway_to_servers_beyond_names_them() {
    let beyond = Request { side: Side::ServersBeyond, ..request("10240-20480") };
    refused(
        &beyond,
        "--side servers-beyond: the servers are not on this host, and none is named; name them with --server PREFIX, \
         or all with --server 0.0.0.0/0 --server ::/0",
    );
    let named = Request { servers: vec!["192.0.2.0/24".to_owned()], ..beyond };
    assert_eq!(named.resolve().unwrap().servers, Servers::Named(vec!["192.0.2.0/24".parse().unwrap()]));
}

#[test]
fn the_kernel_reads_what_was_resolved() {
    let policy = Request { monitor: true, ..controls(&["21", "2121"]) }.resolve().unwrap();
    let kernel = policy.to_kernel();
    assert!(kernel.is_control(2121) && !kernel.is_control(22));
    assert!(kernel.is_passive(10240) && kernel.is_passive(20480) && !kernel.is_passive(20481));
    assert_eq!(kernel.active_port, 20);
    assert!(kernel.has(flag::MONITOR));

    let classes = policy.port_classes();
    let of = |port: u16| classes.of(port.to_be());
    assert_eq!([of(20), of(21), of(22), of(2121)], [class::ACTIVE, class::CONTROL, 0, class::CONTROL]);
    assert_eq!([of(10239), of(10240), of(20480), of(20481)], [0, class::PASSIVE, class::PASSIVE, 0]);
}

#[test]
fn refused_modes_are_zero_and_said() {
    let active_only = Request { passive_range: None, ..Request::default() }.resolve().unwrap();
    assert_eq!(active_only.to_kernel().passive_last, 0);
    assert!(active_only.notes()[0].starts_with("passive mode is refused"));
    let passive_only = active("none").resolve().unwrap();
    assert_eq!(passive_only.to_kernel().active_port, 0);
    assert!(passive_only.notes()[0].starts_with("active mode is refused"));
}

#[test]
fn choices_become_flags_and_others_are_refused() {
    let usual = || request("10240-20480");
    let of = |request: Request| request.resolve().unwrap().to_kernel();
    assert_eq!((of(usual()).flags, of(usual()).expectation_timeout), (0, 300));
    assert_eq!(of(Request { pasv_promiscuous: true, ..usual() }).flags, flag::PASV_PROMISCUOUS);
    assert_eq!(of(Request { port_promiscuous: true, ..usual() }).flags, flag::PORT_PROMISCUOUS);
    let announced = |choice: &str| Request { announced_address: Some(choice.to_owned()), ..usual() };
    assert_eq!((of(announced("any")).flags, of(announced("strict")).flags), (0, flag::ANNOUNCED_STRICT));
    let ftps = |choice: &str| Request { ftps: Some(choice.to_owned()), ..usual() };
    assert_eq!((of(ftps("deny")).flags, of(ftps("client-range")).flags), (0, flag::FTPS_CLIENT_RANGE));
    let timeout = |seconds: &str| Request { expectation_timeout: Some(seconds.to_owned()), ..usual() };
    assert_eq!(of(timeout("60")).expectation_timeout, 60);
    refused(
        &announced("none"),
        "--announced-address none: there is no such choice; give any, or strict where the server announces the very \
         address that clients connect to",
    );
    refused(
        &ftps("allow"),
        "--ftps allow: there is no such choice; give deny, or client-range to open the passive range to the client of \
         an encrypted session",
    );
    for seconds in ["0", "86401", "-1", "soon"] {
        let line = format!(
            "--expectation-timeout {seconds}: it is not a number of seconds that is possible; give 1 to 86400, 300 as \
             a rule"
        );
        refused(&timeout(seconds), &line);
    }
}
