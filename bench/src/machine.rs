//! The machine, by what anybody may know of it.

use std::fs;

use serde::{Deserialize, Serialize};

/// What the numbers depend on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Machine {
    /// As the processor names itself.
    processor: String,
    processors: usize,
    /// GiB.
    memory: u64,
    /// Linux's version, without what its builder added.
    linux: String,
    virtual_machine: bool,
    /// The processor's maker, family and model, as the kernel names them.
    #[serde(default)]
    kind: (String, u32, u32),
    /// What the kernel does against the processor's flaws: the names of those files of
    /// `/sys/devices/system/cpu/vulnerabilities`, and what they say.
    #[serde(default)]
    mitigations: Vec<(String, String)>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").expect("proc is mounted");
        let named = |name: &str| {
            let line = processors.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
        };
        let number = |name: &str| named(name).parse().unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").expect("proc is mounted");
        // MemTotal comes first, in KiB.
        let memory: u64 = memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
        Self {
            processor: named("model name").to_owned(),
            processors: processors.lines().filter(|line| line.starts_with("processor")).count(),
            memory: memory.div_ceil(1 << 20),
            linux: release.trim().split('-').next().unwrap_or_default().to_owned(),
            kind: (named("vendor_id").to_owned(), number("cpu family"), number("model\t")),
            mitigations: mitigations(),
            virtual_machine: named("flags").split(' ').any(|flag| flag == "hypervisor"),
        }
    }

    /// AMD's first Zen, whose kernel pays for each return: some goals are others there.
    pub(crate) fn is_first_zen(&self) -> bool {
        self.kind == ("AuthenticAMD".to_owned(), 23, 1)
    }

    /// As a sentence.
    pub(crate) fn described(&self) -> String {
        let kind = if self.virtual_machine { "a virtual machine" } else { "a machine" };
        let Self { processor, processors, memory, linux, kind: (maker, family, model), mitigations, .. } = self;
        let mitigations: Vec<_> = mitigations.iter().map(|(flaw, by)| format!("{flaw}: {by}")).collect();
        format!(
            "{kind} with {processors} CPUs ({processor}; {maker} family {family} model {model}) and {memory} GiB of \
             memory, Linux {linux}. Mitigations: {}",
            if mitigations.is_empty() { "none".to_owned() } else { mitigations.join("; ") }
        )
    }
}

/// Those that are in force.
fn mitigations() -> Vec<(String, String)> {
    // Older kernels don't tell.
    let flaws = fs::read_dir("/sys/devices/system/cpu/vulnerabilities").into_iter().flatten().flatten();
    let mut found: Vec<_> = flaws
        .filter_map(|flaw| {
            let text = fs::read_to_string(flaw.path()).ok()?;
            let by = text.trim().strip_prefix("Mitigation: ")?.replace(';', ",");
            Some((flaw.file_name().to_string_lossy().into_owned(), by))
        })
        .collect();
    found.sort();
    found
}
