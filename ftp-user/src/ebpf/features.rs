//! What this kernel has of what the programs use: found by trying, never by its version, since
//! distributions carry features back. Decided once, before anything is attached, and remembered in the pins.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::sync::OnceLock;

use aya::maps::{HashMap, IterableMap as _, MapData, MapType};
use aya::programs::{ProgramType, SchedClassifier, TcAttachType};
use aya::sys::{is_map_supported, is_program_supported};
use serde::{Deserialize, Serialize};

use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;
use crate::policy::attachment::Hook;
use crate::sys::bpf;

/// An interface that every network namespace has.
const LOOPBACK: &str = "lo";

/// A kernel, as far as it matters here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Features {
    /// What `uname -r` says.
    pub release: String,
    /// Programs at an interface can be links of the kernel's own (6.6), and not just filters of clsact.
    pub tcx: bool,
    /// Programs that classify packets at TC (4.1).
    pub classifier: bool,
    /// Maps that find the longest prefix (4.11).
    pub lpm_trie: bool,
    /// Functions that are verified once for any argument (5.6).
    pub global_functions: bool,
    /// Many entries of a hash map in one call (5.6).
    pub batch_lookup: bool,
    /// Ring buffers (5.8).
    pub ring_buffer: bool,
}

impl Features {
    /// Those of the kernel that runs, tried out when they are first asked for.
    ///
    /// # Errors
    ///
    /// The kernel refuses to be asked.
    pub fn now() -> Result<&'static Self, Failure> {
        static FOUND: OnceLock<Result<Features, Failure>> = OnceLock::new();
        FOUND.get_or_init(Self::probe).as_ref().map_err(Clone::clone)
    }

    /// Tries them out. Nothing is left of it.
    fn probe() -> Result<Self, Failure> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").or_fail("kernel", "mount /proc")?;
        Ok(Self {
            release: release.trim().to_owned(),
            // Asking what is attached is refused where there is no TCX.
            tcx: SchedClassifier::query_tcx(LOOPBACK, TcAttachType::Egress).is_ok(),
            classifier: answered(is_program_supported(ProgramType::SchedClassifier))?,
            lpm_trie: answered(is_map_supported(MapType::LpmTrie))?,
            global_functions: aya::features().btf().is_some_and(|btf| btf.btf_func_global()),
            batch_lookup: answered(has_batch_lookup())?,
            ring_buffer: answered(is_map_supported(MapType::RingBuf))?,
        })
    }

    /// Whether the programs can do their work here.
    ///
    /// # Errors
    ///
    /// All that is missing, with the version that brought it.
    pub fn check(&self) -> Result<(), Failure> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        Err(Failure::failed(
            format_args!("Linux {}", self.release),
            format_args!("it has no {}", missing.join(", no ")),
            "use Linux 5.10 or later, with CONFIG_BPF_SYSCALL, CONFIG_DEBUG_INFO_BTF and CONFIG_NET_CLS_ACT",
        ))
    }

    /// Remembers them in the pins.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn save(&self, pins: &Pins) -> Result<(), Failure> {
        pins.remember_kernel(self)
    }

    /// Those that were found when something was attached; none if they were not probed then.
    ///
    /// # Errors
    ///
    /// They were remembered by a version that this one doesn't understand.
    pub fn saved(pins: &Pins) -> Result<Option<Self>, Failure> {
        pins.kernel()
    }

    /// What can't be done without and is not there, with the version that brought it.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.needed().into_iter().filter(|(_, has)| !has).map(|(name, _)| name).collect()
    }

    /// How to attach, given what was asked for.
    ///
    /// # Errors
    ///
    /// TCX was asked for and the kernel has none.
    pub fn hook(&self, asked: Option<Hook>) -> Result<Hook, Failure> {
        match (self.tcx, asked) {
            (_, Some(Hook::Clsact)) | (false, None) => Ok(Hook::Clsact),
            (true, _) => Ok(Hook::Tcx),
            (false, Some(Hook::Tcx)) => {
                let problem = format_args!("Linux {} has no TCX, which came with 6.6", self.release);
                Err(Failure::failed("--hook tcx", problem, "use --hook clsact, or leave it out"))
            }
        }
    }

    /// What can't be done without, and whether it is there.
    fn needed(&self) -> [(&'static str, bool); 5] {
        [
            ("programs at TC (4.1)", self.classifier),
            ("LPM tries (4.11)", self.lpm_trie),
            ("global functions (5.6)", self.global_functions),
            ("batch lookups (5.6)", self.batch_lookup),
            ("ring buffers (5.8)", self.ring_buffer),
        ]
    }
}

/// `5.10.0-46-cloud-amd64: global functions, batch lookups, ring buffers; no TCX`
impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.needed().into_iter().chain([("TCX (6.6)", self.tcx)]);
        let named = all.map(|(name, has)| (name.split(" (").next().unwrap_or(name), has));
        let (has, gaps): (Vec<_>, Vec<_>) = named.partition(|(_, has)| *has);
        let list = |named: Vec<(&str, bool)>| named.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
        write!(f, "{}: {}", self.release, list(has))?;
        if gaps.is_empty() { Ok(()) } else { write!(f, "; no {}", list(gaps)) }
    }
}

fn answered<T, E: std::error::Error>(answer: Result<T, E>) -> Result<T, Failure> {
    answer.or_fail("kernel", "run as root, outside of a container that forbids bpf(2)")
}

/// Whether entries can be read many at a time: asked of a map that has none.
fn has_batch_lookup() -> io::Result<bool> {
    let map: HashMap<MapData, u32, u32> = HashMap::create(1, 0).map_err(io::Error::other)?;
    let (mut keys, mut values, mut count) = ([0u32; 1], [0u32; 1], 0);
    // SAFETY: the map was made with keys and values of these sizes, and integers take any bytes.
    let read = unsafe { bpf::lookup_batch(map.map().fd().as_fd(), None, &mut keys, &mut values, &mut count) };
    // "No entry follows" is an answer; "invalid argument" or "not supported" is none.
    Ok(read.is_ok() || read.is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(tcx: bool, ring_buffer: bool) -> Features {
        let release = "5.4.0-1".to_owned();
        let [classifier, lpm_trie, global_functions, batch_lookup] = [true, true, false, true];
        let global_functions = global_functions || ring_buffer;
        Features { release, tcx, classifier, lpm_trie, global_functions, batch_lookup, ring_buffer }
    }

    #[test]
    fn all_that_is_missing_is_named() {
        assert_eq!(kernel(false, true).check(), Ok(()));
        let failure = kernel(false, false).check().unwrap_err().to_string();
        let problem = "Linux 5.4.0-1: it has no global functions (5.6), no ring buffers (5.8); use Linux 5.10 or later";
        assert!(failure.starts_with(problem), "{failure}");
    }

    #[test]
    fn tcx_is_taken_where_it_is_and_missed_only_where_it_was_asked_for() {
        let (old, new) = (kernel(false, true), kernel(true, true));
        assert_eq!([None, Some(Hook::Clsact)].map(|asked| old.hook(asked)), [Ok(Hook::Clsact), Ok(Hook::Clsact)]);
        assert_eq!([None, Some(Hook::Clsact)].map(|asked| new.hook(asked)), [Ok(Hook::Tcx), Ok(Hook::Clsact)]);
        assert_eq!(new.hook(Some(Hook::Tcx)), Ok(Hook::Tcx));
        let failure = old.hook(Some(Hook::Tcx)).unwrap_err().to_string();
        assert!(failure.starts_with("--hook tcx: Linux 5.4.0-1 has no TCX"), "{failure}");
    }
}
