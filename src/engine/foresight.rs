//! What is foreseen of a workload: one forecast of the work that arrives, its account, and when the
//! workload usually wakes.
//!
//! Given what each tick measured, or minutes of history; promises for any lead time a quantile of the
//! largest work until then, whether it has earned trust, and what idleness is worth. Works with raw
//! counts per minute: what a replica carries is applied by whoever asks, so that history stays true
//! when capacity is learned anew. Turning work into replicas is left to
//! [`crate::engine::demand`], what counts to [`crate::engine::decide`].

mod account;
mod ahead;
mod bill;
mod lane;
mod learned;
mod measured;
mod meter;
mod said;
mod spent;
mod way;
mod work;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::arrived::Minute;
use crate::engine::decision::Stage;
use crate::engine::forecast;
use crate::engine::foresight::learned::{Learned, QUANTILE_MAX, aim};
use crate::engine::foresight::said::{Said, is_young, was_lately};
use crate::engine::foresight::way::Way;
use crate::engine::numeric::share;
use crate::engine::setup::{Family, Setup, Strategy};
use crate::engine::units::Timestamp;

pub use ahead::{Ahead, Unit};
pub use bill::{BUDGET, FORECAST_SHARE};
pub use measured::measured;
pub use meter::{Measured, Meter};
pub use work::{Carries, equivalents};

/// A longer gap is worth filling from history.
const GAP_MAX: Duration = Duration::from_mins(15);

/// The foresight of one workload. What was learned is not stored but rebuilt from minutes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Foresight {
    meter: Meter,
    /// What was said last. After a restart it stands until the past has been learned again, for as long as any
    /// forecast does: without it a decision that rests on the forecast would be lower for that time.
    said: Option<Said>,
    /// The newest minute while days were known.
    days: Option<Timestamp>,
    #[serde(skip)]
    learned: Option<Arc<Learned>>,
}

impl Foresight {
    /// Notes what a tick measured; gives the minute that ended with it, if one did, for those who
    /// keep history. `carries` is what a replica was known to carry before the tick.
    pub fn note(
        &mut self,
        setup: &Setup,
        at: Timestamp,
        measured: Measured,
        carries: Carries,
    ) -> Option<Minute> {
        let minute = self.meter.note(at, measured)?;
        if setup.strategy != Strategy::Reactive {
            self.learn_for(setup, None, Some(carries), &[minute]);
        }
        Some(minute)
    }

    /// Learns minutes in ascending time; those that are not newer than what is known are ignored.
    pub fn learn(&mut self, setup: &Setup, minutes: &[Minute]) {
        self.learn_for(setup, None, None, minutes);
    }

    fn learn_for(
        &mut self,
        setup: &Setup,
        lead: Option<Duration>,
        carries: Option<Carries>,
        minutes: &[Minute],
    ) {
        // A forecaster is 75 kilobytes: none for a workload of which nothing is known.
        if self.learned.is_none() && !minutes.iter().any(Minute::is_known) {
            return;
        }
        let unit = if setup.family == Family::Llm { Unit::Requests } else { Unit::Replicas };
        let fresh = || Arc::new(Learned::new(unit, &setup.forecast));
        let newest = minutes.last().map(|minute| minute.at);
        self.learned = self.learned.take().filter(|learned| {
            learned.is_for(&setup.forecast) && newest.is_none_or(|at| !learned.is_ahead_of(at))
        });
        let learned = Arc::make_mut(self.learned.get_or_insert_with(fresh));
        if let Some(lead) = lead {
            learned.turn_to(aim(lead, quantile(setup)));
        }
        learned.carries = carries.unwrap_or(learned.carries);
        let least = learned.carries.least;
        learned.account.goes(Way::of(setup, quantile(setup)).map(|way| way.above(least)));
        let margin = margin(setup);
        minutes.iter().for_each(|minute| learned.observe(minute, margin));
    }

    /// What `history` teaches for this lead time, as if a replica had carried throughout what it `carries`
    /// now, and apart from anything known so far: to be taken over by [`Self::take_over`].
    #[must_use]
    pub fn of(setup: &Setup, lead: Duration, carries: Carries, history: &[Minute]) -> Self {
        let mut taught = Self::default();
        taught.learn_for(setup, Some(lead), Some(carries), history);
        taught
    }

