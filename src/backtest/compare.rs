//! Every policy at every setting it is asked for, on every seed.
//!
//! Given what one run comes to, it promises each policy's scores, the sweep, and for the clairvoyant
//! the setting that meets the target at the least cost; the same whatever the number of threads.

use std::collections::BTreeMap;
use std::num::NonZero;

use crate::backtest::options::Seeds;
use crate::backtest::progress::{Listener, Progress};
use crate::backtest::queue;
use crate::backtest::search::Search;
use crate::engine::replay::policy::Policy;
use crate::engine::replay::score::Trial;
use crate::report::backtest::{CLAIRVOYANT, Entry, Point};

/// A mean of equal shares may come out a little below each of them; no history has a request for so
/// small a difference.
const ROUNDING: f64 = 1e-9;

/// One run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    /// Of this policy.
    pub(super) policy: &'static Policy,
    /// At this setting of its knob; 0 where it has none.
    pub(super) knob: f64,
    /// With this seed.
    pub(super) seed: u64,
}

/// What is to be compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The policies, each once.
    pub(super) policies: &'a [&'static Policy],
    /// Settings in place of the policies' own.
    pub(super) knobs: &'a [(&'static str, f64)],
    /// Which seeds are run.
    pub(super) seeds: Seeds,
    /// Whether every setting of every knob is tried.
    pub(super) sweep: bool,
    /// The attainment aimed at, 0..1.
    pub(super) slo_target: f64,
    /// Runs at the same time.
    pub(super) threads: NonZero<usize>,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Found {
    /// One per policy, in order.
    pub(super) entries: Vec<Entry>,
    /// One per policy and setting, in order.
    pub(super) sweep: Vec<Point>,
    /// Invariants of the engine that broke, in words.
    pub(super) broken: Vec<String>,
}

/// A policy's place and the bits of its knob: a setting can be looked up.
type Setting = (usize, u64);

/// What was run so far.
struct Runs<'a> {
    plan: Plan<'a>,
    trial: &'a (dyn Fn(&Job) -> Trial + Sync),
    listener: Listener<'a>,
    done: BTreeMap<Setting, Vec<Trial>>,
}

/// Runs `plan`.
pub(super) fn compare(
    plan: Plan<'_>,
    trial: &(dyn Fn(&Job) -> Trial + Sync),
    listener: Listener<'_>,
) -> Found {
    let mut runs = Runs { plan, trial, listener, done: BTreeMap::new() };
    let mut searches: Vec<(usize, Search)> = plan.searched().collect();
    let mut wanted = plan.fixed();
    let rounds: u32 = searches.iter().map(|(_, search)| search.rounds_max()).sum();
    let settings = u64::try_from(wanted.len()).unwrap_or(u64::MAX) + u64::from(rounds);
    listener(Progress::Planned(settings * u64::from(plan.seeds.count.get())));
    let mut asked = 0;
    // The first settings of a search run beside everything else.
    loop {
        let next = |(idx, search): &(usize, Search)| Some((*idx, search.next()?));
        let tried: Vec<_> = searches.iter().filter_map(next).collect();
        asked += wanted.len() + tried.len();
        wanted.extend(&tried);
        if wanted.is_empty() {
            break;
        }
        runs.run(&wanted);
        wanted.clear();
        for (idx, search) in &mut searches {
            let Some(knob) = search.next() else { continue };
            search.tell(knob, runs.attainment(*idx, knob) >= plan.slo_target - ROUNDING);
        }
    }
    let spare = settings.saturating_sub(u64::try_from(asked).unwrap_or(u64::MAX));
    (0..spare * u64::from(plan.seeds.count.get())).for_each(|_| listener(Progress::Done));
    runs.found(&searches)
}

