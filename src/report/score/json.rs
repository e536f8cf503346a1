//! A score as JSON, for programs.
//!
//! A contract: the keys below stay, more may follow. Seconds and shares in 0..1; what was not measured
//! is `null`. `micros_per_update` depends on the machine, everything else on the input alone.

use serde_json::{Map, Value, json};

use crate::engine::score::data::{Ahead, FINE_LEVELS, Figures, ModelScore, Place, Scored, Scores};
use crate::engine::score::summary::{Row, Standing, Summary, relative, summary};

/// Places of coverage by hour: there are a hundred such figures for each model and horizon.
const HOUR_PLACES: f64 = 1e4;

/// The whole report.
#[must_use]
pub fn json(scores: &Scores, notes: &[String]) -> Value {
    let Scores { levels, horizons, models, warmup, timezone, series } = scores;
    let seconds: Vec<f64> = horizons.iter().map(std::time::Duration::as_secs_f64).collect();
    json!({
        "series": series.iter().map(|scored| one(scores, scored)).collect::<Vec<_>>(),
        "summary": summary(scores).iter().map(|it| summed(levels, it)).collect::<Vec<_>>(),
        "quantiles": levels, "horizons_s": seconds, "models": models,
        "warmup_s": warmup.as_secs_f64(), "timezone": timezone, "notes": notes,
    })
}

fn one(scores: &Scores, scored: &Scored) -> Value {
    let Scored { file, group, step, n, gaps, warmup, origins, skipped, .. } = scored;
    let models = scored.models.iter().flat_map(|model| {
        let told = move |(idx, ahead)| entry(scores, scored, model, (idx, ahead));
        scored.horizons.iter().enumerate().map(told)
    });
    let disturbed = scored.disturbed.as_ref().map(|place| {
        let Place { what, begins, lasts } = place;
        json!({"what": what, "begins_s": begins.as_secs_f64(), "lasts_s": lasts.as_secs_f64()})
    });
    json!({
        "file": file, "group": group, "step_s": step.as_secs_f64(), "n": n, "gaps": gaps,
        "warmup_s": step.as_secs_f64() * f64::from(*warmup), "origins": origins,
        "origins_skipped": skipped, "disturbed": disturbed, "models": models.collect::<Vec<_>>(),
    })
}

fn entry(scores: &Scores, scored: &Scored, model: &ModelScore, at: (usize, &Ahead)) -> Value {
    let (idx, ahead) = at;
    let ModelScore { name, micros_per_update, cells, undisturbed } = model;
    let [own, window] = relative(scored, name, ahead.asked);
    let cell = cells.get(idx).cloned().unwrap_or_default();
    let before = undisturbed.get(idx);
    let mut object = figures(&scores.levels, &cell.at, before.map(|cell| &cell.at), own);
    let before = before.map(|cell| &cell.window_max);
    let window = figures(&scores.levels, &cell.window_max, before, window);
    object.insert("name".to_owned(), json!(name));
    object.insert("horizon_s".to_owned(), json!(ahead.span.as_secs_f64()));
    object.insert("asked_s".to_owned(), json!(ahead.asked.as_secs_f64()));
    object.insert("mase".to_owned(), json!(cell.at.mase));
    object.insert("window_max".to_owned(), Value::Object(window));
    object.insert("micros_per_update".to_owned(), json!(micros_per_update));
    Value::Object(object)
}

fn figures(
    levels: &[f64],
    own: &Figures,
    before: Option<&Figures>,
    relative: Option<f64>,
) -> Map<String, Value> {
    let Figures { n, wql, coverage, coverage_by_hour, width, mase: _, reliability, wql_late } = own;
    let hours = |shares: &[Option<f64>; 24]| json!(shares.map(|share| share.map(rounded)));
    let by_hour: Vec<Value> = coverage_by_hour.iter().map(hours).collect();
    let mut object = Map::new();
    object.insert("n".to_owned(), json!(n));
    object.insert("wql".to_owned(), json!(wql));
    object.insert("relative_wql".to_owned(), json!(relative));
    object.insert("coverage".to_owned(), keyed(levels, coverage));
    object.insert("width".to_owned(), keyed(levels, width));
    object.insert("coverage_by_hour".to_owned(), keyed(levels, &by_hour));
    if !reliability.is_empty() {
        object.insert("reliability".to_owned(), keyed(&FINE_LEVELS, reliability));
    }
    if let Some(before) = before {
        object.insert("wql_undisturbed".to_owned(), json!(before.wql));
        object.insert("wql_after_a_day".to_owned(), json!(wql_late));
        object.insert("wql_undisturbed_after_a_day".to_owned(), json!(before.wql_late));
    }
    object
}

/// Values by level: `{"0.9": ..}`.
fn keyed<T: serde::Serialize>(levels: &[f64], values: &[T]) -> Value {
    levels.iter().zip(values).map(|(level, value)| (level.to_string(), json!(value))).collect()
}

fn rounded(share: f64) -> f64 {
    (share * HOUR_PLACES).round() / HOUR_PLACES
}

fn summed(levels: &[f64], summary: &Summary) -> Value {
    let Summary { asked, series, rows } = summary;
    let row = |row: &Row| {
        let Row { name, at, window_max } = row;
        let mut object = standing(levels, at);
        object.insert("name".to_owned(), json!(name));
        object.insert("window_max".to_owned(), Value::Object(standing(levels, window_max)));
        Value::Object(object)
    };
    let models: Vec<Value> = rows.iter().map(row).collect();
    json!({"horizon_s": asked.as_secs_f64(), "series": series, "models": models})
}

fn standing(levels: &[f64], standing: &Standing) -> Map<String, Value> {
    let Standing { relative, series, worse, worst, coverage_error, harm, harm_late } = standing;
    let spread =
        |told: &Option<(f64, f64)>| told.map(|(mean, worst)| json!({"mean": mean, "worst": worst}));
    let errors: Vec<Option<Value>> = coverage_error.iter().map(spread).collect();
    let worst = worst.as_ref().map(|(series, ratio)| json!({"series": series, "ratio": ratio}));
    let mut object = Map::new();
    object.insert("relative_wql".to_owned(), json!(relative));
    object.insert("series".to_owned(), json!(series));
    object.insert("worse".to_owned(), json!(worse));
    object.insert("worst".to_owned(), json!(worst));
    object.insert("coverage_error".to_owned(), keyed(levels, &errors));
    if harm.is_some() || harm_late.is_some() {
        object.insert("disturbed_to_undisturbed".to_owned(), json!(spread(harm)));
        object.insert("disturbed_to_undisturbed_after_a_day".to_owned(), json!(spread(harm_late)));
    }
    object
}
