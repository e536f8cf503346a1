//! Days that go wrong: holes, outliers, level shifts, clocks that jump. A day later the loss is what it
//! would have been.

use prescale::engine::forecast::{Forecaster, Setup, Target};

use crate::score::{Fed, Said, ahead, go_on, minute, minutely, score, setup, values_ahead};
use crate::series::{Chance, DAY, sine_rate, sines};

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

/// Days without chance, every tenth minute another bend; then a hole, and what comes after it at another
/// level. The most that is said at the level of 95 % in the half hour after, over the most that was there.
fn said_after(hole: usize, level: f64) -> f64 {
    let setup = setup([5, 10, 20, 45].map(|steps| ahead(steps, Target::WindowMax)).to_vec());
    let mut chance = Chance::new(3);
    let bends: Vec<f64> = (0..=4 * DAY / 10).map(|_| 0.9 + 0.2 * chance.uniform()).collect();
    let smooth = |step: usize| {
        let share = f64::from(u32::try_from(step % 10).unwrap()) / 10.0;
        let bend = (1.0 - share) * bends[step / 10] + share * bends[step / 10 + 1];
        sine_rate(step) * bend
    };
    let end = 3 * DAY + 600;
    let mut forecaster = Forecaster::new(&setup);
    go_on(&mut forecaster, &setup, (0..end).map(|step| (minute(step), Some(smooth(step)))));
    let after = end + hole..end + hole + 30;
    let values: Vec<f64> = after.clone().map(|step| level * smooth(step)).collect();
    let fed = after.zip(&values).map(|(step, value)| (minute(step), Some(*value)));
    let said = go_on(&mut forecaster, &setup, fed);
    let most = said.iter().flatten().map(|said| said.own[2]).fold(0.0, f64::max);
    most / values.iter().copied().fold(smooth(end - 1), f64::max)
}

/// Lines that were learned without chance lead anywhere after a change that they have not seen: without a
/// bound they said 1.74 times the most that came after half as much again, and 2.22 times after three times
/// as much; with it 1.26 and 1.32.
#[test]
fn after_a_hole_or_a_jump_the_forecast_stays_within_reason() {
    for (hole, level) in [(0, 0.7), (0, 1.5), (0, 3.0), (7, 0.7), (30, 1.3), (120, 0.5), (30, 3.0)]
    {
        let beyond = said_after(hole, level);
        assert!(beyond < 1.5, "a hole of {hole} minutes, then {level} of it: {beyond}");
    }
}
