//! The last 24 hours of one scaler, five minutes at a time, and what shaped its decisions.
//!
//! Written by the tick: what was foreseen for the decision, the decision, and the minute that ended.
//! Promises memory of 7 KB ([`SLOTS`] points of 18 bytes and a day of counts) from the first tick on, whatever
//! the clock does.
//! It is for the eye only: nothing is decided from it, and it begins anew with the process.

use std::time::Duration;

use crate::engine::arrived::Minute;
use crate::engine::decide::max_replicas;
use crate::engine::decision::{Decision, Foreseen, Stage, State, TermKind, Verdict};
use crate::engine::foresight::{Foresight, Unit};
use crate::engine::numeric::{replicas_ceil, share};
use crate::engine::observation::Observation;
use crate::engine::rough::Rough;
use crate::engine::setup::Setup;
use crate::engine::units::{Replicas, Timestamp};
use crate::report::explain::{CAUSES, Cause, Course as Shown, Moment, Past, cause};

/// Length of a slot in milliseconds: what a screen can tell apart in a day.
const SLOT_MS: i64 = 300_000;
/// A day of slots.
const PAST: usize = 288;
/// The longest horizon of a forecast, ninety minutes, and the slot it ends in.
const FUTURE: usize = 19;
/// Slots at most, and as they are counted.
const SLOTS: usize = PAST + FUTURE;
const SLOTS_KEPT: i64 = 307;
/// Hours of counts, and as they are counted.
const HOURS: usize = 24;
const HOURS_KEPT: i64 = 24;

/// A number for the eye, within a 256th; negative where it is not known, so that a point stays small.
#[derive(Debug, Clone, Copy)]
struct Value(Rough);

/// A number of replicas below 65535, which stands for not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count(u16);

impl Value {
    const NONE: Self = Self(Rough::of(-1.0));

    fn raise(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "three digits are more than a chart shows"
        )]
        let value = value.clamp(0.0, f64::from(u32::MAX)) as f32;
        self.0 = Rough::of(self.0.get().max(value));
    }

    fn get(self) -> Option<f64> {
        Some(self.0.get()).filter(|value| *value >= 0.0).map(f64::from)
    }
}

impl Count {
    const NONE: Self = Self(u16::MAX);

    fn of(count: u32) -> Self {
        Self(u16::try_from(count).unwrap_or(u16::MAX).min(u16::MAX - 1))
    }

    fn raise(&mut self, count: Option<u32>) {
        let Some(count) = count.map(Self::of) else { return };
        *self = if *self == Self::NONE { count } else { Self(self.0.max(count.0)) };
    }

    fn get(self) -> Option<u32> {
        (self != Self::NONE).then_some(u32::from(self.0))
    }
}

/// Five minutes.
#[derive(Debug, Clone, Copy)]
struct Point {
    demand: Value,
    need: Value,
    median: Value,
    forecast: Value,
    current: Count,
    reactive: Count,
    predicted: Count,
    wanted: Count,
    auto: Count,
}

impl Point {
    const NONE: Self = Self {
        demand: Value::NONE,
        need: Value::NONE,
        median: Value::NONE,
        forecast: Value::NONE,
        current: Count::NONE,
        reactive: Count::NONE,
        predicted: Count::NONE,
        wanted: Count::NONE,
        auto: Count::NONE,
    };

    fn shown(&self, slot: i64) -> Moment {
        let Self { demand, need, median, forecast, current, reactive, predicted, wanted, auto } =
            self;
        Moment {
            at_ms: slot.saturating_mul(SLOT_MS),
            demand: demand.get(),
            need: need.get(),
            median: median.get(),
            forecast: forecast.get(),
            current: current.get(),
            reactive: reactive.get(),
            predicted: predicted.get(),
            wanted: wanted.get(),
            auto: auto.get(),
        }
    }
}

/// An hour since the epoch, and seconds of it in which each kind of reason applied.
type Hour = (i64, [u16; CAUSES.len()]);
/// Long ago, and nothing applied.
const NO_HOUR: Hour = (i64::MIN, [0; CAUSES.len()]);

/// A day of points and of counts, in one place: allocators round two up by more.
#[derive(Debug, Clone)]
struct Day {
    /// Each at its slot modulo their number.
    points: [Point; SLOTS],
    /// Each at its hour modulo their number.
    hours: [Hour; HOURS],
}

impl Day {
    const NOTHING: Self = Self { points: [Point::NONE; SLOTS], hours: [NO_HOUR; HOURS] };
}

