//! Series of demand per minute, made up: the same seed gives the same numbers everywhere.

/// Minutes of a day.
pub(crate) const DAY: usize = 1440;

/// Knuth's linear congruential generator (MMIX): 64 bits of state, the upper ones are used.
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Self(seed);
        chance.uniform();
        chance
    }

    /// 0 to 1, 1 left out.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / 4_294_967_296.0
    }

    /// A count of about `rate`, its variance that of arrivals which do not know of each other: the
    /// nearest whole number to a normal one, which is made of twelve uniform ones.
    pub(crate) fn count(&mut self, rate: f64) -> f64 {
        let normal: f64 = (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0;
        (rate + rate.sqrt() * normal).round().max(0.0)
    }
}

fn minute_of(step: usize) -> f64 {
    f64::from(u32::try_from(step % DAY).unwrap())
}

/// Counts around `rate(step)`.
pub(crate) fn counts(seed: u64, steps: usize, rate: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut chance = Chance::new(seed);
    (0..steps).map(|step| chance.count(rate(step))).collect()
}

/// A day like a sine between 80 and 320 a minute.
pub(crate) fn sine_rate(step: usize) -> f64 {
    200.0 - 120.0 * (std::f64::consts::TAU * minute_of(step) / 1440.0).cos()
}

/// Days like sines with the noise of arrivals.
pub(crate) fn sines(seed: u64, steps: usize) -> Vec<f64> {
    counts(seed, steps, sine_rate)
}

/// A rate that wanders: nothing comes back daily, and it is left to what was lately.
pub(crate) fn wandering(seed: u64, steps: usize) -> Vec<f64> {
    let mut chance = Chance::new(seed);
    let mut root = 10.0;
    let mut step = || {
        root = 0.995 * root + 0.05 + 0.4 * (chance.uniform() - 0.5);
        chance.count(root * root)
    };
    (0..steps).map(|_| step()).collect()
}

/// A workload that sleeps: nothing for hours, then bursts of about 30 a minute for 10 to 40 minutes.
pub(crate) fn sleeping(seed: u64, steps: usize) -> Vec<f64> {
    let mut chance = Chance::new(seed);
    let mut left = 0.0;
    let mut step = || {
        if left < 1.0 && chance.uniform() < 1.0 / 300.0 {
            left = 10.0 + 30.0 * chance.uniform();
        }
        left -= 1.0;
        if left >= 0.0 { chance.count(30.0) } else { 0.0 }
    };
    (0..steps).map(|_| step()).collect()
}
