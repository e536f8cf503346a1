//! What a gateway's page said: requests it holds or waits for, or, where it refuses instead of
//! holding, the requests that arrived of late.

use std::collections::VecDeque;
use std::time::Duration;

use crate::engine::observation::GatewayReading;
use crate::engine::replay::replica::float;
use crate::engine::replay::world::{Census, World};
use crate::engine::units::Timestamp;

/// Arrivals are counted over the last minute, as the gateway presets do.
const MINUTE: Duration = Duration::from_mins(1);

/// One scrape.
#[derive(Debug, Clone, Copy)]
struct Page {
    at: Timestamp,
    concurrency: f64,
    arrived: f64,
}

/// The gateway's pages of the last minutes.
#[derive(Debug, Default)]
pub(super) struct Gateway {
    pages: VecDeque<Page>,
    refuses: bool,
}

impl Gateway {
    /// Scrapes it.
    pub(super) fn scrape(&mut self, world: &World, at: Timestamp) {
        let Census { held, waiting, running, .. } = world.census();
        self.refuses = world.settings().hold.is_zero();
        let arrived = float(world.ledger().arrived);
        self.pages.push_back(Page { at, concurrency: float(held + waiting + running), arrived });
        // One page before the minute is needed to know what grew within it.
        while self.pages.get(1).is_some_and(|second| second.at <= at.minus(MINUTE * 2)) {
            self.pages.pop_front();
        }
    }

    /// What it showed at `at`.
    pub(super) fn reading(&self, at: Timestamp) -> Option<GatewayReading> {
        let newest = self.pages.back()?;
        let age = Some(at.since(newest.at));
        if !self.refuses {
            return Some(GatewayReading {
                held: Some(newest.concurrency),
                arrivals_per_second: None,
                age,
                refuses: false,
            });
        }
        // The change across the minute's edge counts, as an increase over raw samples does.
        let from = at.minus(MINUTE);
        let idx = self.pages.partition_point(|page| page.at <= from);
        let before = self.pages.get(idx.saturating_sub(1)).unwrap_or(newest);
        let arrived = if idx < self.pages.len() { newest.arrived - before.arrived } else { 0.0 };
        let seconds = newest.at.since(before.at).max(Duration::from_secs(1)).as_secs_f64();
        Some(GatewayReading {
            held: Some(arrived),
            arrivals_per_second: Some(arrived / seconds),
            age,
            refuses: true,
        })
    }
}
