//! Who may ask for a wake, by token: which tokens there are, and for which namespaces.
//!
//! Files are read again when they change, so that a token can be replaced without a restart. A file
//! that cannot be used any more never replaces a good one. Every token is compared in full, in the same
//! time wherever it differs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use tracing::{info, warn};

use crate::http::token::Token;

/// Between looks at the files: who asks without a token must not have them looked at each time.
const LOOK: Duration = Duration::from_secs(1);

/// A token is a line.
const BYTES_MAX: u64 = 4096;

/// A file with a token, and the namespaces it may wake in; none: all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// The file.
    pub path: PathBuf,
    /// Namespaces; empty: all.
    pub namespaces: Vec<String>,
}

/// Why a wake is not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Nobody knows the token.
    Unknown,
    /// It is not for this namespace.
    Namespace,
}

/// The tokens.
#[derive(Debug)]
pub struct Keys {
    files: Vec<KeyFile>,
    read: Mutex<Read>,
}

#[derive(Debug)]
struct Read {
    looked: Duration,
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    modified: Option<SystemTime>,
    token: Token,
    secret: SecretString,
}

impl Keys {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// One text for each file that cannot be read or holds no usable token.
    pub fn open(files: Vec<KeyFile>) -> Result<Self, Vec<String>> {
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for file in &files {
            match read(&file.path) {
                Ok(key) => keys.push(key),
                Err(fault) => faults.push(fault),
            }
        }
        let read = Mutex::new(Read { looked: Duration::ZERO, keys });
        if faults.is_empty() { Ok(Self { files, read }) } else { Err(faults) }
    }

    /// Whether there is any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The number of the token `given`, from one, if it may wake in `namespace`. `now` is of a clock
    /// that never jumps.
    pub(super) fn allow(
        &self,
        given: Option<&[u8]>,
        namespace: &str,
        now: Duration,
    ) -> Result<usize, Denied> {
        let given = given.ok_or(Denied::Unknown)?;
        let read = self.current(now);
        let (mut known, mut allowed) = (false, None);
        // All of them, whichever it is.
        for (idx, (key, file)) in read.keys.iter().zip(&self.files).enumerate() {
            let same = key.token.is(given);
            known |= same;
            if same && permits(&file.namespaces, namespace) {
                allowed = Some(idx + 1);
            }
        }
        allowed.ok_or(if known { Denied::Namespace } else { Denied::Unknown })
    }

    /// What to ask peers with for a wake in `namespace`, where the caller has no token of his own.
    pub(super) fn header(&self, namespace: &str, now: Duration) -> Option<HeaderValue> {
        let read = self.current(now);
        let mut keys = read.keys.iter().zip(&self.files);
        let (key, _) = keys.find(|(_, file)| permits(&file.namespaces, namespace))?;
        let mut header =
            HeaderValue::from_str(&format!("Bearer {}", key.secret.expose_secret())).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    fn current(&self, now: Duration) -> MutexGuard<'_, Read> {
        let mut held = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= held.looked + LOOK {
            held.looked = now;
            for (key, file) in held.keys.iter_mut().zip(&self.files) {
                look(key, &file.path);
            }
        }
        held
    }
}

/// Reads the file again if it changed.
fn look(key: &mut Key, path: &Path) {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    if modified.is_none() || modified == key.modified {
        return;
    }
    // Judged once, good or bad.
    key.modified = modified;
    match read(path) {
        Ok(fresh) => {
            *key = fresh;
            info!(file = %path.display(), "token for wakes read again");
        }
        Err(fault) => warn!(fault, "token for wakes not read again, the old one stays in use"),
    }
}

fn read(path: &Path) -> Result<Key, String> {
    let shown = crate::report::one_line(&path.display().to_string());
    let failed = |error: std::io::Error| format!("failed to read {shown}: {error}");
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.len() > BYTES_MAX {
        return Err(format!("{shown}: longer than {BYTES_MAX} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let token = Token::try_new(&text).map_err(|bad| format!("{shown}: {bad}"))?;
    let secret = SecretString::from(text.trim().to_owned());
    Ok(Key { modified: meta.modified().ok(), token, secret })
}

/// Whether `namespace` is among `namespaces`, or these name none.
pub(super) fn permits(namespaces: &[String], namespace: &str) -> bool {
    namespaces.is_empty() || namespaces.iter().any(|it| it == namespace)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Denied, KeyFile, Keys};

    #[test]
    fn a_token_is_for_its_namespaces_and_read_again_when_it_changes() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, namespaces: &[&str]| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            let namespaces = namespaces.iter().map(|it| (*it).to_owned()).collect();
            KeyFile { path, namespaces }
        };
        let files = vec![
            file("all", "all-0123456789abcdef\n", &[]),
            file("a", "team-a-0123456789abcdef", &["team-a"]),
        ];
        let first = files[0].path.clone();
        let keys = Keys::open(files).unwrap();
        let check = |given: Option<&str>, namespace: &str, at: u64| {
            keys.allow(given.map(str::as_bytes), namespace, Duration::from_secs(at))
        };
        let rows = [
            (Some("all-0123456789abcdef"), "team-b", Ok(1)),
            (Some("team-a-0123456789abcdef"), "team-a", Ok(2)),
            (Some("team-a-0123456789abcdef"), "team-b", Err(Denied::Namespace)),
            (Some("team-a-0123456789abcdeg"), "team-a", Err(Denied::Unknown)),
            (Some(""), "team-a", Err(Denied::Unknown)),
            (None, "team-a", Err(Denied::Unknown)),
        ];
        for (given, namespace, expected) in rows {
            assert_eq!(check(given, namespace, 10), expected, "{given:?} {namespace}");
        }
        let later = |text: &str, seconds: u64| {
            std::fs::write(&first, text).unwrap();
            let at = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
            std::fs::File::options().append(true).open(&first).unwrap().set_modified(at).unwrap();
        };
        later("new-0123456789abcdef", 1);
        assert_eq!(check(Some("new-0123456789abcdef"), "b", 20), Ok(1));
        assert_eq!(check(Some("all-0123456789abcdef"), "b", 20), Err(Denied::Unknown));
        later("short", 2);
        assert_eq!(check(Some("new-0123456789abcdef"), "b", 30), Ok(1), "the good one stays");
        std::fs::remove_file(&first).unwrap();
        assert_eq!(check(Some("new-0123456789abcdef"), "b", 40), Ok(1));
        let shown = format!("{keys:?}");
        assert!(!shown.contains("0123456789"), "{shown}");
    }

    #[test]
    fn what_cannot_be_used_is_refused_at_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        std::fs::write(&path, "short").unwrap();
        let files = [path, dir.path().join("none")];
        let files = files.map(|path| KeyFile { path, namespaces: Vec::new() });
        let faults = Keys::open(files.to_vec()).unwrap_err();
        assert!(faults[0].ends_with("at least 16 visible ASCII characters"), "{faults:?}");
        assert!(faults[1].contains("failed to read"), "{faults:?}");
    }
}
