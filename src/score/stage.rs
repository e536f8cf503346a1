//! One series: its horizons in steps, its warm-up, what it is disturbed by, and the race over it.

use std::time::Duration;

use crate::backtest::progress::{Listener, Progress};
use crate::clock::Clock;
use crate::engine::forecast::{Horizon, Setup, Target};
use crate::engine::numeric::count;
use crate::engine::score::data::{Ahead, ModelScore, Place, Scored};
use crate::engine::score::inject::{Faulty, put};
use crate::engine::score::models::Kind;
use crate::engine::score::race::{Aids, Course, Finish, race};
use crate::engine::score::series::{DAY, Series, steps};
use crate::engine::units::Timestamp;
use crate::score::options::Options;
use crate::score::read::Named;

/// Instants before it (31 years after the epoch) are counted from a trace's start.
const EPOCH_MIN: Timestamp = Timestamp::from_unix_ms(1_000_000_000_000);

/// What is the same for all series.
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) kinds: &'a [Kind],
    pub(super) clock: &'a Clock,
    pub(super) listener: Listener<'a>,
}

impl Stage<'_> {
    /// One series, and what should be known of it.
    pub(super) fn score(&self, named: &Named) -> (Scored, Vec<String>) {
        let series = &named.series;
        let horizons = horizons(&self.options.horizons, series.step);
        let warmup = warmup(self.options.warmup, series);
        let faulty = self.options.fault.map(|fault| put(fault, series, warmup));
        let (finish, undisturbed) = match &faulty {
            None => (self.run(series, &horizons, &Shown::plain(series, warmup)), None),
            Some(faulty) => {
                let [with, without] = Shown::both(series, faulty);
                let finish = self.run(series, &horizons, &with);
                (finish, Some(self.run(series, &horizons, &without)))
            }
        };
        let Finish { runners, origins, skipped } = finish;
        let mut before = undisturbed.map(|finish| finish.runners.into_iter());
        let models = self.kinds.iter().zip(runners).map(|(kind, run)| ModelScore {
            name: kind.name,
            micros_per_update: run.per_update.as_secs_f64() * 1e6,
            cells: run.cells,
            undisturbed: before
                .as_mut()
                .and_then(Iterator::next)
                .map_or_else(Vec::new, |it| it.cells),
        });
        let scored = Scored {
            file: named.file.clone(),
            group: named.group.clone(),
            step: series.step,
            n: count(series.values.len()),
            gaps: count(series.values.iter().filter(|value| value.is_none()).count()),
            warmup: count(warmup),
            origins,
            skipped,
            disturbed: self.place(series, faulty.as_ref()),
            models: models.collect(),
            horizons,
        };
        let notes = self.notes(&scored, series);
        (scored, notes)
    }

    fn run(&self, series: &Series, horizons: &[Ahead], shown: &Shown) -> Finish {
        let setup = Setup {
            step: series.step,
            horizons: horizons.iter().flat_map(|ahead| lanes(*ahead, series.step)).collect(),
            timezone: self.options.timezone,
            holidays: self.options.holidays.clone(),
        };
        let course = Course {
            series,
            seen: &shown.seen,
            held_to: &shown.held_to,
            setup: &setup,
            levels: &self.options.levels,
            first: shown.first,
            origins: self.options.origins,
            late: shown.late,
        };
        let mut stopwatch = || self.clock.elapsed();
        let mut day_done = || (self.listener)(Progress::Done);
        let mut aids = Aids { stopwatch: &mut stopwatch, day_done: &mut day_done };
        race(&course, self.kinds, &mut aids)
    }

    fn place(&self, series: &Series, faulty: Option<&Faulty>) -> Option<Place> {
        let (fault, faulty) = (self.options.fault?, faulty?);
        let span = |steps: usize| series.step.saturating_mul(count(steps));
        Some(Place {
            what: fault.to_string(),
            begins: span(faulty.begins),
            lasts: span(faulty.lasts),
        })
    }

    /// What whoever reads the figures should know.
    fn notes(&self, scored: &Scored, series: &Series) -> Vec<String> {
        let mut notes = Vec::new();
        let name = scored.name();
        let Scored { gaps, skipped, origins, .. } = scored;
        let hours = |span: Duration| span.as_secs_f64() / 3600.0;
        let begins = series.step.saturating_mul(scored.warmup);
        if begins < self.options.warmup {
            notes.push(format!(
                "{name}: shorter than twice the warm-up; scored from {:.1} h on, its second half",
                hours(begins)
            ));
        }
        if *gaps > 0 {
            notes.push(format!(
                "{name}: {gaps} of {} steps are gaps, neither filled nor scored",
                scored.n
            ));
        }
        if series.begins < EPOCH_MIN {
            notes.push(format!(
                "{name}: timestamps do not tell the date; hours and days count from 1970-01-01 UTC"
            ));
        }
        if *skipped > 0 {
            notes.push(format!(
                "{name}: {skipped} origins left out for all models, because one had no forecast yet"
            ));
        }
        if *origins == 0 {
            notes.push(format!("{name}: no origin after the warm-up has a target; no figures"));
        }
        if constant(series) {
            notes.push(format!("{name}: always the same value; nothing to compare errors with"));
        }
        if let Some(Place { what, begins, .. }) = &scored.disturbed {
            notes.push(format!(
                "{name}: disturbed {:.1} h after its beginning by {what}; figures are from there on",
                hours(*begins)
            ));
        }
        notes
    }
}

