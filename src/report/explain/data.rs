//! What there is to see of one scaler beside its decision: where it stands, its forecast, its day.
//!
//! Plain data, serialised as the API shows it: fields are added, never renamed, and what is not known
//! is `null`, never zero.

use serde::Serialize;

/// Where a scaler stands, for a row of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// `scaleStrategy`.
    pub strategy: &'static str,
    /// The workload that is scaled, `deployment/vllm`; its name alone where no more is known.
    pub reference: Option<String>,
    /// The binding term of demand, as in metrics.
    pub metric: Option<String>,
    /// What one replica should carry of it, in the unit of the term.
    pub metric_target: Option<f64>,
    /// What one ready replica carries of it now; `None` without a ready one.
    pub metric_current: Option<f64>,
    /// The lower limit in force: the trigger's, else the HPA's.
    pub min: Option<u32>,
    /// The upper limit in force: the trigger's, else the HPA's, within the server's.
    pub max: u32,
    /// Time since KEDA first asked this server for the trigger.
    pub age_seconds: f64,
    /// How far the forecast has come: `cold`, `started`, `day`, `week`.
    pub stage: Option<String>,
    /// What its account says: `young`, `trusted`, `demoted`.
    pub trust: Option<&'static str>,
    /// Its loss over that of the better of last value and the reactive decision, about a day; below
    /// 1 it earns. `None` while there is too little to judge.
    pub skill: Option<f64>,
    /// From a decision to a ready pod.
    pub lead_seconds: f64,
}

/// What was foreseen at the last tick.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForeseenLine {
    /// Probability that the demand stays below.
    pub quantile: f64,
    /// The largest demand until then.
    pub horizon_seconds: f64,
    /// That demand in replicas at the headroom in force.
    pub equivalents: Option<f64>,
    /// The same in whole replicas.
    pub replicas: Option<u32>,
    /// Whether it took part in the decision.
    pub counts: bool,
    /// What demand as it is now needs.
    pub reactive: u32,
    /// The usable share of a replica in force.
    pub headroom: f64,
    /// What the forecast would add to the bill if no margin gave way for it, as a share of what demand
    /// alone costs, over about a day; `None` where `headroomTrusted` fixes the margin, or before a verdict.
    pub adds: Option<f64>,
    /// How much of what the forecast asks for beyond demand counts, 0..=1, so that it adds little; `None` as
    /// `adds`.
    pub share: Option<f64>,
    /// What its account says, for people.
    pub trust: String,
    /// How far it has come.
    pub stage: String,
    /// Time until the next stage, if nothing is missed.
    pub next_stage_seconds: Option<f64>,
}

/// How often what came was at or below what was forecast, over about a day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coverage {
    /// What it was to be.
    pub quantile: f64,
    /// What it was, 0..=1.
    pub share: f64,
    /// Forecasts judged, one a minute.
    pub minutes: u32,
}

/// One horizon of the forecast: the largest demand until then.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Band {
    /// Minutes ahead.
    pub minutes: u32,
    /// When that is, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Not exceeded in half of the cases; in the unit of the forecast.
    pub median: f64,
    /// Not exceeded with the quantile asked for.
    pub upper: f64,
    /// `median` in replicas at the headroom in force; `None` while capacity is unknown.
    pub median_replicas: Option<f64>,
    /// `upper` in replicas.
    pub upper_replicas: Option<f64>,
}

/// The forecast of the next ninety minutes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bands {
    /// What the forecast counts: `requests`, `work` or `replicas`.
    pub unit: &'static str,
    /// The same in words.
    pub note: &'static str,
    /// The quantile of `upper`.
    pub quantile: f64,
    /// Of that unit, per second, what one replica takes at the headroom in force.
    pub per_replica: Option<f64>,
    /// The horizons, ascending.
    pub points: Vec<Band>,
}

