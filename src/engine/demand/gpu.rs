//! GPU targets: the demand of GPU-only workloads, a mere guard beside an LLM engine.
//!
//! Beside an LLM engine a GPU is near 100 % busy with one request and its memory is preallocated, so
//! a sum of it would run away: it asks for one replica more at most, and only when another signal
//! says the same.

use crate::engine::decision::{Term, TermKind};
use crate::engine::demand::input::Input;
use crate::engine::demand::kv;
use crate::engine::numeric::{count, share};
use crate::engine::observation::Role;
use crate::engine::setup::PowerTarget;
use crate::engine::signals::{PodReading, Total};

/// One term per GPU target, `sum / target`.
#[must_use]
pub(super) fn terms(input: &Input<'_>) -> Vec<Term> {
    uses(input)
        .into_iter()
        .filter_map(|(kind, target, total)| Term::ratio(kind, total.read(input.bound)?, target))
        .collect()
}

/// Beside an LLM engine: one more than ready when a GPU target is exceeded on average, nothing is on
/// its way and the queue lasts, KV is above its target or a latency objective is missed.
#[must_use]
pub(super) fn guard(input: &Input<'_>) -> Option<Term> {
    let ready = input.ready()?;
    let kv_above = kv::running_need(input).is_some_and(|need| need > ready);
    let agrees = input.pressure.lasting() || kv_above || input.slow;
    if !agrees || input.signals.supply.loading > 0 || ready < 1.0 {
        return None;
    }
    let busy = uses(input).into_iter().find_map(|(_, target, total)| {
        share(total.sum, f64::from(total.known)).filter(|mean| *mean > target)
    })?;
    Some(Term::flat(TermKind::GpuGuard, busy, ready + 1.0))
}

/// The GPU targets that are set, with the sum over pods of what they are about.
fn uses(input: &Input<'_>) -> Vec<(TermKind, f64, Total)> {
    let gpu = &input.setup.gpu;
    let over = |of: &dyn Fn(&PodReading) -> Option<f64>| {
        let values: Vec<f64> = input.signals.serving.values().filter_map(of).collect();
        Total::over(&values, input.signals.supply.ready_pods().max(count(values.len())))
    };
    let quotient = |pod: &PodReading, part: Role, whole: Role| {
        share(pod.level(part)?, pod.level(whole)?).map(|share| share.min(1.0))
    };
    let busy = |pod: &PodReading| pod.level(Role::GpuUtilization);
    let memory = |pod: &PodReading| quotient(pod, Role::GpuMemoryUsed, Role::GpuMemoryTotal);
    let bandwidth = |pod: &PodReading| pod.level(Role::GpuMemoryBandwidth);
    let watts = |pod: &PodReading| pod.level(Role::GpuPower);
    let of_limit = |pod: &PodReading| quotient(pod, Role::GpuPower, Role::GpuPowerLimit);
    let power = gpu.power.map(|target| match target {
        PowerTarget::Watts(target) => (TermKind::GpuPower, target, over(&watts)),
        PowerTarget::OfLimit(target) => (TermKind::GpuPower, target.get(), over(&of_limit)),
    });
    [
        gpu.utilization.map(|at| (TermKind::GpuUtilization, at.get(), over(&busy))),
        gpu.memory.map(|at| (TermKind::GpuMemory, at.get(), over(&memory))),
        gpu.memory_bandwidth.map(|at| (TermKind::GpuMemoryBandwidth, at.get(), over(&bandwidth))),
        power,
    ]
    .into_iter()
    .flatten()
    .collect()
}
