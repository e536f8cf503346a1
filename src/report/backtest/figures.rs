//! Figures of policies over the seeds, and comparisons between them.
//!
//! Given a [`Backtest`], promises finite numbers: what is not finite, or was measured in no seed, is
//! `None`. How numbers are written is left to the formats.

use crate::engine::replay::score::Score;
use crate::report::backtest::data::{ALWAYS_ON, Backtest, Entry, Point, World, is_bound};

/// A figure over the seeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Mean of the seeds that have it.
    pub mean: f64,
    /// Sample standard deviation (n - 1); `None` with fewer than two seeds.
    pub sd: Option<f64>,
}

/// The figures of one policy; `None` where no seed has a finite one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Share of requests that met both objectives, 0..1.
    pub slo_attainment: Option<Spread>,
    /// GPUs of a replica x time from created to terminated.
    pub gpu_hours: Option<Spread>,
    /// Replicas there, over time.
    pub replicas_mean: Option<Spread>,
    /// The fewest of them, mean over the seeds.
    pub replicas_min: Option<Spread>,
    /// The most of them, mean over the seeds.
    pub replicas_max: Option<Spread>,
    /// The fewest replicas wanted after the first 15 minutes.
    pub desired_min: Option<Spread>,
    /// The most of them.
    pub desired_max: Option<Spread>,
    /// Pods created.
    pub cold_starts: Option<Spread>,
    /// Changes of the wanted replicas.
    pub scale_events: Option<Spread>,
    /// Times woken from zero.
    pub wakes: Option<Spread>,
    /// Those that a request had to wait for.
    pub wakes_awaited: Option<Spread>,
    /// Time to first token, seconds; of the seeds in which anybody was answered.
    pub ttft_p50: Option<Spread>,
    /// 95th percentile.
    pub ttft_p95: Option<Spread>,
    /// 99th percentile.
    pub ttft_p99: Option<Spread>,
    /// Requests refused, given up or cut off.
    pub failed_requests: Option<Spread>,
    /// Requests that arrived.
    pub requests: Option<Spread>,
    /// GPU-hours x price; `None` without a price.
    pub cost: Option<Spread>,
}

/// GPU-hours that a policy needs for the attainment aimed at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Need {
    /// Between two settings of its knob, on a straight line.
    Interpolated(f64),
    /// Every setting attains it; the cheapest one costs this, and a cheaper one might do.
    AtMost(f64),
    /// No setting attains it.
    Never,
}

/// Mean and sample standard deviation of those values that are there and finite.
#[must_use]
pub fn spread(values: impl IntoIterator<Item = Option<f64>>) -> Option<Spread> {
    let values: Vec<f64> = values.into_iter().flatten().filter(|value| value.is_finite()).collect();
    let n = float(u64::try_from(values.len()).ok()?);
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let sd = (n >= 2.0).then(|| (squares / (n - 1.0)).sqrt()).filter(|sd| sd.is_finite());
    // No value at all gives 0/0; values near the largest float, infinity.
    mean.is_finite().then_some(Spread { mean, sd })
}

/// The figures of `entry` at the price of `world`.
#[must_use]
pub fn figures(entry: &Entry, world: &World) -> Figures {
    let of = |value: fn(&Score) -> Option<f64>| spread(entry.scores.iter().map(value));
    let gpu_hours = of(|score| Some(score.gpu_hours));
    Figures {
        slo_attainment: of(|score| Some(score.attainment())),
        gpu_hours,
        replicas_mean: of(|score| Some(score.replicas_mean)),
        replicas_min: of(|score| Some(f64::from(score.replicas_min))),
        replicas_max: of(|score| Some(f64::from(score.replicas_max))),
        desired_min: of(|score| score.desired_min.map(f64::from)),
        desired_max: of(|score| score.desired_max.map(f64::from)),
        cold_starts: of(|score| Some(float(score.cold_starts))),
        scale_events: of(|score| Some(float(score.scale_events))),
        wakes: of(|score| Some(float(score.wakes))),
        wakes_awaited: of(|score| Some(float(score.wakes_awaited))),
        ttft_p50: of(|score| score.ttft_p50),
        ttft_p95: of(|score| score.ttft_p95),
        ttft_p99: of(|score| score.ttft_p99),
        failed_requests: of(|score| Some(float(score.failed))),
        requests: of(|score| Some(float(score.requests))),
        cost: gpu_hours.zip(world.gpu_price).and_then(|(hours, price)| times(hours, price)),
    }
}

