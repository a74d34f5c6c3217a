//! `cargo xtask setup`: what building and testing needs, on a Debian machine with nothing but Rust.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    command, servers,
    toolchain::{self, Compiler},
    unpack,
};

/// The BPF target of this machine.
const TARGET: &str = if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" };

/// The version that the kernel crate is known to link with.
const BPF_LINKER: &str = "0.13.0";

/// What makes the Debian package, and the version known to do it well.
const CARGO_DEB: &str = "3.8.0";

/// What brings a compiler with a prebuilt `core` for BPF, and its LLVM's major version.
const COMPILER_PACKAGES: [&str; 2] = ["rustc-web", "libstd-rust-web-dev-bpf"];
const COMPILER_LLVM: u32 = 22;

/// The programs that tests and demo run, with the package each comes from.
const PROGRAMS: [(&str, &str); 11] = [
    ("bpftool", "bpftool"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("ethtool", "ethtool"),
    ("ip", "iproute2"),
    ("iptables-nft", "iptables"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("tcpdump", "tcpdump"),
    ("tmux", "tmux"),
    ("vsftpd", "vsftpd"),
];

/// The same for tests inside other kernels.
const FOR_GUESTS: [(&str, &str); 3] = [("cpio", "cpio"), ("qemu-system-x86_64", "qemu-system-x86"), ("xz", "xz-utils")];

/// The same for tests of what is installed with ftptrack.
const FOR_PACKAGING: [(&str, &str); 3] = [("man", "man-db"), ("strace", "strace"), ("systemd-analyze", "systemd")];

/// Installs and unpacks what is missing of all that any command takes. Does nothing, quickly, when nothing is.
pub(crate) fn everything() -> Result<()> {
    run()?;
    servers::set_up()?;
    unpack::tools()
}

/// Installs what is missing of it.
pub(crate) fn run() -> Result<()> {
    install(&[&PROGRAMS[..], &FOR_GUESTS, &FOR_PACKAGING].concat())?;
    cargo_deb()
}

/// The same, but for tests inside other kernels and of the package, which take the largest packages.
pub(crate) fn without_guests() -> Result<()> {
    install(&PROGRAMS)
}

fn install(programs: &[(&str, &str)]) -> Result<()> {
    for component in ["fmt", "clippy"] {
        has_component(component)?;
    }
    let missing = missing_packages(programs);
    if !missing.is_empty() {
        install_packages(&missing)?;
    }
    let compiler = Compiler::find(TARGET).with_context(|| format!("there is still no compiler for {TARGET}"))?;
    say("kernel compiler", &described(compiler));

    if linker_version().as_deref() != Some(BPF_LINKER) {
        install_linker(compiler)?;
    }
    say("bpf-linker", BPF_LINKER);
    let names: Vec<_> = programs.iter().map(|(program, _)| *program).collect();
    say("programs", &names.join(" "));
    Ok(())
}

/// `cargo fmt` and `cargo clippy` are components that a minimal toolchain lacks.
fn has_component(name: &str) -> Result<()> {
    if toolchain::printed(command::cargo().args([name, "--version"])).is_some() {
        return Ok(());
    }
    let component = if name == "fmt" { "rustfmt" } else { name };
    say("installing", component);
    command::output(Command::new("rustup").args(["component", "add", component]))
        .with_context(|| format!("'cargo {name}' is needed and is not there"))?;
    Ok(())
}

fn missing_packages(programs: &[(&str, &str)]) -> Vec<String> {
    let compiler = Compiler::find(TARGET);
    let mut packages: Vec<String> = Vec::new();
    if compiler.is_none() {
        packages.extend(COMPILER_PACKAGES.map(str::to_owned));
    }
    if linker_version().as_deref() != Some(BPF_LINKER) {
        let llvm = compiler.and_then(llvm_version).unwrap_or(COMPILER_LLVM);
        if !llvm_prefix(llvm).join("bin/llvm-config").exists() {
            packages.push(format!("llvm-{llvm}-dev"));
        }
    }
    for (program, package) in programs {
        if command::find(program).is_none() {
            packages.push((*package).to_owned());
        }
    }
    packages
}

/// Installs Debian packages; says how to where it can't.
pub(crate) fn install_packages(packages: &[String]) -> Result<()> {
    let list = packages.join(" ");
    if command::find("apt-get").is_none() {
        let other = if packages.contains(&COMPILER_PACKAGES[0].to_owned()) {
            "; 'rustup toolchain install nightly --component rust-src' does instead of rustc-web"
        } else {
            ""
        };
        bail!("there is no apt-get: install what Debian calls {list}{other}");
    }
    if !command::is_root() {
        bail!("missing packages; run 'sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}'");
    }
    say("installing", &list);
    command::output(apt().arg("update")).context("apt-get cannot reach its sources")?;
    let server = packages.iter().any(|package| package == "vsftpd");
    let quiet = server.then(NoServices::begin).transpose()?;
    command::output(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
        .with_context(|| format!("these packages are needed and cannot be installed: {list}"))?;
    drop(quiet);
    if server {
        // Tests and demo run vsftpd themselves: the package's own shall not start, now or at the next boot.
        command::output(Command::new("service").args(["vsftpd", "stop"]))?;
        command::output(Command::new("update-rc.d").args(["vsftpd", "disable"]))?;
        say("vsftpd", "installed, its system service disabled");
    }
    Ok(())
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.arg("-qq").env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

/// Keeps packages from starting services while it lives, by the file that Debian's `invoke-rc.d` asks.
struct NoServices;

impl NoServices {
    const POLICY: &str = "/usr/sbin/policy-rc.d";

    /// Nothing, if the machine has a policy of its own.
    fn begin() -> Result<Option<Self>> {
        if Path::new(Self::POLICY).exists() {
            return Ok(None);
        }
        // Should we be killed, what is left behind allows services again.
        let setup = process::id();
        fs::write(Self::POLICY, format!("#!/bin/sh\nkill -0 {setup} 2>/dev/null && exit 101\nexit 0\n"))?;
        let policy = Self;
        fs::set_permissions(Self::POLICY, fs::Permissions::from_mode(0o755))?;
        Ok(Some(policy))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(Self::POLICY) {
            eprintln!("setup: cannot remove {}: {error}", Self::POLICY);
        }
    }
}

/// Builds the pinned bpf-linker against the LLVM that the compiler uses: bitcode of a newer one can't be read.
///
/// Not optimised: LLVM does nearly all of its work, and to build it takes a third of the time so.
fn install_linker(compiler: Compiler) -> Result<()> {
    let llvm = llvm_version(compiler).context("the kernel compiler does not tell its LLVM version")?;
    say("installing", &format!("bpf-linker {BPF_LINKER} for LLVM {llvm} (takes a minute)"));
    let mut cargo = command::cargo();
    cargo.args(["install", "--quiet", "--force", "--debug", "bpf-linker"]).env("CARGO_PROFILE_DEV_DEBUG", "0");
    cargo.args(["--version", BPF_LINKER, "--no-default-features"]);
    cargo.args(["--features", &format!("llvm-{llvm}")]);
    let prefix = llvm_prefix(llvm);
    if prefix.exists() {
        cargo.env("LLVM_PREFIX", prefix);
    }
    command::output(&mut cargo).context("bpf-linker cannot be built")?;
    match linker_version() {
        Some(version) if version == BPF_LINKER => Ok(()),
        found => bail!("bpf-linker {BPF_LINKER} was installed, but {found:?} is what is found"),
    }
}

/// Installs the pinned cargo-deb, unless it is there.
pub(crate) fn cargo_deb() -> Result<()> {
    let version = toolchain::printed(command::cargo().args(["deb", "--version"]));
    if version.as_deref().and_then(|version| version.strip_prefix("cargo-deb ")) != Some(CARGO_DEB) {
        say("installing", &format!("cargo-deb {CARGO_DEB} (takes a minute)"));
        let mut cargo = command::cargo();
        cargo.args(["install", "--quiet", "--force", "cargo-deb", "--version", CARGO_DEB, "--no-default-features"]);
        command::output(&mut cargo).context("cargo-deb cannot be built")?;
    }
    say("cargo-deb", CARGO_DEB);
    Ok(())
}

fn linker_version() -> Option<String> {
    let printed = toolchain::printed(Command::new(toolchain::bpf_linker()?).arg("--version"))?;
    Some(printed.strip_prefix("bpf-linker ")?.to_owned())
}

/// The major version of the compiler's LLVM.
fn llvm_version(compiler: Compiler) -> Option<u32> {
    let version = toolchain::printed(compiler.rustc().arg("-vV"))?;
    let (_, version) = version.split_once("LLVM version: ")?;
    version.split('.').next()?.trim().parse().ok()
}

/// Where Debian puts an LLVM.
fn llvm_prefix(major: u32) -> PathBuf {
    PathBuf::from(format!("/usr/lib/llvm-{major}"))
}

fn described(compiler: Compiler) -> String {
    let version = toolchain::printed(compiler.rustc().arg("-V")).unwrap_or_default();
    match compiler {
        Compiler::Distribution => format!("{version}, core for {TARGET} prebuilt"),
        Compiler::Nightly => format!("{version}, core for {TARGET} from rust-src"),
    }
}

/// Tells what is there, or being done.
pub(crate) fn say(what: &str, text: &str) {
    println!("setup: {what}: {text}");
}
