use super::*;

const WHOLE: &str = "\
# What is tried.
# More about it.
family: ipv6
options: --monitor
greeting: own

C: NOOP
C+: PA\\/SV
S bytes: 227 x
C urgent: \\xff\\xf4\\/ABOR
forge S from client, seq -5, bad checksum: 227 y
forge C from third, rst:
silence: 600 ms
ends: S
attach
open: passive 15000
shut: active 40000 third
count: refused_unsolicited 2
";

#[test]
fn every_kind_of_line_is_read() {
    let dialogue = parse("group/name", WHOLE).unwrap();
    assert_eq!(dialogue.title, "What is tried.");
    assert_eq!((dialogue.family, dialogue.greeted), (Family::V6, false));
    assert_eq!(dialogue.options, ["--monitor"]);
    assert_eq!(dialogue.counts, [(Counter::RefusedUnsolicited, 2)]);
    assert!(dialogue.attaches());
    let say =
        |sender, manner, pieces: &[&[u8]]| Action::Say(sender, manner, pieces.iter().map(|p| p.to_vec()).collect());
    let forged = Forged {
        sender: Sender::Server,
        from: Origin::Client,
        offset: -5,
        flags: flag::ACK | flag::PSH,
        bad_checksum: true,
        pieces: vec![b"227 y\r\n".to_vec()],
    };
    let reset = Forged {
        sender: Sender::Client,
        from: Origin::Third,
        offset: 0,
        flags: flag::RST,
        bad_checksum: false,
        pieces: vec![],
    };
    let expected = [
        (7, say(Sender::Client, Manner::Plainly, &[b"NOOP\r\nPA", b"SV\r\n"])),
        (9, say(Sender::Server, Manner::Bytewise, &[b"227 x\r\n"])),
        (10, say(Sender::Client, Manner::Urgently, &[b"\xff\xf4", b"ABOR\r\n"])),
        (11, Action::Forge(forged)),
        (12, Action::Forge(reset)),
        (13, Action::Silence(Duration::from_millis(600))),
        (14, Action::End(Sender::Server)),
        (15, Action::Attach),
        (16, Action::Try(Attempt { active: false, port: 15000, third: false, wanted: Access::Open })),
        (17, Action::Try(Attempt { active: true, port: 40000, third: true, wanted: Access::Shut })),
    ];
    assert_eq!(dialogue.steps, expected.map(|(line, action)| Step { line, action }));
}

#[test]
fn what_is_wrong_is_said_with_file_and_line() {
    for (text, wrong) in [
        ("C: NOOP\nshut: passive 1\n", "1: no comment that says what is tried"),
        ("# x\nC: NOOP\n", "2: it tries nothing: add an `open:` or `shut:` line"),
        ("# x\nD: NOOP\n", "2: D: neither C nor S, nor anything else that a line can begin with"),
        ("# x\nC: \\q\n", "2: \\q: no such escape"),
        ("# x\nC loudly: x\n", "2: loudly: C can't speak in that manner"),
        ("# x\nS urgent: x\n", "2: urgent: S can't speak in that manner"),
        ("# x\nC+: x\n", "2: nothing was said plainly in the line above"),
        ("# x\nS: x\nC+: x\n", "3: the line above is the other sender's"),
        ("# x\nS: x\nfamily: ipv6\n", "3: `family:` stands before all that is said"),
        ("# x\nfamily: ipx\n", "2: ipx: neither ipv4 nor ipv6"),
        ("# x\nopen: 15000\n", "2: 15000: not `passive PORT` or `active PORT`, with ` third` maybe"),
        ("# x\nopen: passive 65536\n", "2: passive 65536: not `passive PORT` or `active PORT`, with ` third` maybe"),
        ("# x\nsilence: 5\n", "2: 5: not a number of ms"),
        ("# x\ncount: nonsense 1\n", "2: nonsense: no such counter"),
        ("# x\ncount: replies many\n", "2: many: not a number"),
        ("# x\nforge S from moon: x\n", "2: moon: neither client nor server nor third"),
        ("# x\nforge S from client, ttl 1: x\n", "2: ttl 1: no such option of a forged segment"),
    ] {
        assert_eq!(parse("g/n", text), Err(format!("tests/dialogues/g/n.txt:{wrong}")));
    }
}
