//! What a guest boots into: a file system in memory with the tests and what they need, and nothing else.

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

use super::{modules::Modules, programs::Programs};
use crate::command;

/// Modules that the tests need, with what these need.
const MODULES: [&str; 7] = ["veth", "bridge", "sch_ingress", "cls_bpf", "tcp_diag", "nf_tables", "autofs4"];
/// Foreign programs, with their libraries: the firewall that dialogues are played behind, and the service manager that
/// the unit is for.
const TOOLS: [&str; 7] =
    ["nft", "/lib/systemd/systemd", "/lib/systemd/systemd-journald", "systemctl", "journalctl", "unshare", "nsenter"];
/// What systemd 254 and later start services by.
const EXECUTOR: &str = "/lib/systemd/systemd-executor";
/// systemd's own units, as far as ours depends on them.
const UNITS: [&str; 3] = ["systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket"];

/// Builds the image for a kernel with these modules; returns its file in `directory`.
pub(crate) fn build(directory: &Path, modules: &Path, programs: &Programs) -> Result<PathBuf> {
    let root = directory.join("root");
    for mount in ["dev", "proc", "sys", "tmp", "run", "etc", "guest/modules"] {
        fs::create_dir_all(root.join(mount))?;
    }
    let mut order = File::create(root.join("guest/modules.order"))?;
    for module in Modules::below(modules)?.with_dependencies(&MODULES)? {
        fs::write(root.join("guest/modules").join(&module.name), &module.image)?;
        writeln!(order, "{}", module.name)?;
    }
    for tool in TOOLS.into_iter().chain(Path::new(EXECUTOR).exists().then_some(EXECUTOR)) {
        let tool = command::find(tool).with_context(|| format!("{tool} is not installed: run 'cargo xtask setup'"))?;
        copy(&tool, &root)?;
        for library in libraries(&tool)? {
            copy(&library, &root)?;
        }
    }
    fs::copy(&programs.init, root.join("init"))?;
    fs::copy(&programs.ftptrack, root.join("guest/ftptrack"))?;
    fs::copy(&programs.told_server, root.join("guest/told-server"))?;
    let mut plan = File::create(root.join("guest/plan"))?;
    for suite in &programs.suites {
        let name = suite.name;
        fs::copy(&suite.program, root.join("guest").join(name))?;
        writeln!(plan, "{name} {}", suite.arguments.join(" "))?;
    }
    for unit in UNITS {
        copy(&Path::new("/lib/systemd/system").join(unit), &root)?;
    }
    // Where the tests were told they are.
    copy_tree(&command::workspace().join("tests/dialogues"), &root)?;
    copy(&command::workspace().join("deploy/ftptrack.service"), &root)?;
    pack(&root, &directory.join("image"))
}

/// Copies a file, or what a link points to, to the same place below `root`.
fn copy(file: &Path, root: &Path) -> Result<()> {
    let place = below(root, file);
    if let Some(directory) = place.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::copy(file, &place).with_context(|| file.display().to_string())?;
    Ok(())
}

fn copy_tree(directory: &Path, root: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() { copy_tree(&path, root)? } else { copy(&path, root)? }
    }
    Ok(())
}

fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The libraries of a program and its loader, as the loader itself finds them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = command::output(Command::new("ldd").arg(program))?;
    let paths = listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// The archive that a kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
fn pack(root: &Path, image: &Path) -> Result<PathBuf> {
    let names = command::output(Command::new("find").arg(".").current_dir(root))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--create", "--format=newc", "--quiet"]).current_dir(root);
    let mut child = cpio
        .stdin(Stdio::piped())
        .stdout(File::create(image)?)
        .spawn()
        .context("cpio is not installed: run 'cargo xtask setup'")?;
    child.stdin.take().context("piped")?.write_all(names.as_bytes())?;
    if !child.wait()?.success() {
        bail!("cpio failed");
    }
    Ok(image.to_owned())
}
