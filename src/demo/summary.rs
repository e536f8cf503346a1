//! What the simulated day came to, told at its end.

use std::fmt;
use std::time::Duration;

use crate::demo::keda::Tally;
use crate::demo::screen::{latency, span};
use crate::engine::replay::ledger::Ledger;
use crate::engine::replay::profile::OBJECTIVE;
use crate::engine::replay::replica::float;

/// The day in numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Simulated time that passed.
    pub elapsed: Duration,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// Requests that reached the gateway.
    pub arrived: u64,
    /// Requests that got a first token.
    pub answered: u64,
    /// Requests given up.
    pub failed: u64,
    /// Share of the decided requests (answered or given up) that met the objective; `None` without
    /// any.
    pub within_objective: Option<f64>,
    /// 50th, 95th and 99th percentile of the time to first token.
    pub ttft: [Option<Duration>; 3],
    /// GPU-hours of all pods, created to terminated, one GPU each.
    pub gpu_hours: f64,
    /// Most replicas wanted at once.
    pub replicas_max: u32,
    /// GPU-hours of that many replicas all the time.
    pub gpu_hours_static: f64,
    /// Pods created.
    pub cold_starts: u64,
    /// Changes of the wanted replicas upwards.
    pub scaled_up: u64,
    /// Changes of the wanted replicas downwards.
    pub scaled_down: u64,
    /// Time with zero replicas wanted.
    pub asleep: Duration,
    /// Times the workload was woken.
    pub wakes: u64,
    /// Polls and HPA syncs.
    pub asked: u64,
    /// Those answered with an error, which holds.
    pub held: u64,
    /// `true` received on the push stream.
    pub pushed: u64,
    /// The last error's text.
    pub last_error: Option<String>,
}

impl Summary {
    /// The day so far.
    pub(super) fn new(ledger: &Ledger, tally: Tally, elapsed: Duration, interrupted: bool) -> Self {
        let Tally { asked, held, pushed, last_error } = tally;
        let decided = ledger.answered + ledger.failed;
        let hours = elapsed.as_secs_f64() / 3600.0;
        Self {
            elapsed,
            interrupted,
            arrived: ledger.arrived,
            answered: ledger.answered,
            failed: ledger.failed,
            within_objective: (decided > 0).then(|| float(ledger.within) / float(decided)),
            ttft: [50, 95, 99].map(|percent| ledger.ttft(percent)),
            gpu_hours: ledger.pod_seconds() / 3600.0,
            replicas_max: ledger.wanted_max,
            gpu_hours_static: f64::from(ledger.wanted_max) * hours,
            cold_starts: ledger.cold_starts,
            scaled_up: ledger.scaled_up,
            scaled_down: ledger.scaled_down,
            asleep: ledger.asleep(),
            wakes: ledger.wakes,
            asked,
            held,
            pushed,
            last_error,
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p95, p99] = self.ttft.map(latency);
        let early = if self.interrupted { ", ended early" } else { "" };
        let share = self.within_objective.map_or_else(
            || "nobody was served".to_owned(),
            |share| format!("{:.1} % within {}", share * 100.0, span(OBJECTIVE)),
        );
        writeln!(f, "simulated     {}{early}", span(self.elapsed))?;
        writeln!(
            f,
            "requests      {} arrived, {} answered, {} given up",
            self.arrived, self.answered, self.failed
        )?;
        writeln!(f, "first token   {share}; p50 {p50}, p95 {p95}, p99 {p99}")?;
        writeln!(
            f,
            "GPU-hours     {:.1}; {:.1} with the most replicas wanted ({}) all the time",
            self.gpu_hours, self.gpu_hours_static, self.replicas_max
        )?;
        writeln!(
            f,
            "scaling       {} up, {} down, {} cold starts",
            self.scaled_up, self.scaled_down, self.cold_starts
        )?;
        let woken =
            if self.wakes == 1 { "once".to_owned() } else { format!("{} times", self.wakes) };
        writeln!(f, "asleep        {}, woken {woken}", span(self.asleep))?;
        write!(
            f,
            "KEDA and HPA  asked {} times, {} answered with an error (held), {} pushed",
            self.asked, self.held, self.pushed
        )?;
        match &self.last_error {
            Some(error) if self.held > 0 => write!(f, "\n              last error: {error}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Summary;
    use crate::demo::keda::Tally;
    use crate::engine::replay::ledger::Ledger;
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::replica::FirstToken;

    fn empty(replicas: u32) -> Ledger {
        Ledger::new(Settings::demo().objectives, replicas)
    }

    fn ledger() -> Ledger {
        let mut ledger = empty(2);
        let at = Duration::from_secs(60);
        (1..=4).for_each(|second| ledger.arrive(Duration::from_secs(second)));
        let tokens = [1, 2, 9].map(|ttft| FirstToken { at, ttft: Duration::from_secs(ttft) });
        ledger.answer(&tokens);
        ledger.failed = 1;
        ledger.pass(Duration::from_secs(1800));
        ledger.scale(0);
        ledger.pods(0);
        ledger.pass(Duration::from_secs(3600));
        ledger
    }

    #[test]
    fn a_request_given_up_meets_no_objective() {
        let summary = Summary::new(&ledger(), Tally::default(), Duration::from_secs(3600), false);
        assert_eq!(summary.within_objective, Some(0.5));
        assert!((summary.gpu_hours - 1.0).abs() < 1e-9, "{}", summary.gpu_hours);
        assert!((summary.gpu_hours_static - 2.0).abs() < 1e-9, "{}", summary.gpu_hours_static);
    }

    #[test]
    fn the_text_tells_all_of_it() {
        let last_error = Some("data stale 612 s".to_owned());
        let tally = Tally { asked: 960, held: 2, pushed: 1, last_error };
        let text = Summary::new(&ledger(), tally, Duration::from_secs(3600), true).to_string();
        let expected = "\
simulated     1 h 0 min, ended early
requests      4 arrived, 3 answered, 1 given up
first token   50.0 % within 3 s; p50 2.00 s, p95 9.00 s, p99 9.00 s
GPU-hours     1.0; 2.0 with the most replicas wanted (2) all the time
scaling       0 up, 1 down, 0 cold starts
asleep        30 min 0 s, woken 0 times
KEDA and HPA  asked 960 times, 2 answered with an error (held), 1 pushed
              last error: data stale 612 s";
        assert_eq!(text, expected);
    }

    #[test]
    fn an_empty_day_divides_by_nothing() {
        let summary = Summary::new(&empty(0), Tally::default(), Duration::ZERO, true);
        assert_eq!(summary.within_objective, None);
        assert!(summary.to_string().contains("nobody was served"));
    }
}
