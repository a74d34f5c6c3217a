//! The command line.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::attach::plan::Asked;
use crate::attach::plan::IfMissing;
use crate::attach::setup::install;
use crate::attach::teardown;
use crate::commands::run;
use crate::commands::watch;
use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::export::metrics;
use crate::pins::Pins;
use crate::query;
use crate::query::status;
use crate::query::table;
use crate::sys::bpffs::{self, Lifetime};
use crate::sys::capability;
use crate::top;

mod arguments;
mod doctor;
mod generate;
mod logger;
mod misuse;
mod policy;
mod queries;
mod replay;

use arguments::{ExporterArguments, ForceArgument, PolicyArguments};
use doctor::DoctorArguments;
use generate::{CompletionsArguments, ManArguments};
use policy::PolicyCommand;
use queries::{EventsArguments, FlushArguments, Format, List};
use replay::ReplayArguments;

/// Lets FTP data connections through, and only those that client and server have agreed on.
#[derive(Debug, Parser)]
#[command(name = "ftptrack", version)]
struct Cli {
    /// Directory on a BPF file system where maps and filters are pinned [default: /sys/fs/bpf/ftptrack, or
    /// ftptrack-net-INODE beside it in a network namespace other than the host's first]
    #[arg(long, global = true, env = "FTPTRACK_PIN_DIR", value_name = "DIR")]
    pin_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach to interfaces and return; the filter stays. Replaces a filter that is attached already, and keeps its state
    Attach(Box<AttachArguments>),
    /// Detach from interfaces
    Detach(DetachArguments),
    /// Attach, and reattach where the filter is lost; what a service runs
    Watch(Box<WatchArguments>),
    /// Attach to interfaces and show events until Ctrl-C; then detach
    Run(Box<RunArguments>),
    /// Show, check, change or import the policy
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Check the host for misconfigurations and print the commands that fix them; exits with 4 on warnings, 1 on errors
    Doctor(Box<DoctorArguments>),
    /// Show attached interfaces and the active policy; exits with 3 while an interface or address is unprotected
    Status(List),
    /// Show counters
    Stats(List),
    /// List tracked control connections
    Sessions(List),
    /// List data connections that were negotiated but have not begun
    Expectations(List),
    /// List data connections that were let in
    Flows(List),
    /// Show the events that are kept; with --follow, also new ones as they happen
    Events(EventsArguments),
    /// Show sessions, transfers with their rates, and denials, live and full-screen
    Top,
    /// Remove one entry of a list, or all
    Flush(FlushArguments),
    /// Analyse the FTP sessions of a capture with the kernel program; no interface is touched
    Replay(Box<ReplayArguments>),
    /// Print metrics once, in the Prometheus text format
    Metrics,
    /// Print completions for a shell
    Completions(CompletionsArguments),
    /// Write the manual pages
    Man(ManArguments),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct DetachArguments {
    /// Interface to detach from; may be given again
    #[arg(short, long = "interface", value_name = "IFACE")]
    interface: Vec<String>,
    /// Filters, maps and pins of all interfaces
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct AttachArguments {
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    force: ForceArgument,
    /// Replace whatever is attached, even if its maps have another layout; sessions are forgotten
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
struct WatchArguments {
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    exporters: ExporterArguments,
    #[command(flatten)]
    force: ForceArgument,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    policy: PolicyArguments,
    #[command(flatten)]
    exporters: ExporterArguments,
    #[command(flatten)]
    force: ForceArgument,
    /// Show diagnostics of the kernel program; twice for more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misuse::report(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .or_fail("runtime", "free some memory or descriptors")
        .and_then(|runtime| runtime.block_on(cli.execute()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{}", failure.report());
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Command {
    /// How often `-v` was given.
    const fn verbosity(&self) -> u8 {
        match self {
            Self::Run(arguments) => arguments.verbose,
            _ => 0,
        }
    }

    /// Asked first: the kernel would refuse without saying why.
    fn check_capabilities(&self) -> Result<(), Failure> {
        match self {
            Self::Attach(_) => capability::check("attach", capability::ATTACH),
            Self::Watch(_) => capability::check("watch", capability::ATTACH),
            Self::Run(_) => capability::check("run", capability::ATTACH),
            Self::Detach(_) => capability::check("detach", capability::ATTACH),
            Self::Policy { command } => command.check_capabilities(),
            Self::Doctor(_) => Ok(()),
            Self::Status(_) => capability::check("status", capability::MAPS),
            Self::Stats(_) => capability::check("stats", capability::MAPS),
            Self::Sessions(_) => capability::check("sessions", capability::MAPS),
            Self::Expectations(_) => capability::check("expectations", capability::MAPS),
            Self::Flows(_) => capability::check("flows", capability::MAPS),
            Self::Events(_) => capability::check("events", capability::MAPS),
            Self::Top => capability::check("top", capability::MAPS),
            Self::Flush(_) => capability::check("flush", capability::MAPS),
            Self::Replay(_) => capability::check("replay", capability::ATTACH),
            Self::Metrics => capability::check("metrics", capability::MAPS),
            Self::Completions(_) | Self::Man(_) => Ok(()),
        }
    }
}

impl Cli {
    async fn execute(self) -> Result<(), Failure> {
        logger::init(self.command.verbosity());
        self.command.check_capabilities()?;
        let pin_dir = self.pin_dir.unwrap_or_else(bpffs::usual_pin_dir);
        let pin_dir = pin_dir.as_path();
        let pins = || Pins::attached(pin_dir);
        match self.command {
            Command::Run(arguments) => {
                let RunArguments { policy, exporters, force: ForceArgument { force }, verbose } = *arguments;
                let asked = Asked { force, verbose, ..Asked::resolve(&policy.into_flags())? };
                run::run(&asked, pin_dir, exporters.into_exporters()).await
            }
            Command::Attach(arguments) => {
                let AttachArguments { policy, force: ForceArgument { force }, replace } = *arguments;
                let asked = Asked { force, replace, ..Asked::resolve(&policy.into_flags())? };
                let (installed, lock) = install(&asked, pin_dir, IfMissing::Refuse, Lifetime::Returns).await?;
                lock.release();
                eprint!("{}", installed.notes.iter().map(|note| format!("note: {note}\n")).collect::<String>());
                print(&installed.lines.iter().map(|line| format!("{line}\n")).collect::<String>())
            }
            Command::Watch(arguments) => {
                let WatchArguments { policy, exporters, force: ForceArgument { force } } = *arguments;
                watch::watch(&policy.into_flags(), force, pin_dir, exporters.into_exporters()).await
            }
            Command::Policy { command } => command.execute(pin_dir).await,
            Command::Detach(DetachArguments { interface, all }) => {
                let records =
                    if all { teardown::all(pin_dir).await? } else { teardown::some(pin_dir, &interface).await? };
                print(&records.iter().map(|record| format!("detached: {}\n", record.name)).collect::<String>())
            }
            Command::Doctor(arguments) => arguments.execute(pin_dir).await,
            Command::Status(list) => {
                let pins = pins()?;
                let whole = Cell::new(Ok(()));
                let status = async || {
                    let status = status::status(pin_dir, &pins).await?;
                    whole.set(status::whole(&status));
                    Ok(status)
                };
                list.show(status, table::status).await?;
                whole.into_inner()
            }
            Command::Stats(list) => list.show(async || query::stats(PinnedMaps::new(&pins()?)), table::stats).await,
            Command::Sessions(list) => {
                list.show_rows(async || query::sessions(PinnedMaps::new(&pins()?)), table::sessions).await
            }
            Command::Expectations(list) => {
                list.show_rows(async || query::expectations(PinnedMaps::new(&pins()?)), table::expectations).await
            }
            Command::Flows(list) => {
                list.show_rows(async || query::flows(PinnedMaps::new(&pins()?)), table::flows).await
            }
            Command::Events(arguments) => arguments.execute(pin_dir).await,
            Command::Top => top::top(pin_dir).await,
            Command::Flush(arguments) => arguments.execute(pin_dir),
            Command::Replay(arguments) => arguments.execute(),
            Command::Metrics => print(&metrics::text(pin_dir).await?),
            Command::Completions(arguments) => arguments.execute(),
            Command::Man(arguments) => arguments.execute(),
        }
    }
}

fn print(text: &str) -> Result<(), Failure> {
    shown(text).map(drop)
}

/// A closed pipe is no error, the reader had enough: then false.
fn shown(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        other => other.map(|()| true).or_fail("standard output", "see what reads it"),
    }
}

#[cfg(test)]
mod tests;
