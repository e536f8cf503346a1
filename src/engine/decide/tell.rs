//! From a wanted count to what KEDA is told: limits, `onNoData`, the HPA's dead band, `shadow`.

use crate::engine::decision::{Limit, Reason, Refusal, State, Verdict};
use crate::engine::numeric::replicas_ceil;
use crate::engine::observation::Observation;
use crate::engine::setup::{OnNoData, Setup, Strategy};
use crate::engine::units::Replicas;

/// The text of a refusal stays well below what a status line carries.
const TEXT_MAX: usize = 160;

/// What is said while pods alone count the replicas, and not for long enough.
const UNCOUNTED: &str = "replicas unknown (no kube-state-metrics); pods are watched for 60 s first";

/// What is said where nobody is behind a name, which is also what a misspelt one looks like.
const NAMELESS: &str = "no address behind the name in endpoints: is it that of a headless Service?";

/// The largest count that may be told: the user's or the HPA's maximum, within the server's, and that
/// of the calendar where it is less.
#[must_use]
pub fn max_replicas(setup: &Setup, observation: &Observation) -> u32 {
    let scheduled = setup.calendar.ceiling(observation.at);
    unscheduled_max(setup, observation).min(scheduled.unwrap_or(u32::MAX))
}

fn unscheduled_max(setup: &Setup, observation: &Observation) -> u32 {
    let hpa = observation.workload.hpa_max;
    let user = setup.max_replicas.map(Replicas::get).or(hpa);
    user.unwrap_or(u32::MAX).min(setup.replicas_limit.get())
}

/// `want` within the limits; the maximum wins over the minimum.
#[must_use]
pub(super) fn limited(
    setup: &Setup,
    observation: &Observation,
    want: u32,
) -> (u32, Option<Reason>) {
    let (min, max) =
        (setup.min_replicas.map_or(0, Replicas::get), max_replicas(setup, observation));
    let allowed = want.max(min).min(max);
    let limit = match allowed < want {
        false => Limit::Min,
        true if max < unscheduled_max(setup, observation) => Limit::ScheduledMax,
        true => Limit::Max,
    };
    let reason = Reason::Limited { limit, wanted: want, allowed };
    (allowed, (allowed != want).then_some(reason))
}

/// A number as a verdict; `current` replicas decide whether the HPA would ignore it.
#[must_use]
pub(super) fn scale(
    setup: &Setup,
    observation: &Observation,
    want: u32,
    current: Option<u32>,
) -> (Verdict, Option<Reason>) {
    let sent =
        outside_dead_band(setup, want, current).min(max_replicas(setup, observation)).max(want);
    let reason = (sent != want).then_some(Reason::Tolerance { wanted: want, sent });
    (number(want, sent), reason)
}

/// The HPA ignores a ratio of wanted to current within its tolerance, which above nine replicas hides
/// a step of one. Only upwards: a smaller number than wanted would take away replicas that are needed.
fn outside_dead_band(setup: &Setup, want: u32, current: Option<u32>) -> u32 {
    match setup.hpa_tolerance.zip(current) {
        Some((tolerance, current)) if want > current && current > 0 => {
            let edge = f64::from(current) * (1.0 + tolerance.get());
            // The least whole number beyond the edge, dust forgiven on the safe side.
            want.max(replicas_ceil((edge + 1e-6).floor() + 1.0))
        }
        _ => want,
    }
}

fn number(replicas: u32, sent: u32) -> Verdict {
    let (replicas, sent) = (Replicas::new(replicas), Replicas::new(sent));
    Verdict::Scale { replicas, sent, active: replicas > Replicas::ZERO }
}

/// What replaces a refusal in the blind and cold states, if the user asked for it; `least` are the
/// floors in force.
#[must_use]
pub(super) fn on_no_data(
    setup: &Setup,
    observation: &Observation,
    current: Option<u32>,
    least: u32,
) -> Option<(Verdict, Reason)> {
    let replicas = match setup.on_no_data {
        OnNoData::Hold => return None,
        OnNoData::Zero => 0,
        // Unknown counts as more than zero.
        OnNoData::Floor => limited(setup, observation, u32::from(current != Some(0)).max(least)).0,
    };
    Some((number(replicas, replicas), Reason::OnNoData { replicas }))
}

