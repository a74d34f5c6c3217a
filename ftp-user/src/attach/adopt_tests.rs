use super::*;

fn connection(local_port: u16, remote_port: u16) -> Connection {
    let long = Duration::from_secs(9);
    Connection {
        local: (IpAddr::from([10, 0, 1, 1]), local_port),
        remote: (IpAddr::from([10, 0, 1, 2]), remote_port),
        interface: 0,
        queued: (0, 0),
        silent: (long, long),
        inode: 1,
    }
}

fn policy() -> ServerPolicy {
    let mut control_ports = [0; 8];
    control_ports[0] = 21;
    ServerPolicy {
        control_ports,
        passive_first: 10240,
        passive_last: 20480,
        active_port: 20,
        ..ServerPolicy::default()
    }
}

#[test]
fn idle_is_read_answered_and_silent() {
    let idle = connection(21, 40000);
    let is = |connection| is_idle(&connection, &policy(), &[]);
    assert!(is(idle));
    assert!(!is(Connection { queued: (1, 0), ..idle }), "not all was read");
    assert!(!is(Connection { queued: (0, 1), ..idle }), "the client has not all");
    let [short, long] = [Duration::from_millis(400), Duration::from_secs(10)];
    assert!(!is(Connection { silent: (long, idle.silent.1), ..idle }), "a command is not answered");
    assert!(!is(Connection { silent: (short, long), ..idle }), "the server may go on speaking");
    assert!(is(Connection { silent: (idle.silent.0, long), ..idle }));
}

#[test]
fn a_data_connection_of_the_same_client_means_a_transfer() {
    let idle = connection(21, 40000);
    let beside = |other, policy| is_idle(&idle, &policy, &[idle, other]);
    assert!(!beside(connection(10240, 40001), policy()), "passive");
    assert!(!beside(connection(20, 40001), policy()), "active");
    assert!(beside(connection(22, 40001), policy()));
    assert!(!beside(connection(22, 40001), ServerPolicy { active_port: 0, ..policy() }), "any port may be one");
    let elsewhere = Connection { remote: (IpAddr::from([10, 0, 1, 3]), 40001), ..connection(10240, 0) };
    assert!(beside(elsewhere, policy()));
}
