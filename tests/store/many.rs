//! As many scalers as there may be: what it costs, told and not asserted.

use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

use crate::made::{asked, key, minutes, open};
use crate::world::{Mood, TRIGGER, observation};

const AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

/// Scalers in CI; `PRESCALE_STORE_SCALERS=10000` for as many as there may be by default.
const SCALERS: usize = 1000;

#[test]
fn every_scaler_is_kept_each_tick() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let scalers = asked("PRESCALE_STORE_SCALERS", SCALERS);
    let metadata = TRIGGER.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let setup = parse("team-a", "llama", &metadata.collect(), &Limits::default()).unwrap().setup;
    let mut memory = Memory::default();
    for tick in 0..40 {
        let now = AT.plus(Duration::from_secs(15 * tick));
        let next = step(&setup, &observation(Mood::Busy, now), memory);
        memory = next.memory;
        let decision = std::sync::Arc::new(next.decision);
        if tick < 37 {
            continue;
        }
        let clock = Clock::system();
        for number in 0..scalers {
            let key = key(&format!("llama-{number}"), "t");
            store.save(key, memory.clone(), std::sync::Arc::clone(&decision));
        }
        let saved = clock.elapsed();
        assert!(store.flush(Duration::from_secs(600)));
        println!("{scalers} saved in {saved:?}, written in {:?}", clock.elapsed());
    }
    let bytes = serde_json::to_vec(&memory).unwrap().len();
    let length = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |it| it.len());
    let (file, log) = (length("prescale.db"), length("prescale.db-wal"));
    println!("memory {bytes} bytes, file {} KiB, log {} KiB", file / 1024, log / 1024);
    let past = key("past", "t");
    assert!(store.add_minutes(&past, &minutes(0..20_160)));
    let clock = Clock::system();
    assert!(store.flush(Duration::from_secs(600)));
    println!("20160 minutes written in {:?}", clock.elapsed());
    let clock = Clock::system();
    assert_eq!(store.minutes(&past, Timestamp::default()).len(), 20_160);
    println!("20160 minutes read in {:?}", clock.elapsed());
    let before = length("prescale.db");
    drop(store);
    let per = (length("prescale.db").saturating_sub(before)) / 20_160;
    println!("{per} bytes per minute at most");
    let clock = Clock::system();
    let store = open(dir.path());
    println!("opened in {:?}", clock.elapsed());
    let clock = Clock::system();
    for number in 0..scalers {
        let kept = store.load(&key(&format!("llama-{number}"), "t")).unwrap().memory;
        // What the forecast learned is not stored, but rebuilt from minutes.
        memory.foresight = kept.foresight.clone();
        assert_eq!(kept, memory);
    }
    println!("{scalers} loaded in {:?}", clock.elapsed());
}
