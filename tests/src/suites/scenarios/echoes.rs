//! Replies with text of the client's choice.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};

use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::CONTROL;
use crate::actors::vsftpd::Vsftpd;
use crate::hosts::network::{Family, Network};

pub(super) const ALL: &[&Scenario] = &[&LISTED_NAME];

/// vsftpd makes a NUL in a command a line feed, so a client can name a file so, where it may write.
const NAME: &str = "a\n213 End of status\n227 Entering Passive Mode (10,0,0,1,58,152).";

/// The reply has the name as it is: a client that splits lines at LF sees the 213 end, and a 227.
pub static LISTED_NAME: Scenario = Scenario {
    group: "Text of the client's choice in replies",
    name: "vsftpd's STAT lists a file whose name is the end of that reply and a 227, while a PASV is pending",
    must: "the port in the name is shut",
    expected: &["shut"],
    unguarded: &["open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        // Its own ports are others.
        let vsftpd = Vsftpd::with(server, &format!("pasv_min_port={}\n", INSIDE + 1));
        fs::write(vsftpd.file(NAME), "").expect("a file's name may have line feeds");
        let stream = probe::connect(client, server.at(Family::V4, CONTROL))?;
        let mut lines = BufReader::new(stream);
        let mut heard = String::new();
        for command in ["", "USER anonymous\r\n", "PASS test@\r\n"] {
            lines.get_mut().write_all(command.as_bytes())?;
            lines.read_line(&mut heard)?;
        }
        assert!(heard.contains("230 "), "{heard}");
        lines.get_mut().write_all(b"STAT .\r\nPASV\r\n")?;
        while !heard.contains("\r\n227 ") {
            assert_ne!(lines.read_line(&mut heard)?, 0, "{heard}");
        }
        assert!(heard.contains(&format!("{NAME}\r\n")), "{heard}");
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        Ok(vec![access(probe::to(client, target) == Outcome::Opened)])
    },
};
