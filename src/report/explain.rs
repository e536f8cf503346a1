//! One scaler explained: in words, as data for the API, and as one page that opens offline.
//!
//! Given what the engine remembers, the latest decision and the course of a day ([`View`], [`Past`]),
//! promises the same lines wherever they are shown. Without a decision it says so; nothing is ever
//! shown as zero because it is not known.

mod causes;
mod charts;
pub mod data;
mod gather;
mod html;
mod plot;
mod span;
mod verdict;
mod words;

use crate::engine::units::Ratio;
use crate::report::explain::verdict::Evidence;
use crate::report::facts::Report;

pub use causes::{CAUSES, cause};
pub use data::{Cause, Course, Insight, Moment, Readiness, Standing, Told};
pub use gather::{Past, View};
pub use html::{content_security_policy, head, html};

/// Adds where a scaler stands, for a row of a table.
pub fn stand(report: &mut Report, view: &View<'_>) {
    report.standing = Some(Standing::of(view));
}

/// Adds everything that there is to see of one scaler.
pub fn explain(report: &mut Report, view: &View<'_>, past: Past) {
    let Past { course, causes, per_replica, history } = past;
    let View { setup, memory, decision, .. } = *view;
    let foreseen = decision.and_then(|decision| decision.foreseen);
    let coverage = gather::coverage(setup, memory);
    let error = report.answer.error.as_deref();
    let evidence =
        Evidence { setup, foreseen: foreseen.as_ref(), coverage, course: &course, error };
    let verdict = verdict::verdict(&evidence);
    let mut insight = Insight {
        foreseen: foreseen.as_ref().map(gather::foreseen),
        coverage,
        bands: gather::bands((setup, foreseen.as_ref()), memory, per_replica),
        course,
        causes,
        lead: gather::lead(setup, memory),
        capacity: gather::capacity(&memory.capacity),
        hpa_tolerance: setup.hpa_tolerance.map(Ratio::get),
        history,
        timezone: setup.forecast.zone.name().to_owned(),
        verdict,
        explanation: Vec::new(),
    };
    let standing = Standing::of(view);
    insight.explanation = words::lines(report, &standing, &insight);
    report.standing = Some(standing);
    report.insight = Some(Box::new(insight));
}