/// What one tick leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticked<'a> {
    /// What the user asked for.
    pub(crate) setup: &'a Setup,
    /// What was read.
    pub(crate) observation: &'a Observation,
    /// The foresight that the decision was made with.
    pub(crate) foresight: &'a Foresight,
    /// The decision.
    pub(crate) decision: &'a Decision,
    /// What arrived in the minute that ended with it.
    pub(crate) minute: Option<Minute>,
}

/// The course.
#[derive(Debug, Clone, Default)]
pub(crate) struct Course {
    /// The slot of the first point, in slots since the epoch, and how many there are.
    first: i64,
    count: i64,
    /// `None` before the first tick.
    day: Option<Box<Day>>,
    per_replica: Option<f64>,
}

impl Course {
    /// Notes a tick.
    pub(crate) fn note(&mut self, ticked: &Ticked<'_>) {
        let Ticked { setup, decision, minute, .. } = *ticked;
        let at = decision.at;
        if let Some(work) = work_per_replica(ticked) {
            self.per_replica = Some(work.0);
            if let Some(minute) = minute {
                let demand = value(&minute, work.1).and_then(|value| share(value, work.0));
                if let Some(point) = self.point(slot_of(minute.at)) {
                    point.demand.raise(demand);
                }
                self.claim(ticked, work.0);
            }
        }
        let auto = auto(ticked);
        let need = decision.terms.first().map(|term| term.replicas);
        let foreseen = decision.foreseen;
        if let Some(point) = self.point(slot_of(at)) {
            point.need.raise(need);
            point.current = decision.current.map_or(Count::NONE, |count| Count::of(count.get()));
            point.reactive.raise(foreseen.map(|it| it.reactive).or(need.map(replicas_ceil)));
            point.predicted.raise(foreseen.and_then(|it| it.replicas));
            point.wanted.raise(wanted(decision));
            point.auto.raise(auto);
        }
        self.count(decision, setup.tick);
    }

    /// Everything, as it is shown at `now`.
    pub(crate) fn shown(&self, now: Timestamp) -> Past {
        let (slot, hour) = (slot_of(now), hour_of(now));
        let oldest = slot.saturating_sub(i64::try_from(PAST).unwrap_or(i64::MAX));
        let slots = self.first.max(oldest.saturating_add(1))..self.first + self.count;
        let day = self.day.as_deref();
        let points = slots.filter_map(|slot| Some(day?.points[place(slot)].shown(slot))).collect();
        let mut seconds = [0_u32; CAUSES.len()];
        let recent = day
            .into_iter()
            .flat_map(|day| &day.hours)
            .filter(|(at, _)| (hour - HOURS_KEPT + 1..=hour).contains(at));
        for (sum, more) in recent.flat_map(|(_, hour)| hour).enumerate() {
            seconds[sum % CAUSES.len()] += u32::from(*more);
        }
        let told = CAUSES.iter().zip(seconds).filter(|(_, seconds)| *seconds > 0);
        let mut causes: Vec<Cause> = told
            .map(|(reason, seconds)| Cause { reason, minutes: f64::from(seconds) / 60.0 })
            .collect();
        causes.sort_by(|a, b| b.minutes.total_cmp(&a.minutes));
        let step_seconds = u32::try_from(SLOT_MS / 1000).unwrap_or(300);
        let course = Shown { step_seconds, points };
        Past { course, causes, per_replica: self.per_replica, history: None }
    }

    /// What is forecast now, put where it comes due.
    fn claim(&mut self, ticked: &Ticked<'_>, per_replica: f64) {
        let Some(foreseen) = ticked.decision.foreseen else { return };
        let Foreseen { quantile, horizon, equivalents, .. } = foreseen;
        let minutes = horizon.as_secs() / 60;
        let bands = ticked.foresight.bands(quantile);
        let band = bands.iter().find(|(ahead, ..)| u64::from(*ahead) == minutes);
        let median = band.and_then(|(_, median, _)| share(*median, per_replica));
        if let Some(point) = self.point(slot_of(ticked.decision.at.plus(horizon))) {
            point.forecast.raise(equivalents);
            point.median.raise(median);
        }
    }

    /// The point of a slot, made where it is new; `None` where it is too old to be kept.
    fn point(&mut self, slot: i64) -> Option<&mut Point> {
        let newest = self.first + self.count - 1;
        if self.count == 0 || slot - newest >= SLOTS_KEPT || self.first - slot >= SLOTS_KEPT {
            (self.first, self.count) = (slot, 0);
        }
        let day = self.day.get_or_insert_with(|| Box::new(Day::NOTHING));
        while self.first + self.count <= slot {
            day.points[place(self.first + self.count)] = Point::NONE;
            let full = self.count == SLOTS_KEPT;
            (self.first, self.count) =
                if full { (self.first + 1, self.count) } else { (self.first, self.count + 1) };
        }
        (slot >= self.first).then(|| &mut day.points[place(slot)])
    }

