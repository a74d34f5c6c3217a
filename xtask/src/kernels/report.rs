//! What the tests inside a kernel have said.

use serde_json::{Map, Value};

use super::packages::Unpacked;
use crate::test::Totals;

/// Read from the guest's console.
#[derive(Debug)]
pub(crate) struct Report {
    /// `5.10`, or `newest`.
    pub(crate) asked: String,
    /// Name and version.
    pub(crate) package: String,
    /// The tests' results.
    pub(crate) totals: Totals,
    /// Dialogues that were played.
    pub(crate) dialogues: u32,
    /// Instructions that the verifier went through, by program.
    pub(crate) verified: Vec<(String, u32)>,
    /// What `ftptrack status` says of the kernel.
    pub(crate) kernel: Map<String, Value>,
}

impl Report {
    /// Nothing was said yet.
    pub(crate) fn new(kernel: &Unpacked) -> Self {
        Self {
            asked: kernel.asked.clone(),
            package: kernel.package.clone(),
            totals: Totals::default(),
            dialogues: 0,
            verified: Vec::new(),
            kernel: Map::new(),
        }
    }

    /// Takes what a line of the console says.
    pub(crate) fn add(&mut self, line: &str) {
        self.totals.add(line);
        if let Some((program, rest)) = line.split_once(": ")
            && let Some(verified) = rest.strip_suffix(" verified instructions").and_then(|n| n.parse().ok())
        {
            self.verified.push((program.to_owned(), verified));
        } else if let Some(number) = line.strip_suffix(" dialogues played").and_then(|n| n.parse().ok()) {
            self.dialogues = number;
        } else if let Some(Value::Object(kernel)) =
            line.strip_prefix("kernel: ").and_then(|t| serde_json::from_str(t).ok())
        {
            self.kernel = kernel;
        }
    }

    /// As `uname -r` says it.
    pub(crate) fn release(&self) -> &str {
        self.kernel.get("release").and_then(Value::as_str).unwrap_or("?")
    }

    /// Whether the kernel has a feature.
    pub(crate) fn has(&self, feature: &str) -> bool {
        self.kernel.get(feature).and_then(Value::as_bool).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_console_is_read() {
        let files = std::path::PathBuf::new();
        let mut report = Report::new(&Unpacked {
            asked: "5.10".to_owned(),
            package: "linux-image 5.10-1".to_owned(),
            image: files.clone(),
            modules: files,
        });
        for line in [
            "test the_verifier ... ok",
            "ftptrack_egress: 125 verified instructions",
            "kernel: {\"release\":\"5.10.0-46\",\"tcx\":false,\"ring_buffer\":true}",
            "test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "275 dialogues played",
        ] {
            report.add(line);
        }
        assert_eq!(report.totals, Totals { passed: 4, failed: 0, suites: 1 });
        assert_eq!((report.dialogues, report.release()), (275, "5.10.0-46"));
        assert_eq!(report.verified, [("ftptrack_egress".to_owned(), 125)]);
        assert!(report.has("ring_buffer") && !report.has("tcx") && !report.has("other"));
    }
}
