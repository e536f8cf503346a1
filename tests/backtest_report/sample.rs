//! A made-up backtest that looks like a real one: a day of production traffic with two bursts.
//!
//! The courses come from a toy of queues, far from the world of the replay, which is not what is
//! tested here. Everything is arithmetic on a fixed sequence: the same bytes on every machine.

use prescale::engine::replay::score::{Moment, Score};
use prescale::report::backtest::{Backtest, Entry, Point, Trace, World};

const STEP: f64 = 180.0;
const KNEE: f64 = 1.45;
const GPUS: f64 = 2.0;

/// Name, how far ahead of demand it looks in steps (behind, where negative), and its margin.
type Kind = (&'static str, i32, f64);

const KINDS: [Kind; 13] = [
    ("static-peak", 0, 0.0),
    ("keda-queue", -3, 1.02),
    ("keda-queue-cron", -2, 1.1),
    ("knative-kpa", -1, 1.15),
    ("prescale-reactive", -1, 1.25),
    ("oracle", 1, 1.12),
    ("keda-multi", -2, 1.2),
    ("hpa-kv", -3, 1.1),
    ("hpa-running", -3, 1.3),
    ("hpa-gpu", -4, 1.5),
    ("wva-v1", -2, 1.0),
    ("wva-v2", -1, 1.1),
    ("slo-aware", -1, 1.3),
];

/// A backtest of `n_policies` over `points` steps and `seeds` seeds.
pub(crate) fn backtest(n_policies: usize, points: usize, seeds: u32) -> Backtest {
    let demand = demand(points);
    let policies: Vec<Entry> =
        KINDS.iter().cycle().take(n_policies).map(|kind| entry(*kind, &demand, seeds)).collect();
    let mean = demand.iter().sum::<f64>() / length(demand.len());
    let mut backtest = Backtest {
        trace: Trace {
            name: "azure-code-2023.csv.gz".to_owned(),
            begins_unix_ms: 1_700_092_800_000,
            seconds: STEP * length(points),
            requests: 412_331,
            rate_mean: mean,
            rate_peak: demand.iter().copied().fold(0.0, f64::max),
            prompt_mean: 2_048.4,
            output_mean: 27.9,
        },
        world: World {
            profile: "qwen3-32b-tp2-h100".to_owned(),
            gpus: 2,
            knee: KNEE,
            cold_start: 100.0,
            ttft: 3.0,
            tpot: 0.1,
            slo_target: 0.99,
            limits: (1, 12),
            seeds,
            gpu_price: Some(2.49),
        },
        sweep: sweep(&policies),
        policies,
        advice: Vec::new(),
        command: "prescale backtest --trace azure-code-2023.csv.gz --profile qwen3-32b-tp2-h100 \
                  --slo-target 0.99 --sweep --seeds 3 --gpu-price 2.49 --html report.html"
            .to_owned(),
    };
    backtest.advice = prescale::report::backtest::advice::advice(&backtest);
    backtest
}

fn length(points: usize) -> f64 {
    f64::from(u32::try_from(points).unwrap())
}

/// Low by night, two humps by day, two bursts, and noise from a fixed sequence.
fn demand(points: usize) -> Vec<f64> {
    let mut state: u32 = 17;
    let at = |idx: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = f64::from(state >> 16) / 65_536.0 - 0.5;
        let day = length(idx) / length(points);
        let hump = |centre: f64, width: f64| (-((day - centre) / width).powi(2)).exp();
        let burst =
            if (0.61..0.63).contains(&day) || (0.87..0.88).contains(&day) { 4.0 } else { 0.0 };
        (0.8 + 6.0 * hump(0.42, 0.1) + 4.5 * hump(0.65, 0.13) + burst) * (1.0 + 0.25 * noise)
    };
    (0..points).map(at).collect()
}

fn entry((name, ahead, margin): Kind, demand: &[f64], seeds: u32) -> Entry {
    let course = course((name, ahead, margin), demand);
    let score = score(&course);
    let scores = (0..seeds).map(|seed| varied(&score, seed)).collect();
    Entry {
        name: name.to_owned(),
        about: "scales on the queue, as most do today".to_owned(),
        source: "KEDA 2.18 documentation, Prometheus trigger; example of vLLM production-stack"
            .to_owned(),
        simplifications: vec![
            "the HPA's default behaviour, no custom policies".to_owned(),
            "thresholds as documented, not tuned to the trace".to_owned(),
        ],
        knob: (name != "static-peak").then(|| ("headroom".to_owned(), 0.7)),
        scores,
        course,
    }
}

