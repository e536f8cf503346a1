//! Whatever lies where the file should be: it becomes ours, or it is set aside and told.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::store::Store;
use rusqlite::Connection;

use crate::made::{PATIENCE, aside, decision, key, memory, minutes, open};
use crate::program::Program;

const AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

/// A file of ours with something in it, closed.
fn ours(dir: &Path) {
    let store = open(dir);
    for number in 0..50 {
        store.save(key(&format!("llama-{number}"), "t"), memory(number), decision(number, AT));
    }
    assert!(store.flush(PATIENCE));
}

/// The store in `dir` opens and works, and says what it has of the past.
fn works(what: &str, dir: &Path) -> bool {
    let store = open(dir);
    let had = store.load(&key("llama-7", "t")).is_some();
    store.save(key("another", "t"), memory(3), decision(3, AT));
    assert!(store.flush(PATIENCE), "{what}");
    assert_eq!(store.load(&key("another", "t")).unwrap().memory, memory(3), "{what}");
    had
}

fn run(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

fn cut(path: &Path, bytes: impl Fn(u64) -> u64) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(bytes(file.metadata().unwrap().len())).unwrap();
}

#[test]
fn what_cannot_be_used_is_set_aside_and_a_new_file_begun() {
    type Harm = (&'static str, fn(&Path));
    let rows: [Harm; 13] = [
        ("text", |path| {
            fs::write(path, "not a database, and longer than a header".repeat(9)).unwrap()
        }),
        ("a few bytes", |path| fs::write(path, "xyz").unwrap()),
        ("zeroes", |path| fs::write(path, [0; 8192]).unwrap()),
        ("another's database", |path| {
            fs::remove_file(path).unwrap();
            run(path, "CREATE TABLE books (title TEXT)");
        }),
        ("a newer version", |path| run(path, "PRAGMA user_version = 2")),
        ("an older version", |path| run(path, "PRAGMA user_version = 0")),
        ("another application", |path| run(path, "PRAGMA application_id = 7")),
        ("another table", |path| run(path, "CREATE TABLE books (title TEXT)")),
        ("a lost table", |path| run(path, "DROP TABLE minute")),
        // Found by turning every byte over: an error of no kind of its own.
        ("an unknown schema format", |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[47] = 0xFB;
            fs::write(path, bytes).unwrap();
        }),
        ("cut in the header", |path| cut(path, |_| 50)),
        ("cut after a page", |path| cut(path, |_| 4096)),
        ("cut in half", |path| cut(path, |bytes| bytes / 2 + 100)),
    ];
    for (what, harm) in rows {
        let dir = tempfile::tempdir().unwrap();
        ours(dir.path());
        harm(&dir.path().join("prescale.db"));
        let bytes = fs::read(dir.path().join("prescale.db")).unwrap();
        assert!(!works(what, dir.path()), "{what}");
        let aside = aside(dir.path());
        assert_eq!(aside.len(), 1, "{what}");
        assert_eq!(fs::read(&aside[0]).unwrap(), bytes, "{what}: kept as it was");
        assert!(!works(what, dir.path()), "{what}");
        assert_eq!(self::aside(dir.path()).len(), 1, "{what}: once");
    }
}

/// Files of every version that ever was stay readable. A new one is made with UPDATE_GOLDEN=1.
#[test]
fn a_file_of_format_1_is_read() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/store/format-1.db");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prescale.db");
    let key = key("llama", "0123abcd");
    if std::env::vars().any(|(name, _)| name == "UPDATE_GOLDEN") {
        let store = open(dir.path());
        store.save(key.clone(), memory(7), decision(7, AT));
        assert!(store.add_minutes(&key, &minutes(0..5)));
        store.set_cursor(&key, minutes(0..5)[4].at);
        drop(store);
        fs::copy(&path, &golden).unwrap();
    }
    fs::copy(&golden, &path).unwrap();
    let store = open(dir.path());
    let kept = store.load(&key).unwrap();
    assert_eq!((kept.memory, kept.decision), (memory(7), Some((*decision(7, AT)).clone())));
    assert_eq!(store.minutes(&key, Timestamp::default()), minutes(0..5));
    assert_eq!(store.cursor(&key), Some(minutes(0..5)[4].at));
}

