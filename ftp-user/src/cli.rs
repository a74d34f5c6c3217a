//! The command line.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use ftp_common::policy::Side;
use serde::Serialize;

use crate::failure::{Failure, OrFail as _};
use crate::pins::Hook;
use crate::policy::Request;
use crate::tables::Tables;
use crate::{detach, diagnostics, query, run, show};

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
    /// What is attached, and the policy in force
    Status(Format),
    /// What was counted
    Stats(Format),
    /// Control connections
    Sessions(Format),
    /// Data connections that were negotiated and have not begun
    Expectations(Format),
    /// Data connections that were let in
    Flows(Format),
    /// Remove what a killed ftptrack left in force
    Detach(DetachArguments),
}

#[derive(Debug, Args)]
struct Format {
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DetachArguments {
    /// Filters, maps and pins of all interfaces
    #[arg(long, required = true)]
    all: bool,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Interface to attach to; may be given again
    #[arg(short, long = "interface", value_name = "IFACE", required = true)]
    interface: Vec<String>,
    /// The server's passive ports, FIRST-LAST; without it passive mode is refused
    #[arg(long, value_name = "FIRST-LAST", allow_hyphen_values = true)]
    passive_range: Option<String>,
    /// Port of control connections; may be given again [default: 21]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    control_port: Vec<String>,
    /// Source port of active data connections, or none: PORT and EPRT are refused and no source port is guarded [default: 20]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    active_port: Option<String>,
    /// Address or prefix of servers; may be given again [default: the interface's own addresses]
    #[arg(long, value_name = "PREFIX")]
    server: Vec<String>,
    /// Where servers are, seen from the interface
    #[arg(long, value_enum, default_value = "servers-behind")]
    side: SideArgument,
    /// Deny nothing, only count and show
    #[arg(long)]
    monitor: bool,
    /// Another client address may use what a client negotiated
    #[arg(long)]
    pasv_promiscuous: bool,
    /// PORT and EPRT may name another address than the client's own (FXP)
    #[arg(long)]
    port_promiscuous: bool,
    /// Whether a 227 must name the server's own address: any or strict [default: any]
    #[arg(long, value_name = "CHOICE")]
    announced_address: Option<String>,
    /// Seconds that a negotiated data connection may take to begin [default: 300]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    expectation_timeout: Option<String>,
    /// What encrypted sessions may open: deny or client-range [default: deny]
    #[arg(long, value_name = "CHOICE")]
    ftps: Option<String>,
    /// Go on in spite of other programs that listen in the passive range
    #[arg(long)]
    force: bool,
    /// How to attach [default: tcx where the kernel has it]
    #[arg(long, value_enum)]
    hook: Option<HookArgument>,
    /// Show the kernel program's diagnostics; twice for more
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideArgument {
    /// On this host, or behind this gateway
    ServersBehind,
    /// Beyond the interface: clients are on this host, or behind this gateway
    ServersBeyond,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HookArgument {
    /// Linux 6.6 and later
    Tcx,
    /// The clsact qdisc
    Clsact,
}

impl RunArguments {
    fn into_options(self) -> run::Options {
        let side = match self.side {
            SideArgument::ServersBehind => Side::ServersBehind,
            SideArgument::ServersBeyond => Side::ServersBeyond,
        };
        let request = Request {
            passive_range: self.passive_range,
            control_ports: self.control_port,
            active_port: self.active_port,
            servers: self.server,
            side,
            monitor: self.monitor,
            pasv_promiscuous: self.pasv_promiscuous,
            port_promiscuous: self.port_promiscuous,
            announced_address: self.announced_address,
            expectation_timeout: self.expectation_timeout,
            ftps: self.ftps,
        };
        let hook = self.hook.map(|hook| match hook {
            HookArgument::Tcx => Hook::Tcx,
            HookArgument::Clsact => Hook::Clsact,
        });
        run::Options { interfaces: self.interface, request, force: self.force, hook, verbose: self.verbose }
    }
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
            eprintln!("ftptrack: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

impl Cli {
    async fn execute(self) -> Result<(), Failure> {
        let pin_dir = self.pin_dir.as_path();
        let pins = || query::pins(pin_dir);
        match self.command {
            Command::Run(arguments) => {
                diagnostics::init(arguments.verbose);
                run::run(&arguments.into_options(), pin_dir).await
            }
            Command::Detach(_) => {
                let records = detach::all(pin_dir).await?;
                print(&records.iter().map(|record| format!("detached: {}\n", record.name)).collect::<String>())
            }
            Command::Status(format) => format.print(&query::status(pin_dir, &pins()?).await?, show::status),
            Command::Stats(format) => format.print(&query::stats(Tables::new(&pins()?))?, show::stats),
            Command::Sessions(format) => format.print(&query::sessions(Tables::new(&pins()?))?[..], show::sessions),
            Command::Expectations(format) => {
                format.print(&query::expectations(Tables::new(&pins()?))?[..], show::expectations)
            }
            Command::Flows(format) => format.print(&query::flows(Tables::new(&pins()?))?[..], show::flows),
        }
    }
}

impl Format {
    fn print<T: Serialize + ?Sized>(&self, value: &T, table: fn(&T) -> String) -> Result<(), Failure> {
        if !self.json {
            return print(&table(value));
        }
        let text = serde_json::to_string_pretty(value).or_fail("--json", "report this")?;
        print(&(text + "\n"))
    }
}

/// A closed pipe is no error: the reader had enough.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.or_fail("standard output", "see what reads it"),
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
    eprintln!("ftptrack: {}", usage_line(error));
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
#[path = "cli_tests.rs"]
mod tests;
