//! The state of knowledge as one table (docs/safety.md): the first row that applies is the state.

use std::time::Duration;

use crate::engine::decide::facts::{Facts, HOLD_FOR};
use crate::engine::decision::State;

/// The state; rows in order of priority.
///
/// Zero comes first: what the engines say is meaningless without engines, and a Prometheus outage
/// must not wake every sleeping model. Then pods on their way: they cannot have data yet; a wake is
/// given up only where somebody says that no pod is ready, because pods that nobody can see may well
/// serve. Then age, then completeness.
#[must_use]
pub fn state(facts: &Facts) -> State {
    let older = |limit: Duration| facts.age.is_some_and(|age| age > limit);
    let rows = [
        (facts.at_zero && facts.wake_held, State::Waking),
        (facts.at_zero && facts.zero_unreadable, State::AsleepBlind),
        (facts.at_zero && facts.age.is_none() && !facts.sees_zero, State::Cold),
        (facts.at_zero, State::Asleep),
        (!facts.serving && facts.wake_held, State::Waking),
        (facts.none_ready && facts.wake_given_up && !facts.loading, State::Asleep),
        (!facts.serving && facts.loading && facts.counted, State::Waking),
        (facts.age.is_none() || !facts.counted, State::Cold),
        (older(HOLD_FOR), State::Blind),
        (older(facts.fresh_limit), State::Hold),
        (!facts.read || !facts.half_read, State::Hold),
        (!facts.complete, State::Partial),
    ];
    rows.into_iter().find(|(applies, _)| *applies).map_or(State::Fresh, |(_, state)| state)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::state;
    use crate::engine::decide::facts::Facts;
    use crate::engine::decide::floors::Floors;
    use crate::engine::decision::State;

    const SERVING: Facts = Facts {
        at_zero: false,
        wake_held: false,
        wake_given_up: false,
        asked: None,
        sees_zero: true,
        zero_unreadable: false,
        serving: true,
        counted: true,
        none_ready: false,
        loading: false,
        age: Some(Duration::ZERO),
        fresh_limit: Duration::from_secs(60),
        read: true,
        half_read: true,
        complete: true,
        floors: Floors { schedule: None, ahead: 0 },
    };
    const ZERO: Facts = Facts { at_zero: true, serving: false, age: None, ..SERVING };
    const NOBODY: Facts = Facts { serving: false, read: false, complete: false, ..SERVING };

    fn aged(facts: Facts, seconds: u64) -> Facts {
        Facts { age: Some(Duration::from_secs(seconds)), ..facts }
    }

    #[test]
    fn the_first_row_that_applies_is_the_state() {
        let rows = [
            (SERVING, State::Fresh),
            (aged(SERVING, 60), State::Fresh),
            (aged(SERVING, 61), State::Hold),
            (aged(SERVING, 600), State::Hold),
            (aged(SERVING, 601), State::Blind),
            (Facts { complete: false, ..SERVING }, State::Partial),
            (Facts { half_read: false, ..SERVING }, State::Hold),
            (Facts { read: false, ..SERVING }, State::Hold),
            (Facts { age: None, ..SERVING }, State::Cold),
            (Facts { counted: false, ..SERVING }, State::Cold),
            // Pods beside the serving ones are on their way: nothing special.
            (Facts { loading: true, ..SERVING }, State::Fresh),
            (NOBODY, State::Hold),
            (aged(NOBODY, 5000), State::Blind),
            (Facts { age: None, ..NOBODY }, State::Cold),
            (Facts { loading: true, ..NOBODY }, State::Waking),
            (Facts { loading: true, ..aged(NOBODY, 5000) }, State::Waking),
            // Pages that never answered may be all that was listed, and the wrong ones.
            (Facts { loading: true, counted: false, age: None, ..NOBODY }, State::Cold),
            (Facts { wake_held: true, counted: false, age: None, ..NOBODY }, State::Waking),
            (Facts { wake_held: true, ..NOBODY }, State::Waking),
            (Facts { wake_given_up: true, none_ready: true, ..NOBODY }, State::Asleep),
            // Nobody can see the pods: they may serve.
            (Facts { wake_given_up: true, ..NOBODY }, State::Hold),
            (Facts { wake_given_up: true, ..aged(NOBODY, 5000) }, State::Blind),
            (ZERO, State::Asleep),
            (aged(ZERO, 5000), State::Asleep),
            (Facts { sees_zero: false, ..ZERO }, State::Cold),
            (Facts { sees_zero: false, ..aged(ZERO, 5000) }, State::Asleep),
            (Facts { zero_unreadable: true, ..ZERO }, State::AsleepBlind),
            (Facts { zero_unreadable: true, wake_held: true, ..ZERO }, State::Waking),
            (Facts { wake_given_up: true, ..ZERO }, State::Asleep),
        ];
        for (facts, expected) in rows {
            assert_eq!(state(&facts), expected, "{facts:?}");
        }
    }
}
