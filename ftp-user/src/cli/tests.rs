use super::*;
use clap::CommandFactory as _;

fn misuse(arguments: &[&str]) -> String {
    let arguments = [&["ftptrack"], arguments].concat();
    usage_line(&Cli::try_parse_from(arguments).unwrap_err()).to_string()
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn misuse_is_one_line() {
    assert_eq!(
        misuse(&["run", "-i", "eth0", "--side", "left"]),
        "command line: invalid value 'left' for '--side <SIDE>' [possible values: servers-behind, servers-beyond]; see \
         ftptrack --help, ftptrack attach --help"
    );
    assert!(misuse(&["flee"]).starts_with("command line: unrecognized subcommand 'flee'"));
}

#[test]
fn options_may_be_given_again_and_odd_values_reach_the_policy() {
    let line = "ftptrack run -i a -i b --control-port 21 --control-port 2121 --passive-range -5 --pin-dir /p -vv";
    let cli = Cli::try_parse_from(line.split(' ')).unwrap();
    assert_eq!(cli.pin_dir, PathBuf::from("/p"));
    let Command::Run(arguments) = cli.command else { panic!("not run") };
    assert_eq!(arguments.verbose, 2);
    let flags = arguments.policy.into_flags();
    assert_eq!(flags.interfaces, ["a", "b"]);
    assert_eq!(flags.control_ports, ["21", "2121"]);
    assert_eq!(flags.passive_range.as_deref(), Some("-5"));
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
