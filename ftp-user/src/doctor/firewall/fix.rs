//! Commands that change a firewall's rules.

use super::model::{Chain, Tool};
use crate::policy::Mark;

/// Lets connections to ports in at the head of a chain: by these interfaces, by any if there are none. What has
/// ftptrack's mark came by an interface that it guards.
pub(super) fn insert(chain: &Chain, ports: &str, mark: Option<Mark>, interfaces: &[&str]) -> String {
    let (of, wanted) = (place(chain), wanted(chain, ports, mark));
    let interfaces = if mark.is_some() { &[] } else { interfaces };
    match &chain.tool {
        Tool::Nft(_) => format!("nft insert rule {of} {}{wanted}", by(interfaces)),
        Tool::Iptables(_) if interfaces.is_empty() => format!("{} -I {} {wanted}", of, chain.name),
        Tool::Iptables(_) => each(interfaces, |interface| format!("{of} -I {} -i {interface} {wanted}", chain.name)),
    }
}

/// Makes a rule one for these ports by these interfaces.
pub(super) fn replace(chain: &Chain, number: u64, ports: &str, mark: Option<Mark>, interfaces: &[&str]) -> String {
    let (of, wanted, name) = (place(chain), wanted(chain, ports, mark), &chain.name);
    match &chain.tool {
        Tool::Nft(_) => format!("nft replace rule {of} handle {number} {}{wanted}", by(interfaces)),
        // One has room for one interface.
        Tool::Iptables(_) => {
            let change = |at: usize| if at == 0 { "-R" } else { "-I" };
            let lines = interfaces.iter().enumerate();
            let lines =
                lines.map(|(at, interface)| format!("{of} {} {name} {number} -i {interface} {wanted}", change(at)));
            lines.collect::<Vec<_>>().join(" && ")
        }
    }
}

/// Shuts ports by these interfaces in front of a rule that lets in more than them.
pub(super) fn shut_before(chain: &Chain, number: u64, ports: &str, interfaces: &[&str]) -> String {
    let (of, ports, name) = (place(chain), meant(chain, ports), &chain.name);
    match &chain.tool {
        Tool::Nft(_) => format!("nft insert rule {of} handle {number} {}{ports} drop", by(interfaces)),
        Tool::Iptables(_) => {
            each(interfaces, |interface| format!("{of} -I {name} {number} -i {interface} {ports} -j DROP"))
        }
    }
}

/// `inet filter input` of nft; of iptables the command itself, which has the chain's name behind what it does.
fn place(chain: &Chain) -> String {
    match &chain.tool {
        Tool::Nft(family) => format!("{family} {} {}", chain.table, chain.name),
        Tool::Iptables(tool) => format!("{tool} -t {}", chain.table),
    }
}

fn each(interfaces: &[&str], line: impl Fn(&str) -> String) -> String {
    interfaces.iter().map(|interface| line(interface)).collect::<Vec<_>>().join(" && ")
}

/// `iifname '"eth0"' `, as the shell and nft are to read it.
fn by(interfaces: &[&str]) -> String {
    let names: Vec<_> = interfaces.iter().map(|name| format!("\"{name}\"")).collect();
    match &names[..] {
        [] => String::new(),
        [name] => format!("iifname '{name}' "),
        names => format!("iifname '{{ {} }}' ", names.join(", ")),
    }
}

fn meant(chain: &Chain, ports: &str) -> String {
    match &chain.tool {
        Tool::Nft(_) if ports.contains(',') => format!("tcp dport '{{ {ports} }}'"),
        Tool::Nft(_) => format!("tcp dport {ports}"),
        Tool::Iptables(_) => {
            format!("-p tcp -m multiport --dports {}", ports.replace('-', ":").replace(", ", ","))
        }
    }
}

/// What a rule asks of packets that are to be let in: ports, and ftptrack's mark where it gives one.
fn wanted(chain: &Chain, ports: &str, mark: Option<Mark>) -> String {
    match (&chain.tool, mark) {
        (Tool::Nft(_), Some(Mark { value, mask })) => format!("meta mark and {mask:#x} == {value:#x} accept"),
        (Tool::Nft(_), None) => format!("{} accept", meant(chain, ports)),
        (Tool::Iptables(_), Some(mark)) => format!("-m mark --mark {mark} -j ACCEPT"),
        (Tool::Iptables(_), None) => format!("{} -j ACCEPT", meant(chain, ports)),
    }
}
