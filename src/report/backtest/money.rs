//! What the best policy saves, as the first thing a report says.
//!
//! Given a [`Backtest`], promises one comparison: the best trade-off with the policy that never
//! scales. What it saves in a month is extrapolated, and every sentence says so.

use crate::report::backtest::data::{Backtest, Entry};
use crate::report::backtest::figures::{Figures, all, always_on, best};
use crate::report::backtest::words::{DAY, MONTH_DAYS, measured, number, share, time};

/// The best policy, and the one that never scales beside it.
pub(super) struct Saving<'a> {
    /// The best trade-off.
    pub(super) entry: &'a Entry,
    /// Its figures.
    pub(super) figures: Figures,
    /// The policy that never scales with its figures, if it ran and is not itself the best.
    pub(super) base: Option<(&'a Entry, Figures)>,
    /// Whether the best attains the target.
    pub(super) attains: bool,
    /// By what the length of the trace is multiplied for a month; `None` for an empty trace.
    months: Option<f64>,
}

impl<'a> Saving<'a> {
    /// `None` where nothing was measured.
    pub(super) fn of(backtest: &'a Backtest) -> Option<Self> {
        let (best, figures) = (best(backtest)?, all(backtest));
        let base = always_on(backtest).filter(|idx| *idx != best);
        let months = MONTH_DAYS * DAY / backtest.trace.seconds;
        let attained = figures[best].slo_attainment?.mean;
        Some(Self {
            entry: &backtest.policies[best],
            figures: figures[best],
            base: base.map(|idx| (&backtest.policies[idx], figures[idx])),
            attains: attained >= backtest.world.slo_target,
            months: (months.is_finite() && months > 0.0).then_some(months),
        })
    }

    /// GPU-hours less than always-on, as a share of it; negative where it is more.
    pub(super) fn less(&self) -> Option<f64> {
        let own = self.figures.gpu_hours?.mean;
        let base = self.base.as_ref()?.1.gpu_hours?.mean;
        (base > 0.0).then_some((base - own) / base)
    }

    /// The same in GPU-hours over 30 days.
    pub(super) fn hours_of_month(&self) -> Option<f64> {
        let base = self.base.as_ref()?.1.gpu_hours?.mean;
        Some((base - self.figures.gpu_hours?.mean) * self.months?)
    }

    /// The same in money.
    pub(super) fn cost_of_month(&self) -> Option<f64> {
        let base = self.base.as_ref()?.1.cost?.mean;
        Some((base - self.figures.cost?.mean) * self.months?)
    }

    /// The comparison in one sentence or two.
    pub(super) fn sentence(&self, backtest: &Backtest) -> String {
        let name = &self.entry.name;
        let told = |figures: &Figures| {
            let hours = figures.gpu_hours.map_or(0.0, |hours| hours.mean);
            let attained = figures.slo_attainment.map_or(0.0, |attained| attained.mean);
            (measured(hours), share(attained))
        };
        let (hours, attained) = told(&self.figures);
        let target = share(backtest.world.slo_target);
        let merit = if self.attains {
            format!("is the cheapest that attains {target}")
        } else {
            format!("comes nearest to {target}, which no policy attains")
        };
        let own = format!("{name} {merit}: {hours} GPU-hours at {attained}");
        let (Some((base, figures)), Some(less)) = (&self.base, self.less()) else {
            return format!("{own}.");
        };
        let (base_hours, base_attained) = told(figures);
        let word = if less < 0.0 { "more" } else { "less" };
        format!(
            "{own}, {}% {word} than {} ({base_hours} at {base_attained}).{}",
            number(less.abs() * 100.0, 1),
            base.name,
            self.month(backtest)
        )
    }

    fn month(&self, backtest: &Backtest) -> String {
        let length = time(backtest.trace.seconds);
        let word = |value: f64| if value < 0.0 { "more" } else { "saved" };
        match (self.cost_of_month(), self.hours_of_month()) {
            (Some(cost), _) => {
                let text = number(cost.abs(), 0);
                format!(" Extrapolated from {length} to 30 days: {text} {}.", word(cost))
            }
            (None, Some(hours)) => {
                let text = number(hours.abs(), 0);
                format!(" Extrapolated from {length} to 30 days: {text} GPU-hours {}.", word(hours))
            }
            (None, None) => String::new(),
        }
    }
}
