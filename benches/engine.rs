//! Engine ticks per second: one `step` over a workload of 1, 8 and 64 pods.
//!
//! The baseline of the same run is a clone of the observation, what any design that hands the data
//! to somebody else pays; the ratio of the two is the figure to compare between machines.

#![expect(clippy::expect_used, reason = "a benchmark that cannot set itself up has failed")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prescale::engine::observation::{
    Combine, Observation, Phase, PodObservation, Role, RoleSeries,
};
use prescale::engine::series::{Sample, Series};
use prescale::engine::setup::Setup;
use prescale::engine::step::{Memory, step};
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

const TICK: Duration = Duration::from_secs(15);

fn setup() -> Setup {
    let metadata = BTreeMap::from([
        ("queueDepth".to_owned(), "5".to_owned()),
        ("kvCache".to_owned(), "85%".to_owned()),
    ]);
    parse("team-a", "llama", &metadata, &Limits::default()).expect("valid metadata").setup
}

/// Ten samples, 15 s apart, ending at `at`: a gauge stays near `level`, a counter grows by it.
fn series(at: Timestamp, level: f64, counter: bool) -> Series {
    let samples = (0..10_u32).map(|step| Sample {
        at: at.minus(TICK * (9 - step)),
        value: if counter { 1e5 + level * f64::from(step) } else { level },
    });
    Series::new(samples.collect())
}

fn pod(at: Timestamp, load: f64) -> PodObservation {
    let families = [
        (Role::Waiting, Combine::Sum, load, false),
        (Role::Running, Combine::Sum, 20.0 + load, false),
        (Role::KvUsage, Combine::Mean, 0.4, false),
        (Role::KvTokens, Combine::Sum, 421_000.0, false),
        (Role::PromptTokens, Combine::Sum, 9_000.0, true),
        (Role::GenerationTokens, Combine::Sum, 4_000.0, true),
        (Role::Finished, Combine::Sum, 20.0, true),
    ];
    let mut pod = PodObservation::new(Phase::Ready);
    for (role, combine, level, counter) in families {
        let metric = "vllm:family".to_owned();
        pod.roles
            .insert(role, RoleSeries { metric, combine, series: vec![series(at, level, counter)] });
    }
    pod
}

fn observation(at: Timestamp, pods: u32) -> Observation {
    let mut observation = Observation::empty(at);
    for idx in 0..pods {
        let name = format!("llama-7d9f8b6c5d-{idx:05}");
        observation.pods.insert(name, pod(at, f64::from(idx % 5)));
    }
    observation.workload.spec_replicas = Some(pods);
    observation
}

fn ticks(c: &mut Criterion) {
    let setup = setup();
    let start = Timestamp::from_unix_ms(1_790_000_000_000);
    let mut group = c.benchmark_group("engine");
    for pods in [1, 8, 64] {
        let mut memory = Memory::default();
        for tick in 0..40 {
            let seen = observation(start.plus(TICK * tick), pods);
            memory = step(&setup, &seen, memory).memory;
        }
        let now = observation(start.plus(TICK * 40), pods);
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("step", pods), &pods, |b, _| {
            b.iter(|| step(&setup, black_box(&now), memory.clone()));
        });
        group.bench_with_input(BenchmarkId::new("clone (baseline)", pods), &pods, |b, _| {
            b.iter(|| black_box(&now).clone());
        });
    }
    group.finish();
}

criterion_group!(benches, ticks);
criterion_main!(benches);
