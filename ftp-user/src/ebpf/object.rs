//! The kernel object, compiled by the build script.

/// The object's ELF file, aligned as the loader wants it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ftptrack.bpf.o"));

/// The program for packets that come in.
pub const INGRESS: &str = "ftptrack_ingress";
/// The program that learns what sockets do, by a control group.
pub const SOCKETS: &str = "ftptrack_sockets";
/// Those that learn of processes, each with its tracepoint.
pub const PROCESSES: [(&str, &str); 2] = [("ftptrack_fork", "task_newtask"), ("ftptrack_exit", "sched_process_exit")];
/// The program for packets that go out.
pub const EGRESS: &str = "ftptrack_egress";
