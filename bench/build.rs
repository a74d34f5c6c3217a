//! Compiles the programs to measure by, and leaves their object at `OUT_DIR/measure.bpf.o`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};

#[path = "../xtask/src/toolchain.rs"]
mod toolchain;

use toolchain::Compiler;

fn main() -> Result<()> {
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    let crate_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let compiler = Compiler::find(target).context("no compiler for BPF; run 'cargo xtask setup'")?;
    let linker = toolchain::bpf_linker().context("bpf-linker is not installed; run 'cargo xtask setup'")?;
    // A directory of its own: the outer cargo holds a lock on its target directory.
    let target_dir = out_dir.join("ebpf");
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let mut cargo = compiler.build_kernel_crate("ftptrack-bench-ebpf", &linker, target, &arch);
    cargo.current_dir(&crate_dir).arg("--target-dir").arg(&target_dir);
    let output = cargo.output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let object = target_dir.join(target).join("release/measure");
    fs::copy(&object, out_dir.join("measure.bpf.o")).with_context(|| object.display().to_string())?;
    for input in ["ebpf", "build.rs", "../Cargo.toml", "../xtask/src/toolchain.rs"] {
        println!("cargo::rerun-if-changed={}", crate_dir.join(Path::new(input)).display());
    }
    Ok(())
}
