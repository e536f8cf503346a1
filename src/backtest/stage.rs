//! The world that all policies are tried in: measured hardware, limits, what serves at the beginning.
//!
//! Given the history and what was asked for, it promises limits that fit together, and the same
//! arrivals and cold starts for every policy at the same seed.

use std::sync::Arc;
use std::time::Duration;

use crate::backtest::compare::Job;
use crate::backtest::error::Error;
use crate::backtest::history::{Rates, need, rates, sample};
use crate::backtest::options::{Options, Replicas};
use crate::backtest::trigger::{self, Frame};
use crate::engine::replay::knee::knee;
use crate::engine::replay::policy::{Context, Policy};
use crate::engine::replay::profile::Settings;
use crate::engine::replay::request::Arrival;
use crate::engine::replay::run::{Scene, run};
use crate::engine::replay::score::Trial;
use crate::engine::replay::scrape::Pipeline;
use crate::engine::setup::Setup;
use crate::engine::units::Timestamp;

/// Share of a replica's knee that the defaults of the limits count on: prescale's own default
/// `headroom`, and near what every source we compare with recommends (0.65 to 0.8).
const SHARE: f64 = 0.7;

/// Most replicas that a default or a flag may allow: the server's own limit.
pub const REPLICAS_MAX: u32 = 1000;

/// `terminationGracePeriodSeconds` of a pod that drains: vLLM's production stack and llm-d leave
/// Kubernetes' 30 s, too short for an answer of minutes; two minutes finish nearly all.
const GRACE: Duration = Duration::from_mins(2);

/// What a Prometheus shows of the pods where a policy's source says nothing else: scraped every
/// `interval`, `rate(..[2m])`, the 95th percentile.
fn pipeline(policy: &Policy, interval: Duration) -> Pipeline {
    Pipeline {
        interval: policy.scrape.unwrap_or(interval),
        window: Duration::from_mins(2),
        quantile: policy.quantile.unwrap_or(0.95),
    }
}

/// Requests by seed.
pub(super) type Draw<'a> = &'a (dyn Fn(u64) -> Arc<[Arrival]> + Sync);

/// A history, whoever read it.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The instant at which it begins.
    pub(super) origin: Timestamp,
    /// How long it lasts, above zero.
    pub(super) length: Duration,
    /// Its requests by seed.
    pub(super) draw: Draw<'a>,
}

/// Everything of the runs but policy and seed.
pub(super) struct Stage<'a> {
    history: History<'a>,
    settings: Settings,
    scraped: Duration,
    setup: Setup,
    /// Requests per second that one replica carries at saturation.
    pub(super) knee: f64,
    /// Fewest and most replicas.
    pub(super) limits: (u32, u32),
    /// Replicas that serve at the beginning, where the policy leaves that to the run.
    pub(super) initial: u32,
}

impl<'a> Stage<'a> {
    /// The world of `options` for `history`, whose requests with the first seed are `arrivals`.
    pub(super) fn set(
        options: &Options,
        settings: Settings,
        history: History<'a>,
        arrivals: &[Arrival],
    ) -> Result<Self, Error> {
        if arrivals.is_empty() {
            return Err(Error::NoArrivals(history.name.to_owned()));
        }
        let knee = knee(&settings, &sample(arrivals));
        if !(knee.is_finite() && knee > 0.0) {
            let profile = options.profile.name.clone();
            return Err(Error::NoKnee { profile, history: history.name.to_owned() });
        }
        let rates = rates(arrivals, history.length);
        let limits = limits(options.replicas, need(rates.peak, knee, SHARE, REPLICAS_MAX))?;
        let initial = initial(options.replicas, &rates, knee, limits)?;
        let has_kv = options.profile.kv_tokens > 0;
        let frame = Frame { has_kv, objectives: options.objectives, limits };
        let setup = trigger::setup(frame, &options.metadata)?;
        let scraped = options.scrape_interval;
        Ok(Self { history, settings, scraped, setup, knee, limits, initial })
    }

