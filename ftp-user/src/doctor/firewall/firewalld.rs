//! firewalld writes its table anew whenever it reloads: what is to last in there is said to firewalld itself.

use super::model::{Chain, Tool};

/// What the chains of a zone begin with, in all of its versions: `filter_IN_public_allow`.
const OF_ZONES: [&str; 5] = ["filter_IN_", "filter_PRE_", "raw_PRE_", "filter_FWDI_", "filter_FWDO_"];
/// And what they end with; the chain that they are called from ends with the zone.
const PARTS: [&str; 5] = ["_pre", "_log", "_deny", "_allow", "_post"];
/// What firewalld makes of a policy of its own stands beside the zones.
const POLICY: &str = "policy_";

/// Whether a table of nft's is firewalld's.
pub(super) fn owns(table: &str) -> bool {
    table == "firewalld"
}

/// Whether a chain is firewalld's.
pub(super) fn has(chain: &Chain) -> bool {
    matches!(chain.tool, Tool::Nft(_)) && owns(&chain.table)
}

/// The zone that a chain belongs to, if its name tells.
pub(super) fn zone(chain: &str) -> Option<&str> {
    let name = OF_ZONES.iter().find_map(|start| chain.strip_prefix(start))?;
    let name = PARTS.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    (!name.is_empty() && !name.starts_with(POLICY)).then_some(name)
}

/// The command that lets ports in, as `21, 10240-20480`, by zones; by the default zone where none is known.
pub(super) fn let_in<'a>(zones: impl IntoIterator<Item = Option<&'a str>>, ports: &str) -> String {
    let ports: Vec<_> = ports.split(", ").map(|ports| format!("--add-port={ports}/tcp")).collect();
    lasting(zones.into_iter().map(|zone| format!("{}{}", of(zone), ports.join(" "))))
}

/// The command that ends what gives control connections to the kernel's helper: firewalld's service `ftp`. It lets in
/// the control port too, which has to stay.
pub(super) fn without_helper(chain: &str) -> String {
    let of = of(zone(chain));
    lasting(["--remove-service=ftp", "--add-port=21/tcp"].map(|change| format!("{of}{change}")))
}

fn of(zone: Option<&str>) -> String {
    zone.map_or_else(String::new, |zone| format!("--zone={zone} "))
}

fn lasting(changes: impl IntoIterator<Item = String>) -> String {
    let changes = changes.into_iter().map(|change| format!("firewall-cmd --permanent {change} && "));
    changes.collect::<String>() + "firewall-cmd --reload"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chains_name_tells_its_zone() {
        for (chain, told) in [
            ("filter_IN_public_allow", Some("public")),
            ("filter_IN_public", Some("public")),
            ("filter_IN_my_zone_post", Some("my_zone")),
            ("raw_PRE_dmz_allow", Some("dmz")),
            ("filter_IN_policy_allow-host-ipv6_allow", None),
            ("filter_INPUT_ZONES", None),
            ("filter_INPUT", None),
        ] {
            assert_eq!(zone(chain), told, "{chain}");
        }
    }
}
