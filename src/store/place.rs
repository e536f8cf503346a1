//! The directory: who has it, which files are in it, and where unusable ones go.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::units::Timestamp;
use crate::store::error::Error;

/// The one file.
const NAME: &str = "prescale.db";

/// What unusable files are called, with a number behind it.
const ASIDE: &str = "prescale.db.set-aside-";

/// Held as long as a process uses the directory; the system lets go of it however that ends.
const LOCK: &str = "prescale.lock";

/// What `SQLite` puts beside its file.
const COMPANIONS: [&str; 2] = ["-wal", "-shm"];

/// Files set aside that are kept, the newest: a disk that corrupts one an hour must not fill up.
const ASIDE_MAX: usize = 10;

/// The directory of one store.
#[derive(Debug, Clone)]
pub(super) struct Place {
    dir: PathBuf,
}

impl Place {
    /// Takes `dir` for this process, until the file returned is dropped.
    pub(super) fn take(dir: &Path) -> Result<(Self, File), Error> {
        let fail = |source| Error::Directory { path: dir.to_owned(), source };
        if !fs::metadata(dir).map_err(fail)?.is_dir() {
            return Err(fail(io::ErrorKind::NotADirectory.into()));
        }
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).open(dir.join(LOCK));
        let lock = lock.map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => Ok((Self { dir: dir.to_owned() }, lock)),
            Err(TryLockError::WouldBlock) => Err(Error::Taken { path: dir.to_owned() }),
            Err(TryLockError::Error(source)) => Err(fail(source)),
        }
    }

    /// The file.
    pub(super) fn file(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    /// Size of the file and its log, bytes.
    pub(super) fn bytes(&self) -> u64 {
        let size = |name: String| fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
        size(NAME.to_owned()) + size(format!("{NAME}-wal"))
    }

    /// Renames the file and its companions, which nobody may have open, to a name with the seconds
    /// of `now`, or the next one after those that are there; returns that of the file.
    pub(super) fn set_aside(&self, now: Timestamp) -> io::Result<PathBuf> {
        let known = self.aside();
        let seconds = now.unix_ms().div_euclid(1000);
        let after = known.last().map_or(i64::MIN, |newest| newest.saturating_add(1));
        let aside = format!("{ASIDE}{}", seconds.max(after));
        for companion in COMPANIONS {
            let from = self.dir.join(format!("{NAME}{companion}"));
            match fs::rename(from, self.dir.join(format!("{aside}{companion}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let aside = self.dir.join(aside);
        fs::rename(self.file(), &aside)?;
        let surplus = (known.len() + 1).saturating_sub(ASIDE_MAX);
        for seconds in known.into_iter().take(surplus) {
            self.forget(seconds);
        }
        Ok(aside)
    }

    /// The numbers of the files that were set aside, in order; none if they cannot be listed.
    fn aside(&self) -> Vec<i64> {
        let seconds = |name: OsString| name.to_str()?.strip_prefix(ASIDE)?.parse().ok();
        let entries = fs::read_dir(&self.dir).into_iter().flatten();
        let mut found: Vec<i64> =
            entries.filter_map(|entry| seconds(entry.ok()?.file_name())).collect();
        found.sort_unstable();
        found
    }

    /// Best effort: what cannot be removed stays.
    fn forget(&self, seconds: i64) {
        for companion in COMPANIONS.into_iter().chain([""]) {
            drop(fs::remove_file(self.dir.join(format!("{ASIDE}{seconds}{companion}"))));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{ASIDE_MAX, Place};
    use crate::engine::units::Timestamp;
    use crate::store::error::Error;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (_, lock) = Place::take(dir.path()).unwrap();
        let second = Place::take(dir.path()).unwrap_err();
        assert!(matches!(second, Error::Taken { .. }), "{second}");
        drop(lock);
        assert!(Place::take(dir.path()).is_ok());
    }

    #[test]
    fn what_is_no_writable_directory_is_named_with_its_key() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for path in [Path::new("/no/such"), file.path(), Path::new("/proc")] {
            let text = Place::take(path).map(drop).unwrap_err().to_string();
            let start = format!("dataDir: {} must be a directory", path.display());
            assert!(text.starts_with(&start) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn files_set_aside_keep_their_companions_and_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let (place, _lock) = Place::take(dir.path()).unwrap();
        for round in 0..ASIDE_MAX + 2 {
            for companion in ["", "-wal", "-shm"] {
                let path = dir.path().join(format!("prescale.db{companion}"));
                fs::write(path, round.to_string()).unwrap();
            }
            place.set_aside(Timestamp::from_unix_ms(7_000)).unwrap();
        }
        let kept = |seconds: usize| {
            ["", "-wal", "-shm"].map(|companion| {
                let name = format!("prescale.db.set-aside-{seconds}{companion}");
                fs::read_to_string(dir.path().join(name)).ok()
            })
        };
        // The second is the same each time, so that the names count on.
        assert_eq!(kept(7), [None, None, None]);
        assert_eq!(kept(8), [None, None, None]);
        assert_eq!(kept(9), [const { Some("2") }; 3].map(|it| it.map(str::to_owned)));
        assert!(kept(7 + ASIDE_MAX + 1).iter().all(Option::is_some));
        assert!(!place.file().exists());
    }
}
