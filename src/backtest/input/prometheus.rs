//! The last weeks of a user's own Prometheus.

use std::time::Duration;

use crate::backtest::input::draw::{Step, as_f64};
use crate::backtest::input::error::InputError;
use crate::backtest::input::recorded::{Origin, Recorded};
use crate::backtest::input::sizes::Sizes;
use crate::clock::Clock;
use crate::engine::series::Sample;
use crate::engine::units::Timestamp;
use crate::source::config::DatasourceConfig;
use crate::source::history::{self, History, Progress, Window};
use crate::source::prometheus::Datasource;
use crate::source::prometheus::metrics::Metrics;

/// The step that is asked for.
const STEP: Duration = Duration::from_secs(60);

/// Time for one stage where the datasource has no limit of its own: Prometheus gives a query two
/// minutes, and whoever waits sees the stages go by.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Requests per second that no service has: beyond it a counter was asked for without `rate()`.
const RATE_MAX: f64 = 1e7;

/// The longest range; as for files.
const RANGE_MAX: Duration = Duration::from_secs(400 * 86_400);

/// What is asked of which server.
#[derive(Debug, Clone)]
pub struct Question {
    /// The server; [`DatasourceConfig::at`] for one of which only the URL is known.
    pub datasource: DatasourceConfig,
    /// Gives arrivals per second, as one series: `sum(rate(vllm:request_success_total[1m]))`.
    pub query: String,
    /// How far back, one minute to 400 days; rounded down to whole minutes.
    pub range: Duration,
    /// Where it ends; rounded down to a whole minute, so that stages can be answered from caches.
    pub end: Timestamp,
}

/// Reads the history of a query at steps of a minute. `progress` is told before the first stage and
/// after each. What the query says at an instant is taken for the minute before it.
///
/// # Errors
/// When the server cannot be asked, a stage stays unanswered (its range is named), the query has
/// several series, or its values are not arrivals per second.
pub async fn read_prometheus(
    question: &Question,
    sizes: Sizes,
    clock: &Clock,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Recorded, InputError> {
    let window = window(question)?;
    let mut config = question.datasource.clone();
    config.timeout = config.timeout.or(Some(TIMEOUT));
    let datasource = Datasource::open("backtest", &config, clock.clone(), Metrics::default())
        .map_err(InputError::Datasource)?;
    let read = history::read(&datasource, clock, &question.query, window, progress).await;
    recorded(question, window, &read.map_err(InputError::History)?, sizes)
}

fn window(question: &Question) -> Result<Window, InputError> {
    let range = question.range;
    if !(STEP..=RANGE_MAX).contains(&range) {
        return Err(InputError::Parameter {
            parameter: "range in seconds",
            value: range.as_secs_f64(),
            problem: "is not from 60 to 34560000 (400 days)",
        });
    }
    let whole_minutes =
        |ms: u128| Duration::from_secs(60 * u64::try_from(ms / 60_000).unwrap_or(0));
    let of_epoch = question.end.since(Timestamp::default()).as_millis();
    let until = Timestamp::default().plus(whole_minutes(of_epoch));
    Ok(Window { after: until.minus(whole_minutes(range.as_millis())), until, step: STEP })
}

fn recorded(
    question: &Question,
    window: Window,
    history: &History,
    sizes: Sizes,
) -> Result<Recorded, InputError> {
    let samples = history.series.samples();
    let (asked, window) = (window, begun(window, samples));
    let steps: Vec<Step> =
        samples.iter().map(|sample| step(sample, window, sizes)).collect::<Result<_, _>>()?;
    if steps.iter().all(|step| step.count <= 0.0) {
        return Err(InputError::Nobody {
            from: history::rfc3339(asked.after),
            until: history::rfc3339(window.until),
            problem: if steps.is_empty() { "no value" } else { "no value above 0" },
        });
    }
    Ok(Recorded {
        name: question.query.clone(),
        begins: Some(window.after),
        length: window.until.since(window.after),
        notes: notes((asked, window), history),
        sizes,
        origin: Origin::Counts(steps),
    })
}

/// From the first value on: before it nothing was counted, which is not that nobody came.
fn begun(window: Window, samples: &[Sample]) -> Window {
    let first = samples.first().map(|sample| sample.at.minus(window.step));
    Window { after: first.map_or(window.after, |first| first.max(window.after)), ..window }
}

/// What arrived in the minute up to a sample.
fn step(sample: &Sample, window: Window, sizes: Sizes) -> Result<Step, InputError> {
    let Sample { at, value } = *sample;
    if !(0.0..=RATE_MAX).contains(&value) {
        return Err(InputError::Rate { at: history::rfc3339(at), value, most: RATE_MAX });
    }
    let Sizes { prompt, output, .. } = sizes;
    let count = value * window.step.as_secs_f64();
    let at = at.minus(window.step).since(window.after);
    Ok(Step { at, width: window.step, count, prompt, output })
}

fn notes((asked, window): (Window, Window), history: &History) -> Vec<String> {
    let mut notes = Vec::new();
    if window.after > asked.after {
        let [asked, first] = [asked.after, window.after].map(history::rfc3339);
        notes.push(format!("nothing is known before {first}: it begins there, not at {asked}"));
    }
    let all = window.until.since(window.after).div_duration_f64(window.step);
    let missing = all - as_f64(history.series.samples().len());
    if missing > 0.0 {
        notes.push(format!("{missing:.0} steps without a value: nobody arrives in them"));
    }
    if history.partial > 0 {
        let stages = history.partial;
        notes.push(format!("the server said {stages} times that something may be missing"));
    }
    notes.push("rates are rounded to requests by chance, right in the mean".to_owned());
    notes
}