/// Five minutes of the course; the largest of them unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When they began, milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// What arrived, in replicas at the headroom in force.
    pub demand: Option<f64>,
    /// What the binding term of demand asked for, in replicas.
    pub need: Option<f64>,
    /// The median that was forecast for it, one horizon before.
    pub median: Option<f64>,
    /// The quantile that was forecast for it, one horizon before.
    pub forecast: Option<f64>,
    /// Replicas there, at the end.
    pub current: Option<u32>,
    /// Replicas for demand as it was.
    pub reactive: Option<u32>,
    /// Replicas that the forecast asked for.
    pub predicted: Option<u32>,
    /// Replicas decided, before `shadow` and the HPA's dead band.
    pub wanted: Option<u32>,
    /// Replicas that `scaleStrategy: auto` would have decided, but for its down-window.
    pub auto: Option<u32>,
}

/// The last 24 hours.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Course {
    /// Length of a moment.
    pub step_seconds: u32,
    /// Ascending, without holes; those in the future hold what is forecast for them.
    pub points: Vec<Moment>,
}

/// For how long something shaped the decisions of the last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cause {
    /// What, from a closed list.
    pub reason: &'static str,
    /// Minutes.
    pub minutes: f64,
}

/// Medians of the parts of the last cold starts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stages {
    /// Until a node was found.
    pub scheduling_seconds: f64,
    /// Until the images were there and the last container started.
    pub image_seconds: f64,
    /// Until the model was loaded and the pod ready.
    pub load_seconds: f64,
}

/// The lead time and what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LeadLine {
    /// All of it.
    pub seconds: f64,
    /// Whether the user gave it (`scaleUpForward`).
    pub fixed: bool,
    /// P90 of cold starts, creation to ready.
    pub cold_start_seconds: f64,
    /// Cold starts learned from, of the last sixty.
    pub cold_starts: usize,
    /// Cold starts assumed beside them, until there are enough.
    pub cold_starts_assumed: usize,
    /// What they are made of, where Kubernetes says it.
    pub stages: Option<Stages>,
    /// Until KEDA and the HPA have acted, a scrape and a tick have passed.
    pub reaction_seconds: f64,
}

/// What one replica carries, as learned.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CapacityLine {
    /// Requests per second at saturation.
    pub requests_per_second: Option<f64>,
    /// Output tokens per second while nothing is prefilled.
    pub output_tokens_per_second: Option<f64>,
    /// Prompt tokens computed per second.
    pub prompt_tokens_per_second: Option<f64>,
    /// KV-cache tokens.
    pub kv_tokens: Option<f64>,
    /// Whether it was seen at saturation, and not only foreseen or taken from a profile.
    pub observed: bool,
}

/// Whether to let the forecast act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// It acts already.
    Acting,
    /// It may act, and does not earn it at the moment.
    Demoted,
    /// It would earn.
    Ready,
    /// Too little is known; time will tell.
    NotYet,
    /// It would cost more than it gives.
    Unready,
    /// Nothing is forecast.
    Off,
}

/// The verdict, its evidence, and what to do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// In one word.
    pub readiness: Readiness,
    /// In one sentence.
    pub text: String,
    /// What it rests on, a sentence each.
    pub evidence: Vec<String>,
    /// What to do, a sentence each.
    pub next: Vec<String>,
}

/// One line of the explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    /// What it is about, one or two words.
    pub topic: &'static str,
    /// One line.
    pub text: String,
}

/// Everything that is shown of one scaler and not of a list of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Insight {
    /// What was foreseen.
    pub foreseen: Option<ForeseenLine>,
    /// How often it sufficed; `None` before anything was judged.
    pub coverage: Option<Coverage>,
    /// The next ninety minutes; `None` where nothing is forecast.
    pub bands: Option<Bands>,
    /// The last 24 hours.
    pub course: Course,
    /// What shaped them, longest first.
    pub causes: Vec<Cause>,
    /// The lead time.
    pub lead: LeadLine,
    /// What one replica carries.
    pub capacity: CapacityLine,
    /// The HPA's tolerance as the trigger gives it (`hpaTolerance`).
    pub hpa_tolerance: Option<f64>,
    /// How far it is with reading its past; `None` where nothing is to be read.
    pub history: Option<String>,
    /// Time zone of days and weeks.
    pub timezone: String,
    /// Whether to let the forecast act.
    pub verdict: Verdict,
    /// All of it in words, in the order to be read.
    pub explanation: Vec<Told>,
}
