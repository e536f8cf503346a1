//! Where a series begins does not change what is done at which step.

use prescale::engine::forecast::{Forecaster, Setup, Target};

use crate::score::{Fed, Said, ahead, minute, said, setup};
use crate::series::wandering;

fn after(setup: &Setup, fed: impl IntoIterator<Item = Fed>) -> Vec<Said> {
    let mut forecaster = Forecaster::new(setup);
    fed.into_iter().for_each(|(at, value)| forecaster.observe(at, value));
    said(&forecaster, setup.horizons.len())
}

/// A store keeps no minutes of which nothing is known, ticks count them: one that began with a minute more
/// said up to 9 % more or less at p95, days on.
#[test]
fn what_is_unknown_before_the_first_value_changes_nothing() {
    let steps = [1, 5, 20, 45, 90];
    let setup = setup(steps.map(|steps| ahead(steps, Target::WindowMax)).to_vec());
    let values = wandering(5, 4000);
    let known = || values.iter().enumerate().map(|(step, value)| (minute(step + 40), Some(*value)));
    let expected = after(&setup, known());
    for unknown in [1, 7, 40] {
        let before = (40 - unknown..40).map(|step| (minute(step), None));
        assert_eq!(after(&setup, before.chain(known())), expected, "{unknown} unknown minutes");
    }
}
