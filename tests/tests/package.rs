//! The Debian package, in a root with nothing but a shell: it installs, works, and goes without a trace.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ftptrack_tests::hosts::network::Network;
use ftptrack_tests::subject::ftptrack::PinDirectory;
use ftptrack_tests::subject::{ftptrack, hooks};
use ftptrack_tests::support::process::{self, Output};
use ftptrack_tests::support::{file, tools};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// As made by `cargo xtask package`.
#[track_caller]
fn package() -> PathBuf {
    let path = std::env::var_os("FTPTRACK_DEB").map(PathBuf::from);
    path.expect("run `cargo xtask test`; or set FTPTRACK_DEB to what `cargo xtask package` prints")
}

/// A root directory whose only programs are busybox's.
struct Root(TempDir);

impl Root {
    fn new() -> Self {
        let root = file::directory();
        for directory in ["bin", "etc", "tmp", "usr/bin", "var/lib/dpkg/info", "var/lib/dpkg/updates"] {
            fs::create_dir_all(root.path().join(directory)).expect("our own");
        }
        fs::write(root.path().join("var/lib/dpkg/status"), "").expect("our own");
        fs::copy(tools::path(tools::BUSYBOX), root.path().join("bin/busybox")).expect("our own");
        symlink("busybox", root.path().join("bin/sh")).expect("our own");
        // Somebody else's: dpkg removes a directory that nothing is in.
        for file in ["etc/hostname", "usr/bin/other"] {
            fs::write(root.path().join(file), "").expect("our own");
        }
        Self(root)
    }

    #[track_caller]
    fn dpkg(&self, arguments: &[&str]) -> Output {
        self.dpkg_by(Command::new("dpkg"), arguments)
    }

    #[track_caller]
    fn dpkg_by(&self, mut dpkg: Command, arguments: &[&str]) -> Output {
        dpkg.arg(format!("--root={}", self.0.path().display())).arg("--log=/dev/null").args(arguments);
        let output = process::finish(&mut dpkg);
        assert!(output.status.success(), "dpkg {arguments:?}: {output:?}");
        output
    }

    /// A command inside.
    fn run(&self, arguments: &[&str]) -> Output {
        process::finish(Command::new("chroot").arg(self.0.path()).args(arguments))
    }

    /// All files with their contents' lengths, but for dpkg's own that say nothing of this package.
    fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = BTreeMap::new();
        let mut ahead = vec![self.0.path().to_owned()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(directory).expect("our own").flatten() {
                let about = entry.path().symlink_metadata().expect("our own");
                if about.is_dir() {
                    ahead.push(entry.path());
                }
                found.insert(entry.path(), if about.is_dir() { 0 } else { about.len() });
            }
        }
        let own = self.0.path().join("var/lib/dpkg");
        let is_named =
            |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ftptrack"));
        found.retain(|path, _| !path.starts_with(&own) || is_named(path));
        found
    }

    fn has(&self, path: impl AsRef<Path>) -> bool {
        self.0.path().join(path).exists()
    }
}

/// Links of the pages below a directory to files that aren't there.
fn dead_links(directory: &Path) -> Vec<String> {
    let pages = [directory.to_owned(), directory.join("docs")].into_iter().flat_map(|directory| {
        let files = fs::read_dir(&directory).expect("it is there").flatten().map(|entry| entry.path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect::<Vec<_>>()
    });
    let mut dead = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).expect("text");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://") && !target.starts_with('#')) {
            let file = target.split('#').next().unwrap_or_default();
            if !page.with_file_name(file).exists() {
                dead.push(format!("{}: {target}", page.display()));
            }
        }
    }
    dead
}

#[test]
fn it_installs_into_a_clean_root_works_and_is_purged_without_a_trace() {
    let root = Root::new();
    let before = root.files();
    root.dpkg(&["--install", package().to_str().expect("a path in UTF-8")]);
    let version = root.run(&["/usr/bin/ftptrack", "--version"]);
    assert_eq!(version.stdout, format!("ftptrack {}\n", env!("CARGO_PKG_VERSION")), "{version:?}");
    let checked = root.run(&["/usr/bin/ftptrack", "policy", "check"]);
    assert!(checked.status.success(), "{checked:?}");
    assert!(checked.stdout.ends_with("\n/etc/ftptrack/config.toml: no errors\n"), "{checked:?}");

    for file in ["usr/lib/systemd/system/ftptrack.service", "usr/share/zsh/vendor-completions/_ftptrack"] {
        assert!(root.has(file), "{file}");
    }
    assert_eq!(dead_links(&root.0.path().join("usr/share/doc/ftptrack")), [""; 0]);
    // Upgraded over what the admin has changed: the file stays as it is.
    let config = root.0.path().join("etc/ftptrack/config.toml");
    let mine = fs::read_to_string(&config).expect("it is there").replace("20480", "20000");
    fs::write(&config, &mine).expect("our own");
    root.dpkg(&["--force-confdef", "--force-confold", "--install", package().to_str().expect("a path in UTF-8")]);
    assert_eq!(fs::read_to_string(&config).expect("it is there"), mine);
    root.dpkg(&["--remove", "ftptrack"]);
    assert_eq!(fs::read_to_string(&config).expect("it is there"), mine, "removed, not purged");
    assert!(!root.has("usr/bin/ftptrack"));
    root.dpkg(&["--purge", "ftptrack"]);
    assert_eq!(root.files(), before);
}

