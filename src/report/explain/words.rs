//! The explanation: a decision and all that it rests on, a line each, in the order to be read.
//!
//! The page, the API and `prescale explain` show these lines as they are. Every text is one line
//! without control characters; what each means is in docs/explain.md.

use crate::engine::cold_start::SEED;
use crate::engine::decision::{Short, State};
use crate::engine::foresight::BUDGET;
use crate::report::explain::data::{
    CapacityLine, Cause, Coverage, ForeseenLine, Insight, LeadLine, Stages, Standing, Told,
};
use crate::report::explain::span::span;
use crate::report::facts::{Answer, Report};
use crate::report::line::one_line;

/// Terms told; the binding ones come first.
const TERMS_MAX: usize = 8;
/// Reasons of the day told.
const CAUSES_MAX: usize = 6;
/// Metrics that were not found and are named; more are counted.
const MISSING_MAX: usize = 4;
/// Beyond this many replicas the HPA's tolerance hides a step of one.
const BAND_ABOVE: u32 = 9;
/// Kubernetes' default where neither behavior nor the trigger says otherwise.
const TOLERANCE: f64 = 0.1;

/// The lines.
pub(super) fn lines(report: &Report, standing: &Standing, insight: &Insight) -> Vec<Told> {
    let mut lines = Lines(Vec::new());
    told(report, &mut lines);
    demand(report, &mut lines);
    for reason in &report.reasons {
        lines.add("reason", &reason.text);
    }
    ahead(standing, insight, &mut lines);
    if let Some(history) = &insight.history {
        lines.add("history", history);
    }
    lines.add("lead time", &lead(&insight.lead));
    lines.add("one replica", &capacity(&insight.capacity));
    lines.add("limits", &limits(standing));
    hpa(report, insight, &mut lines);
    sources(report, &mut lines);
    if !insight.causes.is_empty() {
        lines.add("last 24 h", &causes(&insight.causes));
    }
    lines.add("verdict", &insight.verdict.text);
    insight.verdict.evidence.iter().for_each(|line| lines.add("evidence", line));
    insight.verdict.next.iter().for_each(|line| lines.add("next", line));
    lines.0
}

struct Lines(Vec<Told>);

impl Lines {
    fn add(&mut self, topic: &'static str, text: &str) {
        self.0.push(Told { topic, text: one_line(text) });
    }
}

/// State and number.
fn told(report: &Report, lines: &mut Lines) {
    let Some(state) = report.state else {
        lines.add("decision", "not decided yet: the first reading is not finished");
        return;
    };
    lines.add("decision", &number(&report.answer));
    if let Some(unmasked) = &report.unmasked {
        lines.add("shadow", &format!("without shadow: {}", number(unmasked)));
    }
    lines.add("state", &format!("{state}: {}", meaning(state)));
    let count = |replicas: Option<u32>| replicas.map_or("unknown".to_owned(), |n| n.to_string());
    let age = report.data_age_seconds.map_or("none".to_owned(), |age| format!("{} old", span(age)));
    lines.add(
        "replicas",
        &format!("{} there, {} ready; data {age}", count(report.current), count(report.ready)),
    );
}

fn number(answer: &Answer) -> String {
    let active = match answer.active {
        Some(true) => "active",
        Some(false) => "inactive",
        None => "activity unknown",
    };
    match (answer.desired, &answer.error) {
        (Some(desired), _) if answer.sent == Some(desired) => {
            format!("{}, {active}", replicas(desired))
        }
        (Some(desired), _) => {
            let sent = answer.sent.unwrap_or(desired);
            format!("{}, {active}; {sent} is sent to leave the HPA's dead band", replicas(desired))
        }
        (None, Some(error)) => format!("no number, KEDA and the HPA hold what they have: {error}"),
        (None, None) => "none yet".to_owned(),
    }
}

fn replicas(count: u32) -> String {
    format!("{count} replica{}", if count == 1 { "" } else { "s" })
}

const fn meaning(state: State) -> &'static str {
    match state {
        State::Fresh => "all that is required is known and recent",
        State::Hold => "data is old; the last good number stands, more is still possible",
        State::Blind => "data is too old for any number; an error is sent, which holds",
        State::Cold => "no data came so far",
        State::Asleep => "no replicas, and nothing asks for one",
        State::AsleepBlind => "no replicas, and where demand would show cannot be read",
        State::Waking => "a wake is not answered yet, or pods are loading",
        State::Partial => "some ready pods could not be read; nothing goes down",
    }
}

