//! What is said on the control connection, and what it opens: each line here is a whole session
//! between a scripted client and a scripted server.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::client::Client;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Network};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::server::{Server, Session};

/// One segment; the other side has read it before the next is sent.
enum Say {
    Client(&'static str),
    Server(&'static str),
    /// The same, each byte in a segment of its own.
    ClientByBytes(&'static str),
    ServerByBytes(&'static str),
}
use Say::{Client as C, ClientByBytes, Server as S, ServerByBytes};

struct Case {
    name: &'static str,
    said: &'static [Say],
    /// What a connection to [`INSIDE`] then meets.
    then: Outcome,
    /// Raised by one; none where what was said means nothing at all.
    counter: Option<Counter>,
}

/// Port 15000, [`INSIDE`], of the server.
const PASSIVE: &str = "227 Entering Passive Mode (10,0,0,1,58,152).\r\n";
const EXTENDED: &str = "229 Entering Extended Passive Mode (|||15000|)\r\n";

#[rustfmt::skip]
const CASES: &[Case] = &[
    Case { name: "PASV and 227", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[C("PASV\r\n"), S(PASSIVE)] },
    Case { name: "EPSV and 229", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[C("EPSV\r\n"), S(EXTENDED)] },
    Case { name: "both a byte at a time", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[ClientByBytes("PASV\r\n"), ServerByBytes(PASSIVE)] },
    Case { name: "cut in the middle", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[C("EP"), C("SV\r"), C("\n"), S("229 Entering (|||150"), S("00|)"), S("\r\n")] },
    Case { name: "behind another command in one segment", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[C("TYPE I\r\nPASV\r\n"), S("200 ok\r\n227 x (10,0,0,1,58,152)\r\n")] },
    Case { name: "behind a reply of several lines", then: Outcome::Opened, counter: Some(Counter::ExpectationsPassive),
        said: &[C("FEAT\r\nPASV\r\n"), S("211-Features\r\n EPSV\r\n211 End\r\n"), S(PASSIVE)] },
    Case { name: "a 227 that names another address opens the server's own", then: Outcome::Opened,
        counter: Some(Counter::AnnouncedAddressDiffers),
        said: &[C("PASV\r\n"), S("227 Entering Passive Mode (192,168,7,7,58,152).\r\n")] },
    Case { name: "a 227 that nobody asked for", then: Outcome::Silence, counter: Some(Counter::RefusedUnsolicited),
        said: &[C("NOOP\r\n"), S(PASSIVE)] },
    Case { name: "a 227 for nothing at all", then: Outcome::Silence, counter: Some(Counter::RefusedUnsolicited),
        said: &[S(PASSIVE)] },
    Case { name: "a second 227 for one PASV replaces nothing", then: Outcome::Silence, counter: Some(Counter::RefusedUnsolicited),
        said: &[C("PASV\r\n"), S("227 x (10,0,0,1,58,153)\r\n"), S(PASSIVE)] },
    Case { name: "a 227 inside a reply of several lines", then: Outcome::Silence, counter: None,
        said: &[C("PASV\r\n"), S("214-Help\r\n227 x (10,0,0,1,58,152)\r\n214-"), S(PASSIVE)] },
    Case { name: "a PASV that is refused", then: Outcome::Silence, counter: Some(Counter::RejectedByServer),
        said: &[C("PASV\r\n"), S("550 no\r\n")] },
    Case { name: "a port below 1024", then: Outcome::Silence, counter: Some(Counter::RefusedLowPort),
        said: &[C("PASV\r\n"), S("227 x (10,0,0,1,0,22)\r\n")] },
    Case { name: "a port outside the range", then: Outcome::Silence, counter: Some(Counter::RefusedOutOfRange),
        said: &[C("EPSV\r\n"), S("229 x (|||10239|)\r\n")] },
    Case { name: "a 227 without six numbers", then: Outcome::Silence, counter: Some(Counter::RefusedMalformedReply),
        said: &[C("PASV\r\n"), S("227 x (10,0,0,1,58)\r\n")] },
    Case { name: "REIN takes it back", then: Outcome::Silence, counter: Some(Counter::Reinitialized),
        said: &[C("PASV\r\n"), S(PASSIVE), C("REIN\r\n"), S("220 ready\r\n")] },
    Case { name: "another PASV takes it back", then: Outcome::Silence, counter: Some(Counter::ExpectationsWithdrawn),
        said: &[C("PASV\r\n"), S(PASSIVE), C("PASV\r\n"), S("227 x (10,0,0,1,58,153)\r\n")] },
    Case { name: "nothing is read after AUTH", then: Outcome::Silence, counter: Some(Counter::SessionsEncrypted),
        said: &[C("AUTH TLS\r\n"), S("234 go\r\n"), C("PASV\r\n"), S(PASSIVE)] },
];

#[track_caller]
fn speak(control: &mut Client, session: &mut Session, said: &[Say]) {
    for say in said {
        match say {
            C(text) => {
                control.send(text);
                session.gets(text.as_bytes());
            }
            S(text) => {
                session.send(text);
                control.gets(text.as_bytes());
            }
            ClientByBytes(text) => {
                for byte in text.as_bytes().chunks(1) {
                    control.send(byte);
                    session.gets(byte);
                }
            }
            ServerByBytes(text) => {
                for byte in text.as_bytes().chunks(1) {
                    session.send(byte);
                    control.gets(byte);
                }
            }
        }
    }
}

#[test]
fn what_is_said_opens_what_it_should_and_no_more() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let target = server.at(Family::V4, INSIDE);
    let met_after = |said: &[Say]| {
        let (mut control, mut session) = ftp.session_with(client);
        let _listener = probe::listen(server, target);
        speak(&mut control, &mut session, said);
        probe::to(client, target)
    };
    for case in CASES {
        assert_eq!(met_after(case.said), Outcome::Opened, "nothing is attached: {}", case.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    for case in CASES {
        let before = ftptrack.stats();
        assert_eq!(met_after(case.said), case.then, "{}", case.name);
        let after = ftptrack.stats();
        let raised = |counter| after.of(counter) - before.of(counter);
        if let Some(counter) = case.counter {
            assert_eq!(raised(counter), 1, "{}: {after:?}", case.name);
        }
        assert_eq!(raised(Counter::FlowsEstablished), u64::from(case.then == Outcome::Opened), "{}", case.name);
        assert_eq!(after.denied() - before.denied(), u64::from(case.then == Outcome::Silence), "{}", case.name);
    }
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::SessionsStarted), u64::try_from(CASES.len()).expect("a few"));
    assert_eq!((stats.of(Counter::StepsLost), stats.of(Counter::MapErrors)), (0, 0));
    ftptrack.stop();
}
