//! What the forecast, its bar and the reactive decision said of one horizon, until it has come.
//!
//! The reactive decision makes room for the largest of the last minutes, as its down-window keeps it,
//! times what its headroom leaves beyond the trusted one, as if nothing gave way for the bill: what is in
//! force must not judge itself. So history teaches the account as ticks do.

use std::collections::VecDeque;

use crate::engine::arrived::Minute;
use crate::engine::decision::Margin;
use crate::engine::decision::Trust;
use crate::engine::forecast::trust::{Ledger, Said};
use crate::engine::foresight::bill::Bill;
use crate::engine::foresight::lane::Step;
use crate::engine::foresight::way::Way;
use crate::engine::units::Timestamp;

/// Minutes that the reactive decision keeps a need: its down-window at a usual cold start.
const HELD: usize = 3;
/// A forecast counts for a cold start divided by this in the bill. As the largest of a window it stays by itself;
/// a replica that is started for it stays longer. In replays nothing beside it says half a percent where
/// ServeGen costs 2.5, and a whole cold start so much more than crane 03, 04 and 15 cost that margin gives way
/// for nothing.
const STAY: usize = 2;
/// A day's share of the newest in how much was covered.
const COVERAGE_SHARE: f64 = 1.0 / 1440.0;

/// What was said at one minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) forecast: f64,
    pub(super) naive: f64,
    /// Room of the reactive decision over what it saw.
    pub(super) margin: f64,
}

/// What an account looks at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Aim {
    /// Index of the horizon.
    pub(super) horizon: usize,
    /// Its minutes.
    pub(super) minutes: usize,
    /// Minutes from a decision to a replica that serves.
    pub(super) lag: usize,
    /// Level of the forecast, 0..=1.
    pub(super) level: f64,
}

/// Claims and verdict.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    aim: Aim,
    ledger: Ledger,
    bill: Bill,
    way: Option<Way>,
    /// What was said, oldest first, one per minute; at most as many as the horizon has.
    claims: VecDeque<Option<(f64, f64, f64)>>,
    /// What came in the minutes behind, newest last.
    came: VecDeque<Option<f64>>,
    newest: Option<Timestamp>,
    covered: f64,
    counted: u32,
}

impl Account {
    pub(super) const fn new(aim: Aim) -> Self {
        Self {
            aim,
            ledger: Ledger::new(aim.level, Minute::LENGTH),
            bill: Bill::EMPTY,
            way: None,
            claims: VecDeque::new(),
            came: VecDeque::new(),
            newest: None,
            covered: 0.0,
            counted: 0,
        }
    }

    pub(super) const fn aim(&self) -> Aim {
        self.aim
    }

    /// Looks at another horizon or level from now on. What was said of the old one is not judged;
    /// the verdict so far stands, for the forecaster is the same. Of another level it says nothing: losses
    /// are weighed by it.
    pub(super) fn turn_to(&mut self, aim: Aim) {
        let is_level = aim.level.to_bits() == self.aim.level.to_bits();
        if !is_level {
            self.ledger = Ledger::new(aim.level, Minute::LENGTH);
            (self.covered, self.counted) = (0.0, 0);
        }
        if !is_level || aim.horizon != self.aim.horizon {
            self.claims.clear();
        }
        self.aim = aim;
    }

    /// Notes what came in the minute at `at`, and what is said of the minutes after it.
    pub(super) fn note(&mut self, at: Timestamp, came: Option<f64>, said: Option<Rates>) {
        let missed = self.newest.map_or(0, |newest| {
            usize::try_from(at.since(newest).as_secs() / 60).unwrap_or(0).saturating_sub(1)
        });
        for _ in 0..missed.min(self.aim.minutes + HELD) {
            self.push(None, None);
        }
        self.newest = Some(at);
        self.push(came, said);
    }

    fn push(&mut self, came: Option<f64>, said: Option<Rates>) {
        self.came.push_back(came);
        while self.came.len() > self.aim.minutes.max(HELD) {
            self.came.pop_front();
        }
        if self.claims.len() >= self.aim.minutes {
            self.settle();
        }
        let held = self.came.iter().rev().take(HELD).flatten().copied().reduce(f64::max);
        let claim = said.zip(held).filter(|_| came.is_some());
        let claim = claim.map(|(said, held)| (said.forecast, said.naive, held * said.margin));
        self.claims.push_back(claim);
    }

