//! Raw arguments become one checked policy, before anything touches the kernel.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use ftp_common::policy::{CONTROL_PORTS, MAX_SESSIONS_PER_CLIENT, PortClasses, ServerPolicy, Side, class, flag};
use ipnet::IpNet;

use crate::failure::Failure;
use crate::servers;

/// Seconds that an expectation lives after the server's word, unless a transfer renews it.
pub const EXPECTATION_TIMEOUT: u32 = 300;
/// The longest that can be asked for: a day.
pub const MAX_EXPECTATION_TIMEOUT: u32 = 86_400;
/// The control port, where none is named (RFC 959 §8).
const CONTROL_PORT: u16 = 21;
/// The source port of active data connections, where none is named (RFC 959 §3.2).
const ACTIVE_PORT: u16 = 20;
/// Ports below belong to the system's services; no data connection is let in there.
const FIRST_PASSIVE: u16 = 1024;

/// What was asked for, as it was written.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `--passive-range`: `A-B` or `A:B`.
    pub passive_range: Option<String>,
    /// `--control-port`, each time it was given.
    pub control_ports: Vec<String>,
    /// `--active-port`: a port or `none`.
    pub active_port: Option<String>,
    /// `--server`, each time it was given: addresses and prefixes.
    pub servers: Vec<String>,
    /// `--side`.
    pub side: Side,
    /// `--monitor`.
    pub monitor: bool,
    /// `--pasv-promiscuous`.
    pub pasv_promiscuous: bool,
    /// `--port-promiscuous`.
    pub port_promiscuous: bool,
    /// `--announced-address`: `any` or `strict`.
    pub announced_address: Option<String>,
    /// `--expectation-timeout`: seconds.
    pub expectation_timeout: Option<String>,
    /// `--ftps`: `deny` or `client-range`.
    pub ftps: Option<String>,
}

/// Whose addresses are servers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Servers {
    /// The interfaces' own, followed as they change.
    Own,
    /// These prefixes.
    Named(Vec<IpNet>),
}

/// A policy that holds together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// Whose addresses are servers.
    pub servers: Servers,
    /// One to eight ports, in the order given.
    pub control_ports: Vec<u16>,
    /// `None`: passive mode is refused.
    pub passive_range: Option<PortRange>,
    /// `None`: active mode is refused.
    pub active_port: Option<u16>,
    /// Deny nothing, only count and report.
    pub monitor: bool,
    /// Another client address may use a passive expectation.
    pub pasv_promiscuous: bool,
    /// PORT and EPRT may name another address (FXP).
    pub port_promiscuous: bool,
    /// A 227 that names another address than the server's own is refused.
    pub announced_strict: bool,
    /// Seconds that an expectation lives after the server's word, unless a transfer renews it.
    pub expectation_timeout: u32,
    /// What an encrypted control connection may open.
    pub ftps: Ftps,
}

/// What a control connection that can't be read, being encrypted, may open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ftps {
    /// Nothing.
    #[default]
    Deny,
    /// The passive range, for its client's address alone, while it lives.
    ClientRange,
}

/// A range of ports from 1024 up, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortRange {
    /// Its first port; not above `last`.
    pub first: u16,
    /// Its last port.
    pub last: u16,
}

