//! The last residuals of a forecast, and their quantiles.

use std::collections::VecDeque;

use crate::engine::numeric::order_statistic;

/// At most so many numbers, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Residuals {
    recent: VecDeque<f64>,
    sorted: Vec<f64>,
    most: usize,
}

impl Residuals {
    /// Room for `most`, at least one.
    pub(super) fn of(most: usize) -> Self {
        Self { recent: VecDeque::new(), sorted: Vec::new(), most: most.max(1) }
    }

    /// One more.
    pub(super) fn push(&mut self, residual: f64) {
        if self.recent.len() == self.most
            && let Some(oldest) = self.recent.pop_front()
        {
            self.sorted.remove(self.place(oldest));
        }
        self.recent.push_back(residual);
        self.sorted.insert(self.place(residual), residual);
    }

    fn place(&self, residual: f64) -> usize {
        self.sorted.partition_point(|other| other.total_cmp(&residual).is_lt())
    }

    /// Their [`order_statistic`].
    pub(super) fn quantile(&self, level: f64) -> Option<f64> {
        order_statistic(&self.sorted, level)
    }
}

#[cfg(test)]
mod tests {
    use super::Residuals;

    #[test]
    fn the_order_statistic_is_the_conformal_one_of_the_newest() {
        let mut residuals = Residuals::of(4);
        assert_eq!(residuals.quantile(0.5), None);
        // The first is forgotten: 4, -1, 2, 3 stay.
        [9.0, 4.0, -1.0, 2.0, 3.0].iter().for_each(|residual| residuals.push(*residual));
        // ceil(5 x level): 3, 5 (limited to 4), 1, 2.
        let rows = [(0.5, 3.0), (0.9, 4.0), (0.1, -1.0), (0.4, 2.0)];
        for (level, expected) in rows {
            assert_eq!(residuals.quantile(level), Some(expected), "{level}");
        }
    }
}
