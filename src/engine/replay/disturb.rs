//! What goes wrong in a run: signals lost or poisoned, pods unread, stuck, slow or crashed, a scaler
//! restarted.
//!
//! Given what went wrong and when, it promises what a law sees of it: an observation as a server
//! would have answered it then. Faults of samples follow the samples' own times, so that a hole stays
//! as long as a query reaches back to it. What happens to pods is left to the world, when to the loop.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::engine::observation::{
    Fault, FaultKind, GatewayReading, Observation, Phase, PodObservation,
};
use crate::engine::replay::profile::ColdStart;
use crate::engine::replay::random::Random;
use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// From when, since the beginning of the run.
    pub from: Duration,
    /// Until when, not included; means nothing for what happens at once.
    pub until: Duration,
    /// What.
    pub kind: Kind,
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The datasource does not answer: nothing at all is read.
    Lost,
    /// So large a share (0..1) of the pods shows values that cannot be: not a number, infinite,
    /// negative, a driver's blank.
    Poisoned(f64),
    /// So large a share (0..1) of the ready pods is not scraped.
    Unread(f64),
    /// Pods created meanwhile start like this.
    ColdStart(ColdStart),
    /// There are no nodes but those in use: more pods wait for its end.
    NoNodes,
    /// The scaler's process restarts.
    Restart,
    /// The pod that serves longest crashes with all it had.
    Crash,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from.as_secs(), self.until.as_secs());
        let percent = |share: f64| (share * 100.0).round();
        match self.kind {
            Kind::Lost => write!(f, "signals lost {from}-{until} s"),
            Kind::Poisoned(share) => {
                write!(f, "{} % of the pods poisoned {from}-{until} s", percent(share))
            }
            Kind::Unread(share) => {
                write!(f, "{} % of the ready pods unread {from}-{until} s", percent(share))
            }
            Kind::ColdStart(start) => {
                write!(f, "cold starts of {} s {from}-{until} s", start.total().as_secs())
            }
            Kind::NoNodes => write!(f, "no nodes {from}-{until} s"),
            Kind::Restart => write!(f, "scaler restarted at {from} s"),
            Kind::Crash => write!(f, "pod crashed at {from} s"),
        }
    }
}

impl Disturbance {
    /// Two to four things that plausibly go wrong in one run of `length`.
    #[must_use]
    pub fn draw(seed: u64, length: Duration) -> Vec<Self> {
        let mut random = Random::new(seed);
        let count = 2 + pick(&mut random, 3);
        let mut drawn: Vec<Self> = (0..count).map(|_| one(&mut random, length)).collect();
        drawn.sort_by_key(|disturbance| disturbance.from);
        drawn
    }

    fn lasts_at(&self, now: Duration) -> bool {
        (self.from..self.until).contains(&now)
    }
}

/// A number in `0..choices`.
fn pick(random: &mut Random, choices: u32) -> u32 {
    // The share is below 1, and choices are few: rounding down stays in range.
    let share = random.unit() * f64::from(choices);
    (0..choices).rev().find(|choice| f64::from(*choice) <= share).unwrap_or(0)
}

/// Lengths are drawn so that holds end before their ten minutes as well as after.
fn one(random: &mut Random, length: Duration) -> Disturbance {
    let from = length.mul_f64(random.between(0.05, 0.85));
    let mut minutes =
        |low: f64, high: f64| Duration::from_secs_f64(random.between(low, high) * 60.0);
    let (lasting, share_of) = (minutes(0.5, 6.0), minutes(12.0, 60.0).as_secs_f64() / 3600.0);
    let long = minutes(1.0, 15.0);
    // Whole milliseconds: that is how fine time is in a run.
    let whole =
        |span: Duration| Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0));
    let (kind, span) = match pick(random, 7) {
        0 => (Kind::Lost, long),
        1 => (Kind::Poisoned(share_of), lasting),
        2 => (Kind::Unread(share_of), lasting),
        3 => (Kind::ColdStart(slow_pull()), long),
        4 => (Kind::NoNodes, long),
        5 => (Kind::Restart, Duration::ZERO),
        _ => (Kind::Crash, Duration::ZERO),
    };
    let from = whole(from);
    Disturbance { from, until: from + whole(span), kind }
}

/// An image that takes ten minutes to pull.
#[must_use]
pub const fn slow_pull() -> ColdStart {
    ColdStart {
        node: Duration::from_secs(5),
        pull: Duration::from_mins(10),
        load: Duration::from_mins(1),
    }
}

