use super::*;

fn read_rule(rule: &str) -> Rule {
    let text = format!("# Generated\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {rule}\nCOMMIT\n");
    read(&text, "iptables-nft").unwrap().chains[0].rules[0].clone()
}

#[test]
fn a_comment_is_no_part_of_the_rule_whatever_it_says() {
    for comment in [r#""a -j b""#, r#""a\" -j ACCEPT""#, r#""a\\""#, r#""it\'s""#, "word"] {
        let rule = read_rule(&format!("-p tcp -m comment --comment {comment} -j DROP"));
        assert_eq!(rule.action, Action::Drop, "{comment}");
        assert_eq!(rule.conditions, [Condition::Tcp(true)], "{comment}");
    }
}

#[test]
fn an_option_of_another_match_is_not_taken_for_one_that_is_known() {
    for rule in ["-m connmark --mark 0x1 -j DROP", "-m policy --dport 5 -j DROP", "-m unheard-of -j DROP"] {
        assert!(read_rule(rule).conditions.iter().all(|condition| *condition == Condition::Unknown), "{rule}");
    }
    let known = read_rule("-m unheard-of --of x -m tcp --dport 21 -j DROP");
    assert_eq!(known.conditions.last(), Some(&Condition::Port { is: true, ranges: vec![(21, 21)] }));
}

#[test]
fn flags_are_those_of_a_first_packet_or_not() {
    for (rule, holds) in [
        ("--tcp-flags FIN,SYN,RST,ACK SYN", true),
        ("! --tcp-flags FIN,SYN,RST,ACK SYN", false),
        ("--tcp-flags FIN,SYN FIN,SYN", false),
        ("--tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE", false),
        ("--tcp-flags RST RST", false),
        ("! --tcp-flags RST RST", true),
    ] {
        let expected = if holds { Condition::Syn } else { Condition::New(false) };
        assert_eq!(read_rule(&format!("-p tcp -m tcp {rule} -j DROP")).conditions[1], expected, "{rule}");
    }
    assert_eq!(read_rule("--tcp-flags ECE,SYN SYN -j DROP").conditions[0], Condition::Unknown);
}

#[test]
fn what_is_not_all_that_there_is_is_an_error() {
    for text in [
        "hello",
        "*filter\n:INPUT WHAT [0:0]\n",
        "*filter\n:INPUT ACCEPT [0:0]\n-A OTHER -j DROP\n",
        "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment \"a\n-A INPUT -j ACCEPT\n",
        "[0:0] -A INPUT -j DROP\n",
    ] {
        assert!(read(text, "iptables-nft").unwrap_err().contains("can't be read"), "{text}");
    }
    let native = "# Table `filter' is incompatible, use 'nft' tool.\n";
    assert_eq!(unlisted(native).collect::<Vec<_>>(), ["filter"]);
    for text in ["", native, "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"] {
        assert_eq!(read(text, "iptables-nft"), Ok(Ruleset::default()));
    }
}
