//! Options and the configuration file become one checked configuration, before anything touches the kernel.
//!
//! ```text
//! file.rs ──▶ draft ──┐
//!                     ├─ overlay ──▶ resolve.rs ──▶ Configuration, or everything that is wrong
//! flags.rs ─▶ draft ──┘
//! ```

use std::fs;
use std::path::Path;

use ftp_common::policy::Side;

use crate::error::{Failure, OrFail as _};
use crate::policy::Policy;
use crate::policy::attachment::{Hook, Sizes};

pub mod draft;
mod fields;
mod file;
pub mod flags;
pub mod origin;
mod resolve;
pub mod value;

pub use file::read as read_text;
pub use flags::Flags;

use draft::Draft;
use origin::Complaints;

/// The configuration file where no other is named.
pub const USUAL: &str = "/etc/ftptrack/config.toml";

/// A configuration that is valid as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Configuration {
    /// Interfaces to attach to; none if it names none.
    pub interfaces: Vec<InterfaceChoice>,
    /// The policy.
    pub policy: Policy,
    /// How much there is room for.
    pub sizes: Sizes,
}

/// An interface to attach to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InterfaceChoice {
    /// Its name.
    pub name: String,
    /// Where servers are, seen from it.
    pub side: Side,
    /// How to attach to it; by what the kernel has, if not given.
    pub hook: Option<Hook>,
}

impl Flags {
    /// The configuration file, if there is one: `--config`, else the usual one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let usual = Path::new(USUAL);
        self.config.as_deref().or_else(|| usual.exists().then_some(usual))
    }

    /// The configuration: the file's, which these options override. Without `--config` it is the
    /// usual file, if that is there.
    ///
    /// # Errors
    ///
    /// The file can't be read, or everything that is wrong in it and in the options.
    pub fn resolve(&self) -> Result<Configuration, Failure> {
        let mut complaints = Complaints::default();
        let mut draft = match self.file() {
            Some(file) => read(file, &mut complaints)?,
            None => Draft::default(),
        };
        draft.overlay(self.draft(&mut complaints), &mut complaints);
        self.overlay_interfaces(&mut draft.interfaces);
        finish(draft, complaints)
    }
}

/// The configuration of a file alone.
///
/// # Errors
///
/// It can't be read, or everything that is wrong in it.
pub fn of_file(file: &Path) -> Result<Configuration, Failure> {
    let mut complaints = Complaints::default();
    let draft = read(file, &mut complaints)?;
    finish(draft, complaints)
}

fn read(file: &Path, complaints: &mut Complaints) -> Result<Draft, Failure> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file)
        .or_fail(&name, "give the path of a configuration file; ftptrack policy import writes one")?;
    Ok(read_text(&name, &text, complaints))
}

fn finish(draft: Draft, mut complaints: Complaints) -> Result<Configuration, Failure> {
    let configuration = draft.resolve(&mut complaints);
    complaints.into_result()?;
    Ok(configuration)
}

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod tests;
