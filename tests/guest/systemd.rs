//! The unit under systemd: it starts locked down as it is, and each command of docs/install.md does what is said there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::actors::ftp_server::FtpServer;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::transfer;
use ftptrack_tests::hosts::guest;
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::hosts::systemd::{self, Follow, Systemd, UNITS};
use ftptrack_tests::subject::report::Policy;
use ftptrack_tests::subject::{ftptrack, hooks, service};
use ftptrack_tests::support::{process, wait};

const UNIT: &str = "ftptrack.service";
const PROGRAM: &str = "/usr/bin/ftptrack";
const CONFIG: &str = "/etc/ftptrack/config.toml";
const POLICY: &str = "interfaces = [\"eth0\"]\n[[server]]\npassive-range = \"10240-20480\"\n";
/// Numbers of the capabilities, of linux/capability.h.
const CAPABILITIES: [(&str, u8); 3] = [("CAP_BPF", 39), ("CAP_NET_ADMIN", 12), ("CAP_PERFMON", 38)];
/// What it may write to: terminals and processes, of which it has none but itself, pins, and two places of its own.
const WRITABLE: [&str; 6] = ["/dev/pts", "/proc", "/run/ftptrack", "/sys/fs/bpf", "/tmp", "/var/tmp"];
/// What systemd calls "a unit has started" and "a unit has ended well", of systemd/sd-messages.h.
const STARTED: &str = "39f53479d3a045ac8e11786248231fbf";
const ENDED_WELL: &str = "7ad2d189f7e94e70a38c781354912448";

// One life: booting is most of the work where the processor is emulated.
#[test]
fn the_unit_guards_is_locked_down_and_does_what_systemctl_says() {
    guest::must_be_here();
    let Network { server, client, third, .. } = &Network::new();
    install();
    let uninvited = || probe::to(third, server.at(Family::V4, INSIDE));
    assert_eq!(uninvited(), Outcome::Refused, "nothing is attached");

    let _systemd = Systemd::boot(server, UNIT);
    let [state, status] = systemd::properties(UNIT, ["ActiveState", "StatusText"]);
    assert_eq!((state.as_str(), status.as_str()), ("active", "guarding: eth0"));
    is_locked_down(main_process());
    let journal = Follow::unit(UNIT);
    journal.next_with("MESSAGE_ID", STARTED);

    // It guards, and tells the journal.
    let ftp = FtpServer::on(server, Family::V4);
    ftp.keep("file", vec![7; 100_000]);
    let mut control = Client::logged_in(client, ftp.address());
    assert_eq!(transfer::download(&mut control, client, Mode::Epsv, "file"), ftp.file("file"));
    assert_eq!(uninvited(), Outcome::Silence);
    let denied = journal.next_with("FTPTRACK_EVENT", "denied");
    assert_eq!((denied["FTPTRACK_REASON"].as_str(), denied["_SYSTEMD_UNIT"].as_str()), ("denied_passive", UNIT));

    // The file comes into force, whole; one that is wrong changes nothing.
    fs::write(CONFIG, POLICY.replace("20480", "20479")).expect("our own");
    systemd::succeed(&["reload", UNIT]);
    assert_eq!(passive_range(server), "10240-20479");
    fs::write(CONFIG, POLICY.replace("10240-20480", "9")).expect("our own");
    assert!(!systemd::systemctl(&["reload", UNIT]).status.success());
    assert_eq!(passive_range(server), "10240-20479");
    fs::write(CONFIG, POLICY).expect("our own");

    // Killed, it is started again, and the filter is in force until then.
    systemd::succeed(&["kill", "--signal=KILL", UNIT]);
    wait::until("it is gone", || systemd::processes(UNIT).is_empty().then_some(()));
    assert_eq!(uninvited(), Outcome::Silence);
    assert_eq!(systemd::processes(UNIT), [0; 0], "it is still gone");
    journal.next_with("MESSAGE_ID", STARTED);
    assert_eq!(passive_range(server), "10240-20480");

    // Stopped, it leaves the filter.
    let programs = hooks::attached(server);
    assert_eq!(programs.len(), 2, "{programs:?}");
    systemd::succeed(&["stop", UNIT]);
    journal.next_with("MESSAGE_ID", ENDED_WELL);
    assert_eq!(hooks::attached(server), programs);
    assert_eq!(uninvited(), Outcome::Silence);

    // The filter removed, it ends by itself, and well.
    systemd::succeed(&["start", UNIT]);
    ftptrack(server, &["detach", "--all"]);
    journal.next_with("MESSAGE_ID", ENDED_WELL);
    assert_eq!(systemd::properties(UNIT, ["ActiveState", "Result"]), ["inactive", "success"]);
    assert_eq!((hooks::attached(server), uninvited()), (vec![], Outcome::Refused));
}

/// Puts program, unit and configuration where the package puts them.
#[track_caller]
fn install() {
    for directory in ["/etc/ftptrack", UNITS] {
        fs::create_dir_all(directory).expect("our own");
    }
    symlink(ftptrack::binary(), PROGRAM).expect("our own");
    fs::write(Path::new(UNITS).join(UNIT), service::unit()).expect("our own");
    fs::write(CONFIG, POLICY).expect("our own");
}

#[track_caller]
fn main_process() -> u32 {
    let processes = systemd::processes(UNIT);
    assert_eq!(processes.len(), 1, "{processes:?}");
    processes[0]
}

/// What the unit forbids, the kernel does.
#[track_caller]
fn is_locked_down(process: u32) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let of = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
        value.unwrap_or_else(|| panic!("no {name}: {status}"))
    };
    assert_eq!(service::settings("CapabilityBoundingSet"), [CAPABILITIES.map(|(name, _)| name).join(" ")]);
    let capabilities = CAPABILITIES.iter().fold(0_u64, |all, (_, number)| all | 1 << number);
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        assert_eq!(of(set), format!("{capabilities:016x}"), "{set}");
    }
    // 2: a filter of system calls.
    assert_eq!((of("NoNewPrivs"), of("Seccomp")), ("1", "2"));
    // Number, parent, device, root, place, options.
    let mounts = fs::read_to_string(format!("/proc/{process}/mountinfo")).expect("it runs");
    let mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut writable: Vec<_> = mounts.filter(|words| words[5].starts_with("rw")).map(|words| words[4]).collect();
    writable.sort_unstable();
    assert_eq!(writable, WRITABLE);
}

/// Runs it as root, by hand.
#[track_caller]
fn ftptrack(host: &Host, arguments: &[&str]) -> String {
    let mut command = host.namespace.command(PROGRAM);
    let output = process::finish(command.args(arguments));
    assert!(output.status.success(), "ftptrack {arguments:?}: {output:?}");
    output.stdout
}

#[track_caller]
fn passive_range(host: &Host) -> String {
    let policy: Policy = serde_json::from_str(&ftptrack(host, &["policy", "show", "--json"])).expect("JSON");
    policy.only().passive_range.clone().expect("it has one")
}
