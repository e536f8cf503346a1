//! What to change, read off the figures.
//!
//! Given a [`Backtest`], promises sentences that follow from numbers in it, each naming them; none
//! where nothing follows. Whether they are shown is left to the caller, who puts them into it.

use crate::report::backtest::data::{Backtest, CLAIRVOYANT, Entry, Point, is_bound};
use crate::report::backtest::figures::{Figures, Need, all, always_on, best, figures, need};
use crate::report::backtest::words::{counted, measured, number, setting, share, time};

/// A saving below this share is within what traces of the same kind differ by.
const WORTH_SAYING: f64 = 0.02;

/// Sentences, the weightiest first.
#[must_use]
pub fn advice(backtest: &Backtest) -> Vec<String> {
    [unattainable, other_policy, equal, knob, capped, woken]
        .into_iter()
        .filter_map(|rule| rule(backtest))
        .collect()
}

/// Where even who knows the future fails, no policy helps.
fn unattainable(backtest: &Backtest) -> Option<String> {
    let world = &backtest.world;
    let oracle = backtest.policies.iter().find(|entry| entry.name == CLAIRVOYANT)?;
    let attained = figures(oracle, world).slo_attainment?.mean;
    (attained < world.slo_target).then(|| {
        format!(
            "Even {CLAIRVOYANT} attains only {} of the {} aimed at: allow more than {} replicas, \
             shorten the cold start ({}), or relax the objectives.",
            share(attained),
            share(world.slo_target),
            world.limits.1,
            time(world.cold_start),
        )
    })
}

/// The change that saves most.
fn other_policy(backtest: &Backtest) -> Option<String> {
    let (best, base) = (best(backtest)?, always_on(backtest)?);
    let figures = all(backtest);
    let (own, always) = (figures[best].gpu_hours?.mean, figures[base].gpu_hours?.mean);
    let less = (always - own) / always;
    (best != base && less > WORTH_SAYING).then(|| {
        format!(
            "Use {} in place of {}: {}% fewer GPU-hours at {}.",
            backtest.policies[best].name,
            backtest.policies[base].name,
            number(less * 100.0, 1),
            share(figures[best].slo_attainment.map_or(0.0, |attained| attained.mean)),
        )
    })
}

/// Where all are turned until they are equally good, another may need less than the best as it ran.
fn equal(backtest: &Backtest) -> Option<String> {
    let best = &backtest.policies[best(backtest)?].name;
    let needed = |name: &str| match need(backtest, name)? {
        Need::Interpolated(hours) | Need::AtMost(hours) => Some(hours),
        Need::Never => None,
    };
    let choices = backtest.policies.iter().filter(|entry| !is_bound(&entry.name));
    let needs = choices.filter_map(|entry| Some((&entry.name, needed(&entry.name)?)));
    let (name, hours) = needs.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let other = needed(best)?;
    (name != best && hours < other * (1.0 - WORTH_SAYING)).then(|| {
        format!(
            "At equal attainment of {} {name} needs least: {} GPU-hours, {best} {}.",
            share(backtest.world.slo_target),
            measured(hours),
            measured(other)
        )
    })
}

/// The setting of our own knob that attains the target at the least cost.
fn knob(backtest: &Backtest) -> Option<String> {
    let target = backtest.world.slo_target;
    let ours = |name: &str| name.starts_with("prescale-");
    let entry = best(backtest)
        .map(|idx| &backtest.policies[idx])
        .filter(|entry| ours(&entry.name))
        .or_else(|| backtest.policies.iter().find(|entry| ours(&entry.name)))?;
    let Figures { gpu_hours, slo_attainment, .. } = figures(entry, &backtest.world);
    let (hours, attained) = (gpu_hours?.mean, slo_attainment?.mean);
    let (name, now) = entry.knob.as_ref()?;
    // "headroom: usable share of what a replica carries" is called by its first word.
    let name = name.split_once(": ").map_or(name.as_str(), |(short, _)| short);
    let point = cheapest(&backtest.sweep, entry, target)?;
    let saves = point.gpu_hours < hours * (1.0 - WORTH_SAYING);
    if (point.headroom - now).abs() < 1e-9 || (attained >= target && !saves) {
        return None;
    }
    Some(format!(
        "Set {name} of {} to {} (now {}): {} at {} GPU-hours, now {} at {}.",
        entry.name,
        setting(point.headroom),
        setting(*now),
        share(point.slo_attainment),
        measured(point.gpu_hours),
        share(attained),
        measured(hours),
    ))
}

fn cheapest<'a>(sweep: &'a [Point], entry: &Entry, target: f64) -> Option<&'a Point> {
    sweep
        .iter()
        .filter(|point| point.name == entry.name && point.slo_attainment >= target)
        .min_by(|a, b| a.gpu_hours.total_cmp(&b.gpu_hours))
}

/// The best policy ran into the limit, and misses what it should attain.
fn capped(backtest: &Backtest) -> Option<String> {
    let world = &backtest.world;
    let entry = &backtest.policies[best(backtest)?];
    let Figures { slo_attainment, desired_max, .. } = figures(entry, world);
    let at_limit = desired_max?.mean >= f64::from(world.limits.1);
    (at_limit && slo_attainment?.mean < world.slo_target).then(|| {
        format!(
            "{} wanted as many as the {} replicas that are allowed: raise the limit.",
            entry.name, world.limits.1
        )
    })
}

/// Scale to zero has a price that the target may not bear.
fn woken(backtest: &Backtest) -> Option<String> {
    let world = &backtest.world;
    let entry = &backtest.policies[best(backtest)?];
    let Figures { slo_attainment, wakes, .. } = figures(entry, world);
    let wakes = wakes?.mean;
    (wakes > 0.0 && slo_attainment?.mean < world.slo_target).then(|| {
        format!(
            "{} woke from zero {} times, {} each: keep one replica where that is too slow.",
            entry.name,
            counted(wakes),
            time(world.cold_start)
        )
    })
}
