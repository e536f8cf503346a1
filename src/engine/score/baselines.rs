//! What a forecast must beat: simple models, each as strong as it honestly can be.
//!
//! Four point forecasts with rolling split conformal bands, a damped Holt with Gaussian bands, and
//! quantiles of the same time of day. All forecast from the first residual on, so that none of them
//! keeps another from being scored.

mod conformal;
mod holt;
mod points;
mod residuals;
mod same_time;

pub(super) use conformal::Conformal;
pub(super) use holt::Holt;
pub(super) use points::{Ewma, Last, Seasonal};
pub(super) use same_time::SameTime;