fn times(Spread { mean, sd }: Spread, factor: f64) -> Option<Spread> {
    let (mean, sd) = (mean * factor, sd.map(|sd| sd * factor));
    (mean.is_finite() && sd.is_none_or(f64::is_finite)).then_some(Spread { mean, sd })
}

/// The figures of every policy, in their order.
#[must_use]
pub fn all(backtest: &Backtest) -> Vec<Figures> {
    backtest.policies.iter().map(|entry| figures(entry, &backtest.world)).collect()
}

/// Which of `points` are on the Pareto front: none other is at least as good in both, attainment and
/// GPU-hours, and better in one. Points that are not finite are not on it.
#[must_use]
pub fn front(points: &[(f64, f64)]) -> Vec<bool> {
    let finite = |(attainment, hours): (f64, f64)| attainment.is_finite() && hours.is_finite();
    let beats = |a: (f64, f64), b: (f64, f64)| {
        finite(a) && a.0 >= b.0 && a.1 <= b.1 && (a.0 > b.0 || a.1 < b.1)
    };
    let on = |point: (f64, f64)| finite(point) && !points.iter().any(|other| beats(*other, point));
    points.iter().map(|point| on(*point)).collect()
}

/// Attainment and GPU-hours of a point of the sweep.
#[must_use]
pub fn coordinates(point: &Point) -> (f64, f64) {
    (point.slo_attainment, point.gpu_hours)
}

/// The sweep's Pareto front, over all policies but the bounds.
#[must_use]
pub fn sweep_front(sweep: &[Point]) -> Vec<bool> {
    let choice = |point: &Point| match point.name.as_str() {
        name if is_bound(name) => (f64::NAN, f64::NAN),
        _ => coordinates(point),
    };
    front(&sweep.iter().map(choice).collect::<Vec<_>>())
}

/// The policy that is the best trade-off: the cheapest that attains the target, or the one that
/// comes nearest. A bound is no choice.
#[must_use]
pub fn best(backtest: &Backtest) -> Option<usize> {
    let target = backtest.world.slo_target;
    let figures = all(backtest);
    let choices = backtest.policies.iter().zip(&figures).enumerate().filter_map(|(idx, row)| {
        let (entry, figures) = row;
        let (attainment, hours) = (figures.slo_attainment?.mean, figures.gpu_hours?.mean);
        (!is_bound(&entry.name)).then_some((idx, attainment, hours))
    });
    choices
        .min_by(|(_, attained_a, hours_a), (_, attained_b, hours_b)| {
            // Above the target more is worth nothing; below it, less is worth less than any saving.
            let (a, b) = (attained_a.min(target), attained_b.min(target));
            b.total_cmp(&a).then(hours_a.total_cmp(hours_b)).then(attained_b.total_cmp(attained_a))
        })
        .map(|(idx, _, _)| idx)
}

/// The policy that never scales, if it was asked for.
#[must_use]
pub fn always_on(backtest: &Backtest) -> Option<usize> {
    backtest.policies.iter().position(|entry| entry.name == ALWAYS_ON)
}

/// What `name` needs for the attainment aimed at, from its sweep and its own run.
#[must_use]
pub fn need(backtest: &Backtest, name: &str) -> Option<Need> {
    let own = backtest.policies.iter().filter(|entry| entry.name == name).filter_map(|entry| {
        let Figures { slo_attainment, gpu_hours, .. } = figures(entry, &backtest.world);
        Some((slo_attainment?.mean, gpu_hours?.mean))
    });
    let swept = backtest.sweep.iter().filter(|point| point.name == name).map(coordinates);
    let points: Vec<(f64, f64)> = own.chain(swept).collect();
    need_of(&points, backtest.world.slo_target)
}