    /// The oldest claim is due: all minutes that it was about have come.
    fn settle(&mut self) {
        let Some(Some((forecast, naive, reactive))) = self.claims.pop_front() else { return };
        let window = self.came.iter().rev().take(self.aim.minutes);
        let whole: Option<Vec<f64>> = window.copied().collect();
        let Some(actual) = whole.and_then(|whole| whole.into_iter().reduce(f64::max)) else {
            return;
        };
        self.ledger.enter(Said { forecast, naive, reactive, actual });
        self.counted = self.counted.saturating_add(1);
        let share = (1.0 / f64::from(self.counted)).max(COVERAGE_SHARE);
        let hit = if actual <= forecast { 1.0 } else { 0.0 };
        self.covered += share * (hit - self.covered);
    }

    pub(super) fn trust(&self) -> Trust {
        self.ledger.trust()
    }

    /// What may give way from now on.
    pub(super) const fn goes(&mut self, way: Option<Way>) {
        self.way = way;
    }

    /// Enters into the bill what the newest minute and the forecast of each level ask room for, in whole
    /// replicas as soon as it is known what one carries.
    pub(super) fn charge(&mut self, replica: Option<f64>, forecast: impl Fn(f64) -> Option<f64>) {
        // About half of the horizon is the cold start. As long as that the down-window keeps a need, and a queue
        // is to be served in it.
        let start = self.aim.minutes / 2;
        let held = self.came.iter().rev().take(start.max(HELD));
        // While idle no forecast is acted upon.
        let demand = held.flatten().copied().reduce(f64::max).filter(|demand| *demand > 0.0);
        let came = self.came.back().copied().flatten();
        let Some(((way, demand), came)) = self.way.as_ref().zip(demand).zip(came) else { return };
        let step = Step {
            came,
            demand,
            lag: self.aim.lag,
            drain: f64::from(u32::try_from(start).unwrap_or(u32::MAX)),
            stay: start / STAY,
            replica,
            bounds: way.bounds,
        };
        self.bill.enter(way, step, self.trust().is_trusted(), forecast);
    }

    /// Margin and level that keep the bill; `None` where they are fixed, or nothing was entered.
    pub(super) fn settled(&self) -> Option<(Margin, f64)> {
        self.bill.settle(self.way.as_ref()?)
    }

    /// Share of targets at or below the forecast, over about a day, and how many were counted.
    pub(super) fn coverage(&self) -> Option<(f64, u32)> {
        (self.counted > 0).then_some((self.covered, self.counted))
    }

    /// Everything `factor` times as large.
    pub(super) fn rescale(&mut self, factor: f64) {
        self.came.iter_mut().flatten().for_each(|value| *value *= factor);
        self.claims.clear();
        self.ledger.rescale(factor);
        self.bill.rescale(factor);
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Aim, Rates};
    use crate::engine::decision::Trust;
    use crate::engine::units::Timestamp;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_ms(minute * 60_000)
    }

    fn account(minutes: i64, forecast: f64, naive: f64) -> Account {
        let aim = Aim { horizon: 1, minutes: 5, lag: 3, level: 0.95 };
        let mut account = Account::new(aim);
        for minute in 0..minutes {
            let said = Rates { forecast, naive, margin: 1.2 };
            account.note(at(minute), Some(10.0), Some(said));
        }
        account
    }

    #[test]
    fn what_was_said_is_judged_once_it_has_come() {
        assert!(matches!(account(300, 10.5, 12.0).trust(), Trust::Young { .. }));
        assert!(account(366, 10.5, 12.0).trust().is_trusted());
        assert!(matches!(account(366, 20.0, 12.0).trust(), Trust::Demoted { .. }));
        assert_eq!(account(366, 10.5, 12.0).coverage(), Some((1.0, 361)));
        assert_eq!(account(366, 9.5, 12.0).coverage(), Some((0.0, 361)));
        assert_eq!(account(5, 10.5, 12.0).coverage(), None);
    }

    #[test]
    fn a_window_with_a_gap_is_not_judged() {
        let mut account = account(20, 10.5, 12.0);
        let (_, before) = account.coverage().unwrap();
        // The minutes 20 to 24 are missing; claims that reach into them are dropped.
        for minute in 25..30 {
            let said = Rates { forecast: 10.5, naive: 12.0, margin: 1.2 };
            account.note(at(minute), Some(10.0), Some(said));
        }
        assert_eq!(account.coverage().unwrap().1, before);
    }
}
