//! vsftpd.conf, as vsftpd 3.0.3 reads it: `KEY=VALUE` lines of which the last of a kind counts.

use std::collections::BTreeMap;

use super::{Findings, Found, Place, Text, bound_address};
use crate::policy::{ACTIVE_PORT, ActivePort, CONTROL_PORT, FIRST_PASSIVE, Ftps, PortRange};

/// Settings that say something about data connections, with their default.
const BOOLEANS: [(&str, bool); 9] = [
    ("connect_from_port_20", false),
    ("listen", false),
    ("listen_ipv6", false),
    ("pasv_enable", true),
    ("pasv_promiscuous", false),
    ("port_enable", true),
    ("port_promiscuous", false),
    ("require_ssl_reuse", true),
    ("ssl_enable", false),
];
const NUMBERS: [(&str, u32); 4] = [
    ("ftp_data_port", ACTIVE_PORT as u32),
    ("listen_port", CONTROL_PORT as u32),
    ("pasv_max_port", 0),
    ("pasv_min_port", 0),
];

pub(super) fn read(text: &Text, findings: &mut Findings) {
    let settings = Settings::read(text, findings);
    let mut found = Found::at(settings.place_of_range());
    found.rules.passive = settings.is("pasv_enable", findings);
    found.rules.active = settings.is("port_enable", findings);
    found.rules.pasv_promiscuous = settings.is("pasv_promiscuous", findings);
    found.rules.port_promiscuous = settings.is("port_promiscuous", findings);
    found.rules.passive_range = passive_range(&settings, &mut found, findings);
    found.rules.active_port = active_port(&settings, found.rules.active, findings);
    listener(&settings, &mut found, findings);
    encryption(&settings, &mut found, findings);
    if let Some((address, _)) = settings.text("pasv_address") {
        found.comments.push(format!("a 227 names pasv_address={address}: announced-address stays any"));
    }
    if let Some((directory, line)) = settings.text("user_config_dir") {
        let problem = format!("user_config_dir={directory}: what its files change for single users is not read");
        findings.warn(&settings.at(line), problem, "see that none changes how data connections are made");
    }
    findings.servers.push(found);
}

/// The settings of a file.
struct Settings<'a> {
    file: &'a str,
    /// Value and line, by key.
    values: BTreeMap<&'a str, (&'a str, usize)>,
}

impl<'a> Settings<'a> {
    fn read(text: &'a Text, findings: &mut Findings) -> Self {
        let mut settings = Self { file: &text.name, values: BTreeMap::new() };
        for (line, content) in (1..).zip(text.text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (key, value) = content.split_once('=').unwrap_or((content, ""));
            // Blanks behind the = don't matter, in front of it they are of the key.
            if key.ends_with(char::is_whitespace) {
                findings.warn(
                    &settings.at(line),
                    format_args!("a blank stands in front of the =: vsftpd knows no such setting and refuses to start"),
                    format_args!("write {}={}", key.trim_end(), value.trim_start()),
                );
            }
            settings.values.insert(key.trim_end(), (value, line));
        }
        settings
    }

    fn at(&self, line: usize) -> Place {
        Place { file: self.file.to_owned(), line }
    }

    /// A text that is not empty, and its line.
    fn text(&self, key: &str) -> Option<(&'a str, usize)> {
        self.values.get(key).copied().filter(|(value, _)| !value.is_empty())
    }

    fn line(&self, key: &str) -> usize {
        self.values.get(key).map_or(0, |(_, line)| *line)
    }

    fn is(&self, key: &str, findings: &mut Findings) -> bool {
        let default = BOOLEANS.iter().any(|(name, default)| *name == key && *default);
        let Some((value, line)) = self.values.get(key) else {
            return default;
        };
        match value.to_ascii_uppercase().as_str() {
            "YES" | "TRUE" | "1" => true,
            "NO" | "FALSE" | "0" => false,
            _ => {
                let problem = format!("{key}={value} is neither YES nor NO: vsftpd refuses to start");
                findings.warn(&self.at(*line), problem, "write YES or NO");
                default
            }
        }
    }

    fn number(&self, key: &str, findings: &mut Findings) -> u32 {
        let default = NUMBERS.iter().find(|(name, _)| *name == key).map_or(0, |(_, default)| *default);
        let Some((value, line)) = self.values.get(key) else {
            return default;
        };
        let number = number(value);
        if number.to_string() != value.trim() {
            let problem = format!("vsftpd reads {key}={value} as {number}");
            findings.warn(&self.at(*line), problem, "write decimal digits only, without a leading 0");
        }
        number
    }

    fn place_of_range(&self) -> Place {
        self.at(self.line("pasv_max_port").max(self.line("pasv_min_port")))
    }
}

