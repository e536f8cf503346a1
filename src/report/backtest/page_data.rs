//! What the page's charts are drawn from: JSON that may stand inside a `script` element.
//!
//! Given a [`Backtest`], promises one time axis for all policies, at most [`POINTS_MAX`] points on
//! it, numbers rounded to what a screen can show, `null` for what is missing, and no `<` anywhere, so
//! that no name can end the element it stands in.

use serde_json::{Value, json};

use crate::engine::replay::score::Moment;
use crate::report::backtest::data::{ALWAYS_ON, Backtest, CLAIRVOYANT, Entry, Point};
use crate::report::backtest::figures::{best, figures, sweep_front};
use crate::report::line::one_line;

/// More than a screen is wide in points of a chart; 20 policies of it stay below 1 MB.
const POINTS_MAX: usize = 600;

/// Lines that can still be told apart; the reader may switch on the others.
const SHOWN_MAX: usize = 5;

/// The data of all charts.
pub(super) fn embedded(backtest: &Backtest) -> String {
    let axis = axis(&backtest.policies);
    let shown = shown(backtest);
    let policies: Vec<Value> = backtest
        .policies
        .iter()
        .enumerate()
        .map(|(idx, entry)| policy(backtest, entry, &axis, shown.contains(&idx)))
        .collect();
    let front = sweep_front(&backtest.sweep);
    let sweep: Vec<Value> =
        backtest.sweep.iter().zip(front).map(|(point, on)| swept(point, on)).collect();
    let begins = backtest.trace.begins_unix_ms;
    let origin = (begins != 0).then(|| begins.div_euclid(1_000));
    let data = json!({
        "origin": origin,
        "x": axis.iter().map(|at| rounded(*at, 7)).collect::<Vec<_>>(),
        "demand": demand(&backtest.policies, &axis),
        "knee": backtest.world.knee, "ttft": backtest.world.ttft,
        "target": backtest.world.slo_target, "requests": backtest.trace.requests,
        "policies": policies, "sweep": sweep,
    });
    data.to_string().replace('<', "\\u003c")
}

fn swept(point: &Point, on_front: bool) -> Value {
    json!({
        "name": one_line(&point.name), "knob": point.headroom, "attained": point.slo_attainment,
        "hours": point.gpu_hours, "front": on_front,
    })
}

/// The finest course's instants, thinned where they are too many.
fn axis(policies: &[Entry]) -> Vec<f64> {
    let longest = policies.iter().map(|entry| entry.course.as_slice()).max_by_key(|it| it.len());
    let course = longest.unwrap_or_default();
    let stride = course.len().div_ceil(POINTS_MAX).max(1);
    let instants = course.iter().map(|moment| moment.at).filter(|at| at.is_finite());
    instants.step_by(stride).collect()
}

fn demand(policies: &[Entry], axis: &[f64]) -> Vec<Value> {
    let longest = policies.iter().max_by_key(|entry| entry.course.len());
    let course = longest.map_or(&[][..], |entry| &entry.course);
    column(course, axis, |moment| Some(rounded(moment.demand, 4)))
}

fn policy(backtest: &Backtest, entry: &Entry, axis: &[f64], shown: bool) -> Value {
    let Entry { name, course, .. } = entry;
    let figures = figures(entry, &backtest.world);
    json!({
        "name": one_line(name),
        "shown": shown,
        "clairvoyant": name == CLAIRVOYANT,
        "attained": figures.slo_attainment.map(|spread| spread.mean),
        "hours": figures.gpu_hours.map(|spread| spread.mean),
        "replicas": column(course, axis, |moment| Some(json!(moment.replicas))),
        "created": created(course, axis),
        "ready": column(course, axis, |moment| Some(json!(moment.ready))),
        "desired": column(course, axis, |moment| Some(json!(moment.desired))),
        "queue": column(course, axis, |moment| Some(json!(moment.queue))),
        "ttft": column(course, axis, |moment| moment.ttft_p95.map(|ttft| rounded(ttft, 4))),
    })
}

