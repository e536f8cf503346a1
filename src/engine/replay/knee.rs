//! What one replica carries: requests per second of a mix of requests at saturation.
//!
//! Given a mix, it promises the rate at which one replica finishes it while more always wait: above
//! it a queue grows without end. Found by running the replica, not by a formula; the same for the
//! same mix.

use std::time::Duration;

use crate::engine::replay::profile::Settings;
use crate::engine::replay::replica::{Events, Replica, Request, float, len};
use crate::engine::replay::request::Arrival;

/// Time between looks at the queue.
const STEP: Duration = Duration::from_millis(500);

/// Requests kept waiting beside those in the batch: more than one step admits.
const WAITING: usize = 4096;

/// Requests that finish before the measurement, in batches: the first ones begin all together.
const WARM_UP: u64 = 3;

/// Requests measured, in batches.
const MEASURED: u64 = 10;

/// Requests that finish in the warm-up at least.
const FEWEST: u64 = 200;

/// Time after which it ends in any case. Slower than one request in some minutes is no service.
const LONGEST: Duration = Duration::from_hours(8);

/// Requests per second of the mix of `sample`, taken in turns, that one replica finishes while more
/// always wait; 0 when the sample is empty or none of it can be served.
#[must_use]
pub fn knee(settings: &Settings, sample: &[Arrival]) -> f64 {
    let mut settings = settings.clone();
    (settings.patience, settings.max_queued) = (None, None);
    let mut replica = Replica::new(&settings);
    let mut mix = sample.iter().cycle();
    let mut events = Events::default();
    let (mut now, mut batch) = (Duration::ZERO, 0);
    let mut begun: Option<(u64, Duration)> = None;
    while now < LONGEST {
        refill(&mut replica, &mut mix, now);
        if replica.in_flight() == 0 && sample.len() <= WAITING {
            // All of the mix was offered, and none of it fits.
            return 0.0;
        }
        now += STEP;
        events.clear();
        replica.advance(now, &mut events);
        batch = batch.max(len(replica.running()));
        let Some(last) = events.finished.last() else { continue };
        let done = replica.totals().finished;
        match begun {
            None if done >= (WARM_UP * batch).max(FEWEST) => begun = Some((done, last.at)),
            Some((before, _)) if done - before >= (MEASURED * batch).max(FEWEST) => break,
            Some(_) | None => {}
        }
    }
    let (before, since) = begun.unwrap_or((0, Duration::ZERO));
    let (done, span) = (replica.totals().finished - before, replica.clock().saturating_sub(since));
    if done == 0 || span.is_zero() { 0.0 } else { float(done) / span.as_secs_f64() }
}

/// Gives the replica more until enough wait.
fn refill<'a>(replica: &mut Replica, mix: &mut impl Iterator<Item = &'a Arrival>, now: Duration) {
    let missing = WAITING.saturating_sub(replica.waiting());
    for Arrival { prompt, cached, output, .. } in mix.take(missing).copied() {
        // What can never fit is refused, and is no part of what a replica finishes.
        let _ = replica.push(Request { arrived: now, queued: now, prompt, cached, output });
    }
}
