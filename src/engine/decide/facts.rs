//! What a decision rests on, beside the numbers: who is there, how old the data is, who asks.

use std::time::Duration;

use crate::engine::decide::ahead::Plan;
use crate::engine::decide::floors::Floors;
use crate::engine::decide::timings::Timings;
use crate::engine::decision::Reason;
use crate::engine::memory::{Memory, Sight, Wake};
use crate::engine::observation::Observation;
use crate::engine::setup::{Family, Setup};
use crate::engine::signals::Signals;

/// Data older than this is no basis for any number.
pub(super) const HOLD_FOR: Duration = Duration::from_mins(10);
/// Within this time a server that begins to scrape has read every pod: the longest usual interval.
const WATCH_FOR: Duration = Duration::from_mins(1);
/// More faults than these say the same thing again.
const FAULTS_SHOWN: usize = 3;

/// What the state of knowledge depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "the columns of the table in docs/safety.md")]
pub struct Facts {
    /// Replicas are known zero, or were decided zero and nothing contradicts it.
    pub at_zero: bool,
    /// A wake is held.
    pub wake_held: bool,
    /// A wake was given up and is tried again later.
    pub wake_given_up: bool,
    /// How long ago somebody asked for a wake, while that counts; also at the tick at which it ends
    /// because a pod serves.
    pub asked: Option<Duration>,
    /// Demand at zero replicas can be seen somewhere.
    pub sees_zero: bool,
    /// That place cannot be read.
    pub zero_unreadable: bool,
    /// Ready pods serve, read or not.
    pub serving: bool,
    /// The replicas that serve are known, and not only those that happen to be seen so far.
    pub counted: bool,
    /// Somebody who can tell says that no replica is ready.
    pub none_ready: bool,
    /// Pods are scheduled, pulling or starting; or ready ones that never answered are still young.
    pub loading: bool,
    /// Age of the newest trustworthy sample ever seen.
    pub age: Option<Duration>,
    /// How old it may be.
    pub fresh_limit: Duration,
    /// Anything of the workload was read in this tick.
    pub read: bool,
    /// At least half of the ready replicas were read.
    pub half_read: bool,
    /// All required signals are known on all ready pods.
    pub complete: bool,
    /// What is wanted whatever is measured.
    pub floors: Floors,
}

impl Facts {
    /// Gathers them, with what is wanted ahead of demand; notes the wake and the newest sample in `memory`.
    #[must_use]
    pub fn gather(
        setup: &Setup,
        signals: &Signals,
        timings: &Timings,
        plan: &Plan,
        memory: &mut Memory,
    ) -> Self {
        let now = signals.fresh.now;
        let supply = &signals.supply;
        let before = memory.newest.map(|at| at.min(now));
        memory.newest = before.max(signals.newest);
        let age = memory.newest.map(|at| now.since(at));
        let at_zero = at_zero(signals, memory.last);
        let serving = supply.ready_pods() > 0;
        let young_only = supply.loading > supply.starting && memory.newest.is_some();
        let loading = supply.starting > 0 || young_only;
        let floors = Floors::of(setup, now, timings.lead, plan);
        let floor = setup.min_replicas.is_some_and(|floor| floor.get() > 0);
        let floor = floor || floors.replicas() > 0;
        let asks = signals.outside.activation > setup.activation || floor;
        let blind = supply.current.is_none() && supply.ready.is_none();
        let asked = memory.wake.asked_for(now);
        let (leaving, loading_any) = (supply.current == Some(0), supply.loading > 0);
        let sight = Sight { at_zero, asks, serving, leaving, loading: loading_any, blind };
        if setup.calendar.ceiling(now) == Some(0) {
            // Nobody is allowed to answer: that is no wake, and none that failed.
            memory.wake = Wake::default();
        } else {
            memory.wake.note(sight, now, timings.wake_timeout);
        }
        Self {
            at_zero,
            wake_held: memory.wake.remaining(now).is_some(),
            wake_given_up: memory.wake.retry_in(now).is_some(),
            asked: asked.filter(|_| memory.wake.retry_in(now).is_none()),
            sees_zero: signals.outside.sees_zero,
            zero_unreadable: signals.outside.unreadable,
            serving,
            counted: counted(setup, signals, memory.last),
            none_ready: supply.ready == Some(0),
            loading,
            age,
            fresh_limit: signals.fresh.limit,
            read: signals.newest.is_some(),
            half_read: !supply.under_half_read(),
            complete: signals.complete(),
            floors,
        }
    }

