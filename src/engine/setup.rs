//! What the user asked for, as the engine needs it: already valid, so nothing here checks again.
//!
//! `crate::spec` builds it from trigger metadata; the defaults live there.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::engine::calendar::Calendar;
use crate::engine::units::{Ratio, Replicas};

/// What kind of workload the signals describe; it decides which of them may drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// An LLM engine: queue, KV cache and rates drive; GPU only guards.
    Llm,
    /// GPU metrics only (BERT and friends): utilisation is the demand.
    Gpu,
    /// The user's own signals only.
    Custom,
}

/// Demand that one replica should carry; each one set adds its own term.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Targets {
    /// Waiting requests per replica.
    pub queue_depth: Option<f64>,
    /// Waiting + running requests per replica.
    pub concurrency: Option<f64>,
    /// Arriving requests per second per replica.
    pub request_rate: Option<f64>,
    /// Tokens (prompt + output) per second per replica.
    pub token_rate: Option<f64>,
    /// Share of the KV cache one replica should carry.
    pub kv_cache: Option<Ratio>,
}

/// A power target.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerTarget {
    /// Watts per GPU.
    Watts(f64),
    /// Share of the limit that the exporter reports.
    OfLimit(Ratio),
}

/// GPU targets. For [`Family::Llm`] they never enter the sum.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GpuTargets {
    /// Share of time busy.
    pub utilization: Option<Ratio>,
    /// Share of the framebuffer in use.
    pub memory: Option<Ratio>,
    /// Share of time the memory is read or written.
    pub memory_bandwidth: Option<Ratio>,
    /// Power.
    pub power: Option<PowerTarget>,
}

/// Latency objectives; they move a slow bounded trim, never the decision directly.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Objectives {
    /// Time to first token.
    pub ttft: Option<Duration>,
    /// Time between output tokens.
    pub inter_token: Option<Duration>,
    /// Whole request.
    pub request: Option<Duration>,
}

/// What one of the user's own signals is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnRole {
    /// Adds a demand term.
    Demand,
    /// Moves the trim: value over target is too slow.
    Latency,
    /// Wakes when above `activation`.
    Activation,
}

/// One of the user's own signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OwnSignal {
    /// Its name, as the user gave it.
    pub name: String,
    /// What one replica should carry; above zero.
    pub target: f64,
    /// What it is for.
    pub role: OwnRole,
    /// True: replicas = value / target. False: the value is a mean per ready replica.
    pub total: bool,
}

/// How the forecast takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// No forecast.
    Reactive,
    /// Sends reactive; the forecast is recorded.
    Observer,
    /// The larger of reactive and a trusted forecast.
    Auto,
    /// The forecast counts even when demoted.
    Proactive,
    /// Sends 0 and inactive; everything is recorded.
    Shadow,
}

/// What replaces the errors of the blind and cold states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnNoData {
    /// An error: KEDA and the HPA hold.
    Hold,
    /// Zero and inactive.
    Zero,
    /// The minimum (or schedule floor), at least 1 if replicas are above zero.
    Floor,
}

/// The time from a decision to a ready pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lead {
    /// Learned from cold starts; 180 s until three were seen.
    Learned,
    /// Given by the user.
    Fixed(Duration),
}

/// Capacity of one replica as a profile gives it: a seed, corrected by what is observed.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct CapacitySeed {
    /// KV-cache size in tokens.
    pub kv_tokens: Option<f64>,
    /// Prompt tokens per second.
    pub prefill_tokens_per_second: Option<f64>,
    /// Output tokens per second at full batch.
    pub generation_tokens_per_second: Option<f64>,
}

/// What gives way where a trusted forecast would add to the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thrift {
    /// Nothing: [`Forecasting::headroom_trusted`] and [`Forecasting::quantile`] hold.
    None,
    /// The margin of a replica beyond [`Forecasting::headroom_trusted`].
    Margin,
    /// And then [`Forecasting::quantile`].
    MarginAndQuantile,
}

/// What the forecast goes by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecasting {
    /// Probability that capacity suffices, 0.5..=0.999; more than 0.99 counts as that.
    pub quantile: f64,
    /// How far back to learn.
    pub history: Duration,
    /// Local time of days and weeks.
    pub zone: Tz,
    /// Dates that count as Sunday.
    pub holidays: BTreeSet<NaiveDate>,
    /// Usable share of a replica's rate capacity while the forecast is trusted; not below
    /// [`Setup::headroom`].
    pub headroom_trusted: Ratio,
    /// What of margin and quantile gives way where the forecast would add to the bill.
    pub thrift: Thrift,
    /// Idle time that one cold start is worth; `None`: five times the lead time.
    pub cold_start_cost: Option<Duration>,
}

impl Default for Forecasting {
    fn default() -> Self {
        Self {
            quantile: 0.95,
            history: Duration::from_hours(14 * 24),
            zone: Tz::UTC,
            holidays: BTreeSet::new(),
            headroom_trusted: Ratio::HEADROOM,
            thrift: Thrift::MarginAndQuantile,
            cold_start_cost: None,
        }
    }
}

/// Everything the user set that a decision depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// What kind of workload it is.
    pub family: Family,
    /// Whether the engine's metrics include a KV cache gauge (then KV is required to scale down).
    pub has_kv: bool,
    /// Whether the engine's queue holds requests until their first token, those in prefill included, and is
    /// a part of what runs.
    pub prefill_waits: bool,
    /// Demand per replica.
    pub targets: Targets,
    /// GPU targets.
    pub gpu: GpuTargets,
    /// Latency objectives.
    pub objectives: Objectives,
    /// The user's own signals.
    pub own: Vec<OwnSignal>,
    /// 0 to 1 when waiting + in flight + held is above it.
    pub activation: f64,
    /// Whether demand is visible while there are no pods (gateway, own query or page).
    pub wake_path: bool,
    /// Idle time before sleep.
    pub idle_after: Duration,
    /// How long a wake is held; `None`: max(15 min, 3 x lead).
    pub activation_timeout: Option<Duration>,
    /// How the forecast takes part.
    pub strategy: Strategy,
    /// Lead time.
    pub lead: Lead,
    /// Seed of the capacity.
    pub capacity: CapacitySeed,
    /// Lower limit; `None`: the HPA's is left to the HPA.
    pub min_replicas: Option<Replicas>,
    /// Upper limit; `None`: the HPA's, else `replicas_limit`.
    pub max_replicas: Option<Replicas>,
    /// The server's upper limit for anybody.
    pub replicas_limit: Replicas,
    /// Limits by the calendar.
    #[serde(default)]
    pub calendar: Calendar,
    /// Usable share of a replica's rate capacity.
    pub headroom: Ratio,
    /// What replaces the errors of blind and cold.
    pub on_no_data: OnNoData,
    /// The cluster's HPA tolerance, if the sent value may leave its dead band.
    pub hpa_tolerance: Option<Ratio>,
    /// Time between ticks.
    pub tick: Duration,
    /// What the forecast goes by.
    pub forecast: Forecasting,
}
