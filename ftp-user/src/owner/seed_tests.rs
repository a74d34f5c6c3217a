use super::*;

const CONTROL: u64 = 21;
const VSFTPD: u32 = 500;

/// systemd, which holds the port of the one that it has started; that one with two sessions, one of which holds the port
/// as well; and a program that has nothing to do with it.
fn processes() -> BTreeMap<u32, proc::Process> {
    let process = |parent, sockets: &[u64]| proc::Process {
        name: String::new(),
        parent,
        sockets: sockets.iter().copied().collect(),
    };
    BTreeMap::from([
        (INIT, process(0, &[CONTROL])),
        (VSFTPD, process(INIT, &[CONTROL])),
        (501, process(VSFTPD, &[])),
        (502, process(501, &[CONTROL])),
        (600, process(INIT, &[80])),
    ])
}

#[test]
fn the_master_is_the_first_that_holds_the_listener_but_never_init() {
    assert_eq!(holders(&BTreeSet::from([CONTROL]), &processes()), BTreeSet::from([VSFTPD]));
    assert_eq!(holders(&BTreeSet::from([80]), &processes()), BTreeSet::from([600]));
    assert_eq!(holders(&BTreeSet::from([22]), &processes()), BTreeSet::new());
}

#[test]
fn a_circle_of_processes_ends() {
    let mut processes = processes();
    processes.entry(501).and_modify(|process| process.parent = 502);
    assert_eq!(holders(&BTreeSet::from([CONTROL]), &processes), BTreeSet::from([VSFTPD]));
}