    /// Forgets what was learned for what `taught` knows, and for the minutes `since`, which came
    /// while it was being taught; but never for less, as of a store that lost what it had.
    pub fn take_over(&mut self, setup: &Setup, taught: Self, since: &[Minute]) {
        let stage = |of: &Self| {
            let learned = of.learned.as_ref().filter(|learned| learned.is_for(&setup.forecast))?;
            Some(learned.forecaster.stage())
        };
        if stage(&taught) >= stage(self) {
            self.learned = taught.learned;
            self.learn(setup, since);
        }
    }

    /// Forgets what was learned; what was said stands.
    pub(super) fn forget(&mut self) {
        self.learned = None;
    }

    /// Whether it knows days as `setup` counts them, up to a quarter of an hour before `now`: then no
    /// history has to be read again.
    #[must_use]
    pub fn is_taught(&self, setup: &Setup, now: Timestamp) -> bool {
        let known = self.newest_known();
        self.knows_days(setup) && known.is_some_and(|known| now.since(known) <= GAP_MAX)
    }

    /// Whether it knew days before a restart a short while ago, and has not learned them again: when demand
    /// usually comes is not known then, although it was.
    #[must_use]
    pub fn relearns(&self, setup: &Setup, now: Timestamp) -> bool {
        self.days.is_some_and(|at| was_lately(at, now)) && !self.knows_days(setup)
    }

    /// Whether it knows days as `setup` counts them, be they long ago.
    #[must_use]
    pub fn knows_days(&self, setup: &Setup) -> bool {
        self.learned.as_ref().is_some_and(|learned| {
            learned.is_for(&setup.forecast) && learned.forecaster.stage() >= Stage::Day
        })
    }

    /// The work within `lead` and until the next forecast; `None` where nothing was learned. What was
    /// said before a restart stands until there is something new to say, and no longer than any
    /// forecast does.
    #[must_use]
    pub fn ahead(&mut self, setup: &Setup, now: Timestamp, lead: Duration) -> Option<Ahead> {
        self.days = self.newest_known().filter(|_| self.knows_days(setup)).or(self.days);
        let learned = self.learned_ahead(setup, now, lead);
        let said = self.said.filter(|said| is_young(said.known, now));
        let known = learned.filter(|ahead| ahead.work.is_some()).zip(self.newest_known());
        // A minute or a day of the past is less than what was known.
        let is_less = |ahead: &Ahead| said.is_some_and(|said| ahead.stage < said.ahead.stage);
        if let Some((ahead, known)) = known.filter(|(ahead, _)| !is_less(ahead)) {
            self.said = Some(Said { known, ahead });
            return Some(ahead);
        }
        said.map(|said| said.ahead).or(learned)
    }

    fn learned_ahead(&mut self, setup: &Setup, now: Timestamp, lead: Duration) -> Option<Ahead> {
        let aim = aim(lead, quantile(setup));
        let learned = self.learned.as_mut()?;
        if !learned.is_at(aim) {
            Arc::make_mut(learned).turn_to(aim);
        }
        let old = learned.known.is_none_or(|known| !is_young(known, now));
        let ahead = learned.ahead(aim.horizon, aim.level);
        Some(Ahead { work: ahead.work.filter(|_| !old), ..ahead })
    }

    /// Whether demand usually comes within `span` after an idle `at`, 0..=1; `None` while less than
    /// a day is known.
    #[must_use]
    pub fn wakes_within(&self, at: Timestamp, span: Duration) -> Option<f64> {
        self.learned.as_ref()?.rhythm.chance(at, span)
    }

    /// The largest demand that usually comes within `span` after an idle `at`, in [`Self::unit`] per
    /// second; `None` where none usually does.
    #[must_use]
    pub fn usual_within(&self, at: Timestamp, span: Duration) -> Option<f64> {
        self.learned.as_ref()?.rhythm.usual(at, span)
    }

    /// How long an idle `at` usually lasts, up to a day; `None` while less than a day is known.
    #[must_use]
    pub fn idle_lasts(&self, at: Timestamp) -> Option<Duration> {
        self.learned.as_ref()?.rhythm.idle(at)
    }

    /// The newest minute of which something was known.
    #[must_use]
    pub fn newest_known(&self) -> Option<Timestamp> {
        self.learned.as_ref()?.known
    }

    /// What the series counts; `None` before anything was learned.
    #[must_use]
    pub fn unit(&self) -> Option<Unit> {
        self.learned.as_ref().map(|learned| learned.unit)
    }

