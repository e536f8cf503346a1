//! What can be replayed, whatever it came from, and how the requests of a run are drawn from it.
//!
//! Given a seed and a factor on the rate, it promises the same requests at the same instants every
//! time, in order, none at or after the end, each with at least one token to read and to write.

use std::sync::Arc;
use std::time::Duration;

use crate::backtest::input::draw::{self, Request, Step};
use crate::backtest::input::error::InputError;
use crate::backtest::input::sizes::Sizes;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::shapes::{Parameters, Shape};
use crate::engine::units::Timestamp;

/// Requests of one run at most: 32 bytes each, 1.6 GB; the largest public trace at hand, a week of
/// Azure's conversations, has 27 million.
const REQUESTS_MAX: f64 = 50e6;

/// No trace needs a larger factor: from one request a day to a dozen a second.
const SCALE_MAX: f64 = 1e6;

/// Where the requests are drawn from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// Every request by itself, sorted.
    Requests(Vec<Request>),
    /// Counts, sorted by time, not overlapping.
    Counts(Vec<Step>),
    /// A shape.
    Shape(&'static Shape, Parameters),
}

/// Something that can be replayed.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Its name: file, query or shape.
    pub name: String,
    /// The instant at which it begins; `None` where the trace hides it.
    pub begins: Option<Timestamp>,
    /// How long it lasts, above zero.
    pub length: Duration,
    /// What whoever reads the result should know of it, as sentences.
    pub notes: Vec<String>,
    pub(crate) sizes: Sizes,
    pub(crate) origin: Origin,
}

impl Recorded {
    /// Requests expected at this factor on the rate.
    #[must_use]
    pub fn requests(&self, rate_scale: f64) -> f64 {
        let recorded = match &self.origin {
            Origin::Requests(requests) => draw::as_f64(requests.len()),
            Origin::Counts(steps) => steps.iter().map(|step| step.count).sum(),
            Origin::Shape(shape, parameters) => shape.requests(parameters, 0),
        };
        recorded * rate_scale
    }

    /// The requests of one run.
    ///
    /// At a factor of 1 every recorded request comes once. Counts are placed uniformly at random
    /// within their step: a Poisson process, given its count. Fractions are rounded by chance, so
    /// that the mean is right.
    ///
    /// # Errors
    /// When the factor is not in 0..=1000000 (0 excluded), or asks for more than 50 million requests.
    pub fn arrivals(&self, seed: u64, rate_scale: f64) -> Result<Arc<[Arrival]>, InputError> {
        if !(rate_scale > 0.0 && rate_scale <= SCALE_MAX) {
            return Err(InputError::Scale(rate_scale));
        }
        let requests = self.requests(rate_scale);
        if requests > REQUESTS_MAX {
            let fits = rate_scale * REQUESTS_MAX / requests;
            return Err(InputError::TooMany {
                name: self.name.clone(),
                requests,
                scale: rate_scale,
                most: REQUESTS_MAX,
                accepted: rounded_down(fits),
            });
        }
        let sizes = self.sizes;
        Ok(match &self.origin {
            Origin::Requests(requests) => draw::repeated(requests, sizes.cached, seed, rate_scale),
            Origin::Counts(steps) => draw::placed(steps, sizes.cached, seed, rate_scale),
            Origin::Shape(shape, parameters) => {
                let instants = shape.instants(parameters, seed, rate_scale);
                let size = (sizes.prompt, sizes.output);
                instants.into_iter().map(|at| draw::arrival(at, size, sizes.cached)).collect()
            }
        })
    }
}

/// Two significant digits, never more than `value`.
fn rounded_down(value: f64) -> String {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    let decimals = usize::try_from(draw::whole((-unit.log10().round()).max(0.0))).unwrap_or(0);
    format!("{:.decimals$}", (value / unit).floor() * unit)
}

#[cfg(test)]
mod tests {
    use super::rounded_down;

    #[test]
    fn a_factor_that_fits_is_told_in_two_digits() {
        let rows =
            [(0.0429, "0.042"), (0.99, "0.99"), (1.0, "1.0"), (37.9, "37"), (0.000_127, "0.00012")];
        for (value, expected) in rows {
            assert_eq!(rounded_down(value), expected, "{value}");
        }
    }
}
