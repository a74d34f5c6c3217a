//! Kernel modules: found by name, unpacked, and put in an order in which each finds what it needs.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

/// All modules of a kernel.
pub(crate) struct Modules {
    files: HashMap<String, PathBuf>,
}

/// One module as the kernel takes it.
pub(crate) struct Module {
    pub(crate) name: String,
    pub(crate) image: Vec<u8>,
}

impl Modules {
    /// Those below a directory.
    pub(crate) fn below(directory: &Path) -> Result<Self> {
        let mut files = HashMap::new();
        let mut ahead = vec![directory.to_owned()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
                let path = entry?.path();
                if path.is_dir() {
                    ahead.push(path);
                } else if let Some((name, _)) =
                    path.file_name().and_then(|n| n.to_str()).and_then(|n| n.split_once(".ko"))
                {
                    files.insert(name.replace('-', "_"), path);
                }
            }
        }
        Ok(Self { files })
    }

    /// These modules and what they depend on, first what is depended on. One that is in no file is taken to be built
    /// in: were it missing, what needs it would say so.
    pub(crate) fn with_dependencies(&self, names: &[&str]) -> Result<Vec<Module>> {
        let mut chosen = Vec::new();
        for name in names {
            self.add(name, &mut chosen)?;
        }
        Ok(chosen)
    }

    fn add(&self, name: &str, chosen: &mut Vec<Module>) -> Result<()> {
        let name = name.replace('-', "_");
        let Some(file) = self.files.get(&name) else { return Ok(()) };
        if chosen.iter().any(|module| module.name == name) {
            return Ok(());
        }
        let image = image(file)?;
        for dependency in information(&image, "depends").split(',').filter(|name| !name.is_empty()) {
            self.add(dependency, chosen)?;
        }
        chosen.push(Module { name, image });
        Ok(())
    }
}

fn image(file: &Path) -> Result<Vec<u8>> {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => Ok(fs::read(file)?),
        Some("xz") => {
            let output = Command::new("xz").args(["--decompress", "--stdout"]).arg(file).output()?;
            if !output.status.success() {
                bail!("{}: xz cannot read it", file.display());
            }
            Ok(output.stdout)
        }
        _ => bail!("{}: compressed in an unknown way", file.display()),
    }
}

/// An entry of a module's `.modinfo`: `NAME=value` between zero bytes.
fn information(image: &[u8], name: &str) -> String {
    let entry = format!("{name}=");
    let value = image.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(entry.as_bytes()));
    String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_comes_before_it_and_only_once() {
        let directory = tempfile::tempdir().unwrap();
        for (name, depends) in [("a", "b-c,d"), ("b-c", "d"), ("d", "")] {
            fs::write(directory.path().join(format!("{name}.ko")), format!("x\0license=GPL\0depends={depends}\0y"))
                .unwrap();
        }
        let modules = Modules::below(directory.path()).unwrap();
        let names = |wanted: &[&str]| -> Vec<String> {
            modules.with_dependencies(wanted).unwrap().into_iter().map(|module| module.name).collect()
        };
        assert_eq!(names(&["a", "d"]), ["d", "b_c", "a"]);
        assert_eq!(names(&["built_in"]), [""; 0]);
    }
}
