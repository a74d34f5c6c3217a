//! A real terminal, without anybody in front of it.

use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

use crate::hosts::network::Host;
use crate::support::{file, process, wait};

/// A tmux server of the test's own with one window, in which a shell runs on a host. All of it ends when this is
/// dropped.
#[derive(Debug)]
pub struct Tmux<'a> {
    host: &'a Host,
    directory: TempDir,
}

/// The shell's prompt, at which nothing runs.
const PROMPT: &str = "ready>";

impl<'a> Tmux<'a> {
    /// Opens a window of this size, and returns when its shell waits.
    #[track_caller]
    pub fn on(host: &'a Host, width: u16, height: u16) -> Self {
        let directory = file::directory();
        let tmux = Self { host, directory };
        let (width, height) = (width.to_string(), height.to_string());
        let shell = format!("env -u NO_COLOR PS1='{PROMPT}' TERM=screen-256color sh");
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &shell]);
        tmux.wait_for(PROMPT);
        tmux
    }

    /// What is seen, a line each, without blanks at their ends.
    #[track_caller]
    pub fn picture(&self) -> Vec<String> {
        self.run(&["capture-pane", "-p"]).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The same with the sequences that colour it.
    #[track_caller]
    pub fn picture_in_colours(&self) -> String {
        self.run(&["capture-pane", "-p", "-e"])
    }

    /// Waits until a line with `text` in it is seen; that line.
    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |lines| lines.iter().find(|line| line.contains(text)).cloned())
    }

    /// Waits until the picture has what is wanted of it.
    #[track_caller]
    pub fn wait_until<T>(&self, name: &str, mut wanted: impl FnMut(&[String]) -> Option<T>) -> T {
        let mut last = Vec::new();
        let found = wait::within(wait::patience(), || {
            last = self.picture();
            wanted(&last)
        });
        found.unwrap_or_else(|| panic!("{name}: not so after {:?}: {last:#?}", wait::patience()))
    }

    /// Presses keys, by tmux's names (`q`, `Enter`, `C-c`).
    #[track_caller]
    pub fn press(&self, keys: &[&str]) {
        self.run(&[&["send-keys"], keys].concat());
    }

    /// Types a line of shell.
    #[track_caller]
    pub fn enter(&self, line: &str) {
        self.run(&["send-keys", "-l", line]);
        self.press(&["Enter"]);
    }

    /// Gives the window another size.
    #[track_caller]
    pub fn resize(&self, width: u16, height: u16) {
        self.run(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What tmux knows of the terminal: whether the alternate screen is shown, and whether the cursor is.
    #[track_caller]
    pub fn modes(&self) -> String {
        self.run(&["display-message", "-p", "alternate #{alternate_on}, cursor #{cursor_flag}"]).trim().to_owned()
    }

    /// The terminal's own settings, as `stty` tells them while nothing else runs.
    #[track_caller]
    pub fn settings(&self) -> String {
        let file = self.directory.path().join("stty");
        let done = self.directory.path().join("done");
        let _ = std::fs::remove_file(&done);
        self.enter(&format!("clear; stty -g > {}; : > {}", file.display(), done.display()));
        wait::until("stty has answered", || done.exists().then_some(()));
        self.wait_for(PROMPT);
        std::fs::read_to_string(file).expect("stty wrote it")
    }

    /// The process that runs in the window's foreground, by its name.
    #[track_caller]
    pub fn process(&self, name: &str) -> i32 {
        let shell = self.run(&["display-message", "-p", "#{pane_pid}"]);
        let mut children = Command::new("pgrep");
        children.args(["-P", shell.trim(), "-x", name]);
        wait::until("it runs", || process::finish(&mut children).stdout.trim().parse().ok())
    }

    /// A place for files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = self.host.namespace.command("tmux");
        command.arg("-S").arg(self.directory.path().join("socket")).args(arguments).env("LC_ALL", "C.UTF-8");
        let output = process::finish(&mut command);
        assert!(output.status.success(), "tmux {arguments:?}: {}", output.stderr);
        output.stdout
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let socket = self.directory.path().join("socket");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}
