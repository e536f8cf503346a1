//! The courses of typical days, minute by minute, in pods: 1 is what one pod carries.
//!
//! Given days and a stream of chance, each promises rates from Monday 00:00 on. The figures are
//! ours, chosen to be what their shape's line says; they are no measurement of anybody's service.

use std::f64::consts::TAU;

use crate::engine::numeric::replicas_ceil;
use crate::engine::replay::random::Random;
use crate::engine::replay::shapes::stage::Stage;

const DAY_MINUTES: u32 = 1440;

/// People of the team.
const TEAM: u32 = 8;

/// One height all the time.
pub(crate) fn constant(days: f64, _random: &mut Random) -> Vec<Stage> {
    along(days, |_| 3.0)
}

/// Low at night, highest in the afternoon; a weekend has 40 % of it; some 8 % of noise that stays
/// for minutes; three bursts a day of 1.4 to 2.2 times for 5 to 20 minutes.
pub(crate) fn diurnal(days: f64, random: &mut Random) -> Vec<Stage> {
    let mut noise = Noise::new(random.split());
    let mut bursts = random.split();
    let mut burst = (1.0, 0_u32);
    along(days, |minute| {
        let (factor, left) = burst;
        burst = if left > 0 {
            (factor, left - 1)
        } else if bursts.unit() < 3.0 / f64::from(DAY_MINUTES) {
            (bursts.between(1.4, 2.2), minutes(bursts.between(5.0, 20.0)))
        } else {
            (1.0, 0)
        };
        let height = if weekend(minute) { 2.0 } else { 5.0 };
        (0.6 + height * afternoon(minute)) * (0.08 * noise.next()).exp() * burst.0
    })
}

/// Even, until everybody comes: within two minutes, for ten, and then half as many every twenty.
pub(crate) fn crowd(days: f64, random: &mut Random) -> Vec<Stage> {
    let comes = minutes(random.between(60.0, 120.0));
    along(days, |minute| {
        let since = minute.checked_sub(comes).map(f64::from);
        0.9 + since.map_or(0.0, |since| match since {
            since if since < 1.0 => 3.3,
            since if since < 11.0 => 6.6,
            since => 6.6 * (-(since - 11.0) / 20.0).exp2(),
        })
    })
}

/// Sessions of 20 to 60 minutes with breaks of 10 to 40, each person's own, from 9 to 17 h on
/// weekdays; in every other minute of a session a quarter of a pod's worth.
pub(crate) fn team(days: f64, random: &mut Random) -> Vec<Stage> {
    let mut heights =
        vec![0.0; usize::try_from(minutes(days * f64::from(DAY_MINUTES))).unwrap_or(0)];
    for _person in 0..TEAM {
        let mut random = random.split();
        let mut minute = 0;
        while heights.len() > usize::try_from(minute).unwrap_or(usize::MAX) {
            let begins = minute + minutes(random.between(10.0, 40.0));
            let ends = begins + minutes(random.between(20.0, 60.0));
            let asked = (begins..ends).filter(|at| at_work(*at) && random.unit() < 0.5);
            for at in asked {
                let height = usize::try_from(at).ok().and_then(|at| heights.get_mut(at));
                height.into_iter().for_each(|height| *height += 0.25);
            }
            minute = ends;
        }
    }
    heights.into_iter().map(|height| Stage::new(60, height)).collect()
}

/// Between 1.2 and 7.8 pods every day, 3 % of noise.
pub(crate) fn production(days: f64, random: &mut Random) -> Vec<Stage> {
    let mut noise = Noise::new(random.split());
    along(days, |minute| {
        let height = (1.3 + 6.3 * afternoon(minute)) * (0.03 * noise.next()).exp();
        height.clamp(1.2, 7.8)
    })
}

/// From 1 h and up to ten minutes later: two and a half hours of 3.8 pods, twenty minutes of 1.5.
pub(crate) fn nightly(days: f64, random: &mut Random) -> Vec<Stage> {
    let mut begins = 0;
    along(days, |minute| {
        let of_day = minute % DAY_MINUTES;
        if of_day == 0 {
            begins = minutes(random.between(60.0, 70.0));
        }
        match of_day.checked_sub(begins) {
            Some(0..150) => 3.8,
            Some(150..170) => 1.5,
            Some(_) | None => 0.0,
        }
    })
}

/// 20 to 40 minutes of 1.8 pods, 40 to 80 of nothing, in turns.
pub(crate) fn on_off(days: f64, random: &mut Random) -> Vec<Stage> {
    let (mut on, mut left) = (false, 0);
    along(days, |_| {
        if left == 0 {
            on = !on;
            let (low, high) = if on { (20.0, 40.0) } else { (40.0, 80.0) };
            left = minutes(random.between(low, high));
        }
        left -= 1;
        if on { 1.8 } else { 0.0 }
    })
}

/// One stage a minute, with the height of its minute since the beginning.
fn along(days: f64, height: impl FnMut(u32) -> f64) -> Vec<Stage> {
    let all = 0..minutes(days * f64::from(DAY_MINUTES));
    all.map(height).map(|height| Stage::new(60, height)).collect()
}

/// A positive number of minutes, rounded up.
fn minutes(span: f64) -> u32 {
    replicas_ceil(span).max(1)
}

fn weekend(minute: u32) -> bool {
    minute / DAY_MINUTES % 7 >= 5
}

fn at_work(minute: u32) -> bool {
    !weekend(minute) && (9 * 60..17 * 60).contains(&(minute % DAY_MINUTES))
}

/// 1 at 14:30, 0 at 2:30; the power keeps nights longer than afternoons.
fn afternoon(minute: u32) -> f64 {
    let hour = f64::from(minute % DAY_MINUTES) / 60.0;
    (0.5 + 0.5 * (TAU * (hour - 14.5) / 24.0).cos()).powf(1.5)
}

/// Noise of variance 1 that forgets half of itself in some seven minutes.
struct Noise {
    level: f64,
    random: Random,
}

/// What is kept from one minute to the next: 0.9^7 is a half.
const KEPT: f64 = 0.9;

impl Noise {
    const fn new(random: Random) -> Self {
        Self { level: 0.0, random }
    }

    fn next(&mut self) -> f64 {
        // Twelve uniforms less six: near enough to a normal, and never beyond six.
        let fresh = (0..12).map(|_| self.random.unit()).sum::<f64>() - 6.0;
        self.level = KEPT * self.level + (1.0 - KEPT * KEPT).sqrt() * fresh;
        self.level
    }
}