/// A course read off at the instants of `axis`: each instant belongs to the step that ends at it or
/// after it. `null` beyond the course's end.
fn column(course: &[Moment], axis: &[f64], value: fn(&Moment) -> Option<Value>) -> Vec<Value> {
    let at = |instant: &f64| {
        let idx = course.partition_point(|moment| moment.at < *instant);
        course.get(idx).and_then(value).unwrap_or(Value::Null)
    };
    axis.iter().map(at).collect()
}

/// Cold starts since the instant before, at each instant of `axis`.
fn created(course: &[Moment], axis: &[f64]) -> Vec<u32> {
    let mut passed = 0;
    let since = |instant: &f64| {
        let idx = course.partition_point(|moment| moment.at <= *instant);
        let steps = course.get(passed..idx).unwrap_or_default();
        passed = idx.max(passed);
        steps.iter().map(|moment| moment.created).sum()
    };
    axis.iter().map(since).collect()
}

/// To so many significant digits: the rest would only fill the file. `null` where not finite.
fn rounded(value: f64, digits: usize) -> Value {
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    match text.parse::<f64>() {
        Ok(short) if short.is_finite() && short.fract().abs() < f64::EPSILON => {
            // 8 in place of 8.0.
            serde_json::from_str(&format!("{short:.0}")).unwrap_or(Value::Null)
        }
        Ok(short) => json!(short),
        Err(_) => Value::Null,
    }
}

/// The policies that a reader looks for first: the best, always-on, the clairvoyant, ours, the rest.
fn shown(backtest: &Backtest) -> Vec<usize> {
    let best = best(backtest);
    let rank = |idx: usize| match backtest.policies[idx].name.as_str() {
        _ if Some(idx) == best => 0,
        ALWAYS_ON => 1,
        CLAIRVOYANT => 2,
        name if name.starts_with("prescale-") => 3,
        _ => 4,
    };
    let mut order: Vec<usize> = (0..backtest.policies.len()).collect();
    order.sort_by_key(|idx| (rank(*idx), *idx));
    order.truncate(SHOWN_MAX);
    order
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{column, created, rounded};
    use crate::engine::replay::score::Moment;

    #[test]
    fn numbers_are_rounded_to_what_a_screen_shows() {
        let rows = [
            (8.0, "8"),
            (1.234_56, "1.235"),
            (0.000_123_456, "0.0001235"),
            (123_456.0, "123500"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ];
        for (value, expected) in rows {
            assert_eq!(rounded(value, 4).to_string(), expected);
        }
    }

    #[test]
    fn a_course_of_other_steps_is_read_off_at_the_common_instants() {
        let moment = |at: f64, replicas: u32| Moment { at, replicas, ..Moment::default() };
        let course = [moment(10.0, 1), moment(20.0, 2)];
        let axis = [5.0, 10.0, 15.0, 20.0, 25.0];
        let found = column(&course, &axis, |moment| Some(moment.replicas.into()));
        let expected: Vec<Value> = vec![1.into(), 1.into(), 2.into(), 2.into(), Value::Null];
        assert_eq!(found, expected);
    }

    #[test]
    fn no_cold_start_is_lost_between_instants_and_none_told_twice() {
        let moment = |at: f64, created: u32| Moment { at, created, ..Moment::default() };
        let course = [moment(10.0, 1), moment(20.0, 2), moment(30.0, 0), moment(40.0, 4)];
        let rows: [(&[f64], &[u32]); 4] = [
            (&[10.0, 20.0, 30.0, 40.0], &[1, 2, 0, 4]),
            (&[20.0, 40.0], &[3, 4]),
            (&[5.0, 15.0, 50.0], &[0, 1, 6]),
            (&[], &[]),
        ];
        for (axis, expected) in rows {
            assert_eq!(created(&course, axis), expected, "{axis:?}");
        }
    }
}
