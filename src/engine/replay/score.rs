//! What a run cost and gave.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a request must meet; both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// Time to first token, seen by the client.
    pub ttft: Duration,
    /// Time per output token after the first: (end to end - TTFT) / (output - 1).
    pub tpot: Duration,
}

/// Totals of one run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Requests that arrived.
    pub requests: u64,
    /// Requests that met both objectives.
    pub attained: u64,
    /// Requests refused, given up or cut off: they met none.
    pub failed: u64,
    /// GPUs of a replica x time from created to terminated, in hours.
    pub gpu_hours: f64,
    /// Replicas there (created, not terminated), over time.
    pub replicas_mean: f64,
    /// The fewest of them.
    pub replicas_min: u32,
    /// The most of them.
    pub replicas_max: u32,
    /// The fewest replicas wanted after the first 15 minutes; `None` of a shorter run.
    pub desired_min: Option<u32>,
    /// The most.
    pub desired_max: Option<u32>,
    /// Pods created, those at the beginning not counted.
    pub cold_starts: u64,
    /// Changes of the wanted replicas.
    pub scale_events: u64,
    /// Times woken from zero.
    pub wakes: u64,
    /// Those of them that a request had to wait for; the others came ahead of demand.
    pub wakes_awaited: u64,
    /// Quantiles of the time to first token, seconds; `None` when nobody was answered.
    pub ttft_p50: Option<f64>,
    /// 95th percentile.
    pub ttft_p95: Option<f64>,
    /// 99th percentile.
    pub ttft_p99: Option<f64>,
}

impl Score {
    /// Share of the requests that met both objectives; 1 when none arrived.
    #[must_use]
    pub fn attainment(&self) -> f64 {
        let float = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if self.requests == 0 { 1.0 } else { float(self.attained) / float(self.requests) }
    }
}

/// One step of the course of a run.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Its end, seconds since the beginning.
    pub at: f64,
    /// Requests per second that arrived in it.
    pub demand: f64,
    /// Replicas there at its end, ready or not.
    pub replicas: u32,
    /// Replicas created in it: cold starts, those that came while others left included.
    pub created: u32,
    /// Replicas ready at its end.
    pub ready: u32,
    /// Replicas wanted at its end.
    pub desired: u32,
    /// Requests waiting in replicas or held at the gateway at its end.
    pub queue: u64,
    /// 95th percentile of the time to first token of those answered in it, seconds.
    pub ttft_p95: Option<f64>,
}

/// One run: totals and course.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Trial {
    /// Totals.
    pub score: Score,
    /// The course, at a step chosen for at most some 500 points.
    pub course: Vec<Moment>,
    /// Invariants of the engine that broke, in words, with the instant; fatal in tests.
    pub broken: Vec<String>,
}
