//! The models by the names people know them by.

use crate::engine::forecast::{Forecaster, Setup};
use crate::engine::score::baselines::{Conformal, Ewma, Holt, Last, SameTime, Seasonal};
use crate::engine::score::model::Model;

/// The forecaster that serves.
pub const PRESCALE: &str = "prescale";

/// What all are compared with.
pub const REFERENCE: &str = "last+conformal";

/// One model of the table.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Its name.
    pub name: &'static str,
    /// What it forecasts, in a sentence without a full stop.
    pub about: &'static str,
    /// Makes it, before its first step.
    pub make: fn(&Setup) -> Box<dyn Model>,
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kind").field(&self.name).finish()
    }
}

impl Kind {
    pub(super) fn make(&self, setup: &Setup) -> Box<dyn Model> {
        (self.make)(setup)
    }
}

/// All of them, in the order in which they are told.
pub const MODELS: &[Kind] = &[
    Kind {
        name: PRESCALE,
        about: "the forecaster that serves: an online mix of experts with conformal correction",
        make: |setup| Box::new(Forecaster::new(setup)),
    },
    Kind {
        name: REFERENCE,
        about: "the last value, with the last day's residuals of the horizon as its band",
        make: |setup| Box::new(Conformal::new(Last::default(), setup)),
    },
    Kind {
        name: "ewma+conformal",
        about: "a level that moves 0.15 of the way to each value, with such a band",
        make: |setup| Box::new(Conformal::new(Ewma::default(), setup)),
    },
    Kind {
        name: "snaive-day",
        about: "the same time yesterday (in the first day the last value), with such a band",
        make: |setup| Box::new(Conformal::new(Seasonal::day(setup), setup)),
    },
    Kind {
        name: "snaive-week",
        about: "the same time a week ago (until then yesterday), with such a band",
        make: |setup| Box::new(Conformal::new(Seasonal::week(setup), setup)),
    },
    Kind {
        name: "holt",
        about: "Holt's damped trend, weights picked online, with Gaussian bands that widen with the \
                root of the horizon",
        make: |setup| Box::new(Holt::new(setup)),
    },
    Kind {
        name: "ahpa-like",
        about: "quantiles of the same time of day, five steps more or less, of the last seven days",
        make: |setup| Box::new(SameTime::new(setup)),
    },
];

/// Those of the table that are named, and the reference; all where nobody is.
#[must_use]
pub fn chosen(names: &[String]) -> Vec<Kind> {
    let is_chosen = |kind: &&Kind| {
        names.is_empty() || kind.name == REFERENCE || names.iter().any(|name| name == kind.name)
    };
    MODELS.iter().filter(is_chosen).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::{MODELS, chosen};

    #[test]
    fn what_all_are_compared_with_is_always_there() {
        let names = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names).iter().map(|kind| kind.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&["holt"]), ["last+conformal", "holt"]);
        assert_eq!(names(&[]).len(), MODELS.len());
    }
}