#[test]
fn what_is_left_of_an_interrupted_beginning_is_begun_again() {
    type Left = (&'static str, fn(&Path), bool);
    let rows: [Left; 4] = [
        ("nothing", |path| fs::remove_file(path).unwrap(), false),
        ("an empty file", |path| fs::write(path, "").unwrap(), false),
        (
            "a log without a file",
            |path| {
                fs::remove_file(path).unwrap();
                fs::write(path.with_extension("db-wal"), [7; 5000]).unwrap();
            },
            false,
        ),
        (
            "a log that is garbage",
            |path| {
                fs::write(path.with_extension("db-wal"), [7; 5000]).unwrap();
            },
            true,
        ),
    ];
    for (what, leave, keeps) in rows {
        let dir = tempfile::tempdir().unwrap();
        ours(dir.path());
        leave(&dir.path().join("prescale.db"));
        assert_eq!(works(what, dir.path()), keeps, "{what}");
        assert_eq!(aside(dir.path()), Vec::<std::path::PathBuf>::new(), "{what}");
    }
}

/// The file breaks while it is open: what is saved goes into a new one, and nobody notices.
#[test]
fn a_file_that_breaks_while_it_is_open_is_set_aside_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prescale.db");
    ours(dir.path());
    let store = open(dir.path());
    let length = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
    fs::write(&path, vec![0xA5; length]).unwrap();
    let patience = Clock::system();
    while aside(dir.path()).is_empty() && patience.elapsed() < PATIENCE {
        let _ = store.load(&key("llama-7", "t"));
        store.save(key("another", "t"), memory(3), decision(3, AT));
        let _ = store.flush(PATIENCE);
    }
    store.save(key("another", "t"), memory(4), decision(4, AT));
    assert!(store.flush(PATIENCE));
    assert_eq!(store.load(&key("another", "t")).unwrap().memory, memory(4));
    drop(store);
    assert_eq!(aside(dir.path()).len(), 1);
    assert_eq!(open(dir.path()).load(&key("another", "t")).unwrap().memory, memory(4));
}

#[test]
fn a_directory_that_cannot_be_used_is_one_line_that_names_key_and_path() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for path in [Path::new("/no/such"), file.path(), Path::new("/proc")] {
        let output = serve(&["--data-dir", &path.display().to_string()]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let line =
            format!("dataDir: {} must be a directory that can be written to", path.display());
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let told: Vec<&str> = stderr.lines().filter(|it| it.contains("dataDir")).collect();
        assert!(told.len() == 1 && told[0].contains(&line), "{stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_one_warning_and_a_second_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    fs::write(dir.path().join("prescale.db"), "garbage").unwrap();
    let program = Program::start(&format!("dataDir: {path}\n"), "json").await;
    let log = program.log();
    let told: Vec<&String> = log.iter().filter(|line| line.contains("set aside")).collect();
    let aside = aside(dir.path());
    assert_eq!((told.len(), aside.len()), (1, 1), "{log:#?}");
    assert!(told[0].contains(&aside[0].display().to_string()), "{}", told[0]);
    assert!(told[0].contains("WARN") && told[0].contains("file is not a database"), "{}", told[0]);
    let output = serve(&["--data-dir", &path]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    let line = format!("dataDir: {path} is in use by another prescale; give each process its own");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().filter(|it| it.contains(&line)).count(), 1, "{stderr}");
    assert!(program.get("/metrics").await.contains("prescale_store_bytes"));
    drop(program);
    // Killed, not ended: the system gives the directory free.
    drop(Store::open(dir.path(), Clock::system()).unwrap());
}

fn serve(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .args(["--log-format", "text"])
        .args(args)
        .env_clear()
        .stdin(Stdio::null());
    command
}
