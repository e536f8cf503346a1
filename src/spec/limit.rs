//! The frame of every decision: replica limits, headroom, strategy, lead time, tick.

use std::time::Duration;

use crate::engine::setup::{Lead, OnNoData, Strategy};
use crate::engine::units::{Ratio, Replicas};
use crate::spec::fault::Problem;
use crate::spec::raw::Raw;
use crate::spec::{names, number, share, span};

/// The part of the metadata that frames decisions.
pub(crate) struct Frame {
    pub(crate) min_replicas: Option<Replicas>,
    pub(crate) max_replicas: Option<Replicas>,
    pub(crate) headroom: Ratio,
    pub(crate) strategy: Strategy,
    pub(crate) lead: Lead,
    pub(crate) on_no_data: OnNoData,
    pub(crate) hpa_tolerance: Option<Ratio>,
    pub(crate) tick: Duration,
}

/// The strategies by name.
pub(crate) const STRATEGIES: [(&str, Strategy); 5] = [
    ("reactive", Strategy::Reactive),
    ("observer", Strategy::Observer),
    ("auto", Strategy::Auto),
    ("proactive", Strategy::Proactive),
    ("shadow", Strategy::Shadow),
];

/// What may replace errors, by name.
pub(crate) const ON_NO_DATA: [(&str, OnNoData); 3] =
    [("hold", OnNoData::Hold), ("zero", OnNoData::Zero), ("floor", OnNoData::Floor)];

/// Margin against surprise where nothing is forecast.
const HEADROOM: f64 = 0.70;
pub(crate) const TICK: Duration = Duration::from_secs(15);
const TICK_MIN: Duration = Duration::from_secs(5);
const TICK_MAX: Duration = Duration::from_secs(60);
const LEAD_MAX: Duration = Duration::from_secs(86_400);

/// A tick as text, within its bounds.
///
/// # Errors
/// What is accepted.
pub fn tick(text: &str) -> Result<Duration, Problem> {
    span::within(text, TICK_MIN, TICK_MAX)
}

/// Reads it; replica limit and default tick are the server's.
pub(crate) fn read(raw: &mut Raw, replicas_limit: u32, default_tick: Duration) -> Frame {
    let (min_replicas, max_replicas) = replicas(raw, replicas_limit);
    let headroom = raw.take("headroom", share::ratio).unwrap_or_else(default_headroom);
    let strategy = raw.take("scaleStrategy", |text| names::one_of(text, &STRATEGIES));
    let on_no_data = raw.take("onNoData", |text| names::one_of(text, &ON_NO_DATA));
    Frame {
        min_replicas,
        max_replicas,
        headroom,
        strategy: strategy.unwrap_or(Strategy::Auto),
        lead: raw.take("scaleUpForward", lead).unwrap_or(Lead::Learned),
        on_no_data: on_no_data.unwrap_or(OnNoData::Hold),
        hpa_tolerance: raw.take("hpaTolerance", tolerance).flatten(),
        tick: raw.take("tick", tick).unwrap_or(default_tick),
    }
}

#[expect(clippy::expect_used, reason = "a constant between 0 and 1")]
fn default_headroom() -> Ratio {
    Ratio::try_new(HEADROOM).expect("the default headroom is a ratio")
}

fn replicas(raw: &mut Raw, limit: u32) -> (Option<Replicas>, Option<Replicas>) {
    let min = raw.take("minReplicas", |text| number::count(text, 0, limit));
    let max = raw.take("maxReplicas", |text| number::count(text, 1, limit));
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        raw.refuse("minReplicas", "must not be above maxReplicas");
    }
    (min.map(Replicas::new), max.map(Replicas::new))
}

fn lead(text: &str) -> Result<Lead, Problem> {
    match text {
        "auto" => Ok(Lead::Learned),
        text => span::within(text, Duration::ZERO, LEAD_MAX)
            .map(Lead::Fixed)
            .map_err(|_| Problem::new("must be auto, or a duration of at most 1d")),
    }
}

/// `off`, or the tolerance that the HPA controller runs with.
fn tolerance(text: &str) -> Result<Option<Ratio>, Problem> {
    match text {
        "off" => Ok(None),
        text => match share::ratio(text) {
            Ok(ratio) if ratio.get() <= 0.5 => Ok(Some(ratio)),
            Ok(_) => Err(Problem::new("must be off, or a ratio up to 50%, such as 10%")),
            Err(Problem(problem)) => Err(Problem::new(format!("{problem}, or off"))),
        },
    }
}