    /// One run.
    pub(super) fn trial(&self, job: &Job) -> Trial {
        let arrivals = (self.history.draw)(job.seed);
        let context = self.context(Arc::clone(&arrivals));
        let mut law = (job.policy.law)(&context, job.knob);
        let actuator = (job.policy.actuator)(&context);
        let scene = Scene {
            arrivals,
            length: self.history.length,
            origin: self.history.origin,
            objectives: self.settings.objectives,
            initial: law.begins().unwrap_or(self.initial),
            seed: job.seed,
            pipeline: pipeline(job.policy, self.scraped),
            settings: self.settings.clone(),
            limits: self.limits,
            disturbances: Vec::new(),
        };
        run(&scene, law.as_mut(), job.policy.every, &actuator)
    }

    fn context(&self, arrivals: Arc<[Arrival]>) -> Context {
        Context {
            objectives: self.settings.objectives,
            limits: self.limits,
            profile: self.settings.profile.clone(),
            knee: self.knee,
            cold_start: self.settings.cold_start.total(),
            setup: self.setup.clone(),
            arrivals,
            length: self.history.length,
            origin: self.history.origin,
        }
    }
}

/// The surroundings of the workload, as asked for.
pub(super) fn settings(options: &Options) -> Settings {
    Settings {
        profile: options.profile.clone(),
        cold_start: options.cold_start,
        routing: options.routing,
        hold: options.hold,
        grace: GRACE,
        objectives: options.objectives,
        patience: None,
        max_queued: None,
    }
}

/// Refuses limits that no history can fit.
pub(super) fn agree(replicas: Replicas) -> Result<(), Error> {
    limits(replicas, 0).map(drop)
}

/// By default from 1 (a first request never waits for a cold start unless that was asked for) to
/// twice the `peak`'s need: room to clear a backlog, and a limit as somebody would set it, so that
/// a policy which runs away is stopped where a cluster would stop it.
fn limits(replicas: Replicas, peak: u32) -> Result<(u32, u32), Error> {
    let Replicas { min, max, initial } = replicas;
    let fewest = min.unwrap_or(1);
    let least = fewest.max(initial.unwrap_or(0)).max(2);
    let most = max.unwrap_or_else(|| peak.saturating_mul(2).clamp(least, REPLICAS_MAX.max(least)));
    if fewest > most {
        return Err(Error::MinAboveMax { min: fewest, max: most });
    }
    Ok((fewest, most))
}

fn initial(
    replicas: Replicas,
    rates: &Rates,
    knee: f64,
    (min, max): (u32, u32),
) -> Result<u32, Error> {
    match replicas.initial {
        Some(initial) if !(min..=max).contains(&initial) => {
            Err(Error::InitialOutside { initial, min, max })
        }
        Some(initial) => Ok(initial),
        None => Ok(need(rates.first, knee, SHARE, max).max(min)),
    }
}

#[cfg(test)]
mod tests {
    use super::{initial, limits};
    use crate::backtest::history::Rates;
    use crate::backtest::options::Replicas;

    const RATES: Rates = Rates { first: 21.0, mean: 10.0, peak: 70.0 };

    /// Initial, min, max as given; the peak's need is 10, the first minute's 3.
    fn check(given: [Option<u32>; 3], expected: Result<(u32, u32, u32), &str>) {
        let [begin, min, max] = given;
        let replicas = Replicas { initial: begin, min, max };
        let found = limits(replicas, 10)
            .and_then(|limits| Ok((limits, initial(replicas, &RATES, 10.0, limits)?)))
            .map(|((min, max), begin)| (begin, min, max));
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{given:?}"),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, expected) => panic!("{given:?}: {found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn what_is_not_given_follows_from_the_history() {
        check([None, None, None], Ok((3, 1, 20)));
        check([None, Some(0), None], Ok((3, 0, 20)));
        check([None, Some(5), None], Ok((5, 5, 20)));
        check([None, None, Some(2)], Ok((2, 1, 2)));
        check([Some(0), Some(0), None], Ok((0, 0, 20)));
        check([Some(30), None, None], Ok((30, 1, 30)));
        check([None, Some(40), None], Ok((40, 40, 40)));
    }

    #[test]
    fn what_does_not_fit_together_is_refused_with_both_numbers() {
        check([None, Some(5), Some(4)], Err("--min-replicas 5 is above --max-replicas 4"));
        check(
            [Some(9), None, Some(8)],
            Err("--initial-replicas 9 is outside of the limits 1 to 8"),
        );
        check([Some(0), None, None], Err("--initial-replicas 0 is outside of the limits 1 to 20"));
    }
}