#[test]
fn an_upgrade_leaves_the_filter_in_force_and_removing_the_package_takes_it_away() {
    let Network { server, .. } = &Network::new();
    // This thread has mounts of its own from here on.
    let _own_mounts = PinDirectory::new();
    let root = Root::new();
    let mounts = ["proc", "sys/fs/bpf"].map(|place| root.0.path().join(place));
    for (place, kind) in mounts.iter().zip(["proc", "bpf"]) {
        fs::create_dir_all(place).expect("our own");
        mount(kind, place, kind, MountFlags::empty(), None).expect("root may");
    }
    let package = package();
    let dpkg = |arguments: &[&str]| root.dpkg_by(server.namespace.command("dpkg"), arguments);
    let install = || dpkg(&["--install", package.to_str().expect("a path in UTF-8")]);
    install();
    let mut attach = server.namespace.command("chroot");
    attach.arg(root.0.path()).args(["/usr/bin/ftptrack", "attach", "-i", "eth0"]);
    let attached = process::finish(&mut attach);
    assert!(attached.status.success(), "{attached:?}");
    let programs = hooks::attached(server);
    assert_eq!(programs.len(), 2);
    install();
    assert_eq!(hooks::attached(server), programs);
    let removed = dpkg(&["--remove", "ftptrack"]);
    assert!(removed.stdout.contains("detached: eth0\n"), "{removed:?}");
    assert_eq!(hooks::attached(server), []);
    assert!(!root.has("sys/fs/bpf/ftptrack"));
    for place in &mounts {
        unmount(place, UnmountFlags::DETACH).expect("ours");
    }
}

#[test]
fn each_command_has_its_manual_page_with_all_its_options() {
    let directory = file::directory();
    let ftptrack = |arguments: &[&str]| {
        let output = process::finish(Command::new(ftptrack::binary()).args(arguments));
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let pages = directory.path().join("man");
    ftptrack(&["man", pages.to_str().expect("a path in UTF-8")]);
    let help = ftptrack(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).expect("it lists them").lines().take_while(|line| !line.is_empty());
    let names: Vec<_> = commands.filter_map(|line| line.split_whitespace().next()).filter(|n| *n != "help").collect();
    assert!(names.contains(&"watch") && names.contains(&"man"), "{names:?}");
    for name in names {
        let path = pages.join(format!("ftptrack-{name}.1"));
        let page = process::finish(Command::new("man").args(["--warnings", "-E", "UTF-8", "-l"]).arg(&path));
        assert!(page.status.success() && page.stderr.is_empty(), "{name}: {page:?}");
        for option in ftptrack(&[name, "--help"]).split_whitespace().filter(|word| word.starts_with("--")) {
            let option = option.trim_end_matches(|end: char| !end.is_ascii_alphanumeric());
            let option = option.split(['=', '[']).next().expect("a name");
            assert!(page.stdout.contains(option), "{name}: no {option} in {}", page.stdout);
        }
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let script = process::finish(Command::new(ftptrack::binary()).args(["completions", "bash"])).stdout;
    let completed = |words: &str| {
        let array = words.replace(' ', "' '");
        let last = words.matches(' ').count();
        let ask = format!(
            "{script}\nCOMP_WORDS=('{array}'); COMP_CWORD={last}; _ftptrack ftptrack \"${{COMP_WORDS[{last}]}}\" \
             \"${{COMP_WORDS[{last}-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        process::finish(Command::new("bash").args(["--norc", "-c", &ask]))
    };
    let commands = completed("ftptrack sta");
    assert_eq!(commands.stdout, "status stats\n", "{commands:?}");
    let options = completed("ftptrack watch --passive-r");
    assert_eq!(options.stdout, "--passive-range\n", "{options:?}");
    for shell in ["zsh", "fish"] {
        let script = process::finish(Command::new(ftptrack::binary()).args(["completions", shell]));
        assert!(script.status.success() && script.stdout.contains("passive-range"), "{shell}");
    }
}
