//! A day ahead, for the eye: what the last days had at each time, carried over to today's level.
//!
//! Too far away for the horizons, whose quantiles are calibrated, these are not: they are the order
//! statistics of up to seven days at the same time of the wall clock, with some minutes to each side,
//! times how much today differs from what is usual now, of which half is forgotten every two hours.

use std::time::Duration;

use crate::engine::forecast::past::{DAYS, Past};
use crate::engine::units::Timestamp;

/// Steps to each side that are counted in, so that one day gives five values.
const BESIDE: usize = 2;
/// How long until half of what is unusual now has gone.
const HALF_LIFE: Duration = Duration::from_hours(2);
/// Today's level over the usual one is taken as at most this, and as one over it at least.
const UNUSUAL: f32 = 4.0;

/// Demand at a time ahead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    /// The time.
    pub at: Timestamp,
    /// Demand not exceeded on half of such days.
    pub median: f64,
    /// Demand not exceeded on 95 of a hundred such days, as far as seven tell.
    pub upper: f64,
}

/// What is known for an outlook.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) past: &'a Past,
    pub(super) days_back: &'a [usize; DAYS],
    pub(super) usual: f32,
    pub(super) now: Timestamp,
    pub(super) step: Duration,
}

/// Demand `every` so many steps until a day from now.
pub(super) fn outlook(known: &Known<'_>, every: usize) -> Vec<Ahead> {
    let level = known.past.levels()[1];
    let usual = known.usual.max(f32::MIN_POSITIVE);
    let unusual = (level / usual).clamp(1.0 / UNUSUAL, UNUSUAL);
    let steps = (every.max(1)..=known.past.day()).step_by(every.max(1));
    steps.filter_map(|ahead| at(known, ahead, unusual)).collect()
}

fn at(known: &Known<'_>, ahead: usize, unusual: f32) -> Option<Ahead> {
    let mut values: Vec<f32> = Vec::with_capacity(DAYS * (2 * BESIDE + 1));
    for back in known.days_back {
        let Some(then) = back.checked_sub(ahead) else { continue };
        let near = then.saturating_sub(BESIDE)..=then + BESIDE;
        values.extend(near.filter_map(|back| known.past.back(back)));
    }
    values.sort_by(f32::total_cmp);
    let away = known.step.saturating_mul(u32::try_from(ahead).ok()?);
    let left = (-away.as_secs_f32() / HALF_LIFE.as_secs_f32()).exp2();
    let carried = unusual.powf(left);
    let demand = |twentieths: usize| {
        let place = (values.len() * twentieths).div_ceil(20).max(1) - 1;
        values.get(place).map(|root| f64::from(root * carried).powi(2))
    };
    Some(Ahead { at: known.now.plus(away), median: demand(10)?, upper: demand(19)? })
}
