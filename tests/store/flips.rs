//! One byte falls over, anywhere: nothing crashes, and what is read is what was written or is not
//! there.

use std::fs;
use std::path::Path;

use prescale::engine::arrived::Minute;
use prescale::engine::units::Timestamp;
use prescale::store::{Kept, Key, Store};

use crate::made::{PATIENCE, aside, asked, decision, key, memory, minutes, open};

const AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

/// Bytes between two flips in CI; 1 with the environment tries each one.
const STEP: usize = 37;

fn keys() -> Vec<Key> {
    ["llama", "mistral", "qwen"].map(|name| key(name, "t")).to_vec()
}

/// Everything there is of one workload.
type Whole = (Option<Kept>, Vec<Minute>, Option<Timestamp>);

fn whole(store: &Store, key: &Key) -> Whole {
    (store.load(key), store.minutes(key, Timestamp::default()), store.cursor(key))
}

fn save(store: &Store, round: u32) {
    for (number, key) in (1..).zip(keys()) {
        store.save(key.clone(), memory(round + number), decision(round + number, AT));
        assert!(store.add_minutes(&key, &minutes(round + number..round + number + 50)));
        store.set_cursor(&key, AT.plus(std::time::Duration::from_secs(u64::from(round))));
    }
    assert!(store.flush(PATIENCE));
}

/// Puts `files` into `dir` as they were, with the byte at `offset` of the first turned over.
fn lay(dir: &Path, files: &[(&str, Vec<u8>)], offset: usize) {
    for entry in fs::read_dir(dir).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (place, (name, bytes)) in files.iter().enumerate() {
        let mut bytes = bytes.clone();
        if place == 0 {
            // One bit, or all: what disks and what careless hands do.
            bytes[offset] ^= if offset.is_multiple_of(2) { 0xFF } else { 1 << (offset % 8) };
        }
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// What a state loses is always noticed. A minute or a cursor may get another's number or time and is
/// then, rarely and without a word, not there: history is fetched again, and unknown lowers nothing.
#[test]
fn a_byte_that_falls_over_in_the_file_is_noticed_or_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    save(&store, 0);
    let before: Vec<Whole> = keys().iter().map(|key| whole(&store, key)).collect();
    drop(store);
    let file = [("prescale.db", fs::read(dir.path().join("prescale.db")).unwrap())];
    let (mut lost, mut silent, mut tried) = (0, 0, 0);
    for offset in (0..file[0].1.len()).step_by(asked("PRESCALE_FLIP_STEP", STEP)) {
        lay(dir.path(), &file, offset);
        let store = open(dir.path());
        let (mut states, mut complete) = (true, true);
        for (key, before) in keys().iter().zip(&before) {
            let (kept, minutes, cursor) = whole(&store, key);
            states &= kept == before.0;
            complete &= (&kept, &minutes, &cursor) == (&before.0, &before.1, &before.2);
            assert!(kept.is_none() || kept == before.0, "{offset}: {kept:?}");
            assert!(cursor.is_none() || cursor == before.2, "{offset}: {cursor:?}");
            let foreign = minutes.iter().find(|minute| !before.1.contains(minute));
            assert_eq!(foreign, None, "{offset}");
        }
        let noticed = store.metrics().errors() > 0;
        drop(store);
        assert!(states || noticed, "{offset}: lost without a word");
        silent += usize::from(!complete && !noticed);
        assert!(!aside(dir.path()).is_empty() <= noticed, "{offset}");
        lost += usize::from(!complete);
        tried += 1;
    }
    println!("{tried} flips: {lost} lost something, {silent} unnoticed; {} harmless", tried - lost);
    assert!(silent * 100 <= tried, "{silent} of {tried} lost without a word");
    assert!(lost > tried / 20, "{lost} of {tried}: the flips hit nothing");
}

/// The log holds what was not folded into the file yet. A flip ends it there: what is older stands.
#[test]
fn a_byte_that_falls_over_in_the_log_takes_back_at_most_what_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    save(&store, 0);
    drop(store);
    let store = open(dir.path());
    let mut known: Vec<Vec<Whole>> = Vec::new();
    for round in [0, 1000, 2000] {
        if round > 0 {
            save(&store, round);
        }
        known.push(keys().iter().map(|key| whole(&store, key)).collect());
    }
    let read = |name: &'static str| (name, fs::read(dir.path().join(name)).unwrap());
    let files = [read("prescale.db-wal"), read("prescale.db")];
    drop(store);
    let mut older = 0;
    for offset in (0..files[0].1.len()).step_by(20 * asked("PRESCALE_FLIP_STEP", STEP)) {
        lay(dir.path(), &files, offset);
        let store = open(dir.path());
        let now: Vec<Whole> = keys().iter().map(|key| whole(&store, key)).collect();
        for (place, (kept, minutes, cursor)) in now.iter().enumerate() {
            // A transaction may end between any two saves, so that each is looked at by itself.
            let ever = || known.iter().map(|known| &known[place]);
            assert!(kept.is_none() || ever().any(|(it, ..)| it == kept), "{offset}: {kept:?}");
            assert!(cursor.is_none() || ever().any(|(.., it)| it == cursor), "{offset}");
            let was = |minute: &Minute| ever().any(|(_, known, _)| known.contains(minute));
            assert!(minutes.iter().all(was), "{offset}: a minute that never was");
        }
        older += usize::from(Some(&now) != known.last());
        drop(store);
    }
    assert!(older > 0, "the flips hit nothing");
}