impl Plan<'_> {
    /// The setting of a policy's knob; `None`: it has none.
    fn knob(&self, policy: &Policy) -> Option<f64> {
        let given = self.knobs.iter().rev().find(|(name, _)| *name == policy.name);
        policy.knob.map(|knob| given.map_or(knob.default, |(_, value)| *value))
    }

    /// The clairvoyant's knob is searched, unless it is given: it stands for what was possible, not
    /// for a setting.
    fn is_searched(&self, policy: &Policy) -> bool {
        let given = self.knobs.iter().any(|(name, _)| *name == policy.name);
        policy.name == CLAIRVOYANT && policy.knob.is_some() && !given
    }

    fn searched(&self) -> impl Iterator<Item = (usize, Search)> {
        let all = self.policies.iter().enumerate();
        all.filter(|(_, policy)| self.is_searched(policy))
            .filter_map(|(idx, policy)| Some((idx, Search::over(policy.knob?.values))))
    }

    /// Settings that are run in any case, each once.
    fn fixed(&self) -> Vec<(usize, f64)> {
        let mut settings = Vec::new();
        for (idx, policy) in self.policies.iter().enumerate() {
            if !self.is_searched(policy) {
                settings.push((idx, self.knob(policy).unwrap_or(0.0)));
            }
            let swept = policy.knob.filter(|_| self.sweep).map_or(&[][..], |knob| knob.values);
            settings.extend(swept.iter().map(|value| (idx, *value)));
        }
        let mut seen = Vec::new();
        settings.retain(|setting| {
            let key = key(*setting);
            let is_new = !seen.contains(&key);
            seen.push(key);
            is_new
        });
        settings
    }
}

const fn key((idx, knob): (usize, f64)) -> Setting {
    (idx, knob.to_bits())
}

impl Runs<'_> {
    /// Runs all seeds of the settings that were not run yet.
    fn run(&mut self, settings: &[(usize, f64)]) {
        let (policies, count) = (self.plan.policies, u64::from(self.plan.seeds.count.get()));
        let mut jobs = Vec::new();
        for (idx, knob) in settings {
            if self.done.contains_key(&key((*idx, *knob))) {
                (0..count).for_each(|_| (self.listener)(Progress::Done));
                continue;
            }
            let Some(policy) = policies.get(*idx).copied() else { continue };
            let job = |seed| (key((*idx, *knob)), Job { policy, knob: *knob, seed });
            jobs.extend(self.plan.seeds.each().map(job));
        }
        let trials = queue::all(&jobs, self.plan.threads, |(_, job)| {
            let mut trial = (self.trial)(job);
            // Only the first seed's course is shown.
            if job.seed != self.plan.seeds.first {
                trial.course = Vec::new();
            }
            (self.listener)(Progress::Done);
            trial
        });
        for ((setting, _), trial) in jobs.into_iter().zip(trials) {
            self.done.entry(setting).or_default().push(trial);
        }
    }

    fn trials(&self, idx: usize, knob: f64) -> &[Trial] {
        self.done.get(&key((idx, knob))).map_or(&[], Vec::as_slice)
    }

    /// Mean over the seeds.
    fn attainment(&self, idx: usize, knob: f64) -> f64 {
        mean(self.trials(idx, knob), |trial| trial.score.attainment())
    }

    fn found(&self, searches: &[(usize, Search)]) -> Found {
        let entries = self.plan.policies.iter().enumerate().map(|(idx, policy)| {
            let search = searches.iter().find(|(searched, _)| *searched == idx);
            let searched = search.and_then(|(_, search)| self.cheapest(idx).or(search.decided()));
            let knob = searched.or(self.plan.knob(policy));
            self.entry(idx, policy, knob)
        });
        Found { entries: entries.collect(), sweep: self.points(), broken: self.broken() }
    }

    /// Of all settings of a policy that were run, in a search or a sweep, the one that meets the
    /// target at the least cost.
    fn cheapest(&self, idx: usize) -> Option<f64> {
        let met = self.done.iter().filter(|((of, knob), _)| {
            let attained = || self.attainment(idx, f64::from_bits(*knob));
            *of == idx && attained() >= self.plan.slo_target - ROUNDING
        });
        let hours = met.map(|((_, knob), trials)| {
            (f64::from_bits(*knob), mean(trials, |trial| trial.score.gpu_hours))
        });
        hours.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(knob, _)| knob)
    }

    fn entry(&self, idx: usize, policy: &Policy, knob: Option<f64>) -> Entry {
        let trials = self.trials(idx, knob.unwrap_or(0.0));
        Entry {
            name: policy.name.to_owned(),
            about: policy.about.to_owned(),
            source: policy.source.to_owned(),
            simplifications: policy.simplifications.iter().map(|&text| text.to_owned()).collect(),
            knob: policy.knob.and_then(|named| Some((named.name.to_owned(), knob?))),
            scores: trials.iter().map(|trial| trial.score.clone()).collect(),
            course: trials.first().map(|trial| trial.course.clone()).unwrap_or_default(),
        }
    }

    /// Every setting of every knob, rising; those of a search too, for they were run.
    fn points(&self) -> Vec<Point> {
        let mut points = Vec::new();
        if !self.plan.sweep {
            return points;
        }
        for (idx, policy) in self.plan.policies.iter().enumerate() {
            if policy.knob.is_none() {
                continue;
            }
            let settings = self.done.keys().filter(|(policy, _)| *policy == idx);
            let mut knobs: Vec<f64> = settings.map(|(_, bits)| f64::from_bits(*bits)).collect();
            knobs.sort_by(f64::total_cmp);
            points.extend(knobs.into_iter().map(|knob| Point {
                name: policy.name.to_owned(),
                headroom: knob,
                slo_attainment: self.attainment(idx, knob),
                gpu_hours: mean(self.trials(idx, knob), |trial| trial.score.gpu_hours),
            }));
        }
        points
    }

    fn broken(&self) -> Vec<String> {
        let name = |idx: usize| self.plan.policies.get(idx).map_or("", |policy| policy.name);
        let told = |(&(idx, bits), trials): (&Setting, &Vec<Trial>)| {
            let (name, knob) = (name(idx), f64::from_bits(bits));
            let seeds = self.plan.seeds.each().zip(trials.clone());
            let lines = seeds
                .flat_map(|(seed, trial)| trial.broken.into_iter().map(move |text| (seed, text)));
            lines.map(|(seed, text)| format!("{name} at {knob}, seed {seed}: {text}")).collect()
        };
        self.done.iter().flat_map::<Vec<String>, _>(told).collect()
    }
}

