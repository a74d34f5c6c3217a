//! `ftptrack doctor` and the rules that firewalld 1.3 makes, as far as a new connection meets them.

use ftptrack_tests::hosts::network::{Network, bridge};
use ftptrack_tests::subject::doctor::{Doctor, Finding};
use ftptrack_tests::subject::ftptrack::{self, PinDirectory};

const RANGE: &str = "--passive-range 10240-20480";
const DROPPED: &str = "port 10240-20480 is dropped";

/// eth0 in the zone public and eth1 in the zone home, which let in this; and rules beside firewalld's.
fn table(public: &str, home: &str, end: &str, beside: &str) -> String {
    let zone = |name: &str, allow: &str| {
        let parts = ["pre", "log", "deny", "post"].map(|part| format!("chain filter_IN_{name}_{part} {{ }}"));
        format!(
            "{parts}
             chain filter_IN_{name}_allow {{ {allow} }}
             chain filter_IN_{name} {{
               jump filter_IN_{name}_pre; jump filter_IN_{name}_log; jump filter_IN_{name}_deny;
               jump filter_IN_{name}_allow; jump filter_IN_{name}_post;
               meta l4proto {{ icmp, ipv6-icmp }} accept; {end} }}",
            parts = parts.join("\n")
        )
    };
    format!(
        "nft flush ruleset; nft 'table inet firewalld {{
           ct helper helper-ftp-tcp {{ type \"ftp\" protocol tcp; l3proto inet; }}
           {public}
           {home}
           chain filter_PREROUTING {{ type filter hook prerouting priority filter + 10; policy accept;
             icmpv6 type {{ nd-router-advert, nd-neighbor-solicit }} accept;
             meta nfproto ipv6 fib saddr . mark . iif oif missing drop; }}
           chain filter_INPUT_ZONES {{ iifname \"eth0\" goto filter_IN_public; iifname \"eth1\" goto filter_IN_home;
             goto filter_IN_public; }}
           chain filter_INPUT {{ type filter hook input priority filter + 10; policy accept;
             ct state {{ established, related }} accept; ct status dnat accept; iifname \"lo\" accept;
             ct state invalid drop; jump filter_INPUT_ZONES; reject with icmpx admin-prohibited; }}
         }}
         {beside}'",
        public = zone("public", public),
        home = zone("home", home),
    )
}

const REJECT: &str = "reject with icmpx admin-prohibited;";

fn mend(found: Option<Finding>) -> String {
    found.expect("it is found").fix.expect("there is a command")
}

#[test]
fn a_range_that_firewalld_does_not_let_in_is_said_to_firewalld() {
    let Network { server, .. } = &Network::new();
    let other = bridge();
    server.plug("eth1", &other, 1500, &[("10.9.0.1".parse().expect("an address"), 24)]);
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, format!("-i eth0 {RANGE}"));
    // Up to 0.9 a zone has no end of its own: what it doesn't decide comes back to the base chain.
    for end in [REJECT, ""] {
        doctor.run(&table("tcp dport 21 accept;", "", end, ""));
        let found = doctor.finding(DROPPED);
        assert_eq!(found.as_ref().expect("it is found").level, "error");
        let mend = mend(found);
        let line = " && firewall-cmd --permanent --zone=public --add-port=10240-20480/tcp && firewall-cmd --reload";
        assert!(mend.ends_with(&format!(" attach -i eth0 {RANGE}{line}")), "{mend}");
    }
    doctor.run(&table("tcp dport 21 accept; tcp dport 10240-20480 accept;", "", REJECT, ""));
    assert_eq!(doctor.finding(DROPPED).map(|found| found.what), None);
    // The interfaces may be of several zones.
    let both = Doctor::new(server, &pins, format!("-i eth0 -i eth1 {RANGE}"));
    both.run(&table("tcp dport 21 accept;", "tcp dport 21 accept;", REJECT, ""));
    let mend = mend(both.finding(DROPPED));
    for zone in ["public", "home"] {
        assert!(
            mend.contains(&format!("firewall-cmd --permanent --zone={zone} --add-port=10240-20480/tcp &&")),
            "{mend}"
        );
    }
}

#[test]
fn where_destinations_are_changed_a_rule_for_those_is_not_judged() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, format!("-i eth0 {RANGE}"));
    let nat = "table ip nat { chain pre { type nat hook prerouting priority -100; tcp dport 8080 redirect to :80; }; }";
    doctor.run(&table("tcp dport 21 accept;", "", REJECT, nat));
    let found = doctor.of("firewall");
    assert!(found[0].level == "not_checked" && found[0].what.contains("can't judge rule"), "{found:#?}");
}

#[test]
fn what_firewalld_opens_by_another_zone_is_said_with_what_guards_it() {
    let Network { server, .. } = &Network::new();
    let other = bridge();
    server.plug("eth1", &other, 1500, &[("10.9.0.1".parse().expect("an address"), 24)]);
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, format!("-i eth0 {RANGE}"));
    ftptrack::succeed(server, &pins, &["attach", "-i", "eth0", "--passive-range", "10240-20480"]);
    let both = "tcp dport 21 accept; tcp dport 10240-20480 accept;";
    doctor.run(&table(both, both, REJECT, ""));
    let found = doctor.mends("warning", "of nft's inet firewalld filter_IN_home_allow lets anybody in");
    assert!(found.fix.expect("it was run").ends_with(&format!(" attach -i eth0 -i eth1 {RANGE}")));
    assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
}

#[test]
fn the_helper_of_firewalld_is_taken_out_of_its_zone() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, format!("-i eth0 {RANGE}"));
    doctor.run(&table("tcp dport 21 ct helper set \"helper-ftp-tcp\"; tcp dport 21 accept;", "", REJECT, ""));
    let mend =
        mend(doctor.finding("inet firewalld filter_IN_public_allow gives connections to the kernel's FTP helper"));
    let lines = [
        "firewall-cmd --permanent --zone=public --remove-service=ftp",
        // The service lets in port 21.
        "firewall-cmd --permanent --zone=public --add-port=21/tcp",
        "firewall-cmd --reload",
    ];
    assert_eq!(mend, lines.join(" && "));
}
