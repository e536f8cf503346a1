//! A process that saves is killed, again and again: the file opens, what is in it belongs together,
//! and at most the last second is lost.

use std::io::{BufRead, BufReader, Write, stdout};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::store::{Key, Store};

use crate::made::{aside, asked, decision, key, memory, minute, minutes, open, told};

/// Kills in CI; `PRESCALE_KILL_LOOPS=1000` for longer.
const LOOPS: usize = 40;

/// What the writer promises, and what a busy machine may add to it.
const LOST_MAX: Duration = Duration::from_secs(1).saturating_add(Duration::from_secs(2));

/// Says the second process that it is one.
const DIR: &str = "PRESCALE_KILLED_STORE";

/// Minutes between two steps of the cursor: enough that the log is folded into the file now and then.
const STRIDE: u32 = 40;

fn keys() -> Vec<Key> {
    (0..30).map(|number| key(&format!("llama-{number}"), "t")).collect()
}

/// The number that stands everywhere after `store` was opened anew; it must not be torn.
fn number(store: &Store) -> u32 {
    let mut numbers: Vec<u32> = Vec::new();
    for key in keys() {
        let Some(kept) = store.load(&key) else {
            // The first transaction may end before it was saved for the first time.
            numbers.push(0);
            continue;
        };
        let number = kept.memory.last.unwrap();
        assert_eq!(kept.memory, memory(number));
        assert_eq!(told(&kept.decision.unwrap()).unwrap().0, number);
        numbers.push(number);
    }
    let (least, most) = (numbers.iter().min().unwrap(), numbers.iter().max().unwrap());
    assert!(numbers.is_sorted_by(|a, b| a >= b) && most - least <= 1, "{numbers:?}");
    *least
}

/// What the cursor says is there is there.
fn past_is_whole(store: &Store) {
    let key = &keys()[0];
    let Some(until) = store.cursor(key) else { return };
    let until = u32::try_from(until.unix_ms() / 60_000).unwrap();
    // It begins with number 1.
    let whole = minutes(until.saturating_sub(1000).max(STRIDE)..until);
    let found = store.minutes(key, whole[0].at);
    assert!(found.len() >= whole.len() && found[..whole.len()] == whole, "{}", found.len());
}

/// Not a test: what is killed. Saves as fast as it can and says each number after it was saved.
#[test]
#[ignore = "the process that the test below starts and kills"]
fn the_process_that_is_killed() {
    let Some((_, dir)) = std::env::vars().find(|(name, _)| name == DIR) else { return };
    let store = open(Path::new(&dir));
    let keys = keys();
    for number in number(&store) + 1.. {
        // First the past: the number says to the next process that it is there.
        let next = (number + 1) * STRIDE;
        assert!(store.add_minutes(&keys[0], &minutes(number * STRIDE..next)));
        store.set_cursor(&keys[0], minute(next).at);
        let now = Clock::system().now();
        for key in &keys {
            store.save(key.clone(), memory(number), decision(number, now));
        }
        // The harness swallows `println`.
        writeln!(stdout(), "saved {number} {}", now.unix_ms()).unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts the process, lets it live for a while, kills it; the numbers it saved and when.
fn killed(dir: &Path, life: Duration) -> Vec<(u32, i64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::the_process_that_is_killed", "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let saved: Arc<Mutex<Vec<(u32, i64)>>> = Arc::default();
    let heard = Arc::clone(&saved);
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            let Some((_, rest)) = line.split_once("saved ") else { continue };
            let Some((number, at)) = rest.split_once(' ') else { continue };
            if let (Ok(number), Ok(at)) = (number.parse(), at.parse()) {
                heard.lock().unwrap().push((number, at));
            }
        }
    });
    let patience = Clock::system();
    while saved.lock().unwrap().is_empty() && patience.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    saved.lock().unwrap().clone()
}

#[test]
fn a_kill_at_any_moment_loses_the_last_second_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let (mut before, mut longest) = (0, Duration::ZERO);
    for round in 0..asked("PRESCALE_KILL_LOOPS", LOOPS) {
        // Spread over a write and the pause after it.
        let life = u64::try_from(round).unwrap() * 7919 % 1200;
        let saved = killed(dir.path(), Duration::from_millis(life));
        let store = open(dir.path());
        let number = number(&store);
        past_is_whole(&store);
        assert_eq!(store.metrics().errors(), 0, "round {round}");
        drop(store);
        assert!(aside(dir.path()).is_empty(), "round {round}");
        let (last, at) = *saved.last().unwrap();
        assert!(number >= before && number <= last + 1, "round {round}: {number}, said {last}");
        let first_lost = saved.iter().find(|(saved, _)| *saved > number);
        let lost = first_lost.map_or(0, |(_, since)| at - since);
        let lost = Duration::from_millis(u64::try_from(lost).unwrap_or(0));
        assert!(lost <= LOST_MAX, "round {round}: {lost:?} lost after {life} ms");
        longest = longest.max(lost);
        before = number;
    }
    println!("most that was lost: {longest:?}");
    assert!(before > 0, "nothing was ever kept");
}
