//! The history that options ask for.

use tokio::runtime::Builder;

use crate::backtest::error::Error;
use crate::backtest::input::{Question, Recorded, Sizes, generate, read_file, read_prometheus};
use crate::backtest::options::{Options, Source, Tokens};
use crate::backtest::progress::{Listener, Progress};
use crate::clock::Clock;
use crate::engine::replay::knee::knee;
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::shapes::{Parameters, SHAPES};
use crate::source::config::DatasourceConfig;
use crate::source::history::{Progress as Stages, rfc3339};

const READING: &str = "reading the history";

/// Heights of generators are in pods; one of them carries this share of what this hardware carries at
/// saturation. That of the published ramp: 1.1 of 1.45 requests per second.
const POD_SHARE: f64 = 0.75;

/// Reads it, with `settings` for those whose height is in pods.
pub(super) fn read(
    options: &Options,
    settings: &Settings,
    listener: Listener<'_>,
) -> Result<Recorded, Error> {
    let usual = sizes(options.tokens, Sizes::default());
    listener(Progress::Phase(READING));
    match &options.source {
        Source::File(path) => Ok(read_file(path, usual)?),
        Source::Prometheus { url, query, range, until } => {
            let clock = Clock::system();
            let now = clock.now();
            if let Some(until) = until.filter(|until| *until > now) {
                return Err(Error::Ahead(rfc3339(until)));
            }
            let question = Question {
                datasource: DatasourceConfig::at(url.clone()),
                query: query.clone(),
                range: *range,
                end: until.unwrap_or(now),
            };
            asked(&question, usual, &clock, listener)
        }
        Source::Generator { name, days } => made_up(name, *days, options.tokens, settings),
    }
}

fn asked(
    question: &Question,
    sizes: Sizes,
    clock: &Clock,
    listener: Listener<'_>,
) -> Result<Recorded, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let mut told = |Stages { done, all }| {
        listener(Progress::Phase(&format!("{READING}, part {done} of {all}")));
    };
    Ok(runtime.block_on(read_prometheus(question, sizes, clock, &mut told))?)
}

fn sizes(Tokens { prompt, output, cached }: Tokens, default: Sizes) -> Sizes {
    Sizes {
        prompt: prompt.unwrap_or(default.prompt),
        output: output.unwrap_or(default.output),
        cached,
    }
}

fn made_up(
    name: &str,
    days: Option<f64>,
    tokens: Tokens,
    settings: &Settings,
) -> Result<Recorded, Error> {
    let own = SHAPES.iter().find(|shape| shape.name == name).map(|shape| shape.sizes);
    let (prompt, output) = own.unwrap_or((1, 1));
    let sizes = sizes(tokens, Sizes { prompt, output, ..Sizes::default() });
    let Sizes { prompt, output, .. } = sizes;
    let one = Arrival { at: std::time::Duration::ZERO, prompt, cached: 0, output };
    let knee = knee(settings, &[one; 64]);
    if !(knee.is_finite() && knee > 0.0) {
        return Err(Error::NoKnee {
            profile: settings.profile.name.clone(),
            history: name.to_owned(),
        });
    }
    let pod_rate = POD_SHARE * knee;
    Ok(generate(name, Parameters { pod_rate, days }, Some(sizes))?)
}
