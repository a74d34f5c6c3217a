//! What is made of the command's own definition: completions for shells, and manual pages.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::shells;

use super::{Cli, print};
use crate::error::{Failure, OrFail as _};

#[derive(Debug, Args)]
pub(super) struct CompletionsArguments {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl CompletionsArguments {
    pub(super) fn execute(&self) -> Result<(), Failure> {
        let mut text = Vec::new();
        let mut command = Cli::command();
        let name = command.get_name().to_owned();
        match self.shell {
            Shell::Bash => clap_complete::generate(shells::Bash, &mut command, name, &mut text),
            Shell::Zsh => clap_complete::generate(shells::Zsh, &mut command, name, &mut text),
            Shell::Fish => clap_complete::generate(shells::Fish, &mut command, name, &mut text),
        }
        print(&String::from_utf8_lossy(&text))
    }
}

#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Directory to write them to; it is made if need be
    directory: PathBuf,
}

impl ManArguments {
    /// Writes `ftptrack.1`, and `ftptrack-COMMAND.1` for each command.
    pub(super) fn execute(&self) -> Result<(), Failure> {
        write_pages(&self.directory).or_fail(self.directory.display(), "name a directory that you may write to")
    }
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    // `ftptrack help COMMAND` shows what the pages say.
    clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), directory)
}
