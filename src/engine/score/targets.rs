//! What a forecast is held to: the value of one step, or the largest of several.

use std::collections::VecDeque;

use crate::engine::forecast::{Horizon, Target};

/// How many steps a horizon looks ahead.
pub(super) fn ahead(horizon: Horizon) -> usize {
    usize::try_from(horizon.steps).unwrap_or(usize::MAX)
}

/// What came of the forecast made at step `origin` of `values`: `None` where a step that belongs to it
/// is a gap or lies beyond the end.
pub(super) fn target(values: &[Option<f64>], origin: usize, horizon: Horizon) -> Option<f64> {
    let last = origin.checked_add(ahead(horizon))?;
    match horizon.target {
        Target::At => values.get(last).copied().flatten(),
        Target::WindowMax => largest(values.get(origin + 1..=last)?.iter()),
    }
}

/// The largest; `None` where one is missing, or there is none.
fn largest<'a>(values: impl Iterator<Item = &'a Option<f64>>) -> Option<f64> {
    let mut most: Option<f64> = None;
    for value in values {
        let value = (*value)?;
        most = Some(most.map_or(value, |most| most.max(value)));
    }
    most
}

/// The newest steps, as many as the farthest horizon needs.
#[derive(Debug)]
pub(super) struct Recent {
    values: VecDeque<Option<f64>>,
    most: usize,
}

impl Recent {
    /// For these horizons.
    pub(super) fn of(horizons: &[Horizon]) -> Self {
        let most = horizons.iter().map(|horizon| ahead(*horizon)).max().unwrap_or(0);
        Self { values: VecDeque::with_capacity(most), most }
    }

    /// The next step.
    pub(super) fn push(&mut self, value: Option<f64>) {
        if self.values.len() >= self.most {
            self.values.pop_front();
        }
        self.values.push_back(value);
    }

    /// What came of the forecast for `horizon` whose time ends with the newest step.
    pub(super) fn target(&self, horizon: Horizon) -> Option<f64> {
        match horizon.target {
            Target::At => self.values.back().copied().flatten(),
            Target::WindowMax => {
                let first = self.values.len().checked_sub(ahead(horizon))?;
                largest(self.values.range(first..))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Recent, target};
    use crate::engine::forecast::{Horizon, Target};

    const VALUES: [Option<f64>; 6] = [Some(1.0), Some(5.0), Some(2.0), None, Some(3.0), Some(4.0)];

    #[test]
    fn the_newest_steps_tell_the_same_as_the_whole_series() {
        let rows = [
            (0, 1, Target::At, Some(5.0)),
            (0, 2, Target::At, Some(2.0)),
            (0, 2, Target::WindowMax, Some(5.0)),
            (0, 3, Target::At, None),
            (1, 3, Target::At, Some(3.0)),
            (1, 3, Target::WindowMax, None),
            (3, 2, Target::WindowMax, Some(4.0)),
        ];
        for (origin, steps, kind, expected) in rows {
            let horizon = Horizon { steps, target: kind };
            assert_eq!(target(&VALUES, origin, horizon), expected, "{steps} after {origin}");
            let mut recent = Recent::of(&[horizon]);
            let last = origin + usize::try_from(steps).unwrap();
            VALUES[..=last].iter().for_each(|value| recent.push(*value));
            assert_eq!(recent.target(horizon), expected, "{steps} after {origin}");
        }
    }

    #[test]
    fn nothing_is_known_beyond_the_end_or_before_the_beginning() {
        let horizon = Horizon { steps: 3, target: Target::WindowMax };
        assert_eq!(target(&VALUES, 3, horizon), None);
        let mut recent = Recent::of(&[horizon]);
        recent.push(Some(1.0));
        assert_eq!(recent.target(horizon), None);
    }
}