    /// Counts the time of a tick for each kind of reason once.
    fn count(&mut self, decision: &Decision, tick: Duration) {
        let hour = hour_of(decision.at);
        let Day { hours, .. } = &mut **self.day.get_or_insert_with(|| Box::new(Day::NOTHING));
        // A clock that was set back must not leave hours that count twice.
        hours.iter_mut().filter(|(at, _)| *at > hour).for_each(|it| *it = NO_HOUR);
        let (at, counts) = &mut hours[usize::try_from(hour.rem_euclid(HOURS_KEPT)).unwrap_or(0)];
        if *at != hour {
            (*at, *counts) = (hour, NO_HOUR.1);
        }
        let length = u16::try_from(tick.as_secs()).unwrap_or(u16::MAX);
        let mut applied = [false; CAUSES.len()];
        decision.reasons.iter().for_each(|reason| applied[cause(reason)] = true);
        for (count, _) in counts.iter_mut().zip(applied).filter(|(_, applied)| *applied) {
            *count = count.saturating_add(length).min(3600);
        }
    }
}

/// Where the point of a slot is.
fn place(slot: i64) -> usize {
    usize::try_from(slot.rem_euclid(SLOTS_KEPT)).unwrap_or(0)
}

fn slot_of(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(SLOT_MS)
}

fn hour_of(at: Timestamp) -> i64 {
    at.unix_ms().div_euclid(3_600_000)
}

/// What was decided, before `shadow` and the dead band.
fn wanted(decision: &Decision) -> Option<u32> {
    match &decision.unmasked {
        Verdict::Scale { replicas, .. } => Some(replicas.get()),
        Verdict::Refuse(_) => None,
    }
}

/// Of the forecast's unit, what one replica takes at the headroom in force: what the forecast said
/// over what the decision made of it.
fn work_per_replica(ticked: &Ticked<'_>) -> Option<(f64, Unit)> {
    let foreseen = ticked.decision.foreseen?;
    let mut foresight = ticked.foresight.clone();
    let ahead = foresight.ahead(ticked.setup, ticked.decision.at, foreseen.lead)?;
    let per_replica = match ahead.unit {
        Unit::Replicas => 1.0,
        Unit::Requests | Unit::Work => share(ahead.work?, foreseen.equivalents?)?,
    };
    (per_replica > 0.0).then_some((per_replica, ahead.unit))
}

const fn value(minute: &Minute, unit: Unit) -> Option<f64> {
    match unit {
        Unit::Requests => minute.requests,
        Unit::Work => minute.work,
        Unit::Replicas => minute.replicas,
    }
}

/// What `scaleStrategy: auto` would have decided: the forecast, and demand at the headroom of a trusted
/// forecast, while it is trusted, else what was decided. Its down-window and wakes ahead are left out.
fn auto(ticked: &Ticked<'_>) -> Option<u32> {
    let Ticked { setup, observation, decision, .. } = *ticked;
    let decided = wanted(decision)?;
    let Some(foreseen) = decision.foreseen.filter(|it| acts(it) && decision.state == State::Fresh)
    else {
        return Some(decided);
    };
    let trusted = setup.forecast.headroom_trusted.get();
    let trusted = foreseen.margin.map_or(trusted, |margin| margin.headroom);
    let room = share(foreseen.headroom, trusted)?.min(1.0);
    let terms = decision.terms.iter().map(|term| match term.kind {
        TermKind::Rate | TermKind::Prefill => {
            let trim = term.trim.max(f64::MIN_POSITIVE);
            let arriving = (term.replicas / trim - term.backlog).max(0.0);
            arriving.mul_add(room, term.backlog) * trim
        }
        TermKind::KvCache
        | TermKind::Running
        | TermKind::Queue
        | TermKind::Degradation
        | TermKind::QueueDepth
        | TermKind::Concurrency
        | TermKind::RequestRate
        | TermKind::TokenRate
        | TermKind::GpuUtilization
        | TermKind::GpuMemory
        | TermKind::GpuMemoryBandwidth
        | TermKind::GpuPower
        | TermKind::GpuGuard
        | TermKind::Activation
        | TermKind::Own(_) => term.replicas,
    });
    let needed = terms.fold(0.0, f64::max);
    let wanted = foreseen.equivalents.unwrap_or(0.0);
    let wanted = foreseen.margin.map_or(wanted, |margin| margin.counted(needed, wanted));
    let most = needed.max(wanted);
    let min = setup.min_replicas.map_or(0, Replicas::get);
    Some(replicas_ceil(most).max(min).min(max_replicas(setup, observation)))
}

