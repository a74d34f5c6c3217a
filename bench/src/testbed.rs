//! Where it is measured: a server's host and a client's, joined by one cable, and vsftpd.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{self, Command};
use std::time::Duration;

use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE};
use ftptrack_tests::hosts::pair::Pair;
use ftptrack_tests::subject::ftptrack::PinDirectory;
use ftptrack_tests::support::process as run;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{CpuSet, UnshareFlags, sched_getaffinity, sched_setaffinity, unshare_unsafe};

/// Two hosts on one veth pair, without a bridge that would cost something too.
pub(crate) struct Hosts {
    pub(crate) server: Host,
    pub(crate) client: Host,
    pub(crate) pins: PinDirectory,
}

impl Hosts {
    pub(crate) fn new() -> Self {
        let Pair { server, client } = Pair::of(Host::new(0, 1), Host::new(0, 2), &[Family::V4]);
        // Active data connections all come from port 20: ports of clients come round again within a minute.
        server.namespace.run(|| fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "1")).expect("IPv4 is there");
        Self { server, client, pins: PinDirectory::new() }
    }

    /// Has what comes in at each host handled by a CPU of its own (receive packet steering), as if the cable were
    /// between two machines: the server's by 1, the client's by 0. Else whoever sends does the receiver's work too.
    pub(crate) fn steer(&self) {
        for (host, mask) in [(&self.server, "2"), (&self.client, "1")] {
            host.namespace.run(|| {
                // The thread ends right after, and with it this view of the namespace's devices.
                // SAFETY: no file descriptor table is unshared.
                unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root may");
                let own = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
                mount_change("/", own).expect("root may");
                mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).expect("root may");
                let queue = format!("/sys/class/net/{INTERFACE}/queues/rx-0/rps_cpus");
                // With one CPU there is nothing to steer.
                if cpus() > 1 {
                    fs::write(queue, mask).expect("the kernel can steer");
                }
            });
        }
    }

    /// Switches segmentation and receive offloads at both ends.
    pub(crate) fn offloads(&self, on: bool) {
        let state = if on { "on" } else { "off" };
        for host in [&self.server, &self.client] {
            let mut command = host.namespace.command("ethtool");
            command.args(["-K", INTERFACE, "tso", state, "gso", state, "gro", state]);
            let output = run::finish(&mut command);
            assert!(output.status.success(), "ethtool: {}", output.stderr);
        }
    }
}

/// vsftpd with a small file `small`, a large one `large`, and `upload/null`, which keeps nothing.
pub(crate) fn vsftpd(host: &Host, large: u64) -> Vsftpd {
    let vsftpd = Vsftpd::with(host, "anon_other_write_enable=YES\nanon_umask=022\n");
    fs::write(vsftpd.file("small"), [b'x'; 1024]).expect("a file");
    // All hole: it is read without a disk.
    File::create(vsftpd.file("large")).and_then(|file| file.set_len(large)).expect("a file");
    let null = vsftpd.file("upload/null");
    let made = run::finish(Command::new("mknod").args(["-m", "666"]).arg(&null).args(["c", "1", "3"]));
    assert!(made.status.success(), "mknod: {}", made.stderr);
    vsftpd
}

/// Does it on one CPU, if there is one of that number.
pub(crate) fn on_cpu<T>(cpu: usize, work: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).expect("our own");
    if before.is_set(cpu) {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).expect("our own");
    }
    let result = work();
    sched_setaffinity(None, &before).expect("our own");
    result
}

/// Does it on all CPUs, as far as this process may use them, from within [`on_cpu`] too.
pub(crate) fn anywhere<T>(work: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(None).expect("our own");
    let mut all = CpuSet::new();
    for cpu in 0..CpuSet::MAX_CPU {
        all.set(cpu);
    }
    // The kernel leaves out those that aren't there.
    sched_setaffinity(None, &all).expect("our own");
    let result = work();
    sched_setaffinity(None, &before).expect("our own");
    result
}

/// How many CPUs this process may use.
pub(crate) fn cpus() -> usize {
    anywhere(|| sched_getaffinity(None).expect("our own").count() as usize)
}

/// The processor time of this process and all that it starts, softirqs that run in their time counted, and of the
/// kernel's softirq threads.
pub(crate) struct Processors {
    directory: PathBuf,
    softirq_threads: Vec<PathBuf>,
}

/// What the names of our control groups begin with.
const GROUP: &str = "ftptrack-bench-";

impl Processors {
    /// Moves this process into a control group of its own.
    pub(crate) fn new() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
        let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let root = mounts.find(|words| words.get(2) == Some(&"cgroup2")).and_then(|words| words.get(1).copied());
        let root = PathBuf::from(root.expect("control groups of version 2: mount -t cgroup2 none /sys/fs/cgroup"));
        // Those of processes that were killed are empty; others can't be removed.
        for entry in fs::read_dir(&root).expect("it is mounted").flatten() {
            if entry.file_name().to_string_lossy().starts_with(GROUP) {
                let _ = fs::remove_dir(entry.path());
            }
        }
        let directory = root.join(format!("{GROUP}{}", process::id()));
        fs::create_dir(&directory).expect("root may");
        fs::write(directory.join("cgroup.procs"), "0").expect("root may");
        Self { directory, softirq_threads: softirq_threads() }
    }

    /// What was used so far.
    pub(crate) fn used(&self) -> Duration {
        let text = fs::read_to_string(self.directory.join("cpu.stat")).expect("our own");
        let group = text.lines().find_map(|line| line.strip_prefix("usage_usec ")).expect("every group has it");
        let mut used = Duration::from_micros(group.parse().expect("a number"));
        for thread in &self.softirq_threads {
            let text = fs::read_to_string(thread).expect("it stays");
            let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
            used += Duration::from_nanos(nanoseconds.expect("a number"));
        }
        used
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        // Back to where nothing is counted, so that the group can go.
        let root = self.directory.parent().expect("it has one").join("cgroup.procs");
        let _ = fs::write(root, "0").and_then(|()| fs::remove_dir(&self.directory));
    }
}

fn softirq_threads() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").expect("proc is mounted").flatten().map(|entry| entry.path());
    let is_one =
        |path: &PathBuf| fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"));
    processes.filter(is_one).map(|path| path.join("schedstat")).collect()
}
