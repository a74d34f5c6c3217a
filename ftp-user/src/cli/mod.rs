//! The command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::failure::{Failure, OrFail as _};
use crate::tables::Tables;
use crate::{capability, detach, diagnostics, query, run, show};

mod arguments;
mod policy;
mod queries;

use arguments::PolicyArguments;
use policy::PolicyCommand;
use queries::{EventsArguments, FlushArguments, Format, List};

/// Lets FTP data connections through, and only those that client and server have agreed on.
#[derive(Debug, Parser)]
#[command(name = "ftptrack", version)]
struct Cli {
    /// Directory on a BPF file system that keeps maps and filters in force
    #[arg(long, global = true, env = "FTPTRACK_PIN_DIR", value_name = "DIR", default_value = "/sys/fs/bpf/ftptrack")]
    pin_dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach to interfaces and show what happens, until Ctrl-C
    Run(Box<RunArguments>),
    /// Show, check, change or import what holds for which servers
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// What is attached, and the policy in force
    Status(List),
    /// What was counted
    Stats(List),
    /// Control connections
    Sessions(List),
    /// Data connections that were negotiated and have not begun
    Expectations(List),
    /// Data connections that were let in
    Flows(List),
    /// What happened, as far as it is kept; with --follow also what happens
    Events(EventsArguments),
    /// Take one entry out of a list, or all
    Flush(FlushArguments),
    /// Remove what a killed ftptrack left in force
    Detach(DetachArguments),
}

#[derive(Debug, Args)]
struct DetachArguments {
    /// Filters, maps and pins of all interfaces
    #[arg(long, required = true)]
    all: bool,
}

#[derive(Debug, Args)]
struct RunArguments {
    #[command(flatten)]
    policy: PolicyArguments,
    /// Go on in spite of other programs that listen in the passive range
    #[arg(long)]
    force: bool,
    /// Show the kernel program's diagnostics; twice for more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

/// Runs the command that the process's arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
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
    /// Asked first: the kernel would refuse without saying why.
    fn check_capabilities(&self) -> Result<(), Failure> {
        match self {
            Self::Run(_) => capability::check("run", capability::ATTACH),
            Self::Detach(_) => capability::check("detach", capability::ATTACH),
            Self::Policy { command } => command.check_capabilities(),
            Self::Status(_) => capability::check("status", capability::MAPS),
            Self::Stats(_) => capability::check("stats", capability::MAPS),
            Self::Sessions(_) => capability::check("sessions", capability::MAPS),
            Self::Expectations(_) => capability::check("expectations", capability::MAPS),
            Self::Flows(_) => capability::check("flows", capability::MAPS),
            Self::Events(_) => capability::check("events", capability::MAPS),
            Self::Flush(_) => capability::check("flush", capability::MAPS),
        }
    }
}

impl Cli {
    async fn execute(self) -> Result<(), Failure> {
        self.command.check_capabilities()?;
        let pin_dir = self.pin_dir.as_path();
        let pins = || query::pins(pin_dir);
        match self.command {
            Command::Run(arguments) => {
                diagnostics::init(arguments.verbose);
                let configuration = arguments.policy.into_flags().resolve()?;
                let options = run::Options { configuration, force: arguments.force, verbose: arguments.verbose };
                run::run(&options, pin_dir).await
            }
            Command::Policy { command } => command.execute(pin_dir).await,
            Command::Detach(_) => {
                let records = detach::all(pin_dir).await?;
                print(&records.iter().map(|record| format!("detached: {}\n", record.name)).collect::<String>())
            }
            Command::Status(list) => {
                let pins = pins()?;
                list.show(async || query::status(pin_dir, &pins).await, show::status).await
            }
            Command::Stats(list) => list.show(async || query::stats(Tables::new(&pins()?)), show::stats).await,
            Command::Sessions(list) => {
                list.show(async || query::sessions(Tables::new(&pins()?)), |rows| show::sessions(rows)).await
            }
            Command::Expectations(list) => {
                list.show(async || query::expectations(Tables::new(&pins()?)), |rows| show::expectations(rows)).await
            }
            Command::Flows(list) => {
                list.show(async || query::flows(Tables::new(&pins()?)), |rows| show::flows(rows)).await
            }
            Command::Events(arguments) => arguments.execute(pin_dir).await,
            Command::Flush(arguments) => arguments.execute(pin_dir),
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

/// Help and version as they are; misuse as one line, like every other failure.
fn misused(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(2);
    }
    eprint!("{}", usage_line(error).report());
    ExitCode::from(2)
}

/// The first paragraph of clap's message says what is wrong; the rest is usage and tips.
fn usage_line(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let wrong = first.trim_start_matches("error: ");
    Failure::usage("command line", wrong, "see ftptrack --help, ftptrack run --help")
}

#[cfg(test)]
mod tests;
