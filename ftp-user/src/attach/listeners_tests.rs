use super::*;

const VSFTPD: u32 = 500;
const CONTROL: u64 = 21;

/// init, a vsftpd with a session and that session's unprivileged child, and a memcached.
fn processes() -> BTreeMap<u32, Process> {
    let process = |name: &str, parent, sockets: &[u64]| Process {
        name: name.to_owned(),
        parent,
        sockets: sockets.iter().copied().collect(),
    };
    BTreeMap::from([
        (1, process("init", 0, &[CONTROL])),
        (VSFTPD, process("vsftpd", 1, &[CONTROL])),
        (501, process("vsftpd", VSFTPD, &[10241])),
        (502, process("vsftpd", 501, &[10242])),
        (600, process("memcached", 1, &[11211])),
    ])
}

fn listener(address: &str, port: u16, inode: u64) -> Socket {
    Socket { address: address.parse().unwrap(), port, listens: true, inode }
}

fn others_of(ports: &[u16]) -> Vec<String> {
    let sockets: Vec<_> = ports.iter().map(|port| listener("0.0.0.0", *port, u64::from(*port))).collect();
    others(&sockets, &BTreeSet::from([CONTROL]), &processes()).iter().map(ToString::to_string).collect()
}

#[test]
fn an_ftp_servers_own_passive_listeners_do_not_count() {
    assert!(others_of(&[10241, 10242]).is_empty());
}

#[test]
fn others_are_named_even_as_children_of_an_init_that_holds_the_control_port() {
    assert_eq!(others_of(&[10241, 11211, 11211]), ["11211 (memcached/600)"]);
    assert_eq!(others_of(&[12000]), ["12000 (process unknown)"]);
}

#[test]
fn only_listeners_on_a_servers_address_in_the_range_are_concerned() {
    let local = BTreeSet::from(["10.0.0.1".parse().unwrap(), "127.0.0.1".parse().unwrap()]);
    let concerns = |address: &str, port, servers: &str| {
        let listeners = Listeners { sockets: vec![listener(address, port, 0)], local: local.clone() };
        let range = PortRange { first: 10240, last: 20480 };
        !listeners.concerned(range, &[servers.parse().unwrap()]).is_empty()
    };
    assert!(concerns("0.0.0.0", 10240, "10.0.0.1/32"));
    assert!(concerns("::", 20480, "10.0.0.1/32"));
    assert!(concerns("10.0.0.1", 10241, "10.0.0.1/32"));
    assert!(!concerns("127.0.0.1", 10241, "10.0.0.1/32"));
    assert!(!concerns("0.0.0.0", 20481, "10.0.0.1/32"));
    // A gateway's own sockets are none of the servers behind it.
    assert!(!concerns("0.0.0.0", 10240, "192.0.2.0/24"));
}
