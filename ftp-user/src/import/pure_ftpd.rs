//! pure-ftpd's options: on a command line, in pure-ftpd.conf, or a file each as in Debian. All three
//! have the same options, by a letter or by a name.

use std::fs;
use std::path::Path;

use super::{Findings, Found, Place, Text, bound_address};
use crate::config::value::number;
use crate::error::{Failure, OrFail as _};
use crate::policy::{CONTROL_PORT, FIRST_PASSIVE, Ftps, PortRange};

/// Letters of options that have a value, as `pure-ftpd --help` lists them.
const WITH_VALUE: &str = "23aCcfFgIklLmnOpPqQStTUuVyYJ";

/// An option of interest: its letter and its name in files, which on the command line is in lower case.
const OPTIONS: [(char, &str); 7] = [
    ('p', "PassivePortRange"),
    ('P', "ForcePassiveIP"),
    ('S', "Bind"),
    ('Y', "TLS"),
    ('w', "AllowUserFXP"),
    ('W', "AllowAnonymousFXP"),
    ('N', "NATmode"),
];

/// An option that was given.
struct Given {
    place: Place,
    letter: char,
    value: String,
}

/// Reads a directory of options, or a file of any kind.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Result<(), Failure> {
    let options = if path.is_dir() { directory(path)? } else { file(&Text::of(path)?) };
    let place = Place { file: path.display().to_string(), line: 0 };
    let found = server(place, &options, findings);
    findings.servers.push(found);
    Ok(())
}

/// Debian's `/etc/pure-ftpd/conf`, or `/etc/pure-ftpd` around it.
fn directory(path: &Path) -> Result<Vec<Given>, Failure> {
    let inner = path.join("conf");
    let path = if inner.is_dir() { &inner } else { path };
    let mut options = Vec::new();
    for (letter, name) in OPTIONS {
        let file = path.join(name);
        if !file.exists() {
            continue;
        }
        let text = fs::read_to_string(&file).or_fail(file.display(), "make it readable")?;
        let mut lines = (1..).zip(text.lines().map(str::trim));
        let Some((line, value)) = lines.find(|(_, line)| !line.is_empty() && !line.starts_with('#')) else {
            continue;
        };
        let place = Place { file: file.display().to_string(), line };
        options.extend(setting(place, letter, value));
    }
    Ok(options)
}

/// A command line (as of `/proc/PID/cmdline`, a script or a systemd unit), or pure-ftpd.conf.
fn file(text: &Text) -> Vec<Given> {
    let place = |line| Place { file: text.name.clone(), line };
    if text.text.contains('\0') {
        let words: Vec<_> = text.text.split('\0').filter(|word| !word.is_empty()).collect();
        return command_line(&place(0), &words);
    }
    let mut options = Vec::new();
    for (line, content) in (1..).zip(text.text.lines()) {
        let content = content.trim();
        let words: Vec<_> = content.strip_prefix("ExecStart=").unwrap_or(content).split_ascii_whitespace().collect();
        let Some(first) = words.first().filter(|first| !first.starts_with(['#', '['])) else {
            continue;
        };
        let is_program = first.rsplit('/').next().is_some_and(|name| name.starts_with("pure-ftpd"));
        if is_program || first.starts_with('-') {
            options.extend(command_line(&place(line), &words));
            continue;
        }
        // Names are taken in any case, as pure-ftpd does.
        let known = OPTIONS.iter().find(|(_, name)| name.eq_ignore_ascii_case(first));
        options.extend(known.and_then(|(letter, _)| setting(place(line), *letter, &words[1..].join(" "))));
    }
    options
}

/// A value of a file. One of a switch is yes or no.
fn setting(place: Place, letter: char, value: &str) -> Option<Given> {
    let is_no = ["no", "off", "0"].iter().any(|no| value.eq_ignore_ascii_case(no));
    if is_no && !WITH_VALUE.contains(letter) {
        return None;
    }
    Some(Given { place, letter, value: value.to_owned() })
}

