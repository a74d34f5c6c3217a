//! Text becomes values, each checked by itself. Options and files share it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;
use ipnet::IpNet;

use crate::policy::{ActivePort, EXPECTATION_TIMEOUT, FIRST_PASSIVE, Ftps, MAX_EXPECTATION_TIMEOUT, Mark, PortRange};

/// What is wrong with a value, and what to do; where it stands, the reader knows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

impl Problem {
    /// With both parts.
    pub fn new(problem: impl fmt::Display, hint: impl fmt::Display) -> Self {
        Self { problem: problem.to_string(), hint: hint.to_string() }
    }
}

/// Digits only, where `u32::from_str` would take a sign too.
#[must_use]
pub fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| u32::from_str(text).ok()).flatten()
}

/// A port from 1 to 65535.
///
/// # Errors
///
/// It is none.
pub fn port(text: &str) -> Result<u16, Problem> {
    let hint = "give a port from 1 to 65535";
    let port = number(text).ok_or_else(|| Problem::new("it is not a number", hint))?;
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| Problem::new("there is no such port", hint))
}

/// A port, `any` or `none`.
///
/// # Errors
///
/// It is none of these.
pub fn active_port(text: &str) -> Result<ActivePort, Problem> {
    match text {
        "any" => Ok(ActivePort::Any),
        "none" => Ok(ActivePort::None),
        text if number(text).is_none() => {
            Err(Problem::new("it is not a number", "give a port from 1 to 65535, any or none"))
        }
        text => port(text).map(ActivePort::Port),
    }
}

/// `A-B`, or `A:B` as in iptables.
///
/// # Errors
///
/// It is no range, begins too low, or is reversed.
pub fn passive_range(text: &str) -> Result<PortRange, Problem> {
    let malformed = || Problem::new("it is not a range of ports", "write it as FIRST-LAST, for example 10240-20480");
    let (first, last) = text.split_once(['-', ':']).ok_or_else(malformed)?;
    let (first, last) = number(first).zip(number(last)).ok_or_else(malformed)?;
    let Some((first, last)) = u16::try_from(first).ok().zip(u16::try_from(last).ok()) else {
        return Err(Problem::new("ports end at 65535", "choose a range from 1024 to 65535"));
    };
    if first > last {
        return Err(reversed(first, last));
    }
    if first < FIRST_PASSIVE {
        return Err(Problem::new(
            format_args!("it begins below {FIRST_PASSIVE}, where the system's services are"),
            "choose a range from 1024 to 65535, here and in the server's configuration",
        ));
    }
    Ok(PortRange { first, last })
}

/// Old tutorials copy `pasv_max_port=10240`, `pasv_min_port=20480` from each other. Turning the
/// range round here would guard ports that the server doesn't use.
fn reversed(first: u16, last: u16) -> Problem {
    Problem::new(
        format_args!(
            "the range is reversed; vsftpd ignores a pasv_max_port below pasv_min_port and uses {first}-65535"
        ),
        format_args!(
            "fix vsftpd.conf first, to pasv_min_port={last} and pasv_max_port={first}, then give {last}-{first} here"
        ),
    )
}

/// `any` or `strict`; true for `strict`.
///
/// # Errors
///
/// It is neither.
pub fn announced_strict(text: &str) -> Result<bool, Problem> {
    match text {
        "any" => Ok(false),
        "strict" => Ok(true),
        _ => Err(Problem::new(
            NO_CHOICE,
            "give any, or strict where the server announces the very address that clients connect to",
        )),
    }
}

/// `deny`, `client-range` or `learn`.
///
/// # Errors
///
/// It is neither.
pub fn ftps(text: &str) -> Result<Ftps, Problem> {
    match text {
        "deny" => Ok(Ftps::Deny),
        "client-range" => Ok(Ftps::ClientRange),
        "learn" => Ok(Ftps::Learn),
        _ => Err(Problem::new(
            NO_CHOICE,
            "give deny, learn to open what the server's process opens for an encrypted session, or client-range to \
             open the whole passive range to its client",
        )),
    }
}

