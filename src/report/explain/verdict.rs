//! Whether to let the forecast act: the verdict, what it rests on, what to do.
//!
//! Ready means: judged for six hours at least and found no worse than its better rival, times of day
//! are known, and what came was at or below the forecast about as often as promised. None of this is
//! needed for safety, `auto` believes a forecast only while it earns it; it is what makes the switch
//! worth it.

use crate::engine::decision::{Foreseen, Stage, Trust};
use crate::engine::setup::{Setup, Strategy};
use crate::report::explain::data::{Course, Coverage, Readiness, Verdict};
use crate::report::explain::span::span;

/// Coverage this far below its promise is what a day of 1440 dependent forecasts may show by chance.
const SHORT: f64 = 0.03;

/// What the verdict rests on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) setup: &'a Setup,
    pub(super) foreseen: Option<&'a Foreseen>,
    pub(super) coverage: Option<Coverage>,
    pub(super) course: &'a Course,
    /// The error that is sent in place of a number.
    pub(super) error: Option<&'a str>,
}

/// The verdict.
pub(super) fn verdict(seen: &Evidence<'_>) -> Verdict {
    let readiness = readiness(seen);
    let evidence = match readiness {
        Readiness::Off => Vec::new(),
        Readiness::Acting
        | Readiness::Demoted
        | Readiness::Ready
        | Readiness::NotYet
        | Readiness::Unready => evidence(seen),
    };
    Verdict { readiness, text: text(seen, readiness), evidence, next: next(seen, readiness) }
}

fn readiness(seen: &Evidence<'_>) -> Readiness {
    let strategy = seen.setup.strategy;
    if strategy == Strategy::Reactive {
        return Readiness::Off;
    }
    let acts = matches!(strategy, Strategy::Auto | Strategy::Proactive);
    let Some(foreseen) = seen.foreseen else { return Readiness::NotYet };
    let demoted = matches!(foreseen.trust, Trust::Demoted { .. });
    if acts {
        return match (foreseen.counts, demoted) {
            (true, _) => Readiness::Acting,
            (false, true) => Readiness::Demoted,
            (false, false) => Readiness::NotYet,
        };
    }
    if demoted {
        return Readiness::Unready;
    }
    let known =
        foreseen.trust.is_trusted() && foreseen.stage >= Stage::Day && foreseen.replicas.is_some();
    match seen.coverage {
        Some(coverage) if known && coverage.share >= coverage.quantile - SHORT => Readiness::Ready,
        Some(_) if known => Readiness::Unready,
        Some(_) | None => Readiness::NotYet,
    }
}

fn text(seen: &Evidence<'_>, readiness: Readiness) -> String {
    match readiness {
        Readiness::Off => "nothing is forecast: scaleStrategy is reactive".to_owned(),
        Readiness::Acting => "the forecast takes part in decisions".to_owned(),
        Readiness::Demoted => {
            "the forecast is set aside: it lost more than it saved, and returns by itself"
                .to_owned()
        }
        Readiness::Ready => "ready to switch to auto".to_owned(),
        Readiness::NotYet => match seen.error {
            Some(error) => format!("not yet: no number is sent ({error})"),
            None => format!("not yet: {}", lacks(seen)),
        },
        Readiness::Unready => {
            let demoted = seen.foreseen.is_some_and(|it| matches!(it.trust, Trust::Demoted { .. }));
            let why = if demoted {
                "the forecast loses more than a simpler rule on this workload"
            } else {
                "more came than was forecast too often"
            };
            format!("not ready for auto: {why}")
        }
    }
}

/// What is missing, and for how long.
fn lacks(seen: &Evidence<'_>) -> String {
    let Some(foreseen) = seen.foreseen else {
        return "no minute of arrivals was learned so far".to_owned();
    };
    let ahead = foreseen.next_stage.map(|it| format!(" in {}", span(it.as_secs_f64())));
    let ahead = ahead.unwrap_or_default();
    match (foreseen.stage, foreseen.trust) {
        (Stage::Cold, _) => format!("the first forecast comes{ahead}"),
        (_, Trust::Young { remaining }) => {
            format!("the forecast is judged in {}", span(remaining.as_secs_f64()))
        }
        _ if foreseen.replicas.is_none() => {
            "what one replica carries is not known, so no forecast is a number of replicas"
                .to_owned()
        }
        (Stage::Started, _) => format!("times of day are known{ahead}"),
        (Stage::Day | Stage::Week, _) => "there is no recent forecast".to_owned(),
    }
}

fn evidence(seen: &Evidence<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(seen.foreseen.map(|foreseen| foreseen.trust.to_string()));
    lines.extend(seen.coverage.map(|coverage| {
        let Coverage { quantile, share, minutes } = coverage;
        format!(
            "{:.1} % of the last day's forecasts sufficed, {:.0} % were to; judged over {}",
            share * 100.0,
            quantile * 100.0,
            span(f64::from(minutes) * 60.0)
        )
    }));
    lines.extend(means(seen));
    lines
}

/// Mean replicas with and without.
fn means(seen: &Evidence<'_>) -> Option<String> {
    let points = &seen.course.points;
    let both: Vec<(f64, f64)> =
        points.iter().filter_map(|it| Some((f64::from(it.auto?), f64::from(it.wanted?)))).collect();
    let count = f64::from(crate::engine::numeric::count(both.len()));
    if both.is_empty() || matches!(seen.setup.strategy, Strategy::Auto | Strategy::Proactive) {
        return None;
    }
    let (auto, wanted) = both.iter().fold((0.0, 0.0), |(a, w), (auto, want)| (a + auto, w + want));
    let (auto, wanted) = (auto / count, wanted / count);
    let more = (auto - wanted) / wanted.max(0.1) * 100.0;
    let hours = count * f64::from(seen.course.step_seconds) / 3600.0;
    Some(format!(
        "over the last {hours:.1} h auto would have asked for {auto:.2} replicas in the mean, \
         {wanted:.2} were wanted ({more:+.0} %)"
    ))
}

fn next(seen: &Evidence<'_>, readiness: Readiness) -> Vec<String> {
    let shadow = seen.setup.strategy == Strategy::Shadow;
    let lines: &[&str] = match readiness {
        Readiness::Off => &[
            "set scaleStrategy: observer; nothing that is sent changes, and after a day you see what \
             a forecast is worth here",
        ],
        Readiness::Ready if shadow => &[
            "set scaleStrategy: auto, and remove the trigger that acts beside it or leave it: the \
             larger number wins",
        ],
        Readiness::Ready => {
            &["set scaleStrategy: auto; it returns to reactive by itself when the forecast loses"]
        }
        Readiness::NotYet if seen.error.is_some() => &[
            "mend what the error names: without data nothing is learned; KEDA and the HPA keep the \
             replicas that are there while an error is sent",
        ],
        Readiness::NotYet => &["nothing to do but wait; what is sent is safe meanwhile"],
        Readiness::Unready => &[
            "stay with what you have: it is judged anew every minute, and this verdict changes by \
             itself; the chart of demand shows what was not foreseen",
        ],
        Readiness::Acting | Readiness::Demoted => &[],
    };
    let capacity = seen.foreseen.is_some_and(|it| it.replicas.is_none() && it.stage > Stage::Cold);
    let hint = capacity.then_some(
        "set profile, requestRate or tokenRate if you know what one replica carries; else it is \
         learned under load",
    );
    lines.iter().copied().chain(hint).map(str::to_owned).collect()
}
