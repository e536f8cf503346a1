//! What the best policy saves, as the first thing a report says.
//!
//! Given a [`Backtest`], promises one comparison: the best trade-off with the policy that never
//! scales. What it saves in a month is extrapolated, and every sentence says so.

use crate::report::backtest::data::{Backtest, Entry};
use crate::report::backtest::figures::{Figures, Spread, all, always_on, best};
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
    /// Whether the two can be told by their cost alone: what is cheaper because it fails its users
    /// is no base for a saving.
    is_fair: bool,
    /// By what the length of the trace is multiplied for a month; `None` for an empty trace.
    months: Option<f64>,
}

impl<'a> Saving<'a> {
    /// `None` where nothing was measured.
    pub(super) fn of(backtest: &'a Backtest) -> Option<Self> {
        let (best, figures) = (best(backtest)?, all(backtest));
        let base = always_on(backtest).filter(|idx| *idx != best);
        let base = base.map(|idx| (&backtest.policies[idx], figures[idx]));
        let months = MONTH_DAYS * DAY / backtest.trace.seconds;
        let attained = figures[best].slo_attainment?.mean;
        let target = backtest.world.slo_target;
        let is_fair = base.as_ref().is_none_or(|(_, base)| {
            let mean = |read: fn(&Figures) -> Option<Spread>| {
                Some((read(&figures[best])?.mean, read(base)?.mean))
            };
            let saves = mean(|row| row.gpu_hours).is_some_and(|(own, base)| own <= base);
            let serves =
                mean(|row| row.slo_attainment).is_some_and(|(own, base)| base >= own.min(target));
            saves || serves
        });
        Some(Self {
            entry: &backtest.policies[best],
            figures: figures[best],
            base,
            attains: attained >= target,
            is_fair,
            months: (months.is_finite() && months > 0.0).then_some(months),
        })
    }

    /// GPU-hours less than always-on, as a share of it; negative where it is more. `None` where more
    /// is needed because always-on serves worse.
    pub(super) fn less(&self) -> Option<f64> {
        let own = self.figures.gpu_hours?.mean;
        let base = self.compared()?.gpu_hours?.mean;
        (base > 0.0).then_some((base - own) / base)
    }

    /// The same in GPU-hours over 30 days.
    pub(super) fn hours_of_month(&self) -> Option<f64> {
        let base = self.compared()?.gpu_hours?.mean;
        Some((base - self.figures.gpu_hours?.mean) * self.months?)
    }

    /// The same in money.
    pub(super) fn cost_of_month(&self) -> Option<f64> {
        let base = self.compared()?.cost?.mean;
        Some((base - self.figures.cost?.mean) * self.months?)
    }

    fn compared(&self) -> Option<&Figures> {
        self.base.as_ref().filter(|_| self.is_fair).map(|(_, figures)| figures)
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
        let Some((base, figures)) = &self.base else { return format!("{own}.") };
        let (base_hours, base_attained) = told(figures);
        let Some(less) = self.less() else {
            return format!("{own} ({}: {base_hours} at {base_attained}).", base.name);
        };
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