fn course((_, ahead, margin): Kind, demand: &[f64]) -> Vec<Moment> {
    let peak = demand.iter().copied().fold(0.0, f64::max);
    let (mut queue, mut ready, mut replicas) = (0.0_f64, 0_u32, 0_u32);
    let steps = demand.iter().enumerate().map(|(idx, rate)| {
        let seen = idx.saturating_add_signed(isize::try_from(ahead).unwrap());
        let seen = demand[seen.min(demand.len() - 1)];
        let wanted = if margin == 0.0 { peak } else { seen * margin } + queue / 600.0;
        let desired = whole((wanted / KNEE).ceil().clamp(1.0, 12.0));
        ready = if idx == 0 { desired } else { replicas.min(desired) };
        let before = if idx == 0 { desired } else { replicas };
        replicas = desired.max(replicas.saturating_sub(1));
        queue = (queue + (rate - f64::from(ready) * KNEE) * STEP).max(0.0);
        let wait = queue / (f64::from(ready) * KNEE);
        Moment {
            at: STEP * length(idx + 1),
            demand: *rate,
            replicas,
            created: replicas.saturating_sub(before),
            ready,
            desired,
            queue: u64::from(whole(queue)),
            ttft_p95: (idx % 97 != 40).then_some(0.35 + 0.05 * rate + wait),
        }
    });
    steps.collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

fn score(course: &[Moment]) -> Score {
    let rises = course.windows(2).filter(|pair| pair[1].replicas > pair[0].replicas).count();
    let over = |ttft: f64| course.iter().filter(|it| it.ttft_p95.is_some_and(|t| t > ttft)).count();
    let mean = course.iter().map(|it| f64::from(it.replicas)).sum::<f64>() / length(course.len());
    let mut ttft: Vec<f64> = course.iter().filter_map(|it| it.ttft_p95).collect();
    ttft.sort_by(f64::total_cmp);
    let late = u64::try_from(over(3.0) * 400 / course.len()).unwrap() * 200 + 90;
    Score {
        requests: 412_331,
        attained: 412_331 - late,
        failed: late / 900,
        gpu_hours: mean * GPUS * STEP * length(course.len()) / 3_600.0,
        replicas_mean: mean,
        replicas_min: course.iter().map(|it| it.replicas).min().unwrap(),
        replicas_max: course.iter().map(|it| it.replicas).max().unwrap(),
        desired_min: course.iter().map(|it| it.desired).min(),
        desired_max: course.iter().map(|it| it.desired).max(),
        cold_starts: u64::try_from(rises).unwrap(),
        scale_events: u64::try_from(rises * 2).unwrap(),
        wakes: 0,
        wakes_awaited: 0,
        ttft_p50: Some(0.42),
        ttft_p95: ttft.get(ttft.len() * 95 / 100).copied(),
        ttft_p99: ttft.get(ttft.len() * 99 / 100).copied(),
    }
}

/// The same run with another seed.
fn varied(score: &Score, seed: u32) -> Score {
    let shift = f64::from(seed % 3) - 1.0;
    let missed = (score.requests - score.attained) * (10 + u64::from(seed)) / 11;
    Score {
        attained: score.requests - missed,
        gpu_hours: score.gpu_hours * (1.0 + 0.01 * shift),
        replicas_mean: score.replicas_mean * (1.0 + 0.01 * shift),
        cold_starts: score.cold_starts + u64::from(seed % 2),
        ..score.clone()
    }
}

/// Five settings around each policy's own: more hours, fewer misses.
fn sweep(policies: &[Entry]) -> Vec<Point> {
    let settings =
        [(0.9, 0.82, 3.2), (0.8, 0.9, 1.8), (0.7, 1.0, 1.0), (0.6, 1.15, 0.45), (0.5, 1.4, 0.2)];
    let swept = policies.iter().filter(|entry| entry.knob.is_some());
    let points = swept.flat_map(|entry| {
        let score = &entry.scores[0];
        settings.map(|(headroom, hours, misses)| Point {
            name: entry.name.clone(),
            headroom,
            slo_attainment: 1.0 - (1.0 - score.attainment()) * misses,
            gpu_hours: score.gpu_hours * hours,
        })
    });
    points.collect()
}
