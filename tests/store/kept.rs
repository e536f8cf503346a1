//! What is kept, whose it is, and for how long.

use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::units::Timestamp;
use prescale::store::Store;

use crate::made::{PATIENCE, decision, key, memory, minute, minutes, open};

const AT: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

#[test]
fn what_is_saved_is_loaded_bit_for_bit_before_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let key = key("llama", "t");
    let check = |store: &Store| {
        let kept = store.load(&key).unwrap();
        assert_eq!((kept.memory, kept.at, kept.own), (memory(7), AT, true));
        assert_eq!(kept.decision.as_ref(), Some(&*decision(7, AT)));
        assert_eq!(store.minutes(&key, Timestamp::default()), minutes(0..100));
        assert_eq!(store.minutes(&key, minute(40).at), minutes(40..100));
        assert_eq!(store.cursor(&key), Some(minute(100).at));
    };
    let store = open(dir.path());
    assert!(store.load(&key).is_none() && store.cursor(&key).is_none());
    store.save(key.clone(), memory(6), decision(6, AT.minus(Duration::from_secs(15))));
    store.save(key.clone(), memory(7), decision(7, AT));
    assert!(store.add_minutes(&key, &minutes(50..100)));
    assert!(store.add_minutes(&key, &minutes(0..60)));
    store.set_cursor(&key, minute(100).at);
    check(&store);
    assert!(store.flush(PATIENCE));
    check(&store);
    drop(store);
    let store = open(dir.path());
    check(&store);
    assert_eq!(store.metrics().errors(), 0);
}

#[test]
fn a_minute_that_is_counted_again_is_replaced_and_what_is_no_number_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let (store, key) = (open(dir.path()), key("llama", "t"));
    let odd = |requests| Minute { requests, work: Some(-0.0), ..minute(5) };
    for requests in [Some(1.0), Some(f64::NAN), Some(f64::INFINITY), Some(2.0), None] {
        assert!(store.add_minutes(&key, &[odd(requests)]));
        assert!(store.flush(PATIENCE));
        let expected = requests.filter(|value| value.is_finite());
        assert_eq!(store.minutes(&key, Timestamp::default()), [odd(expected)], "{requests:?}");
    }
    let known = store.minutes(&key, Timestamp::default());
    assert!(store.add_minutes(&key, &[Minute::unknown(known[0].at)]));
    assert!(store.flush(PATIENCE));
    assert_eq!(store.minutes(&key, Timestamp::default()), known, "who could not read says nothing");
    assert_eq!(store.metrics().errors(), 0);
}

/// A save: trigger, number, seconds after the first.
type Saved = (&'static str, u32, u64);

/// What was saved, and what another trigger goes on with.
#[test]
fn a_trigger_has_its_own_past_or_that_of_the_sibling_that_wanted_most() {
    let rows: [(&[Saved], Option<u32>); 5] = [
        (&[], None),
        (&[("a", 3, 0)], Some(3)),
        (&[("a", 8, 0), ("b", 2, 15)], Some(8)),
        // The one that wanted 50 was edited away long before the others stopped.
        (&[("a", 50, 0), ("b", 2, 86_400), ("c", 3, 86_300)], Some(3)),
        (&[("a", 50, 0), ("new", 2, 86_400)], Some(2)),
    ];
    for (saved, expected) in rows {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path());
        for (trigger, number, seconds) in saved {
            let at = AT.plus(Duration::from_secs(*seconds));
            store.save(key("llama", trigger), memory(*number), decision(*number, at));
        }
        store.save(key("other", "new"), memory(99), decision(99, AT));
        for flushed in [false, true] {
            assert!(!flushed || store.flush(PATIENCE));
            let kept = store.load(&key("llama", "new"));
            let own = kept.as_ref().is_some_and(|kept| kept.own);
            assert_eq!(kept.map(|kept| kept.memory.last), expected.map(Some), "{saved:?}");
            assert_eq!(own, saved.iter().any(|(trigger, ..)| *trigger == "new"), "{saved:?}");
        }
    }
}