/// `enforce` or `monitor`; true for `monitor`.
///
/// # Errors
///
/// It is neither.
pub fn monitor(text: &str) -> Result<bool, Problem> {
    match text {
        "enforce" => Ok(false),
        "monitor" => Ok(true),
        _ => Err(Problem::new(NO_CHOICE, "give enforce, or monitor to deny nothing and only count and show")),
    }
}

const NO_CHOICE: &str = "there is no such choice";

/// Seconds, from 1 to a day.
///
/// # Errors
///
/// It is no such number.
pub fn expectation_timeout(text: &str) -> Result<u32, Problem> {
    number(text).filter(|seconds| (1..=MAX_EXPECTATION_TIMEOUT).contains(seconds)).ok_or_else(|| {
        Problem::new(
            "it is not a number of seconds that is possible",
            format_args!("give 1 to {MAX_EXPECTATION_TIMEOUT}, {EXPECTATION_TIMEOUT} as a rule"),
        )
    })
}

/// From 1 to what the kernel program has places for.
///
/// # Errors
///
/// It is no such number.
pub fn sessions_per_client(text: &str) -> Result<u32, Problem> {
    number(text).filter(|count| (1..=MAX_SESSIONS_PER_CLIENT).contains(count)).ok_or_else(|| {
        Problem::new("it is not a number that is possible", format_args!("give 1 to {MAX_SESSIONS_PER_CLIENT}"))
    })
}

/// Entries of a map: what its memory allows.
///
/// # Errors
///
/// It is no such number.
pub fn entries(text: &str) -> Result<u32, Problem> {
    number(text)
        .filter(|count| (1_024..=4_194_304).contains(count))
        .ok_or_else(|| Problem::new("it is not a number that is possible", "give 1024 to 4194304"))
}

/// `VALUE/MASK` or `VALUE` for all bits, each decimal or `0x` and hexadecimal.
///
/// # Errors
///
/// It is no such pair, or would set bits outside of the mask.
pub fn mark(text: &str) -> Result<Mark, Problem> {
    let malformed = || Problem::new("it is not a mark", "write it as VALUE/MASK, for example 0x1/0xff");
    let bits = |text: &str| match text.strip_prefix("0x") {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u32::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => number(text),
    };
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let (value, mask) = bits(value).zip(bits(mask)).ok_or_else(malformed)?;
    if mask == 0 {
        return Err(Problem::new("its mask has no bits", "write it as VALUE/MASK, for example 0x1/0xff"));
    }
    if value & !mask != 0 {
        return Err(Problem::new(
            "its value has bits outside of its mask",
            format_args!("write {:#x}/{mask:#x}, or a wider mask", value & mask),
        ));
    }
    Ok(Mark { value, mask })
}

/// Reads an address or a prefix.
///
/// # Errors
///
/// What it is not, or which prefix may have been meant.
pub fn prefix(text: &str) -> Result<IpNet, Problem> {
    let net = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>()).map_err(|_| {
        Problem::new("it is no address or prefix", "write it like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32")
    })?;
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        return Err(Problem::new("it is an IPv4-mapped IPv6 address", format_args!("write it as {v4}")));
    }
    if net.addr() != net.network() {
        let (host, prefix) = (net.addr(), net.trunc());
        return Err(Problem::new(
            "the address has bits behind the prefix",
            format_args!("write {prefix} for the network or {host} for the one address"),
        ));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::summary::shown;

    fn problem(text: &str) -> String {
        let Problem { problem, hint } = prefix(text).unwrap_err();
        format!("{problem}; {hint}")
    }

    #[test]
    fn addresses_and_prefixes_are_taken_and_shown_as_written() {
        for text in ["10.0.0.1", "10.0.0.0/8", "::1", "fe80::/10", "::/0"] {
            assert_eq!(shown(&prefix(text).unwrap()), text);
        }
    }

    #[test]
    fn what_is_meant_must_be_clear() {
        assert_eq!(
            problem("ftp.example"),
            "it is no address or prefix; write it like 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        );
        assert_eq!(
            problem("10.0.0.1/24"),
            "the address has bits behind the prefix; write 10.0.0.0/24 for the network or 10.0.0.1 for the one address"
        );
        assert_eq!(problem("::ffff:10.0.0.1"), "it is an IPv4-mapped IPv6 address; write it as 10.0.0.1");
        assert!(problem("10.0.0.0/33").contains("no address or prefix"));
    }
}
