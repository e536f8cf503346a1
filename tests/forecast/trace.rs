//! A week of a real service: a guard against regressions, and no claim.

use std::io::Read;

use flate2::read::GzDecoder;
use prescale::engine::units::Timestamp;

use crate::score::{Fed, play, score, setup, values_ahead};
use crate::series::DAY;

/// Requests a minute to Azure's conversation service, a week of May 2024.
fn week() -> Vec<Fed> {
    let file =
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/traces/azure_llm_2024_conv_1min.csv.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let row = |line: &str| {
        let (seconds, requests) = line.split_once(',').unwrap();
        let at = Timestamp::from_unix_ms(1000 * seconds.parse::<i64>().unwrap());
        (at, requests.parse().ok())
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn a_week_of_a_real_service_is_forecast_no_worse_than_it_was() {
    let (setup, fed) = (setup(values_ahead(&[1, 5, 10, 20])), week());
    assert_eq!(fed.len(), 7 * DAY - 1, "it begins a minute after midnight");
    let actual: Vec<f64> = fed.iter().map(|(_, value)| value.unwrap()).collect();
    let said = play(&setup, fed);
    for (place, limit) in [0.86, 0.84, 0.84, 0.84].into_iter().enumerate() {
        let score = score(&setup, place, &said, &actual, 3 * DAY..actual.len());
        assert!(score.relative() < limit, "{:?}: {score:?}", setup.horizons[place]);
        let worst = score.coverage_off.into_iter().fold(0.0, f64::max);
        assert!(worst < 0.01, "{:?}: {score:?}", setup.horizons[place]);
    }
}
