//! A backtest as JSON, for programs.
//!
//! A contract: the keys below stay, more may follow. Each figure is a mean over the seeds, and its
//! sample standard deviation stands beside it under `..._sd`. Seconds, shares in 0..1; what no seed
//! measured, and a spread of fewer than two, is `null`. The course over time is left to the page.

use serde_json::{Map, Value, json};

use crate::report::backtest::data::{Backtest, Entry, Point};
use crate::report::backtest::figures::{Figures, Need, Spread, best, figures, need, sweep_front};

/// The whole report.
#[must_use]
pub fn json(backtest: &Backtest) -> Value {
    let Backtest { trace, world, policies, sweep, advice, command } = backtest;
    let best = best(backtest).map(|idx| policies[idx].name.as_str());
    let policies: Vec<Value> = policies.iter().map(|entry| policy(backtest, entry)).collect();
    let sweep: Vec<Value> =
        sweep.iter().zip(sweep_front(sweep)).map(|(point, on)| swept(point, on)).collect();
    json!({
        "trace": trace, "policies": policies, "sweep": sweep, "world": world, "best": best,
        "advice": advice, "command": command,
    })
}

fn swept(point: &Point, on_front: bool) -> Value {
    let Point { name, headroom, slo_attainment, gpu_hours } = point;
    json!({
        "name": name, "headroom": headroom, "slo_attainment": slo_attainment,
        "gpu_hours": gpu_hours, "pareto": on_front,
    })
}

fn policy(backtest: &Backtest, entry: &Entry) -> Value {
    let Entry { name, about, source, simplifications, knob, scores, course: _ } = entry;
    let mut object = Map::new();
    object.insert("name".to_owned(), json!(name));
    for (key, spread) in keys(figures(entry, &backtest.world)) {
        let sd = spread.and_then(|spread| spread.sd);
        object.insert(key.to_owned(), json!(spread.map(|spread| spread.mean)));
        object.insert(format!("{key}_sd"), json!(sd));
    }
    let knob = knob.as_ref().map(|(name, value)| json!({"name": name, "value": value}));
    object.insert("seeds".to_owned(), json!(scores.len()));
    object.insert("knob".to_owned(), json!(knob));
    object.insert("at_target".to_owned(), json!(need(backtest, name).map(needed)));
    object.insert("about".to_owned(), json!(about));
    object.insert("source".to_owned(), json!(source));
    object.insert("simplifications".to_owned(), json!(simplifications));
    Value::Object(object)
}

/// GPU-hours at the attainment aimed at; `at_most` where the cheapest setting tried is above it.
fn needed(need: Need) -> Value {
    match need {
        Need::Interpolated(hours) => json!({"gpu_hours": hours, "at_most": false}),
        Need::AtMost(hours) => json!({"gpu_hours": hours, "at_most": true}),
        Need::Never => json!({"gpu_hours": null, "at_most": false}),
    }
}

fn keys(figures: Figures) -> [(&'static str, Option<Spread>); 17] {
    let Figures {
        slo_attainment,
        gpu_hours,
        replicas_mean,
        replicas_min,
        replicas_max,
        desired_min,
        desired_max,
        cold_starts,
        scale_events,
        wakes,
        wakes_awaited,
        ttft_p50,
        ttft_p95,
        ttft_p99,
        failed_requests,
        requests,
        cost,
    } = figures;
    [
        ("slo_attainment", slo_attainment),
        ("gpu_hours", gpu_hours),
        ("replicas_mean", replicas_mean),
        ("replicas_min", replicas_min),
        ("replicas_max", replicas_max),
        ("desired_min", desired_min),
        ("desired_max", desired_max),
        ("cold_starts", cold_starts),
        ("scale_events", scale_events),
        ("ttft_p50", ttft_p50),
        ("ttft_p95", ttft_p95),
        ("ttft_p99", ttft_p99),
        ("failed_requests", failed_requests),
        ("cost", cost),
        ("wakes", wakes),
        ("wakes_awaited", wakes_awaited),
        ("requests", requests),
    ]
}
