//! What the operating system offers: nothing here knows of FTP.

pub(crate) mod bpf;
pub mod bpffs;
pub mod btf;
pub mod capability;
pub mod cgroup;
pub mod clock;
pub mod init;
pub mod mount_namespace;
pub mod netlink;
pub mod netns;
pub mod proc;
pub mod proc_syscall;
pub mod sd_notify;
pub mod signals;
pub mod sock_diag;