/// A leading 0 makes it octal; behind the digits it ends.
fn number(value: &str) -> u32 {
    let value = value.trim_start();
    let radix = if value.starts_with('0') { 8 } else { 10 };
    let digits = value.chars().map_while(|digit| digit.to_digit(radix));
    digits.fold(0, |number: u32, digit| number.saturating_mul(radix).saturating_add(digit))
}

/// From the first usable port to the last, where either is 1024 or 65535 if it isn't usable.
fn passive_range(settings: &Settings<'_>, found: &mut Found, findings: &mut Findings) -> Option<PortRange> {
    let min = settings.number("pasv_min_port", findings);
    let max = settings.number("pasv_max_port", findings);
    let port = |number: u32| u16::try_from(number).ok().filter(|port| *port >= FIRST_PASSIVE);
    let first = port(min).unwrap_or(FIRST_PASSIVE);
    let last = port(max).filter(|last| *last >= first).unwrap_or(u16::MAX);
    let used = PortRange { first, last };
    let place = settings.place_of_range();
    if min == 0 && max == 0 {
        if found.rules.passive {
            let problem = format!("there is no passive range: vsftpd uses any port of {used}");
            findings.warn_of_range(&place, problem, "set pasv_min_port and pasv_max_port, and import it again");
        }
        found.comments.push("no passive-range: pasv_min_port and pasv_max_port are not set".to_owned());
        return None;
    }
    if (u32::from(first), u32::from(last)) == (min, max) {
        return Some(used);
    }
    if max != 0 && max < min {
        found.reversed = port(max).map(|first| PortRange { first, last: used.first });
        let max_place = settings.at(settings.line("pasv_max_port"));
        findings.warn_of_range(
            &max_place,
            format_args!(
                "the range is reversed: vsftpd ignores pasv_max_port={max}, which is below pasv_min_port={min} of line {}, \
                 and uses {used}",
                settings.line("pasv_min_port")
            ),
            format_args!("write pasv_max_port={min} here and pasv_min_port={max} there, and import it again"),
        );
    } else {
        let problem = format!("pasv_min_port={min} and pasv_max_port={max}: vsftpd uses {used}");
        findings.warn_of_range(&place, problem, "set both, to ports from 1024 to 65535, and import it again");
    }
    found.comments.push(format!("what vsftpd makes of pasv_min_port={min} and pasv_max_port={max}"));
    Some(used)
}

fn active_port(settings: &Settings<'_>, active: bool, findings: &mut Findings) -> ActivePort {
    let port = settings.number("ftp_data_port", findings);
    if settings.is("connect_from_port_20", findings) {
        return u16::try_from(port).ok().filter(|port| *port != 0).map_or(ActivePort::Any, ActivePort::Port);
    }
    if active {
        let place = settings.at(settings.line("connect_from_port_20"));
        let problem =
            "without connect_from_port_20=YES active data connections come from any port: none can be guarded";
        let setting = ("connect_from_port_20", "YES");
        findings.warn_of_setting(&place, problem, "write connect_from_port_20=YES, and import it again", setting);
    }
    ActivePort::Any
}

fn listener(settings: &Settings<'_>, found: &mut Found, findings: &mut Findings) {
    let [v4, v6] = ["listen", "listen_ipv6"].map(|key| settings.is(key, findings));
    let port = settings.number("listen_port", findings);
    match u16::try_from(port).ok().filter(|port| *port != 0) {
        Some(port) => found.rules.control_ports = vec![port],
        None => findings.warn(
            &settings.at(settings.line("listen_port")),
            format_args!("listen_port={port} is no port"),
            "write one from 1 to 65535",
        ),
    }
    if !v4 && !v6 {
        findings.is_started_by_another = true;
        findings.warn(
            &settings.at(settings.line("listen")),
            "neither listen nor listen_ipv6 is YES: inetd, xinetd or systemd chooses port and address",
            "write that port into control-ports if it is not 21",
        );
        return;
    }
    let keys = [(v4, "listen_address"), (v6, "listen_address6")];
    for (key, (address, line)) in
        keys.into_iter().filter(|(is, _)| *is).filter_map(|(_, key)| Some((key, settings.text(key)?)))
    {
        match bound_address(address.trim()) {
            Ok(prefix) => found.prefixes.extend(prefix),
            Err(()) => {
                let problem = format!("{key}={address} is no address: vsftpd refuses to start");
                findings.warn(&settings.at(line), problem, "write an address");
            }
        }
    }
}

fn encryption(settings: &Settings<'_>, found: &mut Found, findings: &mut Findings) {
    if !settings.is("ssl_enable", findings) {
        return;
    }
    let place = settings.at(settings.line("ssl_enable"));
    if found.rules.passive_range.is_some() {
        found.rules.ftps = Ftps::Learn;
    }
    if settings.is("require_ssl_reuse", findings) {
        found.wants_reuse = Some("require_ssl_reuse=YES");
    }
    found.comments.push(format!("ssl_enable=YES (line {})", place.line));
}
