//! Whether a forecast has earned to be acted upon: a running account of what it, last value +
//! conformal and the reactive decision would have lost.
//!
//! Given, for one horizon and one level, what each of the three said and what came; promises a verdict
//! with its reason. A loss is the pinball loss of that level: at 0.95 a unit short costs nineteen times
//! a unit too many, which is also what the three are compared in. What happened is forgotten by half in
//! a day. A forecast that has lost more than the better of the others over it is demoted, and comes
//! back by itself when it has lost less.

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use crate::engine::decision::{Rival, Trust};

/// What happened is forgotten by half in this time.
const HALF_LIFE: Duration = Duration::from_hours(24);
/// A forecast is demoted when it lost this much more, and returns when it lost no more: between them
/// it stays what it is, or two that are alike would change places at every step.
const DEMOTED: f64 = 1.05;
/// Steps that must be in the account before it decides anything.
const JUDGED_AFTER: Duration = Duration::from_hours(6);
/// No forecast is believed beyond this many times the largest demand of a week.
const CAP: f64 = 2.0;

/// What was said of one target, and what came; demand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Said {
    /// By the forecast.
    pub forecast: f64,
    /// By last value + conformal.
    pub naive: f64,
    /// Demand that the reactive decision made room for.
    pub reactive: f64,
    /// What came.
    pub actual: f64,
}

/// The account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    level: f64,
    step: Duration,
    forecast: f64,
    naive: f64,
    reactive: f64,
    entries: u32,
    is_demoted: bool,
}

impl Ledger {
    /// An empty account for forecasts of `level`, with an entry every `step`.
    #[must_use]
    pub const fn new(level: f64, step: Duration) -> Self {
        Self {
            level,
            step,
            forecast: 0.0,
            naive: 0.0,
            reactive: 0.0,
            entries: 0,
            is_demoted: false,
        }
    }

    /// Enters what was said and what came; whatever is not finite makes no entry.
    pub fn enter(&mut self, said: Said) {
        let Said { forecast, naive, reactive, actual } = said;
        if ![forecast, naive, reactive, actual].iter().all(|value| value.is_finite()) {
            return;
        }
        let kept = (-self.step.as_secs_f64() / HALF_LIFE.as_secs_f64()).exp2();
        let loss = |quantile: f64| {
            let short = actual - quantile;
            if short >= 0.0 { self.level * short } else { (self.level - 1.0) * short }
        };
        let losses = [loss(forecast), loss(naive), loss(reactive)];
        let own = [&mut self.forecast, &mut self.naive, &mut self.reactive];
        for (own, loss) in own.into_iter().zip(losses) {
            *own = own.mul_add(kept, loss);
        }
        self.entries = self.entries.saturating_add(1);
        self.judge();
    }

    /// Everything `factor` times as large, as when the unit of demand changes.
    pub fn rescale(&mut self, factor: f64) {
        for loss in [&mut self.forecast, &mut self.naive, &mut self.reactive] {
            *loss *= factor;
        }
    }

    fn judge(&mut self) {
        let (ratio, _) = self.against();
        if self.remaining().is_zero() {
            self.is_demoted = ratio > if self.is_demoted { 1.0 } else { DEMOTED };
        }
    }

    fn against(&self) -> (f64, Rival) {
        let (least, rival) = if self.reactive < self.naive {
            (self.reactive, Rival::Reactive)
        } else {
            (self.naive, Rival::Naive)
        };
        // Where nobody lost anything nobody is worse.
        let ratio = if self.forecast <= 0.0 { 1.0 } else { self.forecast / least.max(1e-12) };
        (if self.forecast <= 0.0 && least <= 0.0 { 1.0 } else { ratio }, rival)
    }

    fn remaining(&self) -> Duration {
        JUDGED_AFTER.saturating_sub(self.step.saturating_mul(self.entries))
    }

    /// The verdict.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let remaining = self.remaining();
        let (ratio, rival) = self.against();
        if !remaining.is_zero() {
            Trust::Young { remaining }
        } else if self.is_demoted {
            Trust::Demoted { ratio, rival }
        } else {
            Trust::Trusted { ratio, rival }
        }
    }
}

/// A forecast kept below twice the largest demand of a week; `None` for the latter leaves it.
#[must_use]
pub fn capped(forecast: f64, largest_of_week: Option<f64>) -> f64 {
    largest_of_week.map_or(forecast, |largest| forecast.min(CAP * largest))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Ledger, Rival, Said, Trust, capped};

    const MINUTE: Duration = Duration::from_mins(1);

    fn enter(ledger: &mut Ledger, minutes: u32, forecast: f64, naive: f64, reactive: f64) {
        for _ in 0..minutes {
            ledger.enter(Said { forecast, naive, reactive, actual: 10.0 });
        }
    }

    #[test]
    fn a_day_of_worse_forecasts_demotes_and_better_ones_bring_it_back() {
        let mut ledger = Ledger::new(0.95, MINUTE);
        enter(&mut ledger, 360, 11.0, 12.0, 13.0);
        assert!(matches!(ledger.trust(), Trust::Trusted { rival: Rival::Naive, .. }));
        enter(&mut ledger, 1440, 20.0, 12.0, 11.0);
        let Trust::Demoted { ratio, rival } = ledger.trust() else { panic!("still trusted") };
        assert_eq!(rival, Rival::Reactive);
        assert!(ratio > 1.05, "{ratio}");
        enter(&mut ledger, 4 * 1440, 10.5, 12.0, 11.0);
        assert!(ledger.trust().is_trusted());
    }

    #[test]
    fn six_hours_are_needed_for_a_verdict() {
        let mut ledger = Ledger::new(0.95, MINUTE);
        enter(&mut ledger, 300, 30.0, 12.0, 11.0);
        assert_eq!(ledger.trust(), Trust::Young { remaining: Duration::from_hours(1) });
        assert_eq!(ledger.trust().to_string(), "not judged yet, 60 min to go");
    }

    #[test]
    fn a_unit_short_costs_what_nineteen_too_many_do() {
        let mut ledger = Ledger::new(0.95, MINUTE);
        enter(&mut ledger, 400, 9.0, 29.0, 100.0);
        let Trust::Trusted { ratio, .. } = ledger.trust() else { panic!("demoted") };
        // A part in a million: the losses are sums of 400 floats.
        assert!((ratio - 1.0).abs() < 1e-6, "{ratio}");
    }

    #[test]
    fn poison_makes_no_entry() {
        let mut ledger = Ledger::new(0.95, MINUTE);
        let before = ledger.clone();
        ledger.enter(Said { forecast: f64::NAN, naive: 1.0, reactive: 1.0, actual: 1.0 });
        assert_eq!(ledger, before);
    }

    #[test]
    fn where_nobody_lost_anything_nobody_is_worse() {
        let mut ledger = Ledger::new(0.95, MINUTE);
        enter(&mut ledger, 400, 10.0, 10.0, 10.0);
        assert_eq!(ledger.trust(), Trust::Trusted { ratio: 1.0, rival: Rival::Naive });
    }

    #[test]
    fn no_forecast_is_believed_beyond_twice_a_weeks_most() {
        assert!((capped(50.0, Some(10.0)) - 20.0).abs() < 1e-9);
        assert!((capped(5.0, Some(10.0)) - 5.0).abs() < 1e-9);
        assert!((capped(5.0, None) - 5.0).abs() < 1e-9);
    }
}
