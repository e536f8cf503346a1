//! The columns of the table of policies, in the order in which they are read.
//!
//! Given the figures of a policy, a column promises the text of its cell. Which columns fit is left
//! to the formats: a terminal drops those that are worth least, a page shows all.

use crate::report::backtest::figures::{Figures, Spread};
use crate::report::backtest::words::{NONE, counted, measured, percent, with_sd};

/// One column.
pub(super) struct Column {
    /// Its header, unit included.
    pub(super) title: &'static str,
    /// What it says, for a legend.
    pub(super) meaning: &'static str,
    /// Text of a cell, with the spread over the seeds or without.
    pub(super) cell: fn(&Figures, bool) -> String,
    /// The narrowest terminals do without the highest.
    pub(super) luxury: u8,
}

/// Columns without the policy's name, which always comes first.
pub(super) const COLUMNS: [Column; 11] = [
    Column {
        title: "SLO %",
        meaning: "requests that met both objectives; a refused one meets none",
        cell: |figures, sd| told(figures.slo_attainment, sd, percent),
        luxury: 0,
    },
    Column {
        title: "GPU-h",
        meaning: "GPUs of a replica x time from created to terminated",
        cell: |figures, sd| told(figures.gpu_hours, sd, measured),
        luxury: 0,
    },
    Column {
        title: "cost",
        meaning: "GPU-hours x the price given",
        cell: |figures, _| told(figures.cost, false, measured),
        luxury: 0,
    },
    Column {
        title: "replicas",
        meaning: "mean over time (fewest..most)",
        cell: replicas,
        luxury: 1,
    },
    Column {
        title: "wanted",
        meaning: "fewest..most replicas wanted after the first 15 minutes",
        cell: |figures, _| range(figures.desired_min, figures.desired_max),
        luxury: 6,
    },
    Column {
        title: "cold",
        meaning: "pods created: cold starts",
        cell: |figures, _| told(figures.cold_starts, false, counted),
        luxury: 3,
    },
    Column {
        title: "changes",
        meaning: "changes of the wanted replicas",
        cell: |figures, _| told(figures.scale_events, false, counted),
        luxury: 7,
    },
    Column {
        title: "p50 s",
        meaning: "median time to first token, seconds",
        cell: |figures, _| told(figures.ttft_p50, false, measured),
        luxury: 8,
    },
    Column {
        title: "p95 s",
        meaning: "95th percentile of the time to first token",
        cell: |figures, _| told(figures.ttft_p95, false, measured),
        luxury: 4,
    },
    Column {
        title: "p99 s",
        meaning: "99th percentile of the time to first token",
        cell: |figures, _| told(figures.ttft_p99, false, measured),
        luxury: 2,
    },
    Column {
        title: "failed",
        meaning: "requests refused, given up or cut off",
        cell: |figures, _| told(figures.failed_requests, false, counted),
        luxury: 2,
    },
];

/// Luxury of the last column to go.
pub(super) const LUXURY_MAX: u8 = 8;

fn told(spread: Option<Spread>, sd: bool, write: fn(f64) -> String) -> String {
    match spread {
        None => NONE.to_owned(),
        Some(spread) if sd => with_sd(spread, write),
        Some(spread) => write(spread.mean),
    }
}

fn replicas(figures: &Figures, sd: bool) -> String {
    let mean = told(figures.replicas_mean, sd, measured);
    format!("{mean} ({})", range(figures.replicas_min, figures.replicas_max))
}

fn range(low: Option<Spread>, high: Option<Spread>) -> String {
    if low.is_none() && high.is_none() {
        return told(None, false, counted);
    }
    format!("{}..{}", told(low, false, counted), told(high, false, counted))
}
