//! What a command may do (capabilities(7)), asked before the kernel refuses without saying why.

use rustix::thread::{CapabilitySet, capabilities};

use crate::error::Failure;

/// Reading and changing maps.
pub const MAPS: &[(CapabilitySet, &str)] = &[(CapabilitySet::BPF, "CAP_BPF")];
/// Loading the program, which works on pointers, and attaching it.
pub const ATTACH: &[(CapabilitySet, &str)] = &[
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
];

/// Checks that this process has all of them; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, as it
/// did for everything of BPF before 5.8.
///
/// # Errors
///
/// Those that are missing.
pub fn check(command: &str, needed: &[(CapabilitySet, &'static str)]) -> Result<(), Failure> {
    // A kernel that doesn't tell refuses for itself.
    let missing = lacking(needed).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let verb = if missing.len() == 1 { "is" } else { "are" };
    let problem = format!("{} {verb} missing", missing.join(", "));
    Err(Failure::failed(command, problem, "run it as root"))
}

/// Whether this process may look at what other users' processes have open (CAP_SYS_PTRACE; proc_pid_fd(5)).
#[must_use]
pub fn sees_processes() -> bool {
    capabilities(None).map_or(true, |sets| sets.effective.contains(CapabilitySet::SYS_PTRACE))
}

/// Those of them that this process lacks; none if the kernel doesn't tell.
#[must_use]
pub fn lacking(needed: &[(CapabilitySet, &'static str)]) -> Option<Vec<&'static str>> {
    Some(missing(capabilities(None).ok()?.effective, needed))
}

fn missing(have: CapabilitySet, needed: &[(CapabilitySet, &'static str)]) -> Vec<&'static str> {
    let admin = have.contains(CapabilitySet::SYS_ADMIN);
    let stands_for = |set: CapabilitySet| admin && set != CapabilitySet::NET_ADMIN;
    needed.iter().filter(|(set, _)| !have.contains(*set) && !stands_for(*set)).map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(CapabilitySet::BPF, MAPS), [""; 0]);
        assert_eq!(missing(CapabilitySet::empty(), MAPS), ["CAP_BPF"]);
        assert_eq!(missing(CapabilitySet::BPF, ATTACH), ["CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing(CapabilitySet::SYS_ADMIN, ATTACH), ["CAP_NET_ADMIN"]);
    }
}
