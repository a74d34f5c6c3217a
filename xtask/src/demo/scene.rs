//! Two hosts joined by a cable: network namespaces and a veth pair that vanish when the demo ends.

use std::{
    fmt,
    fs::{self, File, Permissions},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
};

use anyhow::{Context as _, Result, anyhow};
use rustix::{
    fd::AsFd as _,
    mount::{MountFlags, UnmountFlags, mount, unmount},
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tempfile::TempDir;

use crate::command;

/// The interface's name on both hosts.
pub(super) const INTERFACE: &str = "eth0";

/// The two hosts, and a directory for the demo's files. Fields are in the order in which they are taken down.
pub(super) struct Scene {
    pub(super) server: Host,
    pub(super) client: Host,
    /// Where ftptrack pins its maps: a BPF file system that is the demo's alone.
    pub(super) pins: BpfFileSystem,
    files: TempDir,
}

impl Scene {
    /// Makes both hosts, connects them and gives them addresses.
    pub(super) fn build() -> Result<Self> {
        let files = tempfile::Builder::new().prefix("ftptrack-demo-").tempdir()?;
        // vsftpd gives up root and must still find its files.
        fs::set_permissions(files.path(), Permissions::from_mode(0o755))?;
        let scene = Self {
            server: Host::add("server", 1)?,
            client: Host::add("client", 2)?,
            pins: BpfFileSystem::mount(&files.path().join("bpf"))?,
            files,
        };
        // Both ends are made where they belong: the machine's own namespace never sees them.
        command::output(
            ip().args(["-n", &scene.server.name, "link", "add", INTERFACE])
                .args(["type", "veth", "peer", "name", INTERFACE])
                .args(["netns", &scene.client.name]),
        )?;
        scene.server.bring_up()?;
        scene.client.bring_up()?;
        Ok(scene)
    }

    /// Where the demo's files are.
    pub(super) fn directory(&self) -> &Path {
        self.files.path()
    }
}

/// A network namespace. Dropping it removes it, with its end of the cable.
pub(super) struct Host {
    /// Also its name for `ip netns`.
    pub(super) name: String,
    role: &'static str,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
}

impl Host {
    fn add(role: &'static str, number: u8) -> Result<Self> {
        let name = format!("ftptrack-demo-{}-{role}", process::id());
        command::output(ip().args(["netns", "add", &name]))?;
        // The documentation prefixes of RFC 5737 and RFC 3849.
        Ok(Self {
            name,
            role,
            v4: Ipv4Addr::new(192, 0, 2, number),
            v6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()),
        })
    }

    pub(super) fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// `port` on both addresses.
    pub(super) fn sockets(&self, port: u16) -> [SocketAddr; 2] {
        self.addresses().map(|address| (address, port).into())
    }

    fn bring_up(&self) -> Result<()> {
        let interface = ["dev", INTERFACE];
        for prefix in [format!("{}/24", self.v4), format!("{}/64", self.v6)] {
            // nodad: an IPv6 address is otherwise not usable for its first second.
            let nodad: &[&str] = if prefix.contains(':') { &["nodad"] } else { &[] };
            command::output(ip().args(["-n", &self.name, "addr", "add", &prefix]).args(interface).args(nodad))?;
        }
        for link in ["lo", INTERFACE] {
            command::output(ip().args(["-n", &self.name, "link", "set", link, "up"]))?;
        }
        Ok(())
    }

    /// A command that runs on this host.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = ip();
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs `body` on this host: the sockets it makes belong there, wherever they are used.
    pub(super) fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let namespace = File::open(Path::new("/run/netns").join(&self.name))?;
        // A thread of its own, because it stays in the namespace.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                        .with_context(|| format!("enter {}", self.name))?;
                    body()
                })
                .join()
                .map_err(|_| anyhow!("a thread panicked"))?
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // A session of vsftpd may outlast its listener; it would keep the namespace.
        if let Ok(pids) = command::output(ip().args(["netns", "pids", &self.name])) {
            for pid in pids.lines().filter_map(|pid| pid.parse().ok()) {
                if let Some(pid) = Pid::from_raw(pid) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
        if let Err(error) = command::output(ip().args(["netns", "delete", &self.name])) {
            super::say(format_args!("{} is left behind: {error:#}", self.name));
        }
    }
}

/// A mounted BPF file system. Dropping it unmounts it.
pub(super) struct BpfFileSystem {
    path: PathBuf,
}

impl BpfFileSystem {
    fn mount(path: &Path) -> Result<Self> {
        fs::create_dir(path)?;
        mount("bpf", path, "bpf", MountFlags::empty(), None)
            .with_context(|| format!("mount a BPF file system on {}", path.display()))?;
        Ok(Self { path: path.into() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for BpfFileSystem {
    fn drop(&mut self) {
        // Detached, so that a process that still sees it cannot keep it.
        if let Err(error) = unmount(&self.path, UnmountFlags::DETACH) {
            super::say(format_args!("{} is left mounted: {error}", self.path.display()));
        }
    }
}

fn ip() -> Command {
    Command::new(command::find("ip").unwrap_or("ip".into()))
}
