//! Where the pins are: for root alone, and for as long as the filter is to stay.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::{Family, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::report::Status;
use ftptrack_tests::support::process;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

fn attach() -> Vec<&'static str> {
    [&["attach"], &USUAL[..]].concat()
}

#[test]
fn a_squatted_or_open_directory_is_refused_with_what_was_found_and_what_to_do() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let path = pins.path();
    fs::create_dir(&path).expect("our own");
    for (owner, mode, found) in [
        (1000, 0o755, "it belongs to user 1000 (mode 0755); see"),
        (0, 0o777, "it is open to others than root (mode 0777); see"),
    ] {
        chown(&path, Some(owner), None).expect("root may");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("root may");
        for command in [&attach()[..], &["watch", "-i", INTERFACE], &["status"], &["sessions"]] {
            let refused = ftptrack::finish(server, &pins, command);
            assert_eq!((refused.status.code(), refused.stderr.lines().count()), (Some(1), 1), "{refused:?}");
            assert!(refused.stderr.contains(found), "{refused:?}");
        }
        assert_eq!(hooks::attached(server), []);
    }
    // Others could enter it: an earlier version made such ones.
    fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("root may");
    ftptrack::succeed(server, &pins, &attach());
    let entries = pins.entries().into_iter().map(|entry| fs::symlink_metadata(entry).expect("it is there"));
    let directories: Vec<_> = entries.filter(fs::Metadata::is_dir).map(|of| (of.uid(), of.mode() & 0o7777)).collect();
    assert_eq!(directories, [(0, 0o700); 5], "the pin directory, a version's, and three in that");
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn a_filter_that_would_end_with_its_command_is_refused() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    // As `ip netns exec` and `unshare -m` do: mounts that go with the command.
    let alone = |then: &str| {
        let script = format!("mount -t bpf bpf \"$0\" && {then}");
        let (place, binary) = (pins.path().with_file_name(""), ftptrack::binary());
        let mut command = server.namespace.command("unshare");
        command.args(["--mount", "sh", "-c", &script]).arg(place).arg(binary);
        process::finish(&mut command)
    };
    let options = USUAL.join(" ");
    let refused = alone(&format!("exec \"$1\" --pin-dir \"$0/f\" attach {options}"));
    assert_eq!((refused.status.code(), refused.stderr.lines().count()), (Some(1), 1), "{refused:?}");
    assert!(refused.stderr.contains("it is on a BPF file system that only this command sees"), "{refused:?}");
    let noted = alone(&format!("\"$1\" --pin-dir \"$0/f\" attach {options}; exit $?"));
    assert!(noted.status.success(), "{noted:?}");
    assert!(noted.stderr.contains("note: the BPF file system is seen in this mount namespace only"), "{noted:?}");
    ftptrack::succeed(server, &pins, &attach());
    let target = server.at(Family::V4, INSIDE);
    let _listener = probe::listen(server, target);
    assert_eq!(probe::to(client, target), Outcome::Silence, "this one stays");
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn a_file_system_that_it_mounts_itself_is_roots_alone() {
    let Network { server, .. } = &Network::new();
    // This thread has mounts of its own from here on.
    let pins = PinDirectory::new();
    mount("none", "/sys/fs/bpf", "tmpfs", MountFlags::empty(), None).expect("root may");
    let usual = |verb: &str| {
        let mut command = server.namespace.command(ftptrack::binary().to_str().expect("a path in UTF-8"));
        command.args(["--pin-dir", "/sys/fs/bpf/ftptrack", verb]).args(USUAL);
        command
    };
    let refused = process::finish(&mut usual("attach"));
    assert_eq!((refused.status.code(), refused.stderr.lines().count()), (Some(1), 1), "{refused:?}");
    assert!(refused.stderr.contains("; mount one that stays: nsenter --target "), "{refused:?}");
    let mut ftptrack = Ftptrack::started(server, &pins, usual("run"), "attached: ");
    let mode = |path: &str| fs::metadata(path).expect("it is there").mode() & 0o777;
    assert_eq!([mode("/sys/fs/bpf"), mode("/sys/fs/bpf/ftptrack")], [0o700; 2]);
    ftptrack.wait_for_line("is seen in this mount namespace only");
    ftptrack.stop();
    for _ in ["its own", "ours"] {
        unmount("/sys/fs/bpf", UnmountFlags::DETACH).expect("root may");
    }
}

#[test]
fn two_network_namespaces_are_guarded_at_once_by_the_default_directory() {
    let Network { server, client, .. } = &Network::new();
    // This thread has mounts of its own from here on.
    let _own_mounts = PinDirectory::new();
    mount("bpf", "/sys/fs/bpf", "bpf", MountFlags::empty(), None).expect("root may");
    for host in [server, client] {
        let mut command = host.namespace.command(ftptrack::binary().to_str().expect("a path in UTF-8"));
        let attached = process::finish(command.args(attach()));
        assert!(attached.status.success(), "{attached:?}");
    }
    for host in [server, client] {
        assert_eq!(hooks::attached(host).len(), 2);
        let ftptrack = |arguments: &[&str]| {
            let mut command = host.namespace.command(ftptrack::binary().to_str().expect("a path in UTF-8"));
            let output = process::finish(command.args(arguments));
            assert!(output.status.success(), "{output:?}");
            output.stdout
        };
        let status: Status = serde_json::from_str(&ftptrack(&["status", "--json"])).expect("an object");
        assert_eq!(status.interfaces[0].state, "attached");
        assert_eq!(ftptrack(&["detach", "--all"]), "detached: eth0\n");
        assert_eq!(hooks::attached(host), []);
    }
    unmount("/sys/fs/bpf", UnmountFlags::DETACH).expect("ours");
}

#[test]
fn own_addresses_are_those_of_all_interfaces_as_they_come_and_go() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let other = "198.51.100.7";
    client.namespace.ip(&format!("route add {other} via {}", server.address(Family::V4)));
    server.namespace.ip(&format!("addr add {other}/32 dev lo"));
    let target = format!("{other}:{INSIDE}").parse().expect("an address");
    let unexpected = || {
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    assert_eq!(unexpected(), Outcome::Opened, "the weak host model");
    let said = ftptrack::succeed(server, &pins, &attach());
    assert!(said.contains(other), "{said}");
    assert_eq!(unexpected(), Outcome::Silence);
    let status: Status = ftptrack::query(server, &pins, "status");
    assert!(status.policy.only().addresses.contains(&format!("{other}/32")), "{:?}", status.policy);
    server.namespace.ip(&format!("addr del {other}/32 dev lo"));
    let said = ftptrack::succeed(server, &pins, &attach());
    assert!(!said.contains(other), "{said}");
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}
