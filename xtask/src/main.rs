//! ftptrack's own commands: `cargo xtask setup`, `build`, `run`, `test`, `mutate`, `security`, `compat`, `bench`, `package`
//! and `demo`, a file each.

mod bench;
mod build;
mod command;
mod compat;
mod demo;
#[cfg(test)]
mod dependencies;
mod ftps;
mod kernels;
mod mutate;
mod package;
mod page;
mod pages;
mod run;
mod security;
mod servers;
mod setup;
mod test;
mod toolchain;
mod unpack;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds, runs, tests and shows ftptrack")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what building and testing needs: packages and bpf-linker.
    Setup,
    /// Build the ftptrack command and print its path.
    Build {
        /// Optimised, as for a server.
        #[arg(long)]
        release: bool,
        /// For machines of another kind: aarch64-unknown-linux-gnu, say.
        #[arg(long, value_name = "TRIPLE")]
        target: Option<String>,
    },
    /// Build ftptrack and run it with the rights it needs: `cargo xtask run -- run -i eth0`.
    Run {
        /// What to pass to ftptrack.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run every check and every test, as root; `-- FILTER` picks tests by name.
    Test {
        /// Try the properties on 100,000 cases instead of 2,000.
        #[arg(long)]
        long: bool,
        /// Only inside this kernel, in qemu: 5.10, say, or newest; may be given again.
        #[arg(long, value_name = "VERSION", conflicts_with_all = ["long", "arguments"])]
        kernel: Vec<String>,
        /// Only inside all kernels of docs/kernels.md, which is written anew.
        #[arg(long, conflicts_with_all = ["long", "arguments", "kernel"])]
        kernels: bool,
        /// What to pass to the test programs.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Switch off each check in turn, in a copy of the tree: the test that stands for it must fail. As root.
    Mutate {
        /// Let cargo-mutants change ftp-common in every way that it knows: the crate's own tests must notice.
        #[arg(long)]
        generated: bool,
        /// Only those that the last run, which was stopped, did not come to.
        #[arg(long, conflicts_with = "generated")]
        rest: bool,
        /// Only those whose check, file or test contains this; with --generated, a regular expression.
        filter: Option<String>,
    },
    /// Play all attacks against ftptrack and nf_conntrack_ftp and write the tables in docs/security.md. As root.
    Security,
    /// Play every server with every client, with ftptrack and without, and write docs/compatibility.md. As root.
    Compat {
        /// Play only the cells whose names have all of these words, and write nothing.
        words: Vec<String>,
    },
    /// Play encrypted sessions with real servers, and write what is learned of them into docs/ftps.md. As root.
    Ftps,
    /// Measure what ftptrack costs beside no filter and nf_conntrack_ftp, and write docs/benchmarks.md. As root.
    Bench {
        /// Fewer rounds and smaller files; writes no page.
        #[arg(long)]
        quick: bool,
        /// Measure only these parts anew: packet, transfer, bulk, rate, scale, live, flood, start.
        parts: Vec<String>,
    },
    /// Build ftptrack and make the Debian package of it; print the package's path.
    Package {
        /// This one, instead of building it.
        #[arg(long, value_name = "FTPTRACK")]
        binary: Option<PathBuf>,
    },
    /// Run `ftptrack top` and `ftptrack doctor` and write what they show into docs/top.md and docs/doctor.md. As root.
    Pages,
    /// Show ftptrack at work between two throwaway hosts, as root.
    Demo,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Setup => setup::everything(),
        Task::Build { release, target } => build::run(release, target.as_deref()),
        Task::Run { arguments } => run::run(&arguments),
        Task::Test { kernels: true, .. } => kernels::run_all(),
        Task::Test { kernel, .. } if !kernel.is_empty() => kernels::run(&kernel),
        Task::Test { long, arguments, .. } => test::run(long, &arguments),
        Task::Mutate { generated: true, filter, .. } => mutate::generated::run(filter.as_deref()),
        Task::Mutate { filter, rest, .. } => mutate::run(filter.as_deref(), rest),
        Task::Security => security::run(),
        Task::Compat { words } => compat::run(&words),
        Task::Ftps => ftps::run(),
        Task::Bench { quick, parts } => bench::run(quick, &parts),
        Task::Package { binary } => package::run(binary),
        Task::Pages => pages::run(),
        Task::Demo => demo::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
