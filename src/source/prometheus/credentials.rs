//! Credentials from files, read again when the file changes; never printed.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use secrecy::SecretString;

use crate::source::config::Error;

/// Longer than any token; a path to something else is refused early.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// A secret that lives in a file.
#[derive(Debug)]
pub(crate) struct SecretFile {
    path: PathBuf,
    read: Mutex<(Option<SystemTime>, SecretString)>,
}

impl SecretFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read, is empty, too long or not text.
    pub(crate) fn open(
        datasource: &str,
        what: &'static str,
        path: &PathBuf,
    ) -> Result<Self, Error> {
        let failed =
            |source| Error::File { name: datasource.to_owned(), what, path: path.clone(), source };
        let read = read(path).map_err(failed)?;
        Ok(Self { path: path.clone(), read: Mutex::new(read) })
    }

    /// The secret as the file has it now; the last one read while the file cannot be read. One
    /// `stat` per query, of a file that Kubernetes keeps in memory.
    pub(crate) fn current(&self) -> SecretString {
        let modified = std::fs::metadata(&self.path).and_then(|meta| meta.modified()).ok();
        let mut held = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if modified.is_some()
            && modified != held.0
            && let Ok(fresh) = read(&self.path)
        {
            *held = fresh;
        }
        held.1.clone()
    }
}

fn read(path: &PathBuf) -> std::io::Result<(Option<SystemTime>, SecretString)> {
    let meta = std::fs::metadata(path)?;
    if meta.len() > SECRET_BYTES_MAX {
        return Err(std::io::Error::other("longer than 64 KiB"));
    }
    let text = std::fs::read_to_string(path)?;
    let text = text.trim_end();
    if text.is_empty() {
        return Err(std::io::Error::other("nothing in it"));
    }
    Ok((meta.modified().ok(), SecretString::from(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use secrecy::ExposeSecret;

    use super::SecretFile;

    #[test]
    fn a_changed_file_is_read_again_and_a_lost_one_is_remembered() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        std::fs::write(&path, "one\n").expect("written");
        let secret = SecretFile::open("main", "bearerTokenFile", &path).expect("opened");
        assert_eq!(secret.current().expose_secret(), "one");

        std::fs::write(&path, "two").expect("written");
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
        let file = std::fs::File::options().write(true).open(&path).expect("opened");
        file.set_modified(later).expect("stamped");
        assert_eq!(secret.current().expose_secret(), "two");

        // Who writes a file anew empties it first.
        std::fs::write(&path, "\n").expect("written");
        assert_eq!(secret.current().expose_secret(), "two");
        let empty = SecretFile::open("main", "bearerTokenFile", &path);
        assert!(empty.is_err_and(|error| format!("{error:?}").contains("nothing in it")));

        std::fs::remove_file(&path).expect("removed");
        assert_eq!(secret.current().expose_secret(), "two");
        assert!(!format!("{secret:?}").contains("two"));
    }
}
