use super::*;
use std::ffi::OsString;

use clap::CommandFactory as _;

fn misuse(arguments: &str) -> String {
    let arguments = || std::iter::once("ftptrack").chain(arguments.split(' '));
    misuse::line(&Cli::try_parse_from(arguments()).unwrap_err(), arguments().map(OsString::from)).to_string()
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn misuse_is_one_line_that_says_what_to_do() {
    for (arguments, said) in [
        (
            "run -i eth0 --side left",
            "invalid value 'left' for '--side <SIDE>' [possible values: servers-behind, servers-beyond]; see ftptrack run \
             --help",
        ),
        (
            "run --pasive-range 1-2",
            "unexpected argument '--pasive-range' found; did you mean '--passive-range'?; see ftptrack run --help",
        ),
        ("runn", "unrecognized subcommand 'runn'; did you mean 'run'?; see ftptrack --help"),
        ("flee", "unrecognized subcommand 'flee'; see ftptrack --help"),
        (
            "attach eth0",
            "unexpected argument 'eth0' found; if it is an interface, write -i eth0; see ftptrack attach --help",
        ),
        (
            "detach",
            "the following required arguments were not provided: <--interface <IFACE>|--all>; see ftptrack detach --help",
        ),
        (
            "flush sessions",
            "the following required arguments were not provided: <ENTRY|--all>; see ftptrack flush --help",
        ),
        (
            "policy import vsftp /etc/vsftpd.conf",
            "invalid value 'vsftp' for '<SERVER>' [possible values: vsftpd, proftpd, pure-ftpd]; did you mean \
             'vsftpd'?; see ftptrack policy import --help",
        ),
        (
            "watch --metrics 9821",
            "invalid value '9821' for '--metrics <ADDR:PORT>': it is no address with a port, as in 127.0.0.1:9821 or \
             [::1]:9821; see ftptrack watch --help",
        ),
    ] {
        assert_eq!(misuse(arguments), format!("command line: {said}"));
    }
    for arguments in ["detach -i eth0 --all", "flush sessions x --all"] {
        assert!(misuse(arguments).contains("cannot be used with"), "{arguments}");
    }
}

#[test]
fn options_may_be_given_again_and_odd_values_reach_the_policy() {
    let line = "ftptrack run -i a -i b --control-port 21 --control-port 2121 --passive-range -5 --pin-dir /p -vv";
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    assert_eq!(cli.pin_dir, Some(PathBuf::from("/p")));
    let Command::Run(arguments) = cli.command else { panic!("not run") };
    assert_eq!(arguments.verbose, 2);
    let flags = arguments.policy.into_flags();
    assert_eq!(flags.interfaces, ["a", "b"]);
    assert_eq!(flags.control_ports, ["21", "2121"]);
    assert_eq!(flags.passive_range.as_deref(), Some("-5"));
}

#[test]
fn options_are_repeated_as_they_were_given() {
    let options = "--config c.toml --side servers-beyond --hook clsact --server 192.0.2.1 --server 192.0.2.8/29 \
                   --control-port 21 --control-port 2121 --passive-range 10240-20480 --no-passive --active-port any \
                   --no-active --pasv-promiscuous --port-promiscuous --announced-address strict --expectation-timeout 5 \
                   --sessions-per-client 8 --ftps client-range --mark 0x1/0xff --monitor --no-accounting";
    let words = format!("ftptrack attach -i eth0 {options}");
    let Command::Attach(arguments) = Cli::try_parse_from(words.split_whitespace()).unwrap().command else { panic!() };
    assert_eq!(arguments.policy.into_flags().to_arguments().join(" "), options);
}

#[test]
fn the_commands_of_the_pages_are_ours() {
    for (page, least) in [
        (include_str!("../../../docs/operating.md"), 10),
        (include_str!("../../../docs/doctor.md"), 3),
        (include_str!("../../../docs/top.md"), 1),
    ] {
        let commands: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("$ ftptrack")).collect();
        assert!(commands.len() >= least);
        for command in commands {
            let words = std::iter::once("ftptrack").chain(command.split(" > ").next().unwrap().split_whitespace());
            assert!(Cli::try_parse_from(words).is_ok(), "{command}");
        }
    }
}
