//! prescale: a KEDA external scaler for GPU inference workloads.
//!
//! The map, in the order the data flows. A module uses lower floors only (`tests/floors.rs`):
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 1-7 | [`engine`] | pure: observation in, decision and reasons out; the world it is tried in; scores
//! | 8 | [`spec`], [`report`] | trigger metadata to types; decisions, backtests and scores to text, JSON, a page |
//! | 9 | [`clock`], [`telemetry`] | the only reader of time; logs and metrics |
//! | 10 | [`source`] | Prometheus and direct scrape, presets of metric names |
//! | 10 | [`store`] | what survives a restart |
//! | 11 | [`scaler`] | one ticking state machine per trigger, and their registry |
//! | 12 | [`grpc`], [`http`] | what KEDA asks, what people look at |
//! | 13 | [`server`] | configuration, listeners, tasks and their end |
//! | 13 | [`gate`] | a proxy that holds requests while their model sleeps |
//! | 14 | [`backtest`] | a history replayed under each policy |
//! | 14 | [`score`] | a series forecast, beside baselines |
//! | 14 | [`demo`] | the real server before a simulated fleet, KEDA and HPA |
//! | 15 | [`cli`] | the commands |

pub mod engine;

pub mod report;
pub mod spec;

pub mod clock;
pub mod telemetry;

pub mod source;
pub mod store;

pub mod scaler;

pub mod grpc;
pub mod http;

pub mod server;

pub mod gate;

pub mod backtest;
pub mod demo;
pub mod score;

pub mod cli;