/// As getopt_long reads them: `-p 1:2`, `-p1:2`, `-Hp 1:2`, `--passiveportrange=1:2`.
fn command_line(place: &Place, words: &[&str]) -> Vec<Given> {
    let given = |letter, value: &str| Given { place: place.clone(), letter, value: value.to_owned() };
    let mut options = Vec::new();
    let mut words = words.iter().copied();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let Some((letter, _)) = OPTIONS.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)) else {
                continue;
            };
            let value = match value {
                Some(value) => value,
                None if WITH_VALUE.contains(*letter) => words.next().unwrap_or_default(),
                None => "",
            };
            options.push(given(*letter, value));
        } else if let Some(letters) = word.strip_prefix('-') {
            for (at, letter) in letters.char_indices() {
                if WITH_VALUE.contains(letter) {
                    let rest = &letters[at + letter.len_utf8()..];
                    let value = if rest.is_empty() { words.next().unwrap_or_default() } else { rest };
                    options.push(given(letter, value));
                    break;
                }
                options.push(given(letter, ""));
            }
        }
    }
    options
}

fn server(place: Place, options: &[Given], findings: &mut Findings) -> Found {
    let last = |letter: char| options.iter().rev().find(|given| given.letter == letter);
    let mut found = Found::at(last('p').map_or(&place, |given| &given.place).clone());
    found.rules.passive = last('N').is_none();
    found.rules.port_promiscuous = last('w').or(last('W')).is_some();
    found.rules.passive_range = match last('p') {
        Some(given) => passive_range(given, &mut found.reversed, findings),
        None => {
            if found.rules.passive {
                let problem = "there is no passive range: pure-ftpd uses any port from 1024 to 65535";
                findings.warn_of_range(&place, problem, "set PassivePortRange (-p FIRST:LAST), and import it again");
            }
            found.comments.push("no passive-range: PassivePortRange is not set".to_owned());
            None
        }
    };
    found.comments.push("pure-ftpd falls back to other source ports where 20 can't be had".to_owned());
    if let Some(given) = last('S') {
        bind(given, &mut found, findings);
    }
    if let Some(given) = last('P') {
        found.comments.push(format!("a 227 names ForcePassiveIP {}: announced-address stays any", given.value));
    }
    if let Some(given) = last('Y').filter(|given| number(given.value.trim()).is_some_and(|level| level != 0)) {
        found.comments.push(format!("TLS {} ({})", given.value, given.place));
        if found.rules.passive_range.is_some() {
            found.rules.ftps = Ftps::Learn;
        }
    }
    found
}

/// `FIRST:LAST` on a command line, `FIRST LAST` in a file.
fn passive_range(given: &Given, reversed: &mut Option<PortRange>, findings: &mut Findings) -> Option<PortRange> {
    let Given { place, value, .. } = given;
    let ports: Vec<u16> = value.split([':', ' ', '\t']).filter(|word| !word.is_empty()).flat_map(str::parse).collect();
    let [first, last] = ports[..] else {
        let problem = format!("PassivePortRange {value} has no two ports: pure-ftpd refuses to start");
        findings.warn_of_range(place, problem, "write FIRST LAST, or -p FIRST:LAST, and import it again");
        return None;
    };
    if first > last {
        *reversed = Some(PortRange { first: last, last: first });
        findings.warn_of_range(
            place,
            format_args!("the range {first}:{last} is reversed: pure-ftpd refuses to start"),
            format_args!("write {last} {first}, or -p {last}:{first}, and import it again"),
        );
        return None;
    }
    if first < FIRST_PASSIVE {
        let problem = format!("the range {first}:{last} begins below 1024: pure-ftpd refuses to start");
        findings.warn_of_range(place, problem, "choose one from 1024 to 65535, and import it again");
        return None;
    }
    Some(PortRange { first, last })
}

/// `ADDRESS,PORT`, `,PORT` or `PORT`; a port may be a service's name.
fn bind(given: &Given, found: &mut Found, findings: &mut Findings) {
    let value = given.value.trim();
    let (address, port) = value.split_once(',').unwrap_or(("", value));
    match port {
        "" => {}
        "ftp" => found.rules.control_ports = vec![CONTROL_PORT],
        port => match number(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0) {
            Some(port) => found.rules.control_ports = vec![port],
            None => findings.warn(
                &given.place,
                format_args!("Bind {value}: the port of {port} is not looked up"),
                "write it into control-ports",
            ),
        },
    }
    if !address.is_empty() {
        match bound_address(address) {
            Ok(prefix) => found.prefixes.extend(prefix),
            Err(()) => findings.warn(
                &given.place,
                format_args!("Bind {value}: {address} is a name, and is not looked up"),
                "write its address into address",
            ),
        }
    }
}