/// What is told under `scaleStrategy: shadow`.
#[must_use]
pub(super) fn masked(setup: &Setup, verdict: &Verdict) -> (Verdict, Option<Reason>) {
    if setup.strategy == Strategy::Shadow {
        (number(0, 0), Some(Reason::Shadow))
    } else {
        (verdict.clone(), None)
    }
}

/// Why there is no number.
#[must_use]
pub(super) fn refusal(
    state: State,
    age: Option<std::time::Duration>,
    observation: &Observation,
) -> Refusal {
    match age {
        Some(age) if state == State::Blind => Refusal::Stale { age, cause: cause(observation) },
        // There is data: what lacks is the number of replicas.
        Some(_) => Refusal::NoData { text: UNCOUNTED.to_owned() },
        None => Refusal::NoData { text: looked_for(observation) },
    }
}

fn cause(observation: &Observation) -> String {
    let fault = observation.faults.first().map(ToString::to_string);
    cut(fault.unwrap_or_else(|| "no samples from ready pods".to_owned()))
}

/// What was looked for and found, and which pods could be meant.
fn looked_for(observation: &Observation) -> String {
    if observation.workload.addresses == Some(0) && observation.pods.is_empty() {
        return NAMELESS.to_owned();
    }
    if let Some(fault) = observation.faults.first() {
        return cut(fault.to_string());
    }
    if observation.searched.is_empty() {
        return format!("no series found for {} pods", observation.pods.len());
    }
    let found = observation.searched.iter().filter(|searched| searched.found.is_some()).count();
    let first = observation.searched.iter().find(|searched| searched.found.is_none());
    let mut text = format!("found {found} of {} names", observation.searched.len());
    if let Some(missing) = first {
        let tried = missing.tried.first().map_or("-", String::as_str);
        text = format!("{text}, not {} ({tried})", missing.role);
    }
    if !observation.candidates.is_empty() {
        text = format!("{text}; pods that could be meant: {}", observation.candidates.join(", "));
    }
    cut(text)
}

fn cut(text: String) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    if text.chars().count() <= TEXT_MAX {
        printable.collect()
    } else {
        printable.take(TEXT_MAX - 2).chain("..".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{TEXT_MAX, refusal};
    use crate::engine::decision::State;
    use crate::engine::observation::{Fault, FaultKind, Observation, Searched};
    use crate::engine::units::Timestamp;

    fn observation() -> Observation {
        Observation::empty(Timestamp::from_unix_ms(0))
    }

    #[test]
    fn a_refusal_says_what_is_missing_in_one_short_line() {
        let mut faulty = observation();
        let (place, kind) = ("datasource main".to_owned(), FaultKind::ConnectTimeout);
        faulty.faults.push(Fault { place, kind });
        let mut searched = observation();
        let search = |role: &str, tried: &str, found: bool| Searched {
            role: role.to_owned(),
            tried: vec![tried.to_owned()],
            found: found.then(|| tried.to_owned()),
        };
        searched.searched = vec![search("running", "a", true), search("waiting", "b", false)];
        searched.candidates = vec!["vllm-0".to_owned(), "vllm-1".to_owned()];
        let mut long = observation();
        long.candidates = vec!["p\n".repeat(253); 5];
        long.searched = vec![search("waiting", "b", false)];
        let age = Some(Duration::from_secs(612));
        let rows = [
            (State::Blind, age, &faulty, "data stale 612 s (datasource main: connect timeout)"),
            (State::Blind, age, &searched, "data stale 612 s (no samples from ready pods)"),
            (State::Cold, None, &faulty, "no data yet: datasource main: connect timeout"),
            (
                State::Cold,
                age,
                &searched,
                "no data yet: replicas unknown (no kube-state-metrics); pods are watched for 60 s \
                 first",
            ),
            (
                State::Cold,
                None,
                &searched,
                "no data yet: found 1 of 2 names, not waiting (b); pods that could be meant: \
                 vllm-0, vllm-1",
            ),
        ];
        for (state, age, observation, expected) in rows {
            assert_eq!(refusal(state, age, observation).to_string(), expected);
        }
        let text = refusal(State::Cold, None, &long).to_string();
        assert!(text.chars().count() <= TEXT_MAX + 40 && !text.contains('\n'), "{text}");
    }
}