/// Whether every value that is known is the same.
fn constant(series: &Series) -> bool {
    let mut known = series.values.iter().flatten();
    known.next().is_some_and(|first| known.all(|value| value.total_cmp(first).is_eq()))
}

/// Those that are not below the step, in whole steps, each number of steps once.
fn horizons(asked: &[Duration], step: Duration) -> Vec<Ahead> {
    let mut found: Vec<Ahead> = Vec::new();
    for asked in asked.iter().filter(|asked| **asked >= step) {
        let span = step.saturating_mul(count(steps(*asked, step)));
        if found.iter().all(|other| other.span != span) {
            found.push(Ahead { asked: *asked, span });
        }
    }
    found
}

/// A horizon's two targets, the value first.
fn lanes(ahead: Ahead, step: Duration) -> [Horizon; 2] {
    let steps = count(steps(ahead.span, step));
    [Target::At, Target::WindowMax].map(|target| Horizon { steps, target })
}

/// Steps before the first origin.
fn warmup(asked: Duration, series: &Series) -> usize {
    let (asked, n) = (steps(asked, series.step), series.values.len());
    if n < 2 * asked { n / 2 } else { asked }
}

/// What models see, and what they are held to.
struct Shown {
    seen: Vec<(Timestamp, Option<f64>)>,
    held_to: Vec<Option<f64>>,
    first: usize,
    late: Option<usize>,
}

impl Shown {
    fn plain(series: &Series, first: usize) -> Self {
        let values = &series.values;
        let seen = values.iter().enumerate().map(|(idx, value)| (series.at(idx), *value));
        Self { seen: seen.collect(), held_to: values.clone(), first, late: None }
    }

    /// Disturbed and not, scored over the same targets from the disturbance on.
    fn both(series: &Series, faulty: &Faulty) -> [Self; 2] {
        let Faulty { seen, held_to, held_to_before, begins, lasts } = faulty;
        let late = Some(begins + lasts + steps(DAY, series.step));
        let with = Self { seen: seen.clone(), held_to: held_to.clone(), first: *begins, late };
        let plain = Self::plain(series, *begins);
        [with, Self { held_to: held_to_before.clone(), late, ..plain }]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{horizons, warmup};
    use crate::engine::score::series::Series;
    use crate::engine::units::Timestamp;

    #[test]
    fn horizons_are_whole_steps_each_once() {
        let asked = [60, 300, 600, 1200].map(Duration::from_secs);
        let rows: [(u64, &[u64]); 4] = [
            (60, &[60, 300, 600, 1200]),
            (600, &[600, 1200]),
            (90, &[270, 630, 1170]),
            (240, &[240, 720, 1200]),
        ];
        for (step, expected) in rows {
            let found = horizons(&asked, Duration::from_secs(step));
            let found: Vec<u64> = found.iter().map(|ahead| ahead.span.as_secs()).collect();
            assert_eq!(found, expected, "step {step}");
        }
    }

    #[test]
    fn a_series_shorter_than_twice_the_warm_up_is_scored_on_its_second_half() {
        for (n, expected) in [(100, 50), (120, 60), (119, 59), (1000, 60)] {
            let step = Duration::from_mins(1);
            let series = Series { begins: Timestamp::default(), step, values: vec![None; n] };
            assert_eq!(warmup(Duration::from_hours(1), &series), expected, "{n}");
        }
    }
}