impl PortRange {
    /// Whether a port is in it.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Its ports.
    #[must_use]
    pub const fn ports(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Request {
    /// Checks every part by itself and against the others.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, as a usage failure.
    pub fn resolve(&self) -> Result<Policy, Failure> {
        let passive_range = self.passive_range.as_deref().map(passive_range).transpose()?;
        let control_ports = control_ports(&self.control_ports)?;
        let active_port = active_port(self.active_port.as_deref())?;
        let policy = Policy {
            servers: self.servers()?,
            control_ports,
            passive_range,
            active_port,
            monitor: self.monitor,
            pasv_promiscuous: self.pasv_promiscuous,
            port_promiscuous: self.port_promiscuous,
            announced_strict: announced_strict(self.announced_address.as_deref())?,
            expectation_timeout: expectation_timeout(self.expectation_timeout.as_deref())?,
            ftps: ftps(self.ftps.as_deref())?,
        };
        policy.check_overlaps()?;
        Ok(policy)
    }

    fn servers(&self) -> Result<Servers, Failure> {
        if !self.servers.is_empty() {
            return self.servers.iter().map(|text| servers::parse(text)).collect::<Result<_, _>>().map(Servers::Named);
        }
        if self.side == Side::ServersBeyond {
            return Err(Failure::usage(
                "--side servers-beyond",
                "the servers are not on this host, and none is named",
                "name them with --server PREFIX, or all with --server 0.0.0.0/0 --server ::/0",
            ));
        }
        Ok(Servers::Own)
    }
}

impl Policy {
    fn check_overlaps(&self) -> Result<(), Failure> {
        if self.passive_range.is_none() && self.active_port.is_none() {
            return Err(Failure::usage(
                "--active-port none",
                "without a passive range too, no data connection could be allowed",
                "give --passive-range FIRST-LAST, the server's own range",
            ));
        }
        let inside = |port: u16| self.passive_range.filter(|range| range.contains(port));
        for port in &self.control_ports {
            if let Some(range) = inside(*port) {
                return Err(Failure::usage(
                    format_args!("--control-port {port}"),
                    format_args!("it lies in the passive range {range}"),
                    "choose a passive range without it, here and in the server's configuration",
                ));
            }
        }
        let Some(active) = self.active_port else {
            return Ok(());
        };
        if let Some(range) = inside(active) {
            return Err(Failure::usage(
                format_args!("--active-port {active}"),
                format_args!("it lies in the passive range {range}"),
                "choose a passive range without it, here and in the server's configuration",
            ));
        }
        if self.control_ports.contains(&active) {
            return Err(Failure::usage(
                format_args!("--active-port {active}"),
                "it is a control port too",
                "name the port that the server's active data connections come from, 20 as a rule",
            ));
        }
        Ok(())
    }

    /// It as the kernel program reads it.
    #[must_use]
    pub fn to_kernel(&self) -> ServerPolicy {
        let mut control_ports = [0; CONTROL_PORTS];
        control_ports.iter_mut().zip(&self.control_ports).for_each(|(place, port)| *place = *port);
        ServerPolicy {
            control_ports,
            passive_first: self.passive_range.map_or(0, |range| range.first),
            passive_last: self.passive_range.map_or(0, |range| range.last),
            active_port: self.active_port.unwrap_or(0),
            flags: self.flags(),
            expectation_timeout: self.expectation_timeout,
            sessions_per_client: MAX_SESSIONS_PER_CLIENT,
            mark: 0,
            mark_mask: 0,
        }
    }

    fn flags(&self) -> u16 {
        [
            (self.monitor, flag::MONITOR),
            (self.pasv_promiscuous, flag::PASV_PROMISCUOUS),
            (self.port_promiscuous, flag::PORT_PROMISCUOUS),
            (self.announced_strict, flag::ANNOUNCED_STRICT),
            (self.ftps == Ftps::ClientRange, flag::FTPS_CLIENT_RANGE),
        ]
        .into_iter()
        .filter(|(is, _)| *is)
        .fold(0, |flags, (_, flag)| flags | flag)
    }

    /// What each port means in it.
    #[must_use]
    pub fn port_classes(&self) -> Box<PortClasses> {
        let mut classes = Box::new(PortClasses::NONE);
        let mut mark = |port: u16, bit: u8| classes.mark(port, bit);
        self.control_ports.iter().for_each(|port| mark(*port, class::CONTROL));
        self.passive_range.iter().flat_map(PortRange::ports).for_each(|port| mark(port, class::PASSIVE));
        self.active_port.iter().for_each(|port| mark(*port, class::ACTIVE));
        classes
    }

    /// What it refuses or cannot guard, a line each: said when it comes into force.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.passive_range.is_none() {
            notes.push(
                "passive mode is refused, as no --passive-range was given; but then no passive port is guarded: \
                 leave them shut in the firewall"
                    .to_owned(),
            );
        }
        notes.push(match self.active_port {
            None => "active mode is refused, by --active-port none; but then no source port is guarded: data \
                     connections that the server opens all the same pass"
                .to_owned(),
            Some(port) => format!(
                "active data connections from other source ports than {port} pass unguarded (vsftpd without \
                 connect_from_port_20=YES, unprivileged proftpd, pyftpdlib)"
            ),
        });
        if self.passive_range.is_some() && self.ftps == Ftps::Deny {
            notes.push(
                "encrypted control connections (FTPS) can't be read: their passive data connections are denied"
                    .to_owned(),
            );
        }
        if self.monitor {
            notes.push("monitor mode: nothing is denied, only counted and shown".to_owned());
        }
        notes
    }
}