fn acts(foreseen: &Foreseen) -> bool {
    foreseen.trust.is_trusted() && foreseen.stage >= Stage::Started && foreseen.replicas.is_some()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{Course, Day, HOURS, HOURS_KEPT, Point, SLOTS, SLOTS_KEPT, Ticked};
    use crate::engine::arrived::Minute;
    use crate::engine::decision::{
        Decision, Foreseen, Reason, Rival, Stage, State, Term, TermKind, Trust, Verdict,
    };
    use crate::engine::foresight::Foresight;
    use crate::engine::observation::Observation;
    use crate::engine::setup::{Setup, Strategy};
    use crate::engine::units::{Ratio, Replicas, Timestamp};
    use crate::spec::{self, Limits};

    const MINUTE: i64 = 60_000;

    fn setup() -> Setup {
        let spec = spec::parse("ns", "llama", &BTreeMap::new(), &Limits::default()).unwrap();
        Setup { strategy: Strategy::Observer, ..spec.setup }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_ms(minute * MINUTE)
    }

    fn decision(minute: i64, want: u32) -> Decision {
        let replicas = Replicas::new(want);
        let verdict = Verdict::Scale { replicas, sent: replicas, active: want > 0 };
        Decision {
            at: at(minute),
            state: State::Fresh,
            unmasked: verdict.clone(),
            verdict,
            terms: vec![Term::ratio(TermKind::Rate, 3.5, 0.7).unwrap()],
            reasons: vec![Reason::Need { replicas: want }, Reason::Need { replicas: want }],
            data_age: None,
            current: Some(replicas),
            ready: None,
            serving: true,
            foreseen: None,
        }
    }

    fn foreseen(equivalents: Option<f64>) -> Foreseen {
        Foreseen {
            quantile: 0.95,
            horizon: Duration::from_mins(10),
            equivalents,
            replicas: equivalents.map(crate::engine::numeric::replicas_ceil),
            counts: false,
            reactive: 5,
            headroom: 0.7,
            margin: None,
            trust: Trust::Trusted { ratio: 0.5, rival: Rival::Naive },
            stage: Stage::Day,
            next_stage: None,
            lead: Duration::from_mins(9),
        }
    }

    fn note(course: &mut Course, setup: &Setup, decision: &Decision) {
        let observation = &Observation::empty(decision.at);
        let foresight = &Foresight::default();
        course.note(&Ticked { setup, observation, foresight, decision, minute: None });
    }

    #[test]
    fn the_ring_is_bounded_and_has_no_holes_whatever_the_clock_does() {
        /// Minutes of ticks; slots kept, and the largest wanted in the first and last of them.
        type Row<'a> = (&'a str, &'a [i64], usize, Option<u32>, Option<u32>);
        let day = 1440;
        let rows: [Row<'_>; 7] = [
            ("nothing", &[], 0, None, None),
            ("one slot", &[0, 1, 4], 1, Some(4), Some(4)),
            ("two", &[0, 5], 2, Some(0), Some(5)),
            ("a gap", &[0, 60], 13, Some(0), Some(60)),
            ("two days later", &[0, 2 * day], 1, Some(2880), Some(2880)),
            ("set back for an hour", &[120, 60, 121], 1, Some(121), Some(121)),
            ("set back for days", &[5 * day, 0], 1, Some(0), Some(0)),
        ];
        let setup = setup();
        for (what, minutes, slots, first, last) in rows {
            let mut course = Course::default();
            for minute in minutes {
                note(&mut course, &setup, &decision(*minute, u32::try_from(*minute).unwrap()));
            }
            let now = minutes.last().copied().unwrap_or(0);
            let points = course.shown(at(now)).course.points;
            assert_eq!(points.len(), slots, "{what}");
            assert_eq!(points.first().and_then(|it| it.wanted), first, "{what}");
            assert_eq!(points.last().and_then(|it| it.wanted), last, "{what}");
            assert!(points.windows(2).all(|two| two[1].at_ms - two[0].at_ms == 300_000), "{what}");
            let hole = points.get(1).filter(|_| points.len() > 2);
            assert!(hole.is_none_or(|it| it.wanted.is_none() && it.need.is_none()), "{what}");
        }
    }

    #[test]
    fn three_days_of_ticks_stay_small() {
        let (setup, mut course) = (setup(), Course::default());
        for minute in 0..3 * 1440 {
            note(&mut course, &setup, &decision(minute, 3));
        }
        assert_eq!((size_of::<Point>(), size_of::<Day>()), (18, 7064));
        assert_eq!([SLOTS_KEPT, HOURS_KEPT].map(usize::try_from), [Ok(SLOTS), Ok(HOURS)]);
        let points = course.shown(at(3 * 1440 - 1)).course.points;
        assert_eq!(points.len(), 288);
        assert!(points.iter().all(|it| it.wanted == Some(3) && it.reactive == Some(5)));
    }

    #[test]
    fn each_kind_of_reason_is_counted_once_a_tick_and_forgotten_after_a_day() {
        let (setup, mut course) = (setup(), Course::default());
        let told = |course: &Course, minute: i64| {
            let causes = course.shown(at(minute)).causes;
            causes.into_iter().map(|it| (it.reason, it.minutes)).collect::<Vec<_>>()
        };
        for tick in 0..8 {
            let mut decision = decision(0, 2);
            decision.at = Timestamp::from_unix_ms(tick * 15_000);
            decision.reasons.extend((tick < 4).then_some(Reason::Shadow));
            note(&mut course, &setup, &decision);
        }
        assert_eq!(told(&course, 2), [("demand", 2.0), ("shadow", 1.0)]);
        note(&mut course, &setup, &decision(1440, 2));
        assert_eq!(told(&course, 1440), [("demand", 0.25)]);
        assert_eq!(told(&course, 3000), []);
    }

    #[test]
    fn what_auto_would_have_asked_for_uses_the_headroom_of_a_trusted_forecast() {
        let young = Trust::Young { remaining: Duration::from_hours(1) };
        // 5 at 0.7 are 4.12 at 0.85.
        let rows = [
            ("no forecast", None, State::Fresh, Some(5)),
            ("trusted, demand binds", Some(foreseen(Some(2.0))), State::Fresh, Some(5)),
            ("trusted, forecast binds", Some(foreseen(Some(9.0))), State::Fresh, Some(9)),
            (
                "young",
                Some(Foreseen { trust: young, ..foreseen(Some(9.0)) }),
                State::Fresh,
                Some(5),
            ),
            ("old data", Some(foreseen(Some(9.0))), State::Hold, Some(5)),
            ("no capacity", Some(foreseen(None)), State::Fresh, Some(5)),
        ];
        let mut setup = setup();
        setup.forecast.headroom_trusted = Ratio::try_new(0.85).unwrap();
        for (what, foreseen, state, expected) in rows {
            let mut course = Course::default();
            note(&mut course, &setup, &Decision { foreseen, state, ..decision(0, 5) });
            let point = course.shown(at(0)).course.points[0];
            assert_eq!((point.auto, point.wanted), (expected, Some(5)), "{what}");
        }
    }

    #[test]
    fn what_arrived_and_what_was_forecast_for_it_meet_in_one_unit() {
        let (setup, mut course) = (setup(), Course::default());
        let mut foresight = Foresight::default();
        let arrives = |minute: i64| Minute { requests: Some(8.0), ..Minute::unknown(at(minute)) };
        for minute in 0..120 {
            foresight.learn(&setup, &[arrives(minute)]);
        }
        let work = foresight.ahead(&setup, at(120), Duration::from_mins(9)).unwrap().work.unwrap();
        // Two requests per second are one replica.
        let foreseen = Some(foreseen(Some(work / 2.0)));
        let decision = Decision { foreseen, ..decision(121, 5) };
        let observation = &Observation::empty(decision.at);
        let minute = Some(arrives(120));
        let (setup, foresight, decision) = (&setup, &foresight, &decision);
        course.note(&Ticked { setup, observation, foresight, decision, minute });
        let past = course.shown(at(121));
        assert!((past.per_replica.unwrap() - 2.0).abs() < 1e-9);
        let points = past.course.points;
        let demand = points.iter().find_map(|it| it.demand).unwrap();
        assert!((demand - 4.0).abs() < 1e-6, "{demand}");
        let claim = points.iter().find(|it| it.forecast.is_some()).unwrap();
        assert_eq!(claim.at_ms, 130 * MINUTE, "the slot of 121 + 10 minutes");
        assert!((claim.forecast.unwrap() / (work / 2.0) - 1.0).abs() < 1.0 / 256.0);
        assert!(claim.median.unwrap() <= claim.forecast.unwrap());
    }
}
