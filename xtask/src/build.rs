//! `cargo xtask build`: the ftptrack command, one file to copy to a server.

use std::{
    collections::HashMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{
    command,
    toolchain::{self, Compiler},
};

/// The libraries of this machine are in the programs themselves: a server has older ones, perhaps, and a program asks
/// for those that it was linked with or newer.
const STATIC: &str = "build.rustflags=['-Ctarget-feature=+crt-static']";
/// Where the processor is emulated, each instruction counts.
const OPTIMISED: &str = "profile.dev.opt-level=1";

/// What our programs are made of and what takes long, but for what setup installs first. Each brings others along.
const LONG: [&str; 16] = [
    "aya-log",
    "clap_builder",
    "clap_complete",
    "clap_mangen",
    "env_logger",
    "etherparse",
    "http-body-util",
    "hyper-util",
    "netlink-packet-sock-diag",
    "pcap-parser",
    "prometheus",
    "ratatui",
    "rtnetlink",
    "serde_json",
    "systemd-journal-logger",
    "toml",
];

/// The kind of machine that this is, in cargo's words.
const HOST: &str = "host-tuple";

pub(crate) fn run(release: bool, target: Option<&str>) -> Result<()> {
    println!("{}", command(release, target)?.display());
    Ok(())
}

/// Builds the ftptrack command and returns its path.
pub(crate) fn command(release: bool, target: Option<&str>) -> Result<PathBuf> {
    let mut build = cargo("build", target.unwrap_or(HOST));
    if let Some(target) = target {
        across(&mut build, target)?;
    }
    build.args(["--package", "ftp-user", "--bin", "ftptrack"]);
    if release {
        build.arg("--release");
    }
    program(&mut build, "ftptrack")
}

/// Builds ftptrack for the tests and returns its path, wherever cargo is told to put it.
pub(crate) fn ftptrack() -> Result<PathBuf> {
    program(of_all("build").args(["--bin", "ftptrack"]), "ftptrack")
}

/// Builds ftptrack and the demo, and returns their paths.
pub(crate) fn demo() -> Result<[PathBuf; 2]> {
    let mut build = of_all("build");
    // Without the suites, most of the tests' package is not built.
    build.args(["--no-default-features", "--bin", "ftptrack", "--bin", "demo"]);
    let mut programs = programs(&mut build)?;
    let mut take = |name: &str| programs.remove(name).with_context(|| format!("cargo did not say where it put {name}"));
    Ok([take("ftptrack")?, take("demo")?])
}

/// Builds what takes long and needs neither the kernel's compiler nor bpf-linker, as the other builds want it.
///
/// Only time depends on it: should it fail, whoever builds the rest will say why.
pub(crate) fn ahead() {
    let mut build = cargo("build", HOST);
    for package in LONG {
        build.args(["--package", package]);
    }
    let _ = build.status();
}

/// Builds ftptrack as for a server and returns its path.
pub(crate) fn optimised() -> Result<PathBuf> {
    let mut build = cargo("build", HOST);
    program(build.args(["--package", "ftp-user", "--bin", "ftptrack", "--release"]), "ftptrack")
}

/// Builds the kernel program as machines of the other byte order need it: it must compile, though nothing runs it here.
pub(crate) fn big_endian_object() -> Result<()> {
    const TARGET: &str = "bpfeb-unknown-none";
    // Of an ELF file's header: EM_BPF is 247, and its first byte comes first here.
    const MACHINE: Range<usize> = 18..20;
    let compiler = Compiler::find(TARGET).with_context(|| format!("no compiler for {TARGET}"))?;
    let linker = toolchain::bpf_linker().context("bpf-linker is not installed")?;
    let directory = command::target_directory();
    let mut build = compiler.build_kernel_crate("ftp-ebpf", &linker, TARGET, "s390x");
    command::run(build.current_dir(command::workspace()).arg("--target-dir").arg(&directory))?;
    let object = fs::read(directory.join(TARGET).join("release/ftptrack"))?;
    if object.get(MACHINE) != Some(&[0, 247]) {
        bail!("the object is not a big-endian one for BPF");
    }
    Ok(())
}

/// A cargo command for programs of any of our packages. What they depend on is built once for all of them.
pub(crate) fn of_all(command: &str) -> Command {
    let mut cargo = cargo(command, HOST);
    cargo.args(["--workspace", "--exclude", "ftp-ebpf", "--exclude", "ftptrack-bench-ebpf"]);
    cargo
}

/// A cargo command that builds programs which need nothing else. They have a directory of their own: flags for a
/// named target are not for build scripts, which can't be built so.
fn cargo(command: &str, target: &str) -> Command {
    let mut cargo = command::cargo();
    cargo.args([command, "--target", target]);
    cargo.args(["--config", STATIC, "--config", OPTIMISED]);
    // They would take the place of ours.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    cargo
}

/// Chooses a compiler that has the library of `target`, and the linker that goes by Debian's name for it.
fn across(cargo: &mut Command, target: &str) -> Result<()> {
    let has_library = |rustc: &str| {
        let asked = toolchain::printed(Command::new(rustc).args(["--print", "target-libdir", "--target", target]));
        asked.is_some_and(|directory| toolchain::has_library(Path::new(&directory), "libstd"))
    };
    let Some(rustc) = ["rustc", toolchain::DISTRIBUTION_RUSTC].into_iter().find(|rustc| has_library(rustc)) else {
        bail!(
            "no compiler has the library of {target}: run 'rustup target add {target}', or install Debian's \
             libstd-rust-web-dev for that architecture"
        );
    };
    cargo.env("RUSTC", rustc);
    let linker = target.replace("-unknown", "") + "-gcc";
    if command::find(&linker).is_some() {
        let setting = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
        cargo.env(setting, linker);
    }
    Ok(())
}

/// Runs a command of cargo's that builds a program, and returns its path.
pub(crate) fn program(cargo: &mut Command, name: &str) -> Result<PathBuf> {
    programs(cargo)?.remove(name).with_context(|| format!("cargo did not say where it put {name}"))
}

/// Runs a command of cargo's that builds programs; returns their paths by their names.
pub(crate) fn programs(cargo: &mut Command) -> Result<HashMap<String, PathBuf>> {
    cargo.arg("--message-format=json-render-diagnostics");
    // Only the messages for programs are ours: progress and errors are for whoever waits.
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("it does not build; see above");
    }
    let messages = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let program = |message: Value| {
        let path = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
    };
    Ok(messages.filter_map(program).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_ahead_is_there_once() {
        let lock = fs::read_to_string(command::workspace().join("Cargo.lock")).unwrap();
        for package in LONG {
            let name = format!("name = \"{package}\"");
            assert_eq!(
                lock.lines().filter(|line| **line == *name).count(),
                1,
                "{package}: cargo must know which is meant"
            );
        }
    }
}
