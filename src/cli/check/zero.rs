//! Traps on the way to zero replicas and back: what wakes, and how long it takes to sleep.
//!
//! Given an object as the other rules see it. What it says of KEDA is of KEDA 2.20.

use std::time::Duration;

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::scaled::Object;
use crate::cli::check::trigger::Understood;
use crate::engine::setup::Lead;

/// What prescale assumes of a cold start until three were seen.
const COLD_START: Duration = Duration::from_secs(180);
/// KEDA counts from the last poll that it saw active; below this a lost poll or two, or a restart of
/// KEDA, count as idle time.
const COOLDOWN_MIN: i64 = 60;

/// Applies every rule about zero to one object.
pub(crate) fn check(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    idle_replicas(object, place, findings);
    if !object.reaches_zero() {
        return;
    }
    if object.acting().next().is_some() && !object.acting().any(Understood::wakes) {
        blind_at_zero(object, place, findings);
    }
    cooldown(object, place, findings);
    for ours in object.acting() {
        push(object, ours, findings);
    }
    for ours in object.ours {
        idle_time(object, ours, findings);
    }
}

fn idle_replicas(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let message = match (object.int("idleReplicaCount"), object.min()) {
        (Some(0), 0) => "0 needs a minReplicaCount above 0, which it wakes to",
        (Some(0) | None, _) => return,
        (Some(_), _) => "only 0 works in KEDA",
    };
    findings.add(Level::Error, place, "idleReplicaCount", message);
}

fn blind_at_zero(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let meant = object.int("idleReplicaCount").or(object.int("minReplicaCount")).is_some();
    let (key, zero) = match object.int("minReplicaCount") {
        Some(1..) => ("idleReplicaCount", "is 0"),
        Some(_) => ("minReplicaCount", "is 0"),
        None => ("minReplicaCount", "is 0 by default"),
    };
    let floor = object.specs().any(|spec| spec.setup.calendar.floor_max() > 0);
    let (level, rest) = match object.others {
        0 if floor => (Level::Warning, "only instanceBounds wake, nothing sees demand meanwhile"),
        // Who writes the zero may wake it by POST /wake; who does not would never know.
        0 if meant => (
            Level::Warning,
            "nothing sees demand while there are no pods, and only POST /wake wakes",
        ),
        0 => (Level::Error, "nothing sees demand while there are no pods"),
        _ => (Level::Warning, "only the other triggers see demand while there are no pods"),
    };
    let message = format!(
        "{zero}: {rest}; set gateway, activationQuery, activationEndpoints or a signal with \
         role: activation, or keep one replica"
    );
    findings.add(level, place, key, message);
}

/// KEDA's own part of the idle time.
fn cooldown(object: &Object<'_>, place: &Place, findings: &mut Findings) {
    let seconds = object.cooldown();
    let idle = object.acting().filter_map(|ours| ours.spec.as_ref());
    let idle = idle.map(|spec| spec.setup.idle_after.max(cold_start(spec.setup.lead))).max();
    let idle = idle.map_or(0, |idle| i64::try_from(idle.as_secs()).unwrap_or(i64::MAX));
    if seconds < COOLDOWN_MIN {
        let message = format!(
            "is {seconds} s: KEDA counts it from the last poll that it saw active, so that a restart of KEDA \
             or a poll or two lost is idle time already; {COOLDOWN_MIN} is enough"
        );
        findings.add(Level::Warning, place, "cooldownPeriod", message);
    } else if seconds > COOLDOWN_MIN && idle > 0 {
        let given = object.int("cooldownPeriod").map_or(" by default", |_| "");
        let message = format!(
            "is {seconds} s{given}, on top of {idle} s without demand (idleAfter, at least a cold start): it \
             goes to zero {} s after the last request; {COOLDOWN_MIN} is enough",
            idle.saturating_add(seconds)
        );
        findings.add(Level::Info, place, "cooldownPeriod", message);
    }
    if let Some(initial) = object.int("initialCooldownPeriod").filter(|seconds| *seconds > 0) {
        let message = format!(
            "is {initial} s and only delays the first sleep: prescale is not inactive before it has seen \
             idleAfter without demand"
        );
        findings.add(Level::Info, place, "initialCooldownPeriod", message);
    }
}

fn push(object: &Object<'_>, ours: &Understood, findings: &mut Findings) {
    if !ours.push {
        let message = format!(
            "is external: a wake waits for the next poll, up to pollingInterval {} s; external-push wakes at \
             once",
            object.polling()
        );
        findings.add(Level::Warning, &ours.place, "type", message);
    }
}

const fn cold_start(lead: Lead) -> Duration {
    match lead {
        Lead::Fixed(lead) => lead,
        Lead::Learned => COLD_START,
    }
}

/// Idle time before KEDA scales to zero: ours, then KEDA's.
fn idle_time(object: &Object<'_>, ours: &Understood, findings: &mut Findings) {
    let Some(spec) = &ours.spec else { return };
    let cooldown = Duration::from_secs(u64::try_from(object.cooldown()).unwrap_or(0));
    let cold_start = cold_start(spec.setup.lead);
    let idle = spec.setup.idle_after;
    if idle + cooldown < cold_start {
        let message = format!(
            "{} s and idleAfter {} s are shorter than a cold start of {} s: pods would be taken down \
             sooner than they can return",
            cooldown.as_secs(),
            idle.as_secs(),
            cold_start.as_secs()
        );
        findings.add(Level::Error, &ours.place, "cooldownPeriod", message);
    } else if idle < cold_start {
        let message = format!(
            "is {} s, shorter than a cold start of {} s (until learned), which counts in its place",
            idle.as_secs(),
            cold_start.as_secs()
        );
        findings.add(Level::Info, &ours.place, "idleAfter", message);
    }
}