/// The cold start of a pod that is created at `now`, `usual` when nothing is wrong.
#[must_use]
pub fn cold_start(disturbances: &[Disturbance], usual: ColdStart, now: Duration) -> ColdStart {
    let lasting = disturbances.iter().filter(|disturbance| disturbance.lasts_at(now));
    lasting.fold(usual, |start, disturbance| match disturbance.kind {
        Kind::ColdStart(other) => other,
        Kind::Lost
        | Kind::Poisoned(_)
        | Kind::Unread(_)
        | Kind::NoNodes
        | Kind::Restart
        | Kind::Crash => start,
    })
}

/// What is left of `observation`, of a run that began at `origin`.
#[must_use]
pub fn show(
    disturbances: &[Disturbance],
    mut observation: Observation,
    origin: Timestamp,
) -> Observation {
    for disturbance in disturbances {
        match disturbance.kind {
            Kind::Lost if disturbance.lasts_at(observation.at.since(origin)) => {
                return lost(observation.at);
            }
            Kind::Poisoned(share) => {
                each(&mut observation, disturbance, origin, share, poison);
            }
            Kind::Unread(share) => {
                each(&mut observation, disturbance, origin, share, |_| None);
            }
            Kind::Lost | Kind::ColdStart(_) | Kind::NoNodes | Kind::Restart | Kind::Crash => {}
        }
    }
    observation
}

/// What a server that does not answer leaves: nothing, and the reason.
fn lost(at: Timestamp) -> Observation {
    Observation {
        gateway: Some(GatewayReading::default()),
        faults: vec![Fault {
            place: "datasource default".to_owned(),
            kind: FaultKind::ConnectTimeout,
        }],
        ..Observation::empty(at)
    }
}

/// Changes the samples that a share of the pods gave while `disturbance` lasted: each has a value of
/// its own instead, or none.
fn each(
    observation: &mut Observation,
    disturbance: &Disturbance,
    origin: Timestamp,
    share: f64,
    instead: fn(u64) -> Option<f64>,
) {
    let (from, until) = (origin.plus(disturbance.from), origin.plus(disturbance.until));
    let during = |sample: &Sample| (from..until).contains(&sample.at);
    for (name, pod) in &mut observation.pods {
        let mut random = Random::new(hash(name) ^ disturbance.from.as_secs());
        if pod.phase == Phase::Pending || random.unit() >= share {
            continue;
        }
        let value = instead(random.bits());
        let change = |sample: &Sample| {
            let value = if during(sample) { value? } else { sample.value };
            Some(Sample { value, ..*sample })
        };
        alter(pod, change);
    }
}

fn alter(pod: &mut PodObservation, change: impl Fn(&Sample) -> Option<Sample>) {
    for found in pod.roles.values_mut() {
        for series in &mut found.series {
            // Building a series drops what is not finite, as reading a page does.
            *series = Series::new(series.samples().iter().filter_map(&change).collect());
        }
    }
    // A family without a sample is not on the page that a query shows.
    pod.roles.retain(|_, found| found.series.iter().any(|series| series.latest().is_some()));
}

/// A value that no role may have.
fn poison(draw: u64) -> Option<f64> {
    let values = [f64::NAN, f64::INFINITY, -1.0, 9_223_372_036_854_775_794.0];
    let idx = usize::try_from(draw % 4).unwrap_or(0);
    values.get(idx).copied()
}

