//! The tightest setting of a knob that still meets a target, in few trials.
//!
//! Given settings of which a later one costs more and attains more, it promises a setting that was
//! tried and met the target, if one of those tried did. Trying is left to the caller.

/// Halvings between the best setting of the list and the next: a step of 0.05 becomes 0.0125, about
/// one replica in eighty.
const REFINEMENTS: u32 = 2;

/// A bisection.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// From safe to cheap.
    values: Vec<f64>,
    /// Values before this one meet the target.
    met: usize,
    /// Values from this one on do not.
    missed: usize,
    refined: u32,
    best: Option<f64>,
    worst: Option<f64>,
}

impl Search {
    /// Over `values`, from cheap to safe, at least one.
    pub(super) fn over(values: &[f64]) -> Self {
        let values: Vec<f64> = values.iter().rev().copied().collect();
        let missed = values.len();
        Self { values, met: 0, missed, refined: 0, best: None, worst: None }
    }

    /// The most settings that will be asked for.
    pub(super) fn rounds_max(&self) -> u32 {
        // Each halving leaves at most half of those not known: log2 + 1 of them.
        self.values.len().checked_ilog2().map_or(0, |halvings| halvings + 1) + REFINEMENTS
    }

    /// The setting to try next; `None`: decided.
    pub(super) fn next(&self) -> Option<f64> {
        if self.met < self.missed {
            return self.values.get(self.middle()).copied();
        }
        let between = self.best.zip(self.worst).map(|(best, worst)| f64::midpoint(best, worst));
        between.filter(|_| self.refined < REFINEMENTS)
    }

    /// What came of it.
    pub(super) fn tell(&mut self, value: f64, is_met: bool) {
        let middle = self.middle();
        if self.met == self.missed {
            self.refined += 1;
        } else if is_met {
            self.met = middle + 1;
        } else {
            self.missed = middle;
        }
        *(if is_met { &mut self.best } else { &mut self.worst }) = Some(value);
    }

    /// The setting decided for: the tightest that met the target, else the most generous.
    pub(super) fn decided(&self) -> Option<f64> {
        self.best.or_else(|| self.values.first().copied())
    }

    const fn middle(&self) -> usize {
        usize::midpoint(self.met, self.missed)
    }
}

#[cfg(test)]
mod tests {
    use super::Search;

    const VALUES: [f64; 7] = [1.1, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5];

    /// The target is met up to and including `limit`.
    fn check(limit: f64, expected: f64) {
        let mut search = Search::over(&VALUES);
        let (mut rounds, most) = (0, search.rounds_max());
        while let Some(value) = search.next() {
            search.tell(value, value <= limit);
            rounds += 1;
        }
        assert!(rounds <= most, "{limit}: {rounds} rounds of at most {most}");
        let decided = search.decided().unwrap();
        assert!((decided - expected).abs() < 1e-9, "{limit}: {decided}, not {expected}");
    }

    #[test]
    fn the_tightest_setting_that_meets_the_target_is_found_between_those_listed() {
        let rows = [
            (0.70, 0.70),
            (0.73, 0.725),
            (0.76, 0.75),
            (0.799, 0.775),
            (0.50, 0.50),
            (1.09, 1.075),
            (2.0, 1.1),
        ];
        for (limit, expected) in rows {
            check(limit, expected);
        }
    }

    #[test]
    fn where_none_meets_it_the_most_generous_is_taken() {
        check(0.1, 0.5);
    }

    #[test]
    fn an_attainment_that_is_not_monotonous_still_gives_a_setting_that_met_it() {
        for met in [&[0.5, 0.9][..], &[0.8], &[0.6, 1.1], &[1.0]] {
            let mut search = Search::over(&VALUES);
            let mut tried = Vec::new();
            while let Some(value) = search.next() {
                let is_met = met.iter().any(|one| (one - value).abs() < 1e-9);
                tried.push((value, is_met));
                search.tell(value, is_met);
            }
            let decided = search.decided().unwrap();
            let some = tried.iter().any(|(_, is_met)| *is_met);
            let was = tried.iter().any(|(value, is_met)| (value - decided).abs() < 1e-9 && *is_met);
            assert_eq!(was, some, "{met:?}: {decided} of {tried:?}");
        }
    }
}