/// The same from (attainment, GPU-hours). Only the policy's own Pareto front counts: no one would
/// choose a setting that costs more and gives less. `None` without a point.
#[must_use]
pub fn need_of(points: &[(f64, f64)], target: f64) -> Option<Need> {
    let on = front(points);
    let mut chosen: Vec<(f64, f64)> =
        points.iter().zip(on).filter(|(_, on)| *on).map(|(point, _)| *point).collect();
    chosen.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (lowest, highest) = (chosen.first()?, chosen.last()?);
    if lowest.0 >= target {
        return Some(Need::AtMost(lowest.1));
    }
    if highest.0 < target {
        return Some(Need::Never);
    }
    let pair = chosen.windows(2).find(|pair| pair[1].0 >= target)?;
    let ((low, cheap), (high, dear)) = (pair[0], pair[1]);
    Some(Need::Interpolated(cheap + (dear - cheap) * (target - low) / (high - low)))
}

/// Far above any count here a float has gaps; such a count is told as the largest without.
fn float(count: u64) -> f64 {
    const EXACT_MAX: u64 = 1 << 53;
    let count = count.min(EXACT_MAX);
    let (high, low) = (u32::try_from(count >> 32), u32::try_from(count & 0xffff_ffff));
    f64::from(high.unwrap_or(u32::MAX)) * 4_294_967_296.0 + f64::from(low.unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Need, Spread, front, need_of, spread};

    #[test]
    fn a_spread_is_of_the_seeds_that_have_the_figure() {
        let rows: [(&[Option<f64>], Option<Spread>); 6] = [
            (&[], None),
            (&[None, Some(f64::NAN)], None),
            (&[Some(4.0)], Some(Spread { mean: 4.0, sd: None })),
            (&[Some(4.0), None], Some(Spread { mean: 4.0, sd: None })),
            (&[Some(1.0), Some(3.0)], Some(Spread { mean: 2.0, sd: Some(2.0_f64.sqrt()) })),
            // Squares 4+0+4 around 4, over n - 1 = 2.
            (&[Some(2.0), Some(4.0), Some(6.0)], Some(Spread { mean: 4.0, sd: Some(2.0) })),
        ];
        for (values, expected) in rows {
            assert_eq!(spread(values.iter().copied()), expected, "{values:?}");
        }
    }

    /// Attainment and GPU-hours.
    type Found = (f64, f64);

    #[test]
    fn the_front_holds_what_nothing_else_beats() {
        let rows: [(&[Found], &[bool]); 4] = [
            (&[], &[]),
            (&[(0.9, 10.0), (0.95, 12.0), (0.9, 11.0)], &[true, true, false]),
            (&[(0.9, 10.0), (0.9, 10.0)], &[true, true]),
            (&[(f64::NAN, 1.0), (0.5, f64::INFINITY), (0.1, 9.0)], &[false, false, true]),
        ];
        for (points, expected) in rows {
            assert_eq!(front(points), expected, "{points:?}");
        }
    }

    #[test]
    fn equal_attainment_is_interpolated_along_the_front() {
        let rows: [(&[Found], f64, Option<Need>); 6] = [
            (&[], 0.99, None),
            (&[(0.96, 100.0), (1.0, 140.0)], 0.97, Some(Need::Interpolated(110.0))),
            // A dominated setting between the two changes nothing.
            (&[(1.0, 140.0), (0.965, 150.0), (0.96, 100.0)], 0.97, Some(Need::Interpolated(110.0))),
            (&[(0.96, 100.0), (0.98, 120.0)], 0.98, Some(Need::Interpolated(120.0))),
            (&[(0.98, 100.0), (1.0, 140.0)], 0.97, Some(Need::AtMost(100.0))),
            (&[(0.90, 100.0)], 0.97, Some(Need::Never)),
        ];
        for (points, target, expected) in rows {
            let found = need_of(points, target);
            let near = match (found, expected) {
                (Some(Need::Interpolated(a)), Some(Need::Interpolated(b))) => (a - b).abs() < 1e-9,
                (a, b) => a == b,
            };
            assert!(near, "{points:?} at {target}: {found:?}, not {expected:?}");
        }
    }
}
