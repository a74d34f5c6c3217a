//! What compiles the kernel crate: a compiler that has, or can build, `core` for the BPF target, and bpf-linker.
//!
//! Also a module of ftp-user's build script, so that `cargo xtask setup` looks for exactly what the build takes.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Where Debian's `rustc-web` and `libstd-rust-web-dev-bpf` put their compiler.
pub(crate) const DISTRIBUTION_RUSTC: &str = "/usr/bin/rustc";

/// A compiler that can make BPF objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// The distribution's compiler with its prebuilt `core`.
    Distribution,
    /// rustup's nightly, which builds `core` from its `rust-src` component.
    Nightly,
}

impl Compiler {
    /// The compiler to use for `target`, if there is one.
    ///
    /// The distribution's comes first: it moves in step with its LLVM, which bpf-linker must be as new as, while
    /// nightly may get ahead of any LLVM that can be installed.
    pub(crate) fn find(target: &str) -> Option<Self> {
        [Self::Distribution, Self::Nightly].into_iter().find(|compiler| compiler.has_core(target))
    }

    /// How to run this compiler's `rustc`.
    pub(crate) fn rustc(self) -> Command {
        match self {
            Self::Distribution => Command::new(DISTRIBUTION_RUSTC),
            Self::Nightly => {
                let mut rustc = Command::new("rustup");
                rustc.args(["run", "nightly", "rustc"]);
                // Looking for a toolchain must not download one.
                rustc.env("RUSTUP_AUTO_INSTALL", "0");
                rustc
            }
        }
    }

    /// How to build a `package` of the kernel's for `target`, to run on machines of the architecture `arch` (cargo's
    /// word). The object is in `TARGET/release` of cargo's target directory, under its binary's name.
    ///
    /// What an outer cargo was told about compilers and flags is forgotten: clippy sets `RUSTC_WORKSPACE_WRAPPER`, a user
    /// perhaps `RUSTFLAGS`, and neither is meant for the BPF target.
    pub(crate) fn build_kernel_crate(self, package: &str, linker: &Path, target: &str, arch: &str) -> Command {
        let mut cargo = match self {
            Self::Distribution => {
                let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
                cargo.arg("build").env("RUSTC", DISTRIBUTION_RUSTC);
                // aya-ebpf asks for unstable features, which this compiler has but does not offer.
                cargo.env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
            Self::Nightly => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
                cargo.env_remove("RUSTC");
                cargo
            }
        };
        cargo.args(["--quiet", "--release", "--package", package, "--target", target]);
        cargo.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("RUSTFLAGS");
        cargo.env("CARGO_ENCODED_RUSTFLAGS", kernel_flags(linker, arch).join("\x1f"));
        cargo
    }

    /// Whether `core` for `target` is there, ready-made or as source.
    fn has_core(self, target: &str) -> bool {
        match self {
            Self::Distribution => printed(self.rustc().args(["--print", "target-libdir", "--target", target]))
                .is_some_and(|directory| has_library(Path::new(&directory), "libcore")),
            Self::Nightly => printed(self.rustc().args(["--print", "sysroot"]))
                .is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").is_dir()),
        }
    }
}

fn kernel_flags(linker: &Path, arch: &str) -> [String; 6] {
    // aya-ebpf chooses its `pt_regs` by the architecture that the object will run on.
    let arch = if arch.starts_with("riscv64") { "riscv64" } else { arch };
    [
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // Words and 32-bit registers where the linker's own choice is loops over bytes and 64-bit
        // shifts: fewer instructions to run and to verify. Linux has v3 from 5.1 on.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        // BTF is made of debug information.
        "-Cdebuginfo=2".to_owned(),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
    ]
}

/// The bpf-linker to use, if there is one. Cargo's own directory comes before `PATH`, because that is where
/// `cargo xtask setup` puts the pinned version.
pub(crate) fn bpf_linker() -> Option<PathBuf> {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")))
        .map(|home| home.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    cargo_home
        .into_iter()
        .chain(env::split_paths(&path))
        .map(|directory| directory.join("bpf-linker"))
        .find(|candidate| candidate.is_file())
}

/// What `command` prints, without the line end; nothing if it can't be run or fails.
pub(crate) fn printed(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// `rustc` names the directory of any target that it knows of: only the library in it tells.
pub(crate) fn has_library(directory: &Path, name: &str) -> bool {
    fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            file.starts_with(&format!("{name}-")) && file.ends_with(".rlib")
        })
    })
}