/// Digits only, where `u16::from_str` would take a sign too.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| u32::from_str(text).ok()).flatten()
}

fn port(option: &str, text: &str) -> Result<u16, Failure> {
    let given = format!("{option} {text}");
    let port =
        number(text).ok_or_else(|| Failure::usage(&given, "it is not a number", "give a port from 1 to 65535"))?;
    u16::try_from(port)
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| Failure::usage(&given, "there is no such port", "give a port from 1 to 65535"))
}

fn control_ports(texts: &[String]) -> Result<Vec<u16>, Failure> {
    let mut ports = Vec::new();
    for text in texts {
        let port = port("--control-port", text)?;
        if ports.contains(&port) {
            let given = format!("--control-port {port}");
            return Err(Failure::usage(given, "it is given twice", "give each control port once"));
        }
        ports.push(port);
    }
    if ports.len() > CONTROL_PORTS {
        return Err(Failure::usage(
            format_args!("--control-port, {} times", ports.len()),
            format_args!("at most {CONTROL_PORTS} are possible"),
            "name only the ports that FTP servers listen on",
        ));
    }
    if ports.is_empty() {
        ports.push(CONTROL_PORT);
    }
    Ok(ports)
}

fn active_port(text: Option<&str>) -> Result<Option<u16>, Failure> {
    match text {
        None => Ok(Some(ACTIVE_PORT)),
        Some("none") => Ok(None),
        Some(text) => port("--active-port", text).map(Some),
    }
}

fn announced_strict(text: Option<&str>) -> Result<bool, Failure> {
    match text {
        None | Some("any") => Ok(false),
        Some("strict") => Ok(true),
        Some(text) => Err(Failure::usage(
            format_args!("--announced-address {text}"),
            "there is no such choice",
            "give any, or strict where the server announces the very address that clients connect to",
        )),
    }
}

fn ftps(text: Option<&str>) -> Result<Ftps, Failure> {
    match text {
        None | Some("deny") => Ok(Ftps::Deny),
        Some("client-range") => Ok(Ftps::ClientRange),
        Some(text) => Err(Failure::usage(
            format_args!("--ftps {text}"),
            "there is no such choice",
            "give deny, or client-range to open the passive range to the client of an encrypted session",
        )),
    }
}

fn expectation_timeout(text: Option<&str>) -> Result<u32, Failure> {
    let Some(text) = text else { return Ok(EXPECTATION_TIMEOUT) };
    number(text).filter(|seconds| (1..=MAX_EXPECTATION_TIMEOUT).contains(seconds)).ok_or_else(|| {
        Failure::usage(
            format_args!("--expectation-timeout {text}"),
            "it is not a number of seconds that is possible",
            format_args!("give 1 to {MAX_EXPECTATION_TIMEOUT}, {EXPECTATION_TIMEOUT} as a rule"),
        )
    })
}

/// `A-B`, or `A:B` as in iptables.
fn passive_range(text: &str) -> Result<PortRange, Failure> {
    let given = format!("--passive-range {text}");
    let malformed =
        || Failure::usage(&given, "it is not a range of ports", "write it as FIRST-LAST, for example 10240-20480");
    let (first, last) = text.split_once(['-', ':']).ok_or_else(malformed)?;
    let (first, last) = number(first).zip(number(last)).ok_or_else(malformed)?;
    let Some((first, last)) = u16::try_from(first).ok().zip(u16::try_from(last).ok()) else {
        return Err(Failure::usage(&given, "ports end at 65535", "choose a range from 1024 to 65535"));
    };
    if first > last {
        return Err(reversed(&given, first, last));
    }
    if first < FIRST_PASSIVE {
        return Err(Failure::usage(
            &given,
            format_args!("it begins below {FIRST_PASSIVE}, where the system's services are"),
            "choose a range from 1024 to 65535, here and in the server's configuration",
        ));
    }
    Ok(PortRange { first, last })
}

/// Old tutorials copy `pasv_max_port=10240`, `pasv_min_port=20480` from each other. Turning the
/// range round here would guard ports that the server doesn't use.
fn reversed(given: &str, first: u16, last: u16) -> Failure {
    Failure::usage(
        given,
        format_args!(
            "the range is reversed; vsftpd ignores a pasv_max_port below pasv_min_port and uses {first}-65535"
        ),
        format_args!(
            "mend vsftpd.conf first, to pasv_min_port={last} and pasv_max_port={first}, then give \
             --passive-range {last}-{first}"
        ),
    )
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
