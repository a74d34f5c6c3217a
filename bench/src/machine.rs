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
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let processors = fs::read_to_string("/proc/cpuinfo").expect("proc is mounted");
        let named = |name: &str| {
            let line = processors.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
        };
        let memory = fs::read_to_string("/proc/meminfo").expect("proc is mounted");
        // MemTotal comes first, in KiB.
        let memory: u64 = memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
        Self {
            processor: named("model name").to_owned(),
            processors: processors.lines().filter(|line| line.starts_with("processor")).count(),
            memory: memory.div_ceil(1 << 20),
            linux: release.trim().split('-').next().unwrap_or_default().to_owned(),
            virtual_machine: named("flags").split(' ').any(|flag| flag == "hypervisor"),
        }
    }

    /// As a sentence.
    pub(crate) fn described(&self) -> String {
        let kind = if self.virtual_machine { "a virtual machine" } else { "a machine" };
        let Self { processor, processors, memory, linux, .. } = self;
        format!("{kind} with {processors} CPUs ({processor}) and {memory} GiB of memory, Linux {linux}")
    }
}
