//! The way down: only with a full window of complete data, nothing on its way, and in steps: one replica
//! a minute where load that goes is expected back, half of them where it is not.

use std::time::Duration;

use crate::engine::decide::case::Case;
use crate::engine::decide::tell::max_replicas;
use crate::engine::decide::timings::Timings;
use crate::engine::decision::{Block, Reason};
use crate::engine::memory::{Memory, is_fall};
use crate::engine::setup::Setup;
use crate::engine::signals::Signals;
use crate::engine::units::Timestamp;

/// Steps are counted over this; the HPA behaviour shipped with prescale takes half of the pods in it.
const STEP_SPAN: Duration = Duration::from_mins(1);
/// What a minute may take where load is not expected back: a misjudged one costs half of the fleet.
const CALM_PART: u32 = 2;

/// Replicas wanted with fresh and complete data; at least one, unless it may sleep, and at least the
/// `floor`, which is no demand: nothing of it is remembered when it ends.
pub(super) fn follow(case: &Case<'_>, floor: u32, memory: &mut Memory) -> (u32, Vec<Reason>) {
    let Case { setup, signals, need, timings, .. } = *case;
    let now = signals.fresh.now;
    let last = memory.last.unwrap_or(0);
    let mut reasons = Vec::new();
    if memory.window.begins(now, setup.tick) {
        let supply = &signals.supply;
        let seed = last.max(supply.current.unwrap_or(0)).max(supply.ready_pods());
        memory.window.seed(now, seed);
        memory.unrest.begin(now);
        memory.last = Some(seed);
    }
    let base = memory.last.unwrap_or(0);
    // One is the least that the way down leads to; from there only the idle rule leads to zero.
    let up = need.up.max(1);
    let down = need.down.max(1);
    // Replicas that may not be, or stay in any case, neither go nor come back.
    let (least, most) = (floor.max(1), max_replicas(setup, case.observation));
    let within = |replicas: u32| replicas.min(most).max(least);
    memory.unrest.note(now, (within(up), within(down)), timings.soon);
    let pace = Pace::of(timings, memory, now);
    memory.window.note(now, down, timings.window);
    memory.panic.note(up, signals.supply.ready, now, timings.window);
    let wanted = up.max(floor);
    let want = if wanted >= base {
        wanted
    } else if let Some((block, kept)) = blocked(signals, up, &pace, memory) {
        let wanted = need.up;
        reasons.push(Reason::Kept { wanted, kept, block });
        kept
    } else {
        let ((peak, window), lowest) = (pace.peak(memory, now), pace.lowest(memory, now));
        memory.window.step(now, base, STEP_SPAN);
        let want = peak.max(lowest).max(floor);
        if want > wanted {
            let window = Block::Window { peak, window };
            let block = if peak > lowest { window } else { pace.step() };
            reasons.push(Reason::Kept { wanted: need.up, kept: want, block });
        }
        want
    };
    if want > 1 || floor > 0 {
        return (want, reasons);
    }
    let (want, why) = sleep_or_stay(case, memory);
    reasons.extend(why);
    (want, reasons)
}

/// How patient the way down is.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Load that goes may come back.
    restless: bool,
    window: Duration,
    calm_window: Duration,
}

impl Pace {
    fn of(timings: &Timings, memory: &Memory, now: Timestamp) -> Self {
        let restless = memory.unrest.expected(now, timings.soon);
        Self { restless, window: timings.window, calm_window: timings.calm_window }
    }

    /// The largest need of the window in force: of the shorter one after a fall that is more than chance,
    /// because a replica that goes by chance is back soon.
    fn peak(self, memory: &Memory, now: Timestamp) -> (u32, Duration) {
        let (peak, soon) = (memory.window.peak(), memory.window.peak_of(now, self.calm_window));
        let fell = !self.restless && is_fall(peak.saturating_sub(soon), peak);
        if fell { (soon, self.calm_window) } else { (peak, self.window) }
    }

    /// Replicas that have to be left by the end of this minute.
    fn lowest(self, memory: &Memory, now: Timestamp) -> u32 {
        let from = memory.window.steps_from(now, memory.last.unwrap_or(0), STEP_SPAN);
        from.saturating_sub(if self.restless { 1 } else { (from / CALM_PART).max(1) })
    }

    const fn step(self) -> Block {
        if self.restless { Block::Restless } else { Block::Step }
    }
}

/// What keeps the last decision, and the replicas it keeps.
fn blocked(signals: &Signals, up: u32, pace: &Pace, memory: &Memory) -> Option<(Block, u32)> {
    let now = signals.fresh.now;
    let base = memory.last.unwrap_or(0);
    let (peak, window) = pace.peak(memory, now);
    let panic = memory.panic.peak(now).filter(|peak| *peak > up);
    let loading = signals.supply.loading;
    let rows = [
        panic.map(|peak| Block::Panic { peak }),
        memory.window.remaining(now, pace.window).map(|remaining| Block::Gap { remaining }),
        (peak >= base).then_some(Block::Window { peak, window }),
        (loading > 0).then_some(Block::Loading { pods: loading }),
        (pace.lowest(memory, now) >= base).then_some(pace.step()),
    ];
    let block = rows.into_iter().flatten().next()?;
    Some((block, base.max(panic.unwrap_or(0))))
}

/// Zero only after positive evidence for the whole idle window; one replica until then.
fn sleep_or_stay(case: &Case<'_>, memory: &Memory) -> (u32, Vec<Reason>) {
    let Case { setup, signals, need, timings, plan, .. } = *case;
    let idle = memory.idle.for_at(signals.fresh.now);
    if let Some(idle) = idle.filter(|idle| *idle >= timings.idle_after)
        && may_sleep(setup, signals, memory, timings)
    {
        if let Some(stays) = plan.stays() {
            return (1, vec![stays]);
        }
        let unseen = (!signals.outside.sees_zero).then_some(Reason::NoWakePath);
        return (0, [Some(Reason::Sleep { idle }), unseen].into_iter().flatten().collect());
    }
    let block = Block::NotIdle { idle: idle.unwrap_or_default(), needed: timings.idle_after };
    let kept = Reason::Kept { wanted: 0, kept: 1, block };
    (1, (need.up == 0).then_some(kept).into_iter().collect())
}

fn may_sleep(setup: &Setup, signals: &Signals, memory: &Memory, timings: &Timings) -> bool {
    let floor = setup.min_replicas.is_some_and(|floor| floor.get() > 0);
    let full = memory.window.remaining(signals.fresh.now, timings.window).is_none();
    !floor && full && signals.supply.loading == 0
}
