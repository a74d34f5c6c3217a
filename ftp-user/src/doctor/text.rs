//! What `ftptrack doctor` prints for people.

use crate::doctor::{Finding, Level};
use crate::escape;

/// A line for each finding, with why it matters and its fix below; and how many of each there are.
#[must_use]
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { level, check, what, why, fix } in findings {
        text += &format!("{:<11}  {check:<12}  {}\n", level.as_str(), escape::text(what));
        let below = [("why", why), ("fix", fix)].into_iter().filter_map(|(name, said)| Some((name, said.as_ref()?)));
        for (name, said) in below {
            text += &format!("{:27}{name}: {}\n", "", escape::text(said));
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let counts = [Level::Error, Level::Warning, Level::Note, Level::NotChecked, Level::Ok]
        .map(|level| format!("{}: {}", level.as_str(), count(level)));
    text + &counts.join(", ") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_and_remedy_stand_below_the_finding() {
        let found = Finding {
            level: Level::NotChecked,
            check: "jit",
            what: "what".to_owned(),
            why: Some("because".to_owned()),
            fix: Some("sysctl".to_owned()),
        };
        let below = " ".repeat(27);
        assert_eq!(
            findings(&[found]),
            format!(
                "not checked  jit           what\n{below}why: because\n{below}fix: sysctl\nerror: 0, warning: 0, note: 0, \
                 not checked: 1, ok: 0\n"
            )
        );
    }
}
