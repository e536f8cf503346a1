//! Pods that fell behind: what they held may have gone where it is counted again.
//!
//! A router moves a queue within seconds. The last reading of a pod that missed its scrapes, added to what
//! those show who took its requests over, counts them twice. Given the totals; promises that of a gauge no
//! more is certain than there was when that pod was read last, unless the others alone show more.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::engine::observation::{Observation, Role};
use crate::engine::series::Series;
use crate::engine::signals::pod::{PodReading, combine, trust};
use crate::engine::signals::totals::{Total, Totals};
use crate::engine::units::Timestamp;

/// The pods of a tick: all that was read, and those that serve.
type Pods<'a> = (&'a Observation, &'a BTreeMap<String, PodReading>);

/// Lowers what is certain of the requests in flight and of what they hold.
pub(super) fn lower(totals: &mut Totals, pods: Pods<'_>, interval: Duration) {
    let newest = || pods.1.values().filter_map(|reading| reading.newest);
    let Some(last) = newest().max() else { return };
    // Everybody is scraped at a moment of its own: only more than a scrape is behind.
    let due = last.minus(interval);
    let Some(then) = newest().min().filter(|first| *first < due) else { return };
    let lower = |role: Role, total: &mut Total| {
        let known = others(role, pods, due).max(held(role, pods, then));
        total.certain = total.certain.min(known);
    };
    for role in [Role::Waiting, Role::Running, Role::KvUsage] {
        if let Some(total) = totals.levels.get_mut(&role) {
            lower(role, total);
        }
    }
    lower(Role::KvUsage, &mut totals.kv_used);
}

/// What those show that were read since `due`.
fn others(role: Role, (_, serving): Pods<'_>, due: Timestamp) -> f64 {
    let read = |reading: &&PodReading| reading.newest.is_some_and(|at| at >= due);
    serving.values().filter(read).filter_map(|reading| reading.level(role)).sum()
}

/// What all of them held at `then`.
fn held(role: Role, (observation, serving): Pods<'_>, then: Timestamp) -> f64 {
    let of = |(name, reading): (&String, &PodReading)| {
        let pod = observation.pods.get(name)?;
        let found = pod.roles.get(&role)?;
        // Who was not ready yet, or had a page without it, held nothing.
        let was_none = pod.ready.is_some_and(|ready| ready > then)
            || reading.oldest.is_some_and(|oldest| oldest <= then);
        let value = |series: &Series| {
            let begins = series.samples().first()?.at;
            if begins > then && was_none { Some(0.0) } else { series.value_at(begins.max(then)) }
        };
        let values: Vec<_> = trust(role, found, observation.at).iter().map(value).collect();
        combine(found.combine, &values)
    };
    serving.iter().filter_map(of).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::lower;
    use crate::engine::observation::{
        Combine, Observation, Phase, PodObservation, Role, RoleSeries,
    };
    use crate::engine::series::{Sample, Series};
    use crate::engine::setup::Family;
    use crate::engine::signals::pod::{Freshness, PodReading};
    use crate::engine::signals::totals::{Bound, Total, Totals};
    use crate::engine::units::Timestamp;

    const SCRAPE: Duration = Duration::from_secs(15);

    /// Queues of pods as (seconds ago, requests), which were ready five seconds before their first sample
    /// if that is `known`; what is certainly there, and at most.
    fn check_ready(known: bool, what: &str, pods: &[&[(u32, f64)]], expected: (f64, f64)) {
        let now = Timestamp::from_unix_ms(10_000_000);
        let mut observation = Observation::empty(now);
        for (idx, samples) in pods.iter().enumerate() {
            let sample = |(back, value): &(u32, f64)| Sample {
                at: now.minus(Duration::from_secs((*back).into())),
                value: *value,
            };
            let series = vec![Series::new(samples.iter().map(sample).collect())];
            let found = RoleSeries { metric: "m".to_owned(), combine: Combine::Sum, series };
            let mut pod = PodObservation::new(Phase::Ready);
            let first = samples.first().map(|(back, _)| Duration::from_secs((*back + 5).into()));
            pod.ready = first.filter(|_| known).map(|back| now.minus(back));
            pod.roles.insert(Role::Waiting, found);
            observation.pods.insert(format!("pod-{idx}"), pod);
        }
        let fresh = Freshness::new(Family::Llm, now, SCRAPE, SCRAPE);
        let read =
            |(name, pod): (&String, &PodObservation)| (name.clone(), PodReading::read(pod, fresh));
        let serving: BTreeMap<String, PodReading> = observation.pods.iter().map(read).collect();
        let queues: Vec<f64> =
            serving.values().filter_map(|reading| reading.level(Role::Waiting)).collect();
        let total = Total::over(&queues, u32::try_from(pods.len()).unwrap());
        let mut totals = Totals { levels: [(Role::Waiting, total)].into(), ..Totals::default() };
        lower(&mut totals, (&observation, &serving), SCRAPE);
        let level = |bound| totals.level(Role::Waiting, bound).unwrap();
        let found = (level(Bound::Low), level(Bound::High));
        let near = (found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9;
        assert!(near, "{what}: {found:?}, not {expected:?}");
    }

    fn check(what: &str, pods: &[&[(u32, f64)]], expected: (f64, f64)) {
        check_ready(true, what, pods, expected);
    }

    #[test]
    fn a_queue_that_moved_is_counted_once() {
        let stays: &[(u32, f64)] = &[(45, 10.0), (30, 10.0), (15, 10.0), (0, 10.0)];
        check("all were read", &[stays, &[(44, 30.0), (14, 30.0)]], (40.0, 40.0));
        let behind: &[(u32, f64)] = &[(60, 30.0), (45, 30.0)];
        check("nothing moved", &[stays, behind], (40.0, 40.0));
        check("to a newborn", &[stays, behind, &[(15, 20.0), (0, 25.0)]], (40.0, 65.0));
        let late: &[(u32, f64)] = &[(15, 20.0), (0, 25.0)];
        check_ready(false, "to one that was not read before", &[stays, behind, late], (60.0, 65.0));
        let took: &[(u32, f64)] = &[(45, 10.0), (30, 20.0), (0, 35.0)];
        check("to an old one", &[took, behind], (40.0, 65.0));
        let grew: &[(u32, f64)] = &[(45, 10.0), (30, 40.0), (0, 70.0)];
        check("more than all there was", &[grew, behind], (70.0, 100.0));
    }
}
