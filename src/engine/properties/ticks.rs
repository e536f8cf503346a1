//! Ticks as they are generated: pods, what can be read of them, and who asks.

use proptest::prelude::*;

use crate::engine::observation::{Phase, Role};

/// One pod as generated: phase, values of its gauges and counters, missing ones absent.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) phase: Phase,
    pub(super) gauges: Vec<(Role, Option<f64>)>,
    pub(super) per_second: f64,
}

/// One tick as generated.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    pub(super) pods: Vec<Pod>,
    pub(super) spec: Option<u32>,
    pub(super) held: Option<f64>,
    pub(super) own: Option<f64>,
    pub(super) partial: bool,
    /// Somebody asks for a wake.
    pub(super) asked: bool,
}

fn any_bits() -> BoxedStrategy<f64> {
    prop_oneof![any::<u64>().prop_map(f64::from_bits), 0.0..100.0_f64, Just(0.0), Just(f64::NAN)]
        .boxed()
}

fn sane() -> BoxedStrategy<f64> {
    prop_oneof![0.0..60.0_f64, Just(0.0)].boxed()
}

fn phase() -> impl Strategy<Value = Phase> {
    prop_oneof![
        6 => Just(Phase::Ready),
        1 => Just(Phase::Pending),
        1 => Just(Phase::Loading),
        1 => Just(Phase::Unready),
        1 => Just(Phase::Unknown),
    ]
}

fn pod(
    phase: impl Strategy<Value = Phase>,
    value: BoxedStrategy<f64>,
    share: BoxedStrategy<f64>,
    gaps: bool,
) -> impl Strategy<Value = Pod> {
    let maybe = |value: &BoxedStrategy<f64>| match gaps {
        true => proptest::option::weighted(0.9, value.clone()).boxed(),
        false => value.clone().prop_map(Some).boxed(),
    };
    (phase, maybe(&value), maybe(&value), maybe(&share), maybe(&share), value).prop_map(
        |(phase, waiting, running, kv, gpu, per_second)| Pod {
            phase,
            gauges: vec![
                (Role::Waiting, waiting),
                (Role::Running, running),
                (Role::KvUsage, kv),
                (Role::GpuUtilization, gpu),
            ],
            per_second,
        },
    )
}

/// Anything at all: every bit pattern, every phase, everything possibly absent.
pub(super) fn wild() -> impl Strategy<Value = Vec<Tick>> {
    let pods = proptest::collection::vec(pod(phase(), any_bits(), any_bits(), true), 0..5);
    let tick = (
        pods,
        proptest::option::of(0..50_u32),
        proptest::option::of(any_bits()),
        proptest::option::of(any_bits()),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.2),
    );
    let tick = tick.prop_map(|(pods, spec, held, own, partial, asked)| Tick {
        pods,
        spec,
        held,
        own,
        partial,
        asked,
    });
    proptest::collection::vec(tick, 1..8)
}

/// Three ready pods, everything known, loads as they come.
pub(super) fn calm(ticks: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Tick>> {
    let pods = proptest::collection::vec(
        pod(Just(Phase::Ready), sane(), (0.0..1.0_f64).boxed(), false),
        3,
    );
    let tick = (pods, 0.0..30.0_f64).prop_map(|(pods, own)| Tick {
        pods,
        spec: Some(3),
        held: Some(0.0),
        own: Some(own),
        partial: false,
        asked: false,
    });
    proptest::collection::vec(tick, ticks)
}
