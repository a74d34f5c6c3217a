//! What clients and servers say, and what they should not.

use std::net::IpAddr;

/// What a server would answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Passive,
    Extended,
    Port,
    Transfer,
    Done,
    Secured,
    Nothing,
}

use Answer::{Done, Extended, Nothing, Passive, Port, Secured, Transfer};

/// Ports that a server announces; some must be refused.
pub const PASSIVE_PORTS: [u16; 10] = [15000, 10240, 20480, 10241, 20481, 1023, 0, 22, 10239, 65535];
/// Ports that a client announces; one lies in the server's passive range.
pub const ACTIVE_PORTS: [u16; 10] = [40001, 40002, 1024, 15000, 1023, 0, 22, 20, 65535, 21];

/// Commands. `{six}`: the client's address and port as PORT has them; `{foreign}`: another's;
/// `{eprt}`: as EPRT has them.
const COMMANDS: &[(&str, Answer)] = &[
    ("PASV\r\n", Passive),
    ("EPSV\r\n", Extended),
    ("PORT {six}\r\n", Port),
    ("EPRT {eprt}\r\n", Port),
    ("RETR file\r\n", Transfer),
    ("LIST\r\n", Transfer),
    ("NOOP\r\n", Done),
    ("pasv\n", Passive),
    ("EPSV 2\r\n", Extended),
    ("EPSV ALL\r\n", Done),
    ("P@SW\r\n", Passive),
    ("port {six}\n", Port),
    ("STOR file\r\n", Transfer),
    ("mlsd\r\n", Transfer),
    ("USER anonymous\r\n", Done),
    ("QUIT\r\n", Done),
    ("REIN\r\n", Done),
    ("HOST ftp.example\r\n", Done),
    ("AUTH TLS\r\n", Secured),
    ("NOOP\r\nPASV\r\n", Passive),
    ("PASV\r\nRETR file\r\n", Passive),
    ("RETR a\r\nRETR b\r\n", Transfer),
    ("PORT {six}\r\nRETR file\r\n", Port),
    ("PASV\r\nPASV\r\n", Passive),
    (" PASV\r\n", Done),
    ("PASVX\r\n", Done),
    ("PASV now\r\n", Passive),
    ("PASV\rX\r\n", Done),
    ("PORT {foreign}\r\n", Port),
    ("EPRT |1|10.0.1.3|40001|\r\n", Port),
    ("PORT {six},9\r\n", Port),
    ("PORT 10,0,0,258,156,65\r\n", Port),
    ("PORT\r\n", Port),
    ("PORTX {six}\r\n", Port),
    ("EPRT {eprt}x\r\n", Port),
    ("STAT {six}\r\n", Done),
    ("\u{ff}\u{f4}\u{ff}\u{f2}ABOR\r\n", Done),
    ("PA\u{ff}\u{fb}\r\nSV\r\n", Done),
    ("\r\n", Nothing),
    ("\n", Nothing),
    ("PA", Nothing),
    ("SV\r\n", Passive),
    ("NOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\nNOOP\r\n", Done),
    ("227 Entering Passive Mode ({six})\r\n", Done),
    ("{long}\r\n", Done),
    ("{many}", Done),
];

