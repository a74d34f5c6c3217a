//! Both streams read a line at a time, by splitting text: what the parsers, which take a byte at a
//! time, must come to as well. Slow and plain on purpose.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr as _;

use ftp_common::command::{LONGEST_LINE, Verb};
use ftp_common::host_port::HostPort;
use ftp_common::reply::Reply;

const IAC: u8 = 255;

/// The lines of a stream without their Telnet bytes and line feeds, each with its length in the
/// stream; what stands behind the last line feed isn't one.
#[must_use]
pub fn lines(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<_> = stream.split(|byte| *byte == b'\n').map(without_telnet).collect();
    lines.pop();
    lines
}

/// With each of [`lines`], whether no CR stands right before its line feed.
#[must_use]
pub fn bare_line_feeds(stream: &[u8]) -> Vec<bool> {
    let mut bare: Vec<_> = stream.split(|byte| *byte == b'\n').map(|line| line.last() != Some(&b'\r')).collect();
    bare.pop();
    bare
}

/// The lines of a server's stream, as [`lines`]: where its first one ends in CRLF, so do all.
#[must_use]
pub fn reply_lines(stream: &[u8]) -> Vec<Vec<u8>> {
    if bare_line_feeds(stream).first().copied().unwrap_or(true) {
        return lines(stream);
    }
    let mut ended = Vec::new();
    let mut line = Vec::new();
    for part in stream.split_inclusive(|byte| *byte == b'\n') {
        line.extend(part);
        if let Some(text) = line.strip_suffix(b"\n").filter(|text| text.last() == Some(&b'\r')) {
            ended.push(without_telnet(text));
            line.clear();
        }
    }
    ended
}

/// A line without Telnet commands (RFC 854). A carriage return belongs to the text wherever it is.
fn without_telnet(line: &[u8]) -> Vec<u8> {
    match line {
        [] | [IAC] | [IAC, 251..=254] => Vec::new(),
        [IAC, end @ (b'\r' | b'\n'), rest @ ..] | [IAC, 251..=254, end @ (b'\r' | b'\n'), rest @ ..] => {
            [&[*end], &*without_telnet(rest)].concat()
        }
        [IAC, IAC, rest @ ..] => [&[IAC], &*without_telnet(rest)].concat(),
        [IAC, 251..=254, _, rest @ ..] | [IAC, _, rest @ ..] => without_telnet(rest),
        _ => {
            let text = line.iter().position(|byte| *byte == IAC).unwrap_or(line.len());
            [&line[..text], &without_telnet(&line[text..])].concat()
        }
    }
}

/// What a command line asks for, and what a PORT or EPRT names.
#[must_use]
pub fn command(line: &[u8]) -> (Verb, HostPort) {
    let text = line.strip_suffix(b"\r").unwrap_or(line);
    let space = text.iter().position(|byte| *byte == b' ');
    let verb = text[..space.unwrap_or(text.len())].to_ascii_uppercase();
    let argument = space.map(|at| &text[at + 1..]);
    let verb = match (verb.as_slice(), argument) {
        _ if text.is_empty() => Verb::Nothing,
        _ if line.len() > usize::from(LONGEST_LINE) => Verb::TooLong,
        _ if matches!(text[0], b' ' | b'\t') => Verb::Blank,
        (b"PASV" | b"P@SW", _) => Verb::Pasv,
        (b"EPSV", _) => Verb::Epsv,
        (b"PORT", Some(argument)) => return named(port(argument)),
        (b"EPRT", Some(argument)) => return named(eprt(argument)),
        (b"RETR" | b"STOR" | b"STOU" | b"APPE" | b"LIST" | b"NLST" | b"MLSD", _) => Verb::Transfer,
        (b"REIN", _) => Verb::Rein,
        (b"ABOR", _) => Verb::Abor,
        _ => Verb::Other,
    };
    (verb, HostPort::default())
}

fn named(said: Option<HostPort>) -> (Verb, HostPort) {
    said.map_or((Verb::MalformedPort, HostPort::default()), |said| (Verb::Port, said))
}

/// A number of one to `digits` decimal digits, up to `most`.
fn number(text: &[u8], digits: usize, most: u32) -> Option<u32> {
    let right = (1..=digits).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let value = right.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()?;
    (value <= most).then_some(value)
}

fn octets<const N: usize>(text: &[u8], separator: u8) -> Option<[u8; N]> {
    let numbers: Option<Vec<_>> = text.split(|byte| *byte == separator).map(|octet| number(octet, 3, 255)).collect();
    let octets: Vec<_> = numbers?.into_iter().map(|octet| u8::try_from(octet).expect("checked")).collect();
    octets.try_into().ok()
}

fn port(argument: &[u8]) -> Option<HostPort> {
    let [a, b, c, d, high, low] = octets(argument, b',')?;
    Some(HostPort { address: Ipv4Addr::from([a, b, c, d]).into(), port: u16::from_be_bytes([high, low]) })
}