    /// The day ahead, for the eye: not calibrated. Every `every` minutes.
    #[must_use]
    pub fn outlook(&self, every: usize) -> Vec<forecast::Ahead> {
        self.learned.as_ref().map_or_else(Vec::new, |learned| learned.forecaster.outlook(every))
    }

    /// Shares of what came at or below the forecast of the last day, and how many were counted.
    #[must_use]
    pub fn coverage(&self) -> Option<(f64, u32)> {
        self.learned.as_ref()?.account.coverage()
    }

    /// A quantile at each horizon, for a chart: minutes ahead, median and the quantile asked for.
    #[must_use]
    pub fn bands(&self, quantile: f64) -> Vec<(u32, f64, f64)> {
        self.learned.as_ref().map_or_else(Vec::new, |learned| learned.bands(quantile))
    }
}

/// The level of the forecast before anything gives way.
const fn quantile(setup: &Setup) -> f64 {
    setup.forecast.quantile.min(QUANTILE_MAX)
}

/// By how much more than what it saw the reactive decision makes room for.
fn margin(setup: &Setup) -> f64 {
    let (trusted, headroom) = (setup.forecast.headroom_trusted.get(), setup.headroom.get());
    share(trusted, headroom).unwrap_or(1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Carries, Foresight, Measured, Unit};
    use crate::engine::arrived::Minute;
    use crate::engine::decision::Stage;
    use crate::engine::demand_tests::setup;
    use crate::engine::setup::Strategy;
    use crate::engine::units::Timestamp;

    const LEAD: Duration = Duration::from_secs(240);
    const CARRIES: Carries = Carries { requests: Some(4.0), work: Some(40.0), least: 0 };

    fn at(minute: u32) -> Timestamp {
        Timestamp::from_unix_ms(i64::from(minute) * 60_000)
    }

    /// Requests of ten tokens each: ten a second, twenty in every full hour's first half.
    fn minute(number: u32) -> Minute {
        let requests = if number % 60 < 30 { 20.0 } else { 10.0 };
        Minute {
            at: at(number),
            requests: Some(requests),
            work: Some(requests * 10.0),
            replicas: None,
        }
    }

    fn days(days: u32) -> Vec<Minute> {
        (0..days * 1440).map(minute).collect()
    }

    #[test]
    fn history_and_ticks_teach_the_same() {
        let setup = setup();
        let history = days(2);
        let mut taught = Foresight::default();
        taught.take_over(
            &setup,
            Foresight::of(&setup, LEAD, CARRIES, &history[..2800]),
            &history[2700..],
        );
        let mut ticked = Foresight::default();
        for minute in &history {
            let Minute { requests, work, replicas, .. } = *minute;
            let measured = Measured { requests, work, replicas };
            ticked.note(&setup, minute.at.plus(Minute::LENGTH), measured, CARRIES);
        }
        let now = at(2 * 1440);
        let (taught_says, ticked_says) =
            (taught.ahead(&setup, now, LEAD), ticked.ahead(&setup, now, LEAD));
        assert!(taught_says.is_some() && taught_says == ticked_says);
        assert!(taught.is_taught(&setup, now));
        assert!(!taught.is_taught(&setup, now.plus(Duration::from_hours(1))));
    }

    #[test]
    fn the_horizon_covers_the_lead_and_one_minute() {
        let setup = setup();
        let mut foresight = Foresight::of(&setup, LEAD, CARRIES, &days(1));
        let rows = [(0, 1), (60, 5), (240, 5), (241, 10), (878, 20), (9000, 90)];
        for (lead, minutes) in rows {
            let ahead = foresight.ahead(&setup, at(1440), Duration::from_secs(lead)).unwrap();
            assert_eq!(ahead.horizon, Duration::from_mins(minutes), "{lead} s");
            assert_eq!((ahead.stage, ahead.unit), (Stage::Day, Unit::Work));
        }
    }

    #[test]
    fn an_old_forecast_is_none_and_another_zone_learns_anew() {
        let mut setup = setup();
        let mut foresight = Foresight::of(&setup, LEAD, CARRIES, &days(1));
        let work = |foresight: &mut Foresight, now| {
            foresight.ahead(&setup, now, LEAD).and_then(|ahead| ahead.work)
        };
        assert!(work(&mut foresight, at(1443)).is_some());
        assert_eq!(work(&mut foresight, at(1446)), None);
        // Minutes of which nothing is known keep no forecast young.
        foresight.learn(&setup, &[Minute::unknown(at(1440)), Minute::unknown(at(1445))]);
        assert_eq!(work(&mut foresight, at(1446)), None);
        setup.forecast.zone = chrono_tz::Tz::Europe__Berlin;
        assert!(!foresight.is_taught(&setup, at(1440)));
        foresight.learn(&setup, &[minute(1446)]);
        assert_eq!(foresight.ahead(&setup, at(1447), LEAD).unwrap().stage, Stage::Cold);
    }

    #[test]
    fn a_clock_that_went_ahead_and_back_leaves_no_forecast_that_seems_young() {
        let setup = setup();
        let mut foresight = Foresight::of(&setup, LEAD, CARRIES, &days(1));
        assert!(foresight.ahead(&setup, at(1440), LEAD).unwrap().work.is_some());
        // Five hours back: what is known lies ahead.
        let now = at(1440 - 300);
        assert!(foresight.ahead(&setup, now, LEAD).is_none_or(|ahead| ahead.work.is_none()));
        foresight.learn(&setup, &[minute(1440 - 300)]);
        assert_eq!(foresight.newest_known(), Some(now), "it begins anew");
    }

    #[test]
    fn what_was_said_before_a_restart_stands_until_as_much_is_known_again() {
        let setup = setup();
        let mut foresight = Foresight::of(&setup, LEAD, CARRIES, &days(1));
        let before = foresight.ahead(&setup, at(1440), LEAD);
        assert!(before.is_some_and(|before| before.work.is_some()));
        let stored = serde_json::to_string(&foresight).unwrap();
        let restarted = || serde_json::from_str::<Foresight>(&stored).unwrap();
        let mut again = restarted();
        assert_eq!(again.ahead(&setup, at(1441), LEAD), before);
        again.learn(&setup, &[minute(1441)]);
        assert_eq!(again.ahead(&setup, at(1442), LEAD), before, "a minute is no forecast");
        again.take_over(
            &setup,
            Foresight::of(&setup, LEAD, CARRIES, &days(1)),
            &[minute(1440), minute(1441)],
        );
        let mut undisturbed = foresight.clone();
        undisturbed.learn(&setup, &[minute(1440), minute(1441)]);
        let now = at(1442);
        assert_eq!(again.ahead(&setup, now, LEAD), undisturbed.ahead(&setup, now, LEAD));
        // Until then nobody knows when demand usually comes, and it is known that somebody did.
        let relearns = |it: &Foresight, minute| it.relearns(&setup, at(minute));
        assert!(relearns(&restarted(), 1442) && !relearns(&again, 1442));
        let mut ticks = restarted();
        for number in 1441..1460 {
            ticks.learn(&setup, &[minute(number)]);
            assert!(ticks.ahead(&setup, at(number + 1), LEAD).is_some());
            assert!(relearns(&ticks, number + 1), "{number}: minutes are no days");
        }
        assert!(!relearns(&restarted(), 1480) && !relearns(&Foresight::default(), 1442));
        // No longer than any forecast does.
        let late = restarted().ahead(&setup, at(1445), LEAD);
        assert_eq!(late, None);
    }

    #[test]
    fn requests_become_work_as_soon_as_sizes_are_known() {
        let setup = setup();
        let mut minutes = days(1);
        minutes[..100].iter_mut().for_each(|minute| minute.work = None);
        let mut late = Foresight::of(&setup, LEAD, CARRIES, &minutes);
        let mut known = Foresight::of(&setup, LEAD, CARRIES, &days(1));
        let now = at(1440);
        let [late, known] = [&mut late, &mut known]
            .map(|foresight| foresight.ahead(&setup, now, LEAD).unwrap().work.unwrap());
        assert!((late / known - 1.0).abs() < 0.02, "{late} {known}");
    }

    #[test]
    fn reactive_keeps_minutes_and_learns_nothing() {
        let mut setup = setup();
        setup.strategy = Strategy::Reactive;
        let mut foresight = Foresight::default();
        let measured = Measured { requests: Some(1.0), ..Measured::default() };
        assert_eq!(foresight.note(&setup, at(1), measured, CARRIES).unwrap().requests, Some(1.0));
        assert_eq!(foresight.ahead(&setup, at(1), LEAD), None);
    }
}
