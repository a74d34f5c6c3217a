//! Compiles the kernel crate and leaves its object at `OUT_DIR/ftptrack.bpf.o`, to be embedded in the library.
//!
//! The compiler is the distribution's with a prebuilt `core` for the BPF target, or rustup's nightly, which builds
//! `core` from `rust-src`: whichever is there. `cargo xtask setup` installs what is needed.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
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
    let mut cargo = compiler.build_kernel_crate("ftp-ebpf", linker, target, &variable("CARGO_CFG_TARGET_ARCH")?);
    cargo.current_dir(workspace).arg("--target-dir").arg(&target_dir);
    let output = cargo.output().with_context(|| format!("run {}", cargo.get_program().display()))?;
    if !output.status.success() {
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        process::exit(1);
    }
    Ok(target_dir.join(target).join("release/ftptrack"))
}

/// Fails the build with one line: cargo prints no more than this for `cargo::error`.
fn fail(error: &anyhow::Error) {
    println!("cargo::error={error:#}");
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: not run by cargo"))
}
