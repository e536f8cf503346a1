//! The page: written whole or not at all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::Builder;

use crate::cli::exit::Usage;

/// Readable by whom the process's mask allows, as any new file is.
#[cfg(unix)]
const MODE: u32 = 0o666;

/// Where a page can be written.
#[derive(Debug)]
pub(super) struct Page(PathBuf);

impl Page {
    /// Refuses what cannot be written before anybody waits for the result.
    pub(super) fn at(path: &Path) -> anyhow::Result<Self> {
        // A link stays one: what it points to is written.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if path.is_dir() {
            let text = format!("--html {} is a folder: name a file in it", path.display());
            return Err(Usage(text).into());
        }
        let folder = folder(&path);
        if !folder.is_dir() {
            let text =
                format!("--html {}: folder {} is not there", path.display(), folder.display());
            return Err(Usage(text).into());
        }
        Ok(Self(path))
    }

    /// Writes `text`.
    pub(super) fn write(&self, text: &str) -> anyhow::Result<()> {
        let path = &self.0;
        let failed = || format!("failed to write {}", path.display());
        // A pipe or a device is no file that could be put in its place.
        if path.exists() && !path.is_file() {
            return fs::write(path, text).with_context(failed);
        }
        let mut builder = Builder::new();
        builder.prefix(".prescale-").suffix(".html");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(MODE));
        let mut file = builder.tempfile_in(folder(path)).with_context(failed)?;
        file.write_all(text.as_bytes()).with_context(failed)?;
        file.persist(path).map(drop).with_context(failed)
    }
}

/// The folder of a file that is named without one is the present one.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Page;

    #[test]
    fn a_page_takes_the_place_of_the_old_one_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        for text in ["one", "two"] {
            Page::at(&path).unwrap().write(text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_a_device_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let (link, file) = (folder.path().join("link"), folder.path().join("file"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        Page::at(&link).unwrap().write("new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        Page::at("/dev/null".as_ref()).unwrap().write("gone").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn folders_are_refused_before_anything_is_computed() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            (folder.path().to_owned(), "is a folder"),
            (folder.path().join("missing/report.html"), "is not there"),
        ];
        for (path, expected) in rows {
            let error = Page::at(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
