//! Cost of a forecaster: a workload's minute, a cold replay of 14 days, and its memory.
//!
//! The baseline of the same run is last value + conformal alone: for each horizon a day's errors, kept
//! in order. Aims: 3 microseconds a workload-minute and 65 ms a replay at 4 horizons, 74 KiB at 9.

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use peak_alloc::PeakAlloc;
use prescale::engine::forecast::{Forecaster, Horizon, Setup, Target};
use prescale::engine::units::Timestamp;

/// Counts what is allocated and not yet freed.
#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const DAY: usize = 1440;
const FOUR: [u32; 4] = [1, 5, 10, 20];
const NINE: [u32; 9] = [1, 5, 10, 15, 20, 30, 45, 60, 90];

fn setup(horizons: &[u32], target: Target) -> Setup {
    let horizons = horizons.iter().map(|steps| Horizon { steps: *steps, target }).collect();
    let timezone = chrono_tz::Tz::Europe__Amsterdam;
    Setup { step: Duration::from_mins(1), horizons, timezone, holidays: BTreeSet::new() }
}

/// 14 days like sines between 80 and 320 a minute, and some noise; each with its instant.
fn series() -> Vec<(Timestamp, f64)> {
    let mut state = 1_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap_or(0)) / 4_294_967_296.0
    };
    let begin = Timestamp::from_unix_ms(1_767_571_200_000);
    let minute = |idx: u32| {
        let turn = f64::from(idx) / 1440.0 * std::f64::consts::TAU;
        let noise = uniform() + uniform() + uniform() - 1.5;
        (begin.plus(Duration::from_mins(1) * idx), 200.0 - 120.0 * turn.cos() + 28.0 * noise)
    };
    (0..14 * 1440).map(minute).collect()
}

/// Last value + conformal for one horizon.
struct Naive {
    steps: usize,
    values: VecDeque<f64>,
    errors: VecDeque<f64>,
    sorted: Vec<f64>,
}

impl Naive {
    const fn new(steps: usize) -> Self {
        Self { steps, values: VecDeque::new(), errors: VecDeque::new(), sorted: Vec::new() }
    }

    fn observe(&mut self, value: f64) -> [f64; 4] {
        self.values.push_back(value);
        if self.values.len() > self.steps {
            let error = value - self.values.pop_front().unwrap_or(value);
            self.errors.push_back(error);
            let place = self.sorted.partition_point(|kept| *kept < error);
            self.sorted.insert(place, error);
        }
        if self.errors.len() > DAY {
            let oldest = self.errors.pop_front().unwrap_or(0.0);
            let place = self.sorted.partition_point(|kept| *kept < oldest);
            self.sorted.remove(place);
        }
        // Order statistics of half, nine, 19 and 19.8 twentieths of them.
        [50, 90, 95, 99].map(|percent| {
            let place = (self.sorted.len() * percent).div_ceil(100).max(1) - 1;
            value + self.sorted.get(place).copied().unwrap_or(0.0)
        })
    }
}

fn naives(horizons: &[u32]) -> Vec<Naive> {
    horizons.iter().filter_map(|steps| Some(Naive::new(usize::try_from(*steps).ok()?))).collect()
}

fn observe_all(naives: &mut [Naive], value: f64) {
    for naive in naives {
        black_box(naive.observe(value));
    }
}

fn said(forecaster: &Forecaster, horizons: usize) {
    for horizon in 0..horizons {
        black_box(forecaster.quantile(horizon, 0.95));
    }
}

/// A minute of one workload, eight days after its first.
fn minutes(c: &mut Criterion) {
    let series = series();
    let mut group = c.benchmark_group("forecast");
    group.throughput(Throughput::Elements(1));
    for (name, setup) in [
        ("minute, 4 horizons", setup(&FOUR, Target::At)),
        ("minute, 9 window maxima", setup(&NINE, Target::WindowMax)),
    ] {
        let mut forecaster = Forecaster::new(&setup);
        for (at, value) in &series[..8 * DAY] {
            forecaster.observe(*at, Some(*value));
        }
        let mut at = series[8 * DAY].0;
        let mut values = series.iter().cycle().skip(8 * DAY);
        group.bench_function(name, |b| {
            b.iter(|| {
                forecaster.observe(at, values.next().map(|(_, value)| *value));
                at = at.plus(Duration::from_mins(1));
                said(&forecaster, setup.horizons.len());
            });
        });
        let steps: Vec<u32> = setup.horizons.iter().map(|horizon| horizon.steps).collect();
        let mut naives = naives(&steps);
        series[..8 * DAY].iter().for_each(|(_, value)| observe_all(&mut naives, *value));
        let mut values = series.iter().cycle().skip(8 * DAY);
        group.bench_function(format!("{name} (baseline)"), |b| {
            b.iter(|| observe_all(&mut naives, values.next().map_or(0.0, |(_, value)| *value)));
        });
    }
    group.finish();
}

/// Two weeks of samples, as after a start.
fn cold_replay(c: &mut Criterion) {
    let (series, setup) = (series(), setup(&FOUR, Target::At));
    let mut group = c.benchmark_group("forecast");
    group.sample_size(10);
    group.bench_function("cold replay of 14 days", |b| {
        b.iter(|| {
            let mut forecaster = Forecaster::new(&setup);
            series.iter().for_each(|(at, value)| forecaster.observe(*at, Some(*value)));
            forecaster
        });
    });
    group.bench_function("cold replay of 14 days (baseline)", |b| {
        b.iter(|| {
            let mut naives = naives(&FOUR);
            series.iter().for_each(|(_, value)| observe_all(&mut naives, *value));
            naives
        });
    });
    group.finish();
}

/// What a forecaster of nine horizons holds after two weeks, and its state.
#[expect(clippy::print_stdout, reason = "a benchmark tells what it found")]
fn memory(_: &mut Criterion) {
    let series = series();
    for target in [Target::At, Target::WindowMax] {
        let setup = setup(&NINE, target);
        let before = ALLOCATED.current_usage();
        let mut forecaster = Box::new(Forecaster::new(&setup));
        series.iter().for_each(|(at, value)| forecaster.observe(*at, Some(*value)));
        let held = ALLOCATED.current_usage() - before;
        println!(
            "forecast/memory, 9 horizons, {target:?}: {held} bytes held, {} bytes of state; aim {}",
            forecaster.to_bytes().len(),
            74 * 1024
        );
    }
}

criterion_group!(benches, memory, minutes, cold_replay);
criterion_main!(benches);
