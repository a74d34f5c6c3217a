//! Options that make up a policy, or override that of the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ftp_common::policy::Side;

use crate::config::Flags;
use crate::export::Exporters;
use crate::policy::attachment::Hook;

/// Options that name interfaces and set a policy.
#[derive(Debug, Args)]
pub(super) struct PolicyArguments {
    /// Interface to attach to; may be given again
    #[arg(short, long = "interface", value_name = "IFACE")]
    interface: Vec<String>,
    /// Where the servers are, seen from the interface [default: servers-behind]
    #[arg(long, value_enum)]
    side: Option<SideArgument>,
    /// How to attach [default: tcx where the kernel has it]
    #[arg(long, value_enum)]
    hook: Option<HookArgument>,
    #[command(flatten)]
    rules: RuleArguments,
}

/// Options that set a policy.
#[derive(Debug, Args)]
pub(super) struct RuleArguments {
    /// Configuration file, which the other options override [default: /etc/ftptrack/config.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address or prefix of servers; may be given again [default: this host's own addresses; replay: whoever answers]
    #[arg(long, value_name = "PREFIX")]
    server: Vec<String>,
    /// Port of control connections; may be given again [default: 21]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    control_port: Vec<String>,
    /// The server's passive ports, FIRST-LAST; without a range passive mode is refused [replay: 1024-65535]
    #[arg(long, value_name = "FIRST-LAST", allow_hyphen_values = true)]
    passive_range: Option<String>,
    /// Refuse PASV and EPSV; the passive range stays guarded
    #[arg(long)]
    no_passive: bool,
    /// Source port of active data connections; any: no port is guarded; none: also refuses PORT and EPRT [default: 20]
    #[arg(long, value_name = "PORT", allow_hyphen_values = true)]
    active_port: Option<String>,
    /// Refuse PORT and EPRT; the active port stays guarded
    #[arg(long)]
    no_active: bool,
    /// Let another client address use a negotiated passive port
    #[arg(long)]
    pasv_promiscuous: bool,
    /// Let PORT and EPRT name an address other than the client's own (FXP)
    #[arg(long)]
    port_promiscuous: bool,
    /// Whether a 227 must name the server's own address: any or strict [default: any]
    #[arg(long, value_name = "CHOICE")]
    announced_address: Option<String>,
    /// Seconds within which a negotiated data connection must begin [default: 300]
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    expectation_timeout: Option<String>,
    /// Maximum number of tracked control connections per client [default: 128]
    #[arg(long, value_name = "COUNT", allow_hyphen_values = true)]
    sessions_per_client: Option<String>,
    /// What encrypted sessions may open: deny, learn or client-range [default: deny]
    #[arg(long, value_name = "CHOICE")]
    ftps: Option<String>,
    /// Mark for data packets that are let in, set at ingress
    #[arg(long, value_name = "VALUE/MASK")]
    mark: Option<String>,
    /// Deny nothing; only count and show
    #[arg(long)]
    monitor: bool,
    /// Do not count bytes of data connections
    #[arg(long)]
    no_accounting: bool,
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

impl PolicyArguments {
    /// They as the library takes them.
    pub(super) fn into_flags(self) -> Flags {
        let where_to = Flags {
            interfaces: self.interface,
            side: self.side.map(|side| match side {
                SideArgument::ServersBehind => Side::ServersBehind,
                SideArgument::ServersBeyond => Side::ServersBeyond,
            }),
            hook: self.hook.map(|hook| match hook {
                HookArgument::Tcx => Hook::Tcx,
                HookArgument::Clsact => Hook::Clsact,
            }),
            ..Flags::default()
        };
        self.rules.into_flags(where_to)
    }
}

impl RuleArguments {
    /// They as the library takes them, beside what is said of where to attach.
    pub(super) fn into_flags(self, where_to: Flags) -> Flags {
        Flags {
            config: self.config,
            servers: self.server,
            control_ports: self.control_port,
            passive_range: self.passive_range,
            no_passive: self.no_passive,
            active_port: self.active_port,
            no_active: self.no_active,
            pasv_promiscuous: self.pasv_promiscuous,
            port_promiscuous: self.port_promiscuous,
            announced_address: self.announced_address,
            expectation_timeout: self.expectation_timeout,
            sessions_per_client: self.sessions_per_client,
            ftps: self.ftps,
            mark: self.mark,
            monitor: self.monitor,
            no_accounting: self.no_accounting,
            ..where_to
        }
    }
}

/// Whether other listeners in the passive range matter.
#[derive(Debug, Args)]
pub(super) struct ForceArgument {
    /// Go on although other programs listen in the passive range
    #[arg(long)]
    pub(super) force: bool,
}

/// Options of the exporters.
#[derive(Debug, Args)]
pub(super) struct ExporterArguments {
    /// Serve Prometheus metrics at this address, over HTTP
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    metrics: Option<SocketAddr>,
    /// Write events to the systemd journal, with fields
    #[arg(long)]
    journal: bool,
}

impl ExporterArguments {
    /// They as the library takes them.
    pub(super) const fn into_exporters(self) -> Exporters {
        Exporters { metrics: self.metrics, journal: self.journal }
    }
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "it is no address with a port, as in 127.0.0.1:9821 or [::1]:9821")
}