fn eprt(argument: &[u8]) -> Option<HostPort> {
    let delimiter = *argument.first().filter(|byte| (33..=126).contains(*byte))?;
    let parts: Vec<_> = argument.split(|byte| *byte == delimiter).collect();
    // A delimiter that could stand in an address or a number makes more parts than can be told apart.
    let [[], family, host, port, []] = parts.as_slice() else { return None };
    let address: IpAddr = match *family {
        b"1" => Ipv4Addr::from(octets(host, b'.')?).into(),
        b"2" => v6(host)?.into(),
        _ => return None,
    };
    Some(HostPort { address: address.into(), port: u16::try_from(number(port, 5, 65535)?).expect("checked") })
}

/// RFC 4291 §2.2, as the standard library reads it, but zero-padded octets in a dotted tail are decimal.
fn v6(host: &[u8]) -> Option<Ipv6Addr> {
    let host = std::str::from_utf8(host).ok()?;
    let Some(colon) = host.rfind(':').filter(|_| host.contains('.')) else { return Ipv6Addr::from_str(host).ok() };
    let tail = Ipv4Addr::from(octets(&host.as_bytes()[colon + 1..], b'.')?);
    Ipv6Addr::from_str(&format!("{}{tail}", &host[..=colon])).ok()
}

/// The replies in a server's lines, all from the stream's beginning.
#[must_use]
pub fn replies(lines: &[Vec<u8>]) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut open: Option<Reply> = None;
    for line in lines {
        let Some((code, last)) = code(line) else { continue };
        let mut reply = Reply { code, ..Reply::default() };
        announced(&mut reply, line.get(4..).unwrap_or_default());
        match (open, last) {
            (None, true) => replies.push(reply),
            (None, false) => open = Some(reply),
            (Some(first), true) if first.code == code => {
                replies.push(if reply.announces { reply } else { first });
                open = None;
            }
            _ => {}
        }
    }
    replies
}

/// The code at a line's start, and whether no hyphen follows.
fn code(line: &[u8]) -> Option<(u16, bool)> {
    let digits = line.get(..3).filter(|digits| (b'1'..=b'6').contains(&digits[0]))?;
    let code = u16::try_from(number(digits, 3, 699)?).expect("checked");
    match &line[3..] {
        [b' ', ..] => Some((code, true)),
        [b'-', ..] => Some((code, false)),
        rest => rest.iter().all(|byte| *byte == b'\r').then_some((code, true)),
    }
}

fn announced(reply: &mut Reply, text: &[u8]) {
    if reply.code == 227
        && let Some([a, b, c, d, high, low]) = six_numbers(text)
    {
        reply.announces = true;
        reply.address = u32::from_ne_bytes([a, b, c, d]);
        reply.port = u16::from_be_bytes([high, low]);
    }
    if reply.code == 229
        && let Some(port) = extended_port(text)
    {
        reply.announces = true;
        reply.port = port;
    }
}

/// The first run of digits and commas that is six octets and isn't part of something else.
fn six_numbers(text: &[u8]) -> Option<[u8; 6]> {
    let in_run = |byte: &u8| byte.is_ascii_digit() || *byte == b',';
    let mut at = 0;
    while at < text.len() {
        let length = text[at..].iter().take_while(|byte| in_run(byte)).count();
        let before = at.checked_sub(1).map(|before| text[before]);
        let behind = text.get(at + length);
        let glued = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"-+.".contains(&byte))
            || behind.is_some_and(u8::is_ascii_alphabetic);
        if length > 0
            && !glued
            && let Some(octets) = octets(&text[at..at + length], b',')
        {
            return Some(octets);
        }
        at += length.max(1);
    }
    None
}

/// `(<d><d><d>port<d>)`; a mismatch goes on from the byte that didn't match.
fn extended_port(text: &[u8]) -> Option<u16> {
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'(' {
            at += 1;
            continue;
        }
        match extended_at(&text[at + 1..]) {
            Ok(port) => return Some(port),
            Err(matched) => at += 1 + matched,
        }
    }
    None
}

/// `<d><d><d>port<d>)`, or how many bytes of it matched.
fn extended_at(text: &[u8]) -> Result<u16, usize> {
    let delimiter = *text.first().filter(|byte| (33..=126).contains(*byte)).ok_or(0usize)?;
    let threes = text.iter().take(3).take_while(|byte| **byte == delimiter).count();
    if threes < 3 {
        return Err(threes);
    }
    let mut digits = 0;
    loop {
        let so_far = &text[3..3 + digits];
        match text.get(3 + digits) {
            Some(byte) if *byte == delimiter && number(so_far, 5, 65535).is_some() => break,
            Some(byte) if byte.is_ascii_digit() && digits < 5 => digits += 1,
            _ => return Err(3 + digits),
        }
    }
    if text.get(4 + digits) != Some(&b')') {
        return Err(4 + digits);
    }
    Ok(u16::try_from(number(&text[3..3 + digits], 5, 65535).expect("checked")).expect("checked"))
}
