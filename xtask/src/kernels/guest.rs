//! A kernel at work in qemu, without any help of the host's processor: it needs no rights and runs anywhere.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// How long a guest may take in all.
const LONGEST: Duration = Duration::from_secs(1200);
/// How much of the console is shown when a guest fails.
const TAIL: usize = 40;
/// A warning of the kernel's, too, is a failure: it ends the guest at once.
const PARAMETERS: &str = "console=ttyS0 quiet panic=-1 oops=panic panic_on_warn=1 mitigations=off";
/// What the guest's `init` says last, when it has got that far.
const END: &str = "guest: end";

/// Boots `image` with `memory`; each line of the console goes to `line`. Fails if the guest doesn't reach its end.
pub(crate) fn run(image: &Path, memory: &Path, mut line: impl FnMut(&str)) -> Result<()> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio", "-append", PARAMETERS]);
    qemu.arg("-kernel").arg(image).arg("-initrd").arg(memory);
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut guest = Guest(qemu.spawn().context("qemu-system-x86_64 is not installed: run 'cargo xtask setup'")?);
    let begun = Instant::now();
    let console = guest.console()?;
    let mut tail = VecDeque::new();
    let mut ended = false;
    let why = loop {
        match console.recv_timeout(LONGEST.saturating_sub(begun.elapsed())) {
            Ok(text) => {
                ended |= text == END;
                line(&text);
                tail.push_back(text);
                if tail.len() > TAIL {
                    tail.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => break format!("it was not done after {} s", LONGEST.as_secs()),
            Err(RecvTimeoutError::Disconnected) if ended => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => break "it ended without saying so".to_owned(),
        }
    };
    bail!("{why}; the end of its console:\n{}", Vec::from(tail).join("\n"))
}

/// qemu's process, which ends with us.
struct Guest(Child);

impl Guest {
    /// The lines of its console, and what qemu itself complains of.
    fn console(&mut self) -> Result<mpsc::Receiver<String>> {
        let (sender, receiver) = mpsc::channel();
        let complaints = sender.clone();
        let console = BufReader::new(self.0.stdout.take().context("piped")?);
        let errors = BufReader::new(self.0.stderr.take().context("piped")?);
        let readable = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        thread::spawn(move || console.split(b'\n').flatten().try_for_each(|line| sender.send(readable(line))));
        thread::spawn(move || errors.lines().map_while(Result::ok).try_for_each(|line| complaints.send(line)));
        Ok(receiver)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