fn mean(trials: &[Trial], read: fn(&Trial) -> f64) -> f64 {
    let count = u32::try_from(trials.len()).unwrap_or(u32::MAX).max(1);
    trials.iter().map(read).sum::<f64>() / f64::from(count)
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;
    use std::sync::Mutex;
    use std::time::Duration;

    use super::{Found, Job, Plan, compare};
    use crate::backtest::options::Seeds;
    use crate::backtest::progress::Progress;
    use crate::engine::replay::law::{Answer, Law, View};
    use crate::engine::replay::policy::{Actuator, Knob, Policy};
    use crate::engine::replay::score::{Moment, Score, Trial};

    #[derive(Debug)]
    struct Nothing;

    impl Law for Nothing {
        fn look(&mut self, _view: &View<'_>) -> Answer {
            Answer::default()
        }
    }

    const fn policy(name: &'static str, knob: Option<Knob>) -> Policy {
        Policy {
            name,
            about: "about",
            source: "source",
            simplifications: &["simpler"],
            knob,
            every: Duration::from_secs(15),
            quantile: None,
            scrape: None,
            actuator: |_| Actuator::Direct,
            law: |_, _| Box::new(Nothing),
        }
    }

    const KNOB: Knob = Knob { name: "headroom", default: 0.7, values: &[0.5, 0.7, 0.9] };
    static FLAT: Policy = policy("flat", None);
    static SWEPT: Policy = policy("swept", Some(KNOB));
    static ORACLE: Policy =
        policy("oracle", Some(Knob { values: &[1.0, 0.9, 0.8, 0.7, 0.6], ..KNOB }));

    /// Attains 100 - 10 x the tenths of the knob above 0.8, and costs what is left of 100.
    fn trial(job: &Job) -> Trial {
        let attained = 1000.0 - 1000.0 * (job.knob - 0.8).max(0.0);
        let score = Score {
            requests: 1000,
            attained: format!("{attained:.0}").parse().unwrap(),
            gpu_hours: 100.0 - 10.0 * job.knob + f64::from(u32::try_from(job.seed).unwrap()),
            ..Score::default()
        };
        Trial { score, course: vec![Moment::default()], broken: Vec::new() }
    }

    fn run(policies: &[&'static Policy], sweep: bool, threads: usize) -> (Found, u64, u64) {
        run_at(policies, &[], sweep, threads)
    }

    fn run_at(
        policies: &[&'static Policy],
        knobs: &[(&'static str, f64)],
        sweep: bool,
        threads: usize,
    ) -> (Found, u64, u64) {
        let seeds = Seeds { first: 5, count: NonZero::new(3).unwrap() };
        let threads = NonZero::new(threads).unwrap();
        let plan = Plan { policies, knobs, seeds, sweep, slo_target: 0.95, threads };
        let told = Mutex::new((0, 0));
        let found = compare(plan, &trial, &|progress| {
            let mut told = told.lock().unwrap();
            match progress {
                Progress::Phase(_) => {}
                Progress::Planned(count) => told.0 += count,
                Progress::Done => told.1 += 1,
            }
        });
        let (planned, done) = told.into_inner().unwrap();
        (found, planned, done)
    }

    #[test]
    fn each_policy_runs_at_its_default_and_the_clairvoyant_at_the_cheapest_that_meets_the_target() {
        let (found, planned, done) = run(&[&FLAT, &SWEPT, &ORACLE], false, 4);
        let knobs: Vec<_> = found.entries.iter().map(|entry| entry.knob.clone()).collect();
        let expected = |value| Some(("headroom".to_owned(), value));
        assert_eq!(knobs[..2], [None, expected(0.7)]);
        let (_, oracle) = knobs[2].clone().unwrap();
        // 0.85 is the last to attain 0.95.
        assert!((oracle - 0.85).abs() < 1e-9, "{oracle}");
        assert!(found.sweep.is_empty());
        assert_eq!(planned, done);
    }

    #[test]
    fn scores_are_per_seed_and_only_the_first_keeps_its_course() {
        let (found, ..) = run(&[&SWEPT], false, 2);
        let entry = &found.entries[0];
        let hours: Vec<f64> = entry.scores.iter().map(|score| score.gpu_hours).collect();
        assert_eq!(hours, [98.0, 99.0, 100.0]);
        assert_eq!(entry.course.len(), 1);
    }

    #[test]
    fn a_sweep_holds_every_setting_in_rising_order() {
        let (found, planned, done) = run(&[&FLAT, &SWEPT, &ORACLE], true, 3);
        let points: Vec<_> =
            found.sweep.iter().map(|point| (point.name.as_str(), point.headroom)).collect();
        assert_eq!(points[..3], [("swept", 0.5), ("swept", 0.7), ("swept", 0.9)]);
        let rest = &points[3..];
        assert!(rest.iter().all(|(name, _)| *name == "oracle") && rest.len() >= 5, "{rest:?}");
        assert!(rest.is_sorted_by(|a, b| a.1 < b.1), "{rest:?}");
        assert_eq!(planned, done);
    }

    #[test]
    fn a_knob_that_is_given_is_neither_searched_nor_left_at_its_default() {
        let knobs = [("swept", 0.3), ("oracle", 0.5), ("swept", 0.4), ("flat", 9.0)];
        let (found, planned, done) = run_at(&[&FLAT, &SWEPT, &ORACLE], &knobs, false, 2);
        let knobs: Vec<_> = found.entries.iter().map(|entry| entry.knob.clone()).collect();
        let expected = |value| Some(("headroom".to_owned(), value));
        assert_eq!(knobs, [None, expected(0.4), expected(0.5)]);
        assert_eq!((planned, done), (9, 9));
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let all = [1, 2, 8].map(|threads| {
            let (found, ..) = run(&[&FLAT, &SWEPT, &ORACLE], true, threads);
            (found.entries, found.sweep)
        });
        assert!(all.iter().all(|one| *one == all[0]));
    }

    #[test]
    fn broken_invariants_are_told_with_policy_setting_and_seed() {
        let seeds = Seeds { first: 7, count: NonZero::<u32>::MIN };
        let threads = NonZero::<usize>::MIN;
        let policies = &[&SWEPT];
        let plan = Plan { policies, knobs: &[], seeds, sweep: false, slo_target: 0.9, threads };
        let breaks = |_: &Job| Trial { broken: vec!["not finite".to_owned()], ..Trial::default() };
        let found = compare(plan, &breaks, &|_| {});
        assert_eq!(found.broken, ["swept at 0.7, seed 7: not finite"]);
    }
}
