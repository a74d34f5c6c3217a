//! What this process may do.

use super::{Finding, Level};
use crate::sys::capability;

/// Whether it could attach.
pub(super) fn check() -> Finding {
    let needed: Vec<_> = capability::ATTACH.iter().map(|(_, name)| *name).collect();
    match capability::lacking(capability::ATTACH) {
        None => Finding::not_checked("capabilities", "the kernel does not tell what this process may do"),
        Some(missing) if missing.is_empty() => {
            Finding::ok("capabilities", format!("this process has {}", needed.join(", ")))
        }
        Some(missing) => {
            let what = format!("this process lacks {}", missing.join(", "));
            let why = "ftptrack can't attach, and much of what follows can't be looked at";
            Finding::new(Level::Error, "capabilities", what).because(why).fix("sudo ftptrack doctor")
        }
    }
}
