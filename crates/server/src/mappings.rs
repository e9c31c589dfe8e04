//! Reads the operator's mapping files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_formats::Mappings;

use crate::config::Config;
use crate::error::ServerError;

/// Mapping files in one directory at most.
const FILES_MAX: usize = 1_000;
/// Bytes of one mapping file at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The mappings of the configured directory, in the order of their files' names, and the built-in ones behind them.
pub(crate) fn load(config: &Config) -> Result<Arc<Mappings>, ServerError> {
    match &config.mappings.directory {
        None => Ok(Mappings::built_in()),
        Some(directory) => {
            read(directory).map(Arc::new).map_err(|message| ServerError::Setting { key: "mappings.directory", message })
        }
    }
}

fn read(directory: &Path) -> Result<Mappings, String> {
    let unreadable = |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|error| unreadable(directory, error))? {
        let path = entry.map_err(|error| unreadable(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    if paths.len() > FILES_MAX {
        return Err(format!("{} holds more than {FILES_MAX} mapping files", directory.display()));
    }
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        let size = std::fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
        if size > FILE_BYTES_MAX {
            return Err(format!("{} has more than {FILE_BYTES_MAX} bytes", path.display()));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        files.push((path.display().to_string(), text));
    }
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    Mappings::with_built_in(&files).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MappingsConfig;

    fn loaded(files: &[(&str, &str)]) -> Result<Arc<Mappings>, String> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let mappings = MappingsConfig { directory: Some(dir.path().to_owned()) };
        load(&Config { mappings, ..Config::default() }).map_err(|error| error.to_string())
    }

    #[test]
    fn files_come_before_what_is_built_in_and_mistakes_are_named() {
        let own = "[[mapping]]\nname = 'own'\nabout = 'x'\ntable = 'Own_CL'\nwhen = 'a'\n";
        let all = loaded(&[("b.toml", &own.replace("'own'", "'second'")), ("a.toml", own), ("x.txt", "no TOML")]);
        let all = all.unwrap();
        let names: Vec<_> = all.summaries().take(2).map(|summary| summary.name.to_owned()).collect();
        assert_eq!(names, ["own", "second"]);
        assert!(all.summaries().count() > 30);
        let error = loaded(&[("a.toml", "[[mapping]]\nname = 'own'\nwhen = 'a'\n")]).unwrap_err();
        assert!(error.contains("a.toml: mapping own: a mapping needs a table"), "{error}");
    }
}
