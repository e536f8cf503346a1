//! How fast a day passes: one replica under load in closed form, the loop that it stands for, and a
//! whole world. All in one run, as machines differ.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set up its case has failed")]

#[path = "../tests/world/naive.rs"]
#[expect(dead_code, reason = "the tests look inside; here only its time counts")]
mod naive;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use naive::Naive;
use prescale::engine::replay::profile::Settings;
use prescale::engine::replay::random::Random;
use prescale::engine::replay::replica::{Events, Replica, Request};
use prescale::engine::replay::request::Arrival;
use prescale::engine::replay::traffic::Arrivals;
use prescale::engine::replay::world::World;

/// Poisson arrivals of `rate` per second, of the mean size of Azure's conversation trace.
fn arrivals(length: Duration, rate: f64) -> Arc<[Arrival]> {
    let corners = [(0.0, rate), (1.0, rate)];
    Arrivals::along(Random::new(1), length, &corners, &[(1.0, 1155, 211)]).all()
}

fn request(arrival: &Arrival) -> Request {
    let Arrival { at, prompt, cached, output } = *arrival;
    Request { arrived: at, queued: at, prompt, cached, output }
}

fn throughput(requests: &[Arrival]) -> Throughput {
    Throughput::Elements(u64::try_from(requests.len()).unwrap())
}

fn replicas(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replica, 10 min at 5 requests/s");
    let requests = arrivals(Duration::from_mins(10), 5.0);
    let _ = group.throughput(throughput(&requests)).sample_size(10);
    let _ = group.bench_function("closed form", |bencher| {
        bencher.iter(|| {
            let (mut replica, mut events) = (Replica::new(&Settings::demo()), Events::default());
            for arrival in requests.iter() {
                replica.advance(arrival.at, &mut events);
                assert!(replica.push(request(arrival)));
            }
            black_box(events.finished.len())
        });
    });
    let _ = group.bench_function("iteration by iteration", |bencher| {
        bencher.iter(|| {
            let (mut replica, mut events) = (Naive::new(Settings::demo()), Events::default());
            for arrival in requests.iter() {
                replica.advance(arrival.at, &mut events);
                assert!(replica.push(request(arrival)));
            }
            black_box(events.finished.len())
        });
    });
    group.finish();
}

fn day(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("world, a day at 5 requests/s");
    let requests = arrivals(Duration::from_hours(24), 5.0);
    let _ = group.throughput(throughput(&requests)).sample_size(10);
    for replicas in [3, 8] {
        let _ = group.bench_function(format!("{replicas} replicas"), |bencher| {
            bencher.iter(|| {
                let mut world = World::new(Settings::demo(), Arc::clone(&requests), replicas, 1);
                world.advance(Duration::from_hours(24));
                black_box(world.ledger().attained)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, replicas, day);
criterion_main!(benches);
