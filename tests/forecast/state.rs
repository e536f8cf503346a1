//! State as bytes: it comes back bit for bit, anything else is refused, and it does not grow.

use std::time::Duration;

use chrono_tz::Tz;
use prescale::engine::forecast::{Forecaster, Setup, StateError, Target};
use prescale::engine::units::Timestamp;

use crate::score::{Fed, MONDAY_MS, ahead, go_on, setup};
use crate::series::{Chance, sines, sleeping, wandering};

fn every(step: Duration) -> Setup {
    let horizons = vec![ahead(2, Target::At), ahead(20, Target::WindowMax)];
    Setup { step, timezone: Tz::Europe__Amsterdam, ..setup(horizons) }
}

/// `values` at that step, a twentieth of them missing.
fn with_gaps(step: Duration, values: &[f64]) -> Vec<Fed> {
    let mut chance = Chance::new(9);
    let begin = Timestamp::from_unix_ms(MONDAY_MS);
    let at = (0..).map(|idx| begin.plus(step * idx));
    at.zip(values).map(|(at, value)| (at, (chance.uniform() > 0.05).then_some(*value))).collect()
}

fn after(setup: &Setup, fed: &[Fed]) -> Forecaster {
    let mut forecaster = Forecaster::new(setup);
    for (at, value) in fed {
        forecaster.observe(*at, *value);
    }
    forecaster
}

#[test]
fn state_comes_back_bit_for_bit_and_goes_on_the_same() {
    let rows = [
        (Duration::from_mins(1), sines(10, 1000)),
        (Duration::from_mins(10), wandering(11, 1000)),
        (Duration::from_hours(24), sleeping(12, 1000)),
        (Duration::from_mins(1), vec![f64::MAX; 1000]),
    ];
    for (step, values) in rows {
        let (setup, fed) = (every(step), with_gaps(step, &values));
        // Also of one that has seen nothing.
        for until in [0, 500] {
            let mut forecaster = after(&setup, &fed[..until]);
            let bytes = forecaster.to_bytes();
            let mut restored = Forecaster::from_bytes(&bytes).unwrap();
            assert_eq!(restored.to_bytes(), bytes, "{step:?} after {until}");
            let rest = &fed[until.max(1)..until + 500];
            forecaster.observe(fed[0].0, fed[0].1);
            restored.observe(fed[0].0, fed[0].1);
            let own = go_on(&mut forecaster, &setup, rest.iter().copied());
            assert_eq!(
                go_on(&mut restored, &setup, rest.iter().copied()),
                own,
                "{step:?} after {until}"
            );
            assert_eq!(restored.to_bytes(), forecaster.to_bytes(), "{step:?} after {until}");
        }
    }
}

#[test]
fn what_was_cut_off_or_changed_is_refused() {
    // Of days, a week of which is little to write.
    let setup = every(Duration::from_hours(24));
    let bytes = after(&setup, &with_gaps(setup.step, &sines(13, 60))).to_bytes();
    let ends = [0..64, bytes.len() - 64..bytes.len()];
    let between = (64..bytes.len() - 64).step_by(61);
    for place in ends.into_iter().flatten().chain(between) {
        let cut = Forecaster::from_bytes(&bytes[..place]).unwrap_err();
        assert_eq!(cut, StateError::Damaged, "cut off at {place}");
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            let expected = match place {
                0 => StateError::Version(changed[0]),
                _ => StateError::Damaged,
            };
            assert_eq!(
                Forecaster::from_bytes(&changed).unwrap_err(),
                expected,
                "changed at {place}"
            );
        }
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(Forecaster::from_bytes(&longer).unwrap_err(), StateError::Damaged);
}

#[test]
fn another_version_is_refused_by_its_number() {
    let mut bytes = Forecaster::new(&every(Duration::from_hours(24))).to_bytes();
    let own = bytes[0];
    bytes[0] = own + 41;
    let refused = Forecaster::from_bytes(&bytes).unwrap_err();
    assert_eq!(refused, StateError::Version(own + 41));
    let told = format!("forecast state of version {}, this is version {own}", own + 41);
    assert_eq!(refused.to_string(), told);
}

#[test]
fn memory_does_not_grow_from_the_ninth_to_the_twentieth_day() {
    let setup = every(Duration::from_mins(10));
    let fed = with_gaps(setup.step, &sines(14, 20 * 144));
    let size = |days: usize| after(&setup, &fed[..days * 144]).to_bytes().len();
    let (ninth, twentieth) = (size(9), size(20));
    // A number of more digits may take another byte: some of each horizon, one of each that waits.
    assert!(twentieth <= ninth + 64, "{ninth} bytes, then {twentieth}");
}

#[test]
fn nine_horizons_of_a_week_of_minutes_are_73_kib() {
    let horizons = [1, 5, 10, 15, 20, 30, 45, 60, 90].map(|steps| ahead(steps, Target::WindowMax));
    let setup = Setup { step: Duration::from_mins(1), ..setup(horizons.to_vec()) };
    let bytes = after(&setup, &with_gaps(setup.step, &sines(15, 9 * 1440))).to_bytes().len();
    // State is what memory holds but for paddings, pointers and some hundred bytes of tables.
    assert!(bytes <= 73 * 1024, "{bytes} bytes");
}
