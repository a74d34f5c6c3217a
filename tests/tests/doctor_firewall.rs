//! `ftptrack doctor` and real rules of nftables and iptables.

use ftptrack_tests::hosts::network::Network;
use ftptrack_tests::subject::doctor::Doctor;
use ftptrack_tests::subject::ftptrack::PinDirectory;

const USUAL: &str = "-i eth0 --passive-range 10240-20480";

/// A chain at the input hook that drops what none of these rules lets in.
fn table(rules: &str) -> String {
    format!(
        "nft 'table inet filter {{ set ftp {{ type inet_service; flags interval; elements = {{ 21, 10240-20480 }}; }}
           chain ours {{ tcp dport 10240-20480 accept; }}
           chain input {{ type filter hook input priority 0; policy drop; {rules} }}; }}'"
    )
}

/// What the doctor says of these rules.
#[track_caller]
fn levels(doctor: &Doctor<'_>, rules: &str) -> Vec<(String, String)> {
    doctor.run("nft flush ruleset");
    doctor.run(&table(rules));
    doctor.of("firewall").into_iter().map(|finding| (finding.level, finding.what)).collect()
}

#[test]
fn learned_ports_that_the_input_chain_drops_are_an_error() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    assert_eq!(doctor.of("firewall")[0].level, "ok", "there are no rules");
    doctor.run(&table("iif lo accept; ct state established,related accept; tcp dport 21 accept;"));
    let found = doctor.mends("error", "port 10240-20480 is dropped by the policy of nft's inet filter input");
    // By eth0 alone, and not before it is guarded.
    let bound = "nft insert rule inet filter input iifname '\"eth0\"' tcp dport 10240-20480 accept";
    let (attach, rule) = found.fix.as_deref().and_then(|mend| mend.split_once(" && ")).expect("two commands");
    assert!(attach.ends_with(" attach -i eth0 --passive-range 10240-20480") && rule == bound, "{found:#?}");
    assert!(found.why.expect("it is said").contains("as long as it doesn't guard eth0"));
    assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));
    // Now it is.
    doctor.run("nft flush ruleset");
    doctor.run(&table("tcp dport 21 accept;"));
    let found = doctor.mends("error", "port 10240-20480 is dropped by the policy of nft's inet filter input");
    assert_eq!(found.fix.as_deref(), Some(bound));
    // Nobody said where.
    let nowhere = Doctor::new(server, &PinDirectory::new(), "--passive-range 10240-20480").of("firewall");
    assert!(nowhere.is_empty() || nowhere[0].fix.is_none(), "{nowhere:#?}");
    doctor.run("nft flush ruleset");
    doctor.run(&table("tcp dport 10240-20480 accept;"));
    doctor.mends("error", "port 21 is dropped by the policy of nft's inet filter input");

    // Said in other ways, and in part.
    let error = |rules: &str, ports: &str| {
        let levels = levels(&doctor, rules);
        let (level, what) = &levels[0];
        assert!(level == "error" && what.starts_with(&format!("port {ports} is dropped by")), "{rules}: {levels:#?}");
    };
    error("tcp dport { 21, 10240-15000, 15002-20480 } accept;", "15001");
    error("tcp dport 21 accept; tcp dport 10240-20480 ct state established accept;", "10240-20480");
    error("tcp dport 21 accept; iifname eth1 accept; udp dport 10240-20480 accept;", "10240-20480");
    error("tcp dport 21 accept; tcp dport 12000 reject; tcp dport >= 1024 jump ours;", "12000");
    error("tcp dport vmap { 21 : accept, 10240-20480 : drop };", "10240-20480");
}

#[test]
fn what_is_let_in_over_one_family_is_dropped_over_the_other() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    let levels = levels(&doctor, "ip6 nexthdr tcp tcp dport 1024-65535 accept; tcp dport 21 accept;");
    let dropped = "port 10240-20480 is dropped over IPv4 by the policy of nft's inet filter input";
    assert_eq!(levels[0], ("error".to_owned(), dropped.to_owned()), "{levels:#?}");
}

#[test]
fn what_lets_them_in_is_known_in_every_form() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    for rules in [
        "tcp dport @ftp accept;",
        "tcp dport 21 accept; tcp dport >= 1024 jump ours;",
        "tcp dport 21 accept; meta l4proto { tcp, udp } th dport 10240-20480 ct state new counter accept;",
        "ct state vmap { established : accept, invalid : drop }; tcp dport vmap { 21 : accept, 10240-20480 : accept };",
        "tcp dport != 22 tcp flags syn / fin,syn,rst,ack accept;",
        "iifname \"eth*\" accept;",
    ] {
        let levels = levels(&doctor, rules);
        // Nothing is dropped; that anybody gets in is said, as nothing is attached.
        assert!(
            levels.iter().all(|(level, what)| level == "warning" && what.contains("lets anybody in")),
            "{levels:#?}"
        );
        assert!(!levels.is_empty());
    }
}

