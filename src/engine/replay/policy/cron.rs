//! The hours an operator would write into a cron trigger after a look at the trace.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::numeric::replicas_ceil;
use crate::engine::replay::demand::Demand;
use crate::engine::replay::policy::entry::Context;
use crate::engine::units::Timestamp;

/// Hours with more than this share of the usual peak are busy ones: the half that operators' own
/// "office hours" cover in daily traffic, where nights are a quarter of the peak or less.
const BUSY: f64 = 0.5;
/// Share of what one replica carries that is planned for, as in static-peak.
const PLANNED: f64 = 0.85;
const HOUR: i64 = 3_600_000;

/// One hour of a weekday or of a weekend day, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    weekend: bool,
    hour: i64,
}

impl Slot {
    fn of(at: Timestamp) -> Self {
        let hours = at.unix_ms().div_euclid(HOUR);
        // The first of January 1970 was a Thursday: day 4 of a week that begins on Sunday.
        let weekday = (hours.div_euclid(24) + 4).rem_euclid(7);
        Self { weekend: weekday == 0 || weekday == 6, hour: hours.rem_euclid(24) }
    }
}

/// A cron trigger: some hours, and one number of replicas in them.
#[derive(Debug, Clone)]
pub(super) struct Hours {
    busy: Vec<Slot>,
    replicas: u32,
}

impl Hours {
    /// The busy hours of the context's trace; none when nothing arrives.
    #[must_use]
    pub(super) fn of(context: &Context) -> Self {
        let usual = usual(context);
        let peak = usual.values().copied().fold(0.0, f64::max);
        let busy: Vec<(Slot, f64)> =
            usual.into_iter().filter(|(_, level)| peak > 0.0 && *level > BUSY * peak).collect();
        let hours = f64::from(crate::engine::numeric::count(busy.len()));
        let level = busy.iter().map(|(_, level)| level).sum::<f64>() / hours.max(1.0);
        let replicas = context.within(replicas_ceil(level / PLANNED));
        Self { busy: busy.into_iter().map(|(slot, _)| slot).collect(), replicas }
    }

    /// Replicas wanted in the hour of `at`; `None` outside of the hours.
    #[must_use]
    pub(super) fn at(&self, at: Timestamp) -> Option<u32> {
        self.busy.contains(&Slot::of(at)).then_some(self.replicas)
    }
}

/// Mean demand in replicas of each hour of a weekday and of a weekend day, where the trace has it.
fn usual(context: &Context) -> BTreeMap<Slot, f64> {
    let Context { arrivals, profile, knee, length, origin, .. } = context;
    let demand = Demand::of(arrivals, profile, *knee, *length);
    let mut sums: BTreeMap<Slot, (f64, f64)> = BTreeMap::new();
    let mut from = 0;
    while from < length.as_secs() {
        let at = origin.plus(Duration::from_secs(from));
        let left = u64::try_from(HOUR - at.unix_ms().rem_euclid(HOUR)).unwrap_or(1);
        let to = length.as_secs().min(from + left.div_ceil(1000));
        let span = Duration::from_secs(to - from).as_secs_f64();
        let (work, seconds) = sums.entry(Slot::of(at)).or_default();
        *work += demand.mean(from, to) * span;
        *seconds += span;
        from = to;
    }
    sums.into_iter().map(|(slot, (work, seconds))| (slot, work / seconds)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Hours;
    use crate::engine::replay::policy::fixture::{context, evenly, hours};
    use crate::engine::units::Timestamp;

    #[test]
    fn weekends_have_hours_of_their_own() {
        // Friday from midnight: busy from 9 to 17 h; Saturday and Sunday quiet.
        let mut context = context((0, 8));
        let friday = Timestamp::from_unix_ms(1_700_179_200_000);
        context.origin = friday;
        context.arrivals = evenly(&[(hours(9), 0.1), (hours(8), 3.0), (hours(55), 0.1)]);
        context.length = Duration::from_secs(hours(72));
        let trigger = Hours::of(&context);
        let rows = [(8, None), (9, Some(4)), (16, Some(4)), (17, None), (33, None), (57, None)];
        for (hour, expected) in rows {
            let at = friday.plus(Duration::from_secs(hours(hour)));
            assert_eq!(trigger.at(at), expected, "hour {hour}");
        }
        // The next Monday is a weekday again.
        assert_eq!(trigger.at(friday.plus(Duration::from_secs(hours(72 + 10)))), Some(4));
    }

    #[test]
    fn a_begin_within_an_hour_and_no_requests_are_fine() {
        let mut context = context((0, 8));
        context.origin = Timestamp::from_unix_ms(1_700_179_200_000 + 1_799_500);
        context.length = Duration::from_secs(hours(30));
        assert_eq!(Hours::of(&context).at(context.origin), None);
        context.arrivals = evenly(&[(hours(1), 2.0)]);
        assert_eq!(Hours::of(&context).at(context.origin), Some(3));
    }
}
