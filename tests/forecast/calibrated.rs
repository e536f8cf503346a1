//! Ordinary days: the promised share is covered, and less is lost than by last value + conformal.

use prescale::engine::forecast::{LEVELS, Setup, Target};

use crate::score::{Said, Score, ahead, minutely, play, score, setup, values_ahead};
use crate::series::{DAY, sines, sleeping, wandering};

/// 1, 5, 10 and 20 minutes, as values and as the largest value until then.
fn both_targets() -> Setup {
    let of = |target| [1, 5, 10, 20].map(|steps| ahead(steps, target));
    setup([of(Target::At), of(Target::WindowMax)].concat())
}

/// The shares of levels 0.9, 0.95 and 0.99 are kept within `points` of a hundred.
fn check_coverage(setup: &Setup, said: &[Vec<Said>], actual: &[f64], points: f64) -> Vec<Score> {
    let of = |place| score(setup, place, said, actual, 3 * DAY..actual.len());
    let scores: Vec<Score> = (0..setup.horizons.len()).map(of).collect();
    for (horizon, score) in setup.horizons.iter().zip(&scores) {
        for (level, off) in LEVELS.iter().zip(score.coverage_off).skip(1) {
            assert!(100.0 * off <= points, "{horizon:?} misses {level} by {off:.4}: {score:?}");
        }
    }
    scores
}

#[test]
fn after_three_days_of_a_daily_sine_coverage_holds_and_the_loss_is_well_below_last_value() {
    let (setup, actual) = (both_targets(), sines(1, 6 * DAY));
    let said = play(&setup, minutely(&actual));
    let scores = check_coverage(&setup, &said, &actual, 1.5);
    for (score, limit) in scores.iter().zip([0.8, 0.8, 0.8, 0.75, 0.8, 0.7, 0.65, 0.6]) {
        assert!(score.relative() < limit, "{score:?}");
    }
}

#[test]
fn a_sleeping_workload_is_covered_and_its_median_is_nothing_while_it_sleeps() {
    let horizons =
        [(1, Target::At), (20, Target::At), (5, Target::WindowMax), (20, Target::WindowMax)];
    let setup = setup(horizons.map(|(steps, target)| ahead(steps, target)).to_vec());
    let actual = sleeping(2, 6 * DAY);
    let said = play(&setup, minutely(&actual));
    check_coverage(&setup, &said, &actual, 1.5);
    // Asleep for an hour; what comes of a burst's last minutes is another matter.
    let asleep =
        (3 * DAY..actual.len()).filter(|step| actual[step - 60..=*step].iter().sum::<f64>() < 0.5);
    let mut most = [0.0_f64; 4];
    for step in asleep {
        for (most, said) in most.iter_mut().zip(&said[step]) {
            *most = most.max(said.own[0]);
        }
    }
    // Less than half a request of the 30 a minute that a burst brings: what no replica is sized for.
    assert!(most.iter().all(|most| *most < 0.5), "{most:?}");
}

#[test]
fn the_first_twelve_hours_lose_no_more_than_last_value() {
    for (name, actual) in [
        ("sines", sines(3, DAY / 2)),
        ("wandering", wandering(4, DAY / 2)),
        ("sleeping", sleeping(5, DAY / 2)),
        ("still", vec![40.0; DAY / 2]),
    ] {
        let setup = setup(values_ahead(&[1, 5, 10, 20]));
        let said = play(&setup, minutely(&actual));
        for place in 0..setup.horizons.len() {
            let score = score(&setup, place, &said, &actual, 0..actual.len());
            let horizon = setup.horizons[place];
            assert!(score.wql <= 1.05 * score.naive + 1e-9, "{name} {horizon:?} {score:?}");
        }
    }
}