#[test]
fn senders_and_marks_make_a_difference() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    let some = levels(&doctor, "tcp dport 21 accept; ip saddr 10.0.0.0/8 tcp dport 10240-20480 accept;");
    assert!(some[0].0 == "error" && some[0].1.starts_with("port 10240-20480 is dropped over IPv6 by"), "{some:#?}");
    assert!(some[1].0 == "note" && some[1].1.starts_with("port 10240-20480 is let in over IPv4 for some"), "{some:#?}");
    let both = levels(&doctor, "ct state new ip saddr 10.0.0.0/8 accept; ip6 saddr fd00::/8 accept;");
    assert!(both[0].0 == "note" && both[0].1.starts_with("port 21, 10240-20480 is let in for some"), "{both:#?}");
    let unknown = levels(&doctor, "tcp dport 21 accept; fib saddr type unicast accept;");
    assert!(unknown[0].0 == "not_checked" && unknown[0].1.contains("can't judge rule 6"), "{unknown:#?}");

    let marking = Doctor::new(server, &pins, format!("{USUAL} --mark 0x10/0x10"));
    marking.run("nft flush ruleset");
    marking.run(&table("tcp dport 21 accept;"));
    let found = marking.mends("error", "port 10240-20480 is dropped");
    assert!(found.fix.expect("it was run").contains("meta mark and 0x10 == 0x10 accept"));
    // Only what ftptrack has marked gets in.
    assert_eq!(marking.of("firewall")[0].level, "ok", "{:#?}", marking.of("firewall"));
    let other = levels(&marking, "tcp dport 21 accept; meta mark and 0x10 == 0 accept;");
    assert!(other[0].0 == "error", "{other:#?}");
}

#[test]
fn what_one_chain_lets_in_and_another_drops_is_not_open() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    doctor.run(&table("tcp dport 21 accept;"));
    doctor.run(
        "nft 'add chain inet filter late { type filter hook input priority 10; policy accept; }
           add rule inet filter late tcp dport 10240-20480 accept'",
    );
    let found = doctor.of("firewall");
    assert!(found.len() == 1 && found[0].level == "error", "{found:#?}");
    doctor.mends("error", "port 10240-20480 is dropped by the policy of nft's inet filter input");
    assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));
}

#[test]
fn iptables_of_both_kinds_are_read() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    for tool in ["iptables-nft", "iptables-legacy"] {
        doctor.run(&format!("{tool} -A INPUT -p tcp --dport 10240:20480 -j ACCEPT"));
        let open = format!("rule 1 of {tool}'s filter INPUT lets anybody in to port 10240-20480 by eth0");
        let found = doctor.finding(&open).unwrap_or_else(|| panic!("{:#?}", doctor.of("firewall")));
        assert_eq!(found.level, "warning");
        assert!(found.fix.expect("it can be").ends_with("attach -i eth0 --passive-range 10240-20480"));
        // What else was asked for holds in its commands, too.
        let asked = format!("{USUAL} --sessions-per-client 8");
        let found = Doctor::new(server, &pins, asked.clone()).finding(&open).expect("it is so all the same");
        assert!(found.fix.expect("it can be").ends_with(&format!("attach {asked}")));
        doctor.run(&format!("{tool} -P INPUT DROP"));
        doctor.mends("error", &format!("port 21 is dropped by the policy of {tool}'s filter INPUT"));
        doctor.run(&format!("{tool} -F INPUT"));
        doctor.run(&format!(
            "{tool} -A INPUT -s 10.0.0.0/8 -p tcp -m comment --comment 'a -j b' -j ACCEPT
             {tool} -A INPUT -p tcp -m multiport --dports 21,10240:15000 -m conntrack --ctstate NEW -j ACCEPT"
        ));
        let part = doctor.finding("port 15001-20480").expect("it is found");
        assert!(part.level == "note" && part.what.contains("for some senders only (rule 1)"), "{part:#?}");
        doctor.run(&format!("{tool} -F INPUT && {tool} -A INPUT -p tcp --dport 21 -j ACCEPT"));
        let found = doctor.finding("port 10240-20480 is dropped").expect("it is found");
        let mend = found.fix.expect("there is one");
        let bound = format!(" && {tool} -t filter -I INPUT -i eth0 -p tcp -m multiport --dports 10240:20480 -j ACCEPT");
        assert!(mend.ends_with(&bound), "{mend}");
        doctor.run(&format!("{tool} -P INPUT ACCEPT && {tool} -F INPUT"));
        assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));
    }
    doctor.run("ip6tables-nft -P INPUT DROP");
    doctor.mends("error", "is dropped by the policy of ip6tables-nft's filter INPUT");
}

#[test]
fn the_kernels_helper_is_found_where_it_is_used() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    assert_eq!(doctor.of("helper")[0].level, "ok", "{:#?}", doctor.of("helper"));
    doctor.run(
        "nft 'table inet old { ct helper ftp-standard { type \"ftp\" protocol tcp; };
           chain pre { type filter hook prerouting priority raw; tcp dport 21 ct helper set \"ftp-standard\"; }; }'",
    );
    doctor.mends("warning", "a rule of nft's inet old pre gives connections to the kernel's FTP helper");
    for tool in ["iptables-nft", "iptables-legacy"] {
        doctor.run(&format!("{tool} -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp"));
        doctor.mends("warning", &format!("a rule of {tool}'s raw PREROUTING gives connections to"));
    }
    assert_eq!(doctor.of("helper")[0].level, "ok", "{:#?}", doctor.of("helper"));
}