#[test]
fn no_two_workloads_share_anything() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut keys = vec![key("llama", "t")];
    for change in 0..4 {
        let mut other = key("llama", "t");
        let identity = &mut other.identity;
        let parts = [
            &mut identity.namespace,
            &mut identity.name,
            &mut identity.workload,
            &mut identity.engine,
        ];
        parts.into_iter().nth(change).unwrap().push('x');
        keys.push(other);
    }
    for (number, key) in (0..).zip(&keys) {
        store.save(key.clone(), memory(number), decision(number, AT));
        assert!(store.add_minutes(key, &[minute(number)]));
        store.set_cursor(key, minute(number).at);
    }
    assert!(store.flush(PATIENCE));
    for (number, key) in (0..).zip(&keys) {
        assert_eq!(store.load(key).unwrap().memory, memory(number));
        assert_eq!(store.minutes(key, Timestamp::default()), [minute(number)]);
        assert_eq!(store.cursor(key), Some(minute(number).at));
    }
}

/// A clock on which a minute passes in a few milliseconds, so that the old is looked for soon.
#[test]
fn what_is_old_is_forgotten_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Clock::scaled(AT, 10_000.0)).unwrap();
    let day = Duration::from_hours(24);
    let at = |days: u32| Minute { requests: Some(1.0), ..Minute::unknown(AT.minus(day * days)) };
    let save = |name: &str, days: u32| {
        store.save(key(name, "t"), memory(1), decision(1, AT.minus(day * days)));
    };
    save("recent", 13);
    save("old", 15);
    save("older", 31);
    for number in 0..20 {
        let trigger = format!("t{number}");
        let at = AT.minus(Duration::from_hours(24 - number));
        store.save(key("edited", &trigger), memory(1), decision(1, at));
    }
    let edits = || {
        let own = |number: &u32| {
            let kept = store.load(&key("edited", &format!("t{number}")));
            kept.is_some_and(|kept| kept.own)
        };
        (0..20).filter(own).count()
    };
    for name in ["recent", "older"] {
        assert!(store.add_minutes(&key(name, "t"), &[at(29), at(33)]));
    }
    assert!(store.add_minutes(&key("gone", "t"), &[at(33)]));
    store.set_cursor(&key("gone", "t"), AT);
    let all = Timestamp::default();
    let counted = |name: &str| store.minutes(&key(name, "t"), all).len();
    let told = || {
        let states = ["recent", "old", "older"].map(|name| store.load(&key(name, "t")).is_some());
        let minutes = ["recent", "older", "gone"].map(counted);
        (states, minutes, store.cursor(&key("gone", "t")), edits())
    };
    let expected = ([true, false, false], [1, 1, 0], None, 16);
    let patience = Clock::system();
    while told() != expected && patience.elapsed() < PATIENCE {
        // Each write looks for what is old, if a minute has passed.
        store.save(key("another", "t"), memory(1), decision(1, AT));
        assert!(store.flush(PATIENCE));
    }
    assert_eq!(told(), expected);
}

#[test]
fn metrics_tell_what_is_written_what_fails_and_how_much_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.save(key("llama", "t"), memory(1), decision(1, AT));
    assert!(store.add_minutes(&key("llama", "t"), &minutes(0..9)));
    // Far more than may wait: refused whole.
    assert!(!store.add_minutes(&key("llama", "t"), &minutes(0..200_001)));
    assert!(store.flush(PATIENCE));
    drop(store.load(&key("llama", "t")));
    store.close();
    let mut page = prometheus_client::registry::Registry::default();
    store.metrics().register(&mut page);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &page).unwrap();
    for line in ["prescale_store_writes_total 10", "prescale_store_errors_total 1"] {
        assert!(text.lines().any(|it| it == line), "{line} in\n{text}");
    }
    let bytes = text.lines().find_map(|line| line.strip_prefix("prescale_store_bytes "));
    assert!(bytes.unwrap().parse::<u64>().unwrap() > 4096, "{text}");
}