    /// What of this belongs into every decision.
    #[must_use]
    pub fn reasons(
        signals: &Signals,
        observation: &Observation,
        setup: &Setup,
        timings: &Timings,
    ) -> Vec<Reason> {
        let supply = &signals.supply;
        let mut reasons = Vec::new();
        reasons.extend(supply.current.is_none().then_some(Reason::ReplicasUnknown));
        if supply.unread > 0 {
            let (pods, ready) = (supply.unread, supply.ready_pods());
            let example = supply.unread_example.clone();
            reasons.push(Reason::Unread { pods, ready, example });
        }
        // Of pods that were not read at all nothing is known anyway.
        if supply.read > 0 && supply.unread == 0 {
            reasons.extend(signals.missing.iter().map(|role| Reason::Missing { role: *role }));
        }
        let own = signals.own_missing.iter().filter_map(|idx| setup.own.get(*idx));
        reasons.extend(own.map(|own| Reason::OwnMissing { name: own.name.clone() }));
        reasons.extend(signals.partial.then_some(Reason::PartialAnswer));
        let faults = observation.faults.iter().take(FAULTS_SHOWN);
        reasons.extend(
            faults.map(|fault| Reason::Fault { place: fault.place.clone(), kind: fault.kind }),
        );
        let asleep = supply.engines_asleep;
        reasons.extend((asleep > 0).then_some(Reason::EnginesAsleep { pods: asleep }));
        reasons.extend((supply.loading > 0).then_some(Reason::Loading { pods: supply.loading }));
        if let Some(example) = supply.stuck.first() {
            let pods = crate::engine::numeric::count(supply.stuck.len());
            let (example, limit) = (example.clone(), timings.stuck_after);
            reasons.push(Reason::Stuck { pods, example, limit });
        }
        reasons.extend(distrusted(signals));
        reasons
    }
}

/// Replicas are known zero; or unknown while the last decision was zero and nothing contradicts it.
///
/// Pods that answer are the better witness: a count may lag, or be of another object of that name.
/// A headless name has no addresses when no pod is ready, be it for a moment, and when it is misspelt: that
/// alone puts nothing to sleep that was wanted or of which nothing is known.
fn at_zero(signals: &Signals, last: Option<u32>) -> bool {
    let supply = &signals.supply;
    let nobody = supply.ready.unwrap_or(0) == 0 && supply.loading == 0 && supply.stuck.is_empty();
    match supply.current {
        _ if supply.read > 0 => false,
        Some(0) if supply.by_address => last == Some(0),
        Some(current) => current == 0,
        None => last == Some(0) && nobody,
    }
}

/// Whether the first number may rest on the replicas seen. Where only pods with samples count them, a
/// server that has just begun to scrape shows a part of them.
fn counted(setup: &Setup, signals: &Signals, last: Option<u32>) -> bool {
    let exports = setup.family != Family::Custom;
    last.is_some() || !exports || !signals.supply.by_pods || signals.watched >= WATCH_FOR
}

/// Values that count less than they were read; at most eight, so that reasons stay readable.
fn distrusted(signals: &Signals) -> Vec<Reason> {
    let outliers = signals.outliers.iter().map(|outlier| Reason::Outlier {
        pod: outlier.pod.clone(),
        role: outlier.role,
        read: outlier.read,
        counted: outlier.counted,
    });
    let jumps = signals.jumps.iter().map(|(pod, jump)| Reason::Unconfirmed {
        pod: pod.clone(),
        role: jump.role,
        read: jump.read,
        counted: jump.counted,
    });
    outliers.chain(jumps).take(8).collect()
}
