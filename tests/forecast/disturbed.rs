//! Days that go wrong: holes, outliers, level shifts, clocks that jump. A day later the loss is what it
//! would have been.

use prescale::engine::forecast::{Forecaster, Setup};

use crate::score::{Fed, Said, go_on, minute, minutely, score, setup, values_ahead};
use crate::series::{Chance, DAY, sines};

/// When it goes wrong, and which targets are judged: those of a day, a day after the longest of it.
const WRONG: usize = 3 * DAY;
const JUDGED: std::ops::Range<usize> = WRONG + 3 * DAY / 2..WRONG + 5 * DAY / 2;

/// Three days without a fault, and what comes then.
struct Days {
    setup: Setup,
    clean: Vec<f64>,
    before: Vec<Vec<Said>>,
    forecaster: Forecaster,
    /// Losses of the horizons when nothing goes wrong.
    undisturbed: Vec<f64>,
}

impl Days {
    fn new() -> Self {
        let setup = setup(values_ahead(&[20]));
        let clean = sines(6, JUDGED.end);
        let mut forecaster = Forecaster::new(&setup);
        let before = go_on(&mut forecaster, &setup, minutely(&clean[..WRONG]));
        let mut days = Self { setup, clean, before, forecaster, undisturbed: Vec::new() };
        days.undisturbed = days.losses(|step, value| (minute(step), Some(value)), 1.0);
        days
    }

    /// Losses of the horizons when `fed` is what it is made of the rest, `times` as large as it was.
    fn losses(&self, mut fed: impl FnMut(usize, f64) -> Fed, times: f64) -> Vec<f64> {
        let mut said = self.before.clone();
        let rest = (WRONG..).zip(&self.clean[WRONG..]);
        let rest = rest.map(|(step, value)| fed(step, times * value));
        said.extend(go_on(&mut self.forecaster.clone(), &self.setup, rest));
        let actual: Vec<f64> = self.clean.iter().map(|value| times * value).collect();
        let loss = |place| score(&self.setup, place, &said, &actual, JUDGED).wql;
        (0..self.setup.horizons.len()).map(loss).collect()
    }

    fn check(&self, name: &str, times: f64, fed: impl FnMut(usize, f64) -> Fed) {
        let losses = self.losses(fed, times);
        for (loss, undisturbed) in losses.iter().zip(&self.undisturbed) {
            assert!(*loss <= 1.3 * undisturbed, "{name}: {losses:?}, was {:?}", self.undisturbed);
        }
    }
}

#[test]
fn a_day_after_a_fault_the_loss_is_what_it_would_have_been() {
    let days = Days::new();
    let missing = |hours: usize| {
        move |step, value| (minute(step), (step >= WRONG + 60 * hours).then_some(value))
    };
    days.check("a hole of 2 hours", 1.0, missing(2));
    days.check("a hole of 12 hours", 1.0, missing(12));
    let mut chance = Chance::new(7);
    days.check("one in a hundred is missing", 1.0, |step, value| {
        (minute(step), (chance.uniform() > 0.01).then_some(value))
    });
    let once = |step| step == WRONG + DAY / 5;
    for (name, times) in [
        ("one outlier of 50 times", 50.0),
        ("one of a billion times", 1e9),
        ("one that is nothing", 0.0),
    ] {
        days.check(name, 1.0, |step, value| {
            (minute(step), Some(if once(step) { times * value } else { value }))
        });
    }
    days.check("three times the demand", 3.0, |step, value| (minute(step), Some(value)));
    days.check("a third of the demand", 1.0 / 3.0, |step, value| (minute(step), Some(value)));
    days.check("a clock put back by an hour", 1.0, |step, value| (minute(step - 60), Some(value)));
    days.check("a clock put on by an hour", 1.0, |step, value| (minute(step + 60), Some(value)));
}