/// Replies. `{six}` and `{port}`: as above, of the server.
const REPLIES: &[&str] = &[
    "227 Entering Passive Mode ({six}).\r\n",
    "229 Entering Extended Passive Mode (|||{port}|)\r\n",
    "200 ok\r\n",
    "150 soon\r\n",
    "226 done\r\n",
    "150 soon\r\n226 done\r\n",
    "500 no\r\n",
    "220 hello\r\n",
    "220-hello\r\n220 hello\r\n",
    "227 OK 4 you ({six})\n",
    "227 {six}\r\n",
    "227-first\r\n227 ({six})\r\n",
    "227-({six})\r\nmiddle\r\n227 last\r\n",
    "229 (!!!{port}!)\r\n",
    "229 (||{port}|)\r\n",
    "227 (0,0,0,0,58,152)\r\n",
    "227 (10,0,1,1,58,256)\r\n",
    "214-help\r\n227 Entering Passive Mode ({six})\r\n214 end\r\n",
    "500 what: 227 ({six})\r\n",
    "502 227 ({six})\r\n",
    "421 bye\r\n",
    "421-bye\r\n",
    "331 password\r\n",
    "350 more\r\n",
    "425 no\r\n",
    "234 go ahead\r\n",
    "235 go ahead\r\n",
    "120 wait\r\n",
    "221 bye\r\n",
    "200-ok\r\n",
    "200 ok\r\n200 ok\r\n",
    "227 ({six}",
    ")\r\n",
    "22",
    "7 ({six})\r\n",
    "\u{ff}\u{fe}\u{01}200 ok\r\n",
    "631 x\r\n",
    "700 x\r\n",
    "2000 x\r\n",
    "junk\r\n",
    "\r\n",
    "228 ({six})\r\n",
];

/// Who talks.
#[derive(Clone, Copy, Debug)]
pub struct Speakers {
    /// The client's own address.
    pub client: IpAddr,
    /// The other client's.
    pub foreign: IpAddr,
    /// The server's.
    pub server: IpAddr,
}

impl Speakers {
    /// A command.
    #[must_use]
    pub fn command(&self, which: u8, port: u8) -> Vec<u8> {
        let (template, _) = entry(which);
        let port = ACTIVE_PORTS[pick(port, 4, ACTIVE_PORTS.len())];
        let family = if self.client.is_ipv4() { 1 } else { 2 };
        let text = template
            .replace("{six}", &six(self.client, port))
            .replace("{foreign}", &six(self.foreign, port))
            .replace("{eprt}", &format!("|{family}|{}|{port}|", self.client))
            .replace("{long}", &"x".repeat(4200))
            .replace("{many}", &"NOOP\r\n".repeat(17));
        latin(&text)
    }

    /// What a server would answer to a command, or, one time in eight, any reply.
    #[must_use]
    pub fn answer(&self, command: u8, which: u8, port: u8) -> Vec<u8> {
        let (_, answer) = entry(command);
        let usual = match answer {
            Passive => [0, 0, 0, 9, 10, 11, 12],
            Extended => [1, 1, 1, 1, 1, 13, 14],
            Port => [2, 2, 2, 2, 2, 6, 22],
            Transfer => [5, 5, 5, 3, 4, 24, 23],
            Done => [2, 2, 4, 7, 6, 20, 30],
            Secured => [25, 25, 26, 6, 6, 6, 22],
            Nothing => return Vec::new(),
        };
        match usual.get(usize::from(which % 8)) {
            Some(reply) => self.reply(*reply, port),
            None => self.reply(which / 8, port),
        }
    }

    /// A reply.
    #[must_use]
    pub fn reply(&self, which: u8, port: u8) -> Vec<u8> {
        let template = REPLIES[usize::from(which) % REPLIES.len()];
        let port = PASSIVE_PORTS[pick(port, 4, PASSIVE_PORTS.len())];
        latin(&template.replace("{six}", &six(self.server, port)).replace("{port}", &port.to_string()))
    }
}

/// The place in a table of a number: two times in three among its first ones, which get somewhere.
fn pick(number: u8, first: usize, all: usize) -> usize {
    usize::from(number) % if number < 170 { first } else { all }
}

fn entry(number: u8) -> (&'static str, Answer) {
    COMMANDS[pick(number, 6, COMMANDS.len())]
}

/// Address and port as six numbers; for an IPv6 address some that name another.
fn six(address: IpAddr, port: u16) -> String {
    let [high, low] = port.to_be_bytes();
    match address {
        IpAddr::V4(v4) => format!("{},{high},{low}", v4.to_string().replace('.', ",")),
        IpAddr::V6(_) => format!("0,0,0,0,{high},{low}"),
    }
}

/// Each char as the byte of its number, so that the tables can have Telnet bytes in them.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|char| u8::try_from(u32::from(char)).expect("below 256")).collect()
}
