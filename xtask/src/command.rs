//! Running other programs, and finding what belongs to this workspace.

use std::{
    env, fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// The workspace's root directory.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts what it builds here.
pub(crate) fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The cargo that runs us, in the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(workspace());
    cargo
}

/// Where `program` is, on `PATH` or where Debian keeps what only root runs (not on everybody's `PATH`).
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// Runs `command` with its output left where ours goes. Its failing is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{}: cannot be run", shown(command)))?;
    if !status.success() {
        bail!("'{}' failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs `command` and returns what it printed on standard output; what it says on standard error is shown only in
/// the error when it fails.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{}: cannot be run", shown(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("'{}' failed ({}): {}", shown(command), output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    // It belongs to whom this process acts for.
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// An error unless we are root: `why` it takes that, and how to run `task` so.
pub(crate) fn require_root(why: &str, task: &str) -> Result<()> {
    if !is_root() {
        bail!("{why}: run 'sudo --preserve-env=HOME,PATH cargo xtask {task}'");
    }
    Ok(())
}

/// `command` as one would type it, the program without its directory.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