/// FNV-1a: spreads names over draws.
fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Disturbance, Kind, cold_start, show, slow_pull};
    use crate::engine::observation::{
        Combine, Observation, Phase, PodObservation, Role, RoleSeries,
    };
    use crate::engine::replay::profile::ColdStart;
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;

    const ORIGIN: Timestamp = Timestamp::from_unix_ms(1_772_433_000_000);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn disturbance(kind: Kind) -> Disturbance {
        Disturbance { from: seconds(100), until: seconds(160), kind }
    }

    /// Twenty ready pods with a sample every 15 s, looked at `at` seconds.
    fn observation(at: u64) -> Observation {
        let mut observation = Observation::empty(ORIGIN.plus(seconds(at)));
        for serial in 0..20 {
            let mut pod = PodObservation::new(Phase::Ready);
            let sample =
                |back: u64| Sample { at: ORIGIN.plus(seconds(at - back * 15)), value: 5.0 };
            let series = vec![Series::new((0..6).map(sample).collect())];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            pod.roles.insert(Role::Waiting, found);
            observation.pods.insert(format!("pod-{serial}"), pod);
        }
        observation
    }

    /// Pods whose samples at or after 100 s are all as they were, are changed, are not there.
    fn counts(observation: &Observation) -> (usize, usize, usize) {
        let (mut same, mut changed, mut none) = (0, 0, 0);
        for pod in observation.pods.values() {
            let samples: Vec<Sample> = pod
                .roles
                .values()
                .flat_map(|found| found.series[0].samples().to_vec())
                .filter(|sample| sample.at >= ORIGIN.plus(seconds(100)))
                .collect();
            let is_true = |sample: &Sample| (sample.value - 5.0).abs() < 1e-9;
            let counter = match samples.as_slice() {
                [] => &mut none,
                samples if samples.iter().all(is_true) => &mut same,
                _ => &mut changed,
            };
            *counter += 1;
        }
        (same, changed, none)
    }

    #[test]
    fn a_datasource_that_is_down_shows_nothing_and_says_why() {
        for (at, lost) in [(99, false), (100, true), (159, true), (160, false)] {
            let shown = show(&[disturbance(Kind::Lost)], observation(at), ORIGIN);
            assert_eq!(shown.pods.is_empty(), lost, "{at}");
            assert_eq!(!shown.faults.is_empty(), lost, "{at}");
            assert_eq!(shown.at, ORIGIN.plus(seconds(at)));
        }
    }

    #[test]
    fn samples_taken_meanwhile_are_missing_or_poison_for_a_share_of_the_pods() {
        let of = |kind| counts(&show(&[disturbance(kind)], observation(159), ORIGIN));
        assert_eq!(of(Kind::Unread(0.0)), (20, 0, 0));
        assert_eq!(of(Kind::Unread(1.0)), (0, 0, 20));
        let (same, changed, none) = of(Kind::Unread(0.5));
        assert!((5..=15).contains(&none) && changed == 0 && same + none == 20, "{same} {none}");
        // Not a number and infinity cannot be held: those are missing.
        let (same, changed, none) = of(Kind::Poisoned(1.0));
        assert!(same == 0 && changed > 3 && none > 3, "{changed} {none}");
    }

    #[test]
    fn a_hole_stays_as_long_as_a_query_reaches_back_to_it() {
        let missing = |at| {
            let shown = show(&[disturbance(Kind::Unread(1.0))], observation(at), ORIGIN);
            let pod = &shown.pods["pod-7"];
            pod.roles.get(&Role::Waiting).map(|found| found.series[0].samples().len())
        };
        assert_eq!([99, 159, 190, 240].map(missing), [Some(6), Some(2), Some(3), Some(6)]);
    }

    #[test]
    fn cold_starts_are_slower_while_something_is_wrong() {
        let usual = ColdStart { node: seconds(2), pull: seconds(13), load: seconds(65) };
        let slow = [disturbance(Kind::ColdStart(slow_pull()))];
        let rows: [(&[Disturbance], u64, u64); 4] =
            [(&slow, 99, 80), (&slow, 100, 665), (&slow, 160, 80), (&[], 120, 80)];
        for (disturbances, at, expected) in rows {
            let start = cold_start(disturbances, usual, seconds(at));
            assert_eq!(start.total(), seconds(expected), "{disturbances:?} at {at}");
        }
    }

    #[test]
    fn drawn_disturbances_are_plausible_and_the_same_for_the_same_seed() {
        let length = Duration::from_mins(40);
        let mut kinds = [false; 7];
        for seed in 0..100 {
            let drawn = Disturbance::draw(seed, length);
            assert_eq!(drawn, Disturbance::draw(seed, length));
            assert!((2..=4).contains(&drawn.len()), "{drawn:?}");
            for one in drawn {
                assert!(one.from < length && one.from <= one.until, "{one}");
                assert!(one.until - one.from <= Duration::from_mins(15), "{one}");
                let idx = match one.kind {
                    Kind::Lost => 0,
                    Kind::Poisoned(share) | Kind::Unread(share)
                        if !(0.2..=1.0).contains(&share) =>
                    {
                        panic!("{one}")
                    }
                    Kind::Poisoned(_) => 1,
                    Kind::Unread(_) => 2,
                    Kind::ColdStart(_) => 3,
                    Kind::NoNodes => 4,
                    Kind::Restart => 5,
                    Kind::Crash => 6,
                };
                kinds[idx] = true;
            }
        }
        assert_eq!(kinds, [true; 7]);
    }
}
