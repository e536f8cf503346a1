//! The drawings of one scaler's page, and the table that says the same.

use std::fmt::Write;

use chrono::TimeZone;
use chrono_tz::Tz;

use crate::engine::decision::Short;
use crate::report::explain::data::{Cause, Insight, Moment};
use crate::report::explain::plot::{Frame, Layer, drawings, top};
use crate::report::explain::span::span;
use crate::report::line::escape;

/// How far back a drawing looks.
const DAY_MS: i64 = 86_400_000;
/// How far ahead: the longest horizon.
const AHEAD_MS: i64 = 90 * 60_000;
/// The HPA's tolerance hides nothing up to so many replicas.
const BAND_ABOVE: u32 = 9;

/// What is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) insight: &'a Insight,
    /// Milliseconds since the Unix epoch.
    pub(super) now: i64,
}

impl Drawn<'_> {
    fn zone(&self) -> Tz {
        self.insight.timezone.parse().unwrap_or(Tz::UTC)
    }

    /// The moments that have come.
    fn past(&self) -> impl Iterator<Item = &Moment> {
        self.insight.course.points.iter().filter(|moment| moment.at_ms <= self.now)
    }

    fn frame<'a>(&self, title: &'a str, about: &'a str, top: f64) -> Frame<'a> {
        let first = self.past().next().map_or(self.now, |moment| moment.at_ms);
        // A young scaler's hour is not squeezed into a corner of a day.
        let back = (self.now - first).clamp(2 * 3_600_000, DAY_MS);
        let span = (self.now - back, self.now + AHEAD_MS);
        Frame { title, about, span, now: self.now, zone: self.zone(), top, whole: false }
    }

    fn values(&self, of: impl Fn(&Moment) -> Option<f64>) -> Vec<(i64, Option<f64>)> {
        self.past().map(|moment| (moment.at_ms, of(moment))).collect()
    }

    /// A step holds until the moment's end.
    fn steps(&self, of: impl Fn(&Moment) -> Option<u32>) -> Vec<(i64, Option<f64>)> {
        let mut steps = self.values(|moment| of(moment).map(f64::from));
        if let Some((_, last)) = steps.last().copied() {
            steps.push((self.now, last));
        }
        steps
    }
}

/// Whether there is anything of arrivals or of a forecast.
fn forecasts(drawn: &Drawn<'_>) -> bool {
    drawn.past().any(|it| it.demand.is_some() || it.forecast.is_some())
}

/// Demand and what was foreseen of it.
pub(super) fn demand(drawn: &Drawn<'_>) -> String {
    let arrived = forecasts(drawn);
    let actual = drawn.values(|it| if arrived { it.demand } else { it.need });
    let median = drawn.values(|it| it.median);
    let upper = drawn.values(|it| it.forecast);
    let between = |it: &Moment| (it.at_ms, it.median.zip(it.forecast));
    let past: Vec<_> = drawn.past().map(between).collect();
    let bands = drawn.insight.bands.as_ref();
    let ahead = bands.map_or(&[][..], |bands| &bands.points);
    let ahead = ahead.iter().filter(|it| it.at_ms > drawn.now);
    let future: Vec<_> =
        ahead.map(|it| (it.at_ms, it.median_replicas.zip(it.upper_replicas))).collect();
    let part = |of: fn((f64, f64)) -> f64| {
        future.iter().map(move |(at, both)| (*at, both.map(of))).collect::<Vec<_>>()
    };
    let (low, high) = (part(|(low, _)| low), part(|(_, high)| high));
    let all = actual.iter().chain(&upper).chain(&high).filter_map(|(_, value)| *value);
    let title = "Demand and forecast, replicas";
    let about = "what arrived in the last 24 hours, what was forecast for it, and the largest demand \
                 forecast until each of the next 90 minutes; the same in the table below";
    let frame = drawn.frame(title, about, top(all));
    let layers = [
        Layer::Area("band", past),
        Layer::Area("band ahead", future),
        Layer::Line("line c1 thin", median),
        Layer::Line("line c1", upper),
        Layer::Line("line c1 thin", low),
        Layer::Line("line c1 ahead", high),
        Layer::Line("line c0", actual),
    ];
    let quantile = drawn.insight.foreseen.as_ref().map_or(0.95, |foreseen| foreseen.quantile);
    let upper = format!("forecast p{}", Short(quantile * 100.0));
    let what = if arrived { "what arrived" } else { "the binding term" };
    let mut keys = vec![("c0", what.to_owned())];
    if arrived {
        keys.extend([("c1", upper), ("c1 thin", "median".to_owned())]);
        keys.push(("c1 dashed", "the largest until then".to_owned()));
    }
    figure(title, &drawings(&frame, &layers), &keys)
}

