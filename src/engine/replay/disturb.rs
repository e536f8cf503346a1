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
    /// Pods created meanwhile get no node before its end.
    NoNodes,
    /// The scaler's process restarts.
    Restart,
    /// The pod that serves longest crashes with all it had.
    Crash,
}

impl Kind {
    /// Whether it happens at an instant and does not last.
    #[must_use]
    pub const fn is_instant(self) -> bool {
        matches!(self, Self::Restart | Self::Crash)
    }
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
        Kind::NoNodes => ColdStart { node: start.node + (disturbance.until - now), ..start },
        Kind::Lost | Kind::Poisoned(_) | Kind::Unread(_) | Kind::Restart | Kind::Crash => start,
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