fn demand(report: &Report, lines: &mut Lines) {
    for term in report.terms.iter().take(TERMS_MAX) {
        let binding = if term.binding { "  <- binding" } else { "" };
        lines.add("demand", &format!("{}{binding}", term.text));
    }
    if report.terms.is_empty() && report.state.is_some() {
        lines.add("demand", "no term of demand could be computed");
    }
}

/// Reactive number, forecast, trust, stage, coverage.
fn ahead(standing: &Standing, insight: &Insight, lines: &mut Lines) {
    let Some(foreseen) = &insight.foreseen else {
        let why = if standing.strategy == "reactive" {
            "none: scaleStrategy is reactive"
        } else {
            "none yet: no minute of arrivals was learned"
        };
        lines.add("forecast", why);
        return;
    };
    lines.add(
        "reactive",
        &format!(
            "{} for demand as it is now, using {:.0} % of what a replica can",
            replicas(foreseen.reactive),
            foreseen.headroom * 100.0
        ),
    );
    lines.add("forecast", &forecast(foreseen));
    if let Some(adds) = foreseen.adds {
        lines.add("bill", &bill(foreseen, adds));
    }
    lines.add("trust", &trust(standing, foreseen));
    let next =
        foreseen.next_stage_seconds.map(|seconds| format!("; the next in {}", span(seconds)));
    let next = next.unwrap_or_default();
    lines.add("stage", &format!("{}: {}{next}", foreseen.stage, stage(&foreseen.stage)));
    if let Some(coverage) = insight.coverage {
        lines.add("coverage", &covered(coverage));
    }
}

fn forecast(foreseen: &ForeseenLine) -> String {
    let quantile = Short(foreseen.quantile * 100.0);
    let horizon = span(foreseen.horizon_seconds);
    match (foreseen.replicas, foreseen.equivalents) {
        _ if foreseen.stage == "cold" => format!("none yet for p{quantile} within {horizon}"),
        (Some(count), Some(equivalents)) => format!(
            "{}: p{quantile} of the largest demand within {horizon} is {} replicas",
            replicas(count),
            Short(equivalents)
        ),
        _ => format!(
            "no number of replicas: what one replica carries is not known (p{quantile} within \
             {horizon})"
        ),
    }
}

/// What the forecast costs, and what pays for it.
fn bill(foreseen: &ForeseenLine, adds: f64) -> String {
    let added = format!("the forecast adds {:.1} %", adds.max(0.0) * 100.0);
    let part = foreseen.share.map(|share| (share * 100.0).round()).filter(|part| *part < 100.0);
    if adds <= BUDGET && part.is_none() {
        return format!("{added}: nothing gives way");
    }
    if !foreseen.counts {
        return format!("{added}, for which margin or a part of it would give way if it counted");
    }
    let quantile = Short(foreseen.quantile * 100.0);
    let held =
        format!("in force are {:.0} % of a replica and p{quantile}", foreseen.headroom * 100.0);
    match part {
        Some(part) => {
            format!("{added}: of what it asks for beyond demand {part:.0} % counts; {held}")
        }
        None => format!("{added}, for which margin gives way: {held}"),
    }
}

fn trust(standing: &Standing, foreseen: &ForeseenLine) -> String {
    let counts = match (foreseen.counts, standing.strategy) {
        (true, _) => "it counts",
        (false, "observer") => "it does not count: scaleStrategy is observer",
        (false, _) => "it does not count",
    };
    format!("{counts}; {}", foreseen.trust)
}

fn stage(name: &str) -> &'static str {
    match name {
        "cold" => "too little was seen",
        "started" => "an hour or more was seen, times of day are unknown",
        "day" => "times of day are known",
        "week" => "days of the week are known",
        _ => "",
    }
}

fn covered(coverage: Coverage) -> String {
    let Coverage { quantile, share, minutes } = coverage;
    format!(
        "{:.1} % of the last day's forecasts sufficed, {:.0} % were to; {minutes} judged in all",
        share * 100.0,
        quantile * 100.0
    )
}