/// Replicas there, needed, forecast and decided.
pub(super) fn replicas(drawn: &Drawn<'_>) -> String {
    let current = drawn.steps(|it| it.current);
    let reactive = drawn.steps(|it| it.reactive);
    let predicted = drawn.steps(|it| it.predicted);
    let wanted = drawn.steps(|it| it.wanted);
    let tolerance = drawn.insight.hpa_tolerance;
    let hidden = |it: &Moment| {
        let current = it.current.filter(|current| *current > BAND_ABOVE).map(f64::from);
        let band = tolerance.zip(current);
        (it.at_ms, band.map(|(share, count)| (count * (1.0 - share), count * (1.0 + share))))
    };
    let dead = levels(drawn.past().map(hidden).collect());
    let lines = [&current, &reactive, &predicted, &wanted];
    let all = lines.into_iter().flatten().filter_map(|(_, value)| *value);
    let title = "Replicas";
    let about =
        "replicas there, needed for demand as it was, asked for by the forecast, and decided";
    let frame = Frame { whole: true, ..drawn.frame(title, about, top(all)) };
    let has_dead = dead.iter().any(|(_, band)| band.is_some());
    let has_forecast = predicted.iter().any(|(_, value)| value.is_some());
    let layers = [
        Layer::Area("dead", dead),
        Layer::Steps("line c2 under", current),
        Layer::Steps("line c1 thin", predicted),
        Layer::Steps("line c3 thin", reactive),
        Layer::Steps("line c0", wanted),
    ];
    let mut keys = vec![("c0", "wanted"), ("c2 under", "there"), ("c3 thin", "reactive")];
    keys.extend(has_forecast.then_some(("c1 thin", "forecast")));
    keys.extend(has_dead.then_some(("dead", "the HPA's dead band")));
    let keys: Vec<_> = keys.into_iter().map(|(class, name)| (class, name.to_owned())).collect();
    figure(title, &drawings(&frame, &layers), &keys)
}

/// Each value until the next one's instant.
fn levels<T: Copy>(points: Vec<(i64, Option<T>)>) -> Vec<(i64, Option<T>)> {
    let ends = points.iter().skip(1).map(|(at, _)| *at).chain(points.last().map(|(at, _)| *at));
    let ends: Vec<i64> = ends.collect();
    let both = points.into_iter().zip(ends);
    both.flat_map(|((at, value), end)| [(at, value), (end, value)]).collect()
}

fn figure(heading: &str, drawing: &str, keys: &[(&str, String)]) -> String {
    let item = |(class, name): &(&str, String)| {
        format!("<li><i class=\"{class}\"></i>{}</li>", escape(name))
    };
    let keys: String = keys.iter().map(item).collect();
    format!(
        "<figure><figcaption><h2>{}</h2></figcaption>\n<ul class=\"key\">{keys}</ul>\n{drawing}</figure>\n",
        escape(heading)
    )
}

/// For how long what shaped the decisions, with bars.
pub(super) fn causes(causes: &[Cause]) -> String {
    let Some(most) = causes.first().map(|cause| cause.minutes) else {
        return "<p class=\"note\">Nothing was decided so far.</p>".to_owned();
    };
    let mut text = String::from(
        "<table class=\"causes\"><thead><tr><th scope=\"col\">Reason</th><th scope=\"col\">Time</th>\
         <th scope=\"col\"><span class=\"hidden\">Share of the longest</span></th></tr></thead><tbody>\n",
    );
    for cause in causes {
        let wide = cause.minutes / most.max(f64::MIN_POSITIVE) * 100.0;
        let _ = writeln!(
            text,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"bar\"><svg viewBox=\"0 0 100 8\" \
             preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{wide:.1}\" height=\"8\"/>\
             </svg></td></tr>",
            escape(cause.reason),
            span(cause.minutes * 60.0)
        );
    }
    text + "</tbody></table>\n"
}

/// Every moment as a row.
pub(super) fn table(drawn: &Drawn<'_>) -> String {
    let zone = drawn.zone();
    let heads = [
        "time",
        "arrived",
        "binding term",
        "median",
        "forecast",
        "there",
        "reactive",
        "predicted",
        "wanted",
        "auto",
    ];
    let heads: String = heads.map(|head| format!("<th scope=\"col\">{head}</th>")).concat();
    let mut text = format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Course\"><table><caption>Every \
         five minutes, {}; in replicas; the largest of the five minutes, newest first</caption><thead>\
         <tr>{heads}</tr></thead><tbody>\n",
        escape(&drawn.insight.timezone)
    );
    let past: Vec<&Moment> = drawn.past().collect();
    for moment in past.iter().rev() {
        let real = |value: Option<f64>| value.map_or("-".to_owned(), |it| Short(it).to_string());
        let whole = |count: Option<u32>| count.map_or("-".to_owned(), |it| it.to_string());
        let local = zone.timestamp_millis_opt(moment.at_ms).single();
        let time = local.map_or("-".to_owned(), |it| it.format("%m-%d %H:%M").to_string());
        let Moment { demand, need, median, forecast, .. } = moment;
        let Moment { current, reactive, predicted, wanted, auto, .. } = moment;
        let cells = [*demand, *need, *median, *forecast].map(real).into_iter();
        let cells = cells.chain([*current, *reactive, *predicted, *wanted, *auto].map(whole));
        let cells: String = cells.map(|cell| format!("<td>{cell}</td>")).collect();
        let _ = writeln!(text, "<tr><th scope=\"row\">{time}</th>{cells}</tr>");
    }
    text + "</tbody></table></div>\n"
}
