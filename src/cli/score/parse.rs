//! Words of `prescale score` to values, with what is accepted when they are none.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::engine::score::inject::Fault;
use crate::engine::score::models::MODELS;
use crate::spec;

/// What can be put into a series.
const FAULTS: &str = "must be gaps:SHARE such as gaps:0.01, hole:DURATION such as hole:2h, \
                      shift:FACTOR such as shift:3, outlier:FACTOR such as outlier:50, or \
                      clock:DURATION such as clock:-1h";

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// A duration in `from..=to`.
fn between(text: &str, from: Duration, to: Duration) -> Result<Duration, String> {
    spec::span_within(text, from, to).map_err(|problem| problem.0)
}

/// How far a forecast looks ahead: 1 s to 1 d.
pub(super) fn horizon(text: &str) -> Result<Duration, String> {
    between(text, SECOND, DAY)
}

/// Length of a step, or of the time between origins: 1 s to 1 d.
pub(super) fn step(text: &str) -> Result<Duration, String> {
    between(text, SECOND, DAY)
}

/// A part of a series: 0 s to 366 d.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    between(text, Duration::ZERO, DAY * 366)
}

/// A level: 0.5 to 0.99, the range of the forecaster.
pub(super) fn level(text: &str) -> Result<f64, String> {
    spec::quantile_within(text, 0.5, 0.99).map(spec::Quantile::get).map_err(|problem| problem.0)
}

/// A time zone by its name.
pub(super) fn timezone(text: &str) -> Result<Tz, String> {
    spec::timezone(text).map_err(|problem| problem.0)
}

/// Dates; none is one.
pub(super) fn holidays(text: &str) -> Result<BTreeSet<NaiveDate>, String> {
    match text {
        "" => Ok(BTreeSet::new()),
        text => spec::holidays(text).map_err(|problem| problem.0),
    }
}

/// The models there are.
pub(super) fn models() -> PossibleValuesParser {
    let told = MODELS.iter().map(|kind| PossibleValue::new(kind.name).help(kind.about));
    PossibleValuesParser::new(told)
}

/// `gaps:0.01`, `hole:2h`, `shift:3`, `outlier:50`, `clock:-1h`.
pub(super) fn fault(text: &str) -> Result<Fault, String> {
    let refused = || FAULTS.to_owned();
    let (kind, value) = text.split_once(':').ok_or_else(refused)?;
    let number = |most: f64| {
        let number = value.parse::<f64>().ok();
        number.filter(|number| *number > 0.0 && *number <= most).ok_or_else(refused)
    };
    match kind {
        "gaps" => number(1.0).map(Fault::Gaps),
        "hole" => between(value, SECOND, DAY * 30).map(Fault::Hole),
        "shift" => number(1e6).map(Fault::Shift),
        "outlier" => number(1e6).map(Fault::Outlier),
        "clock" => {
            let (size, sign) = value.strip_prefix('-').map_or((value, 1), |size| (size, -1));
            let by = between(size, SECOND, DAY * 30)?;
            let by = i64::try_from(by.as_millis()).map_err(|_| refused())?;
            Ok(Fault::Clock(sign * by))
        }
        _ => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{fault, level};
    use crate::engine::score::inject::Fault;

    #[test]
    fn faults_are_a_kind_and_a_size() {
        let rows = [
            ("gaps:0.01", Some(Fault::Gaps(0.01))),
            ("hole:2h", Some(Fault::Hole(Duration::from_hours(2)))),
            ("shift:0.333", Some(Fault::Shift(0.333))),
            ("outlier:50", Some(Fault::Outlier(50.0))),
            ("clock:-1h", Some(Fault::Clock(-3_600_000))),
            ("clock:90s", Some(Fault::Clock(90_000))),
            ("gaps:2", None),
            ("gaps:nan", None),
            ("shift:0", None),
            ("hole", None),
            ("hole:x", None),
            ("flood:1", None),
        ];
        for (text, expected) in rows {
            assert_eq!(fault(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn levels_are_those_of_the_forecaster() {
        let rows = [("0.9", Some(0.9)), ("p99", Some(0.99)), ("0.4", None), ("0.999", None)];
        for (text, expected) in rows {
            assert_eq!(level(text).ok(), expected, "{text}");
        }
    }
}