fn lead(lead: &LeadLine) -> String {
    // Parts add up where they are told in seconds.
    let span = |part: f64| if lead.seconds < 900.0 { format!("{part:.0} s") } else { span(part) };
    let total = span(lead.seconds);
    if lead.fixed {
        return format!(
            "{total}, as scaleUpForward says; cold starts take {} (P90)",
            span(lead.cold_start_seconds)
        );
    }
    let learned = match lead.cold_starts {
        0 => "assumed, none was seen".to_owned(),
        seen if lead.cold_starts_assumed == 0 => format!("P90 of {seen} seen"),
        seen => format!(
            "P90 of {seen} seen and {} of {:.0} s assumed",
            lead.cold_starts_assumed,
            SEED.as_secs_f64()
        ),
    };
    let stages = lead.stages.map_or_else(String::new, |stages| {
        let Stages { scheduling_seconds, image_seconds, load_seconds } = stages;
        let [scheduling, image, load] =
            [scheduling_seconds, image_seconds, load_seconds].map(|part| format!("{part:.0} s"));
        format!("; half of them within: scheduling {scheduling}, image {image}, load {load}")
    });
    format!(
        "{total} = cold start {} ({learned}{stages}) + {} for KEDA, HPA, scrape and tick",
        span(lead.cold_start_seconds),
        span(lead.reaction_seconds)
    )
}

fn capacity(capacity: &CapacityLine) -> String {
    let CapacityLine {
        requests_per_second,
        output_tokens_per_second,
        prompt_tokens_per_second,
        kv_tokens,
        observed,
    } = *capacity;
    let parts: Vec<String> = [
        (requests_per_second, "requests/s"),
        (output_tokens_per_second, "output tokens/s"),
        (prompt_tokens_per_second, "prompt tokens/s"),
        (kv_tokens, "KV tokens"),
    ]
    .into_iter()
    .filter_map(|(value, unit)| Some(format!("{} {unit}", Short(value?))))
    .collect();
    if parts.is_empty() {
        return "not known what it carries; your own targets need no such number".to_owned();
    }
    let how = if observed { "seen at saturation" } else { "not yet seen at saturation" };
    format!("{} ({how})", parts.join(", "))
}

fn limits(standing: &Standing) -> String {
    let min = standing.min.map_or("no minimum set".to_owned(), |min| format!("at least {min}"));
    format!("{min}, at most {}", standing.max)
}

/// What the HPA does with the number.
fn hpa(report: &Report, insight: &Insight, lines: &mut Lines) {
    let (Some(current), Some(sent)) = (report.current, report.answer.sent) else { return };
    // Under shadow what is sent is not meant.
    if current <= BAND_ABOVE || report.unmasked.is_some() {
        return;
    }
    let given = insight.hpa_tolerance;
    let tolerance = given.unwrap_or(TOLERANCE);
    let band = f64::from(current) * tolerance;
    let (low, high) = ((f64::from(current) - band).ceil(), (f64::from(current) + band).floor());
    let off = (f64::from(sent) - f64::from(current)).abs();
    let does = match () {
        () if sent == current => "nothing to do",
        () if off <= band => "it ignores this step",
        () => "it follows",
    };
    let source = if given.is_some() {
        "hpaTolerance"
    } else {
        "its default; a behavior with tolerance 0 has no dead band"
    };
    lines.add(
        "HPA",
        &format!(
            "dead band {:.0} % of {current} ({source}) is {low:.0} to {high:.0}: {does}",
            tolerance * 100.0
        ),
    );
}

/// What was not found or read.
fn sources(report: &Report, lines: &mut Lines) {
    for fault in &report.faults {
        lines.add("unread", fault);
    }
    let missing: Vec<_> = report.searched.iter().filter(|it| it.found.is_none()).collect();
    if missing.len() > MISSING_MAX {
        let (missed, all) = (missing.len(), report.searched.len());
        let why = if report.current == Some(0) { ": no pod is there to show them" } else { "" };
        lines.add("not found", &format!("{missed} of {all} metrics{why}"));
    } else {
        for searched in missing {
            let tried = searched.tried.join(", ");
            lines.add("not found", &format!("{}: tried {tried}", searched.role));
        }
    }
}

fn causes(causes: &[Cause]) -> String {
    let told = causes.iter().take(CAUSES_MAX);
    let told = told.map(|cause| format!("{} {}", cause.reason, span(cause.minutes * 60.0)));
    told.collect::<Vec<_>>().join(", ")
}
