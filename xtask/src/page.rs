//! Parts of pages that are generated: they stand between two comments that name the command.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

/// Puts `part` in the place of what `command` has put into the page before.
pub(crate) fn put(page: &Path, command: &str, part: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- {command}: begin -->"), format!("<!-- {command}: end -->"));
    let name = page.display();
    let text = fs::read_to_string(page).with_context(|| name.to_string())?;
    let (before, rest) = text.split_once(&begin).with_context(|| format!("{name}: '{begin}' is missing"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("{name}: '{end}' is missing"))?;
    fs::write(page, format!("{before}{begin}\n{}\n{end}{after}", part.trim_end()))?;
    Ok(())
}
