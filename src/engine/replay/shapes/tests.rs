//! The shapes are what their lines say.

use std::time::Duration;

use super::{LLM_D, Parameters, SHAPES, Shape};
use crate::engine::replay::random::Random;

fn shape(name: &str) -> &'static Shape {
    SHAPES.iter().find(|shape| shape.name == name).unwrap()
}

/// Heights by minute, in pods.
fn heights(name: &str, seed: u64) -> Vec<f64> {
    let parameters = Parameters { pod_rate: 1.0, days: None };
    shape(name).stages(&parameters, &mut Random::new(seed)).iter().map(|stage| stage.rate).collect()
}

fn within(at: Duration, from: u64, to: u64) -> bool {
    (Duration::from_secs(from)..Duration::from_secs(to)).contains(&at)
}

#[test]
fn every_shape_is_sorted_within_its_length_and_the_same_for_a_seed() {
    let parameters = Parameters { pod_rate: 0.2, days: None };
    for shape in &SHAPES {
        let instants = shape.instants(&parameters, 7, 1.0);
        let length = shape.length(&parameters);
        assert!(
            instants.is_sorted() && instants.last().is_some_and(|at| *at < length),
            "{shape:?}"
        );
        assert_eq!(instants, shape.instants(&parameters, 7, 1.0), "{shape:?}");
        let differs = instants != shape.instants(&parameters, 8, 1.0);
        assert_eq!(differs, shape.name != "llm-d-ramp-even", "{shape:?}");
        let expected = shape.requests(&parameters, 7);
        let count = f64::from(u32::try_from(instants.len()).unwrap());
        // Five standard deviations of a Poisson count.
        assert!((count - expected).abs() <= 5.0 * expected.sqrt(), "{shape:?}: {count} {expected}");
    }
}

#[test]
fn a_scale_and_days_do_what_they_say() {
    let half = Parameters { pod_rate: 1.0, days: Some(0.5) };
    assert_eq!(shape("diurnal").length(&half), Duration::from_hours(12));
    let count = |scale| shape("constant").instants(&half, 1, scale).len();
    // 129 600 and 1 296: five standard deviations.
    assert!((127_800..=131_400).contains(&count(1.0)), "{}", count(1.0));
    assert!((1_116..=1_476).contains(&count(0.01)), "{}", count(0.01));
    assert_eq!(shape("llm-d-ramp").length(&half).as_secs(), 2430);
}

#[test]
fn the_ramp_of_llm_d_is_the_published_one() {
    let even = shape("llm-d-ramp-even").instants(&Parameters::default(), 0, 1.0);
    let poisson = shape("llm-d-ramp").instants(&Parameters::default(), 0, 1.0);
    let mut from = 0;
    for (seconds, rate) in LLM_D {
        let to = from + seconds;
        let count = |instants: &[Duration]| {
            let inside = instants.iter().filter(|at| within(**at, from, to)).count();
            f64::from(u32::try_from(inside).unwrap())
        };
        let expected = f64::from(u32::try_from(seconds).unwrap()) * rate;
        assert!((count(&even) - expected).abs() < 0.5, "{from} s: {}", count(&even));
        let tolerance = 5.0 * expected.sqrt();
        assert!((count(&poisson) - expected).abs() < tolerance, "{from} s: {}", count(&poisson));
        from = to;
    }
    assert_eq!((from, even.len()), (2430, 660 + 1440 + 2160 + 2880 + 3600 + 1440 + 300));
    assert_eq!(shape("llm-d-ramp").sizes, (4000, 1000));
}

#[test]
fn production_needs_two_to_eight_pods_on_every_day() {
    for seed in 0..20 {
        for day in heights("variable-production", seed).chunks(1440) {
            let low = day.iter().copied().fold(f64::INFINITY, f64::min);
            let high = day.iter().copied().fold(0.0, f64::max);
            assert_eq!((low.ceil(), high.ceil()), (2.0, 8.0), "{low} {high}");
        }
    }
}

#[test]
fn the_team_works_by_day_on_weekdays_only() {
    for seed in 0..5 {
        let heights = heights("dev-cluster", seed);
        assert_eq!(heights.len(), 7 * 1440);
        for (minute, height) in heights.iter().enumerate() {
            let (day, hour) = (minute / 1440, minute % 1440 / 60);
            let at_work = day < 5 && (9..17).contains(&hour);
            assert!(*height <= 0.0 || at_work, "{height} on day {day} at {hour} h");
            assert!(*height <= 2.0, "{height}");
        }
        let busy = heights.iter().filter(|height| **height > 0.0).count();
        assert!(busy > 5 * 8 * 60 / 2, "{busy} minutes of 2400 have work");
    }
}

#[test]
fn the_batch_runs_every_night_and_never_by_day() {
    for night in heights("nightly-batch", 3).chunks(1440) {
        let high = night.iter().copied().fold(0.0, f64::max);
        let busy = night.iter().filter(|height| **height > 0.0).count();
        assert_eq!((high.ceil(), busy), (4.0, 170));
        assert!(night[..60].iter().chain(&night[241..]).all(|height| *height <= 0.0));
    }
}

#[test]
fn the_others_have_their_highs_and_lows() {
    let rows = [
        ("constant", 3.0, 3.0, 3.0, 3.0),
        ("diurnal", 0.4, 0.7, 6.0, 16.0),
        ("flash-crowd", 0.8, 1.0, 7.4, 7.6),
        ("on-off", 0.0, 0.0, 1.8, 1.8),
    ];
    for (name, low_min, low_max, high_min, high_max) in rows {
        for seed in 0..20 {
            let heights = heights(name, seed);
            let low = heights.iter().copied().fold(f64::INFINITY, f64::min);
            let high = heights.iter().copied().fold(0.0, f64::max);
            assert!((low_min..=low_max).contains(&low), "{name}: lowest {low}");
            assert!((high_min..=high_max).contains(&high), "{name}: highest {high}");
        }
    }
    let diurnal = heights("diurnal", 1);
    let mean =
        |days: &[f64]| days.iter().sum::<f64>() / f64::from(u32::try_from(days.len()).unwrap());
    assert!(mean(&diurnal[5 * 1440..]) < 0.7 * mean(&diurnal[..5 * 1440]));
}
