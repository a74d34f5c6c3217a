//! The kernel object, compiled by the build script.

/// The object's ELF file, aligned as the loader wants it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ftptrack.bpf.o"));

/// The program for packets that come in.
pub const INGRESS: &str = "ftptrack_ingress";
/// The program for packets that go out.
pub const EGRESS: &str = "ftptrack_egress";
