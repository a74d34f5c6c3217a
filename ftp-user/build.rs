//! Compiles the kernel crate and leaves its object at `OUT_DIR/ftptrack.bpf.o`, to be embedded in the library.
//!
//! The compiler is the distribution's with a prebuilt `core` for the BPF target, or rustup's nightly, which builds
//! `core` from `rust-src`: whichever is there. `cargo xtask setup` installs what is needed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, Result};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use toolchain::Compiler;

fn main() {
    if let Err(error) = build() {
        fail(&error);
    }
}

fn build() -> Result<()> {
    let out_dir = PathBuf::from(variable("OUT_DIR")?);
    let crate_dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let workspace = crate_dir.parent().context("ftp-user has no workspace")?;
    // The kernel runs BPF in its own byte order.
    let target = match variable("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let compiler = Compiler::find(target).with_context(|| {
        format!(
            "no compiler for {target} (Debian's rustc-web, or rustup's nightly with rust-src); run 'cargo xtask setup'"
        )
    })?;
    let linker = toolchain::bpf_linker().context("bpf-linker is not installed; run 'cargo xtask setup'")?;

    let object = compile(compiler, &linker, target, workspace, &out_dir)?;
    let embedded = out_dir.join("ftptrack.bpf.o");
    fs::copy(&object, &embedded).with_context(|| format!("copy {} to {}", object.display(), embedded.display()))?;

    // Said last: cargo shows a failed script's output, and repeats a failed script anyway.
    let inputs = ["Cargo.lock", "Cargo.toml", "ftp-common", "ftp-ebpf", "ftp-user/build.rs", "xtask/src/toolchain.rs"];
    for input in inputs.map(|input| workspace.join(input)).iter().chain([&linker]) {
        println!("cargo::rerun-if-changed={}", input.display());
    }
    Ok(())
}

/// Compiles ftp-ebpf, silently unless it fails, and returns its object's path.
fn compile(compiler: Compiler, linker: &Path, target: &str, workspace: &Path, out_dir: &Path) -> Result<PathBuf> {
    // A directory of its own: the outer cargo holds a lock on its target directory.
    let target_dir = out_dir.join("ftp-ebpf");
    // aya-ebpf chooses its `pt_regs` by the architecture that the object will run on.
    let arch = match variable("CARGO_CFG_TARGET_ARCH")? {
        arch if arch.starts_with("riscv64") => "riscv64".to_owned(),
        arch => arch,
    };
    let flags = [
        format!("-Clinker={}", linker.display()),
        "-Clink-arg=--btf".to_owned(),
        // Words and 32-bit registers where the linker's own choice is loops over bytes and 64-bit
        // shifts: fewer instructions to run and to verify. Linux has v3 from 5.1 on.
        "-Clink-arg=--disable-expand-memcpy-in-order".to_owned(),
        "-Ctarget-cpu=v3".to_owned(),
        // BTF is made of debug information.
        "-Cdebuginfo=2".to_owned(),
        format!("--cfg=bpf_target_arch=\"{arch}\""),
    ];

    let mut cargo = cargo(compiler)?;
    cargo
        .current_dir(workspace)
        .args(["--quiet", "--release", "--package", "ftp-ebpf"])
        .args(["--bin", "ftptrack", "--target", target])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    let output = cargo.output().with_context(|| format!("run {}", cargo.get_program().display()))?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        process::exit(1);
    }
    Ok(target_dir.join(target).join("release/ftptrack"))
}

/// `cargo build` with `compiler`. What the outer cargo was told about compilers and flags is forgotten: clippy sets
/// `RUSTC_WORKSPACE_WRAPPER`, a user perhaps `RUSTFLAGS`, and neither is meant for the BPF target.
fn cargo(compiler: Compiler) -> Result<Command> {
    let mut cargo = match compiler {
        Compiler::Distribution => {
            let mut cargo = Command::new(variable("CARGO")?);
            cargo.arg("build").env("RUSTC", compiler.rustc().get_program());
            // aya-ebpf asks for unstable features, which this compiler has but does not offer.
            cargo.env("RUSTC_BOOTSTRAP", "1");
            cargo
        }
        Compiler::Nightly => {
            let mut cargo = Command::new("rustup");
            cargo.args(["run", "nightly", "cargo", "build", "-Z", "build-std=core"]);
            cargo.env_remove("RUSTC");
            cargo
        }
    };
    cargo.env_remove("RUSTC_WORKSPACE_WRAPPER").env_remove("RUSTFLAGS");
    Ok(cargo)
}

/// Fails the build with one line: cargo prints no more than this for `cargo::error`.
fn fail(error: &anyhow::Error) {
    println!("cargo::error={error:#}");
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: not run by cargo"))
}
