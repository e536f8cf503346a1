//! The way down: only with a full window of complete data, nothing on its way, and in small steps.

use std::time::Duration;

use crate::engine::decide::facts::{Need, Timings};
use crate::engine::decision::{Block, Reason};
use crate::engine::memory::Memory;
use crate::engine::setup::Setup;
use crate::engine::signals::Signals;

/// Between two steps down; the HPA behaviour shipped with prescale takes one pod per minute.
const STEP_PAUSE: Duration = Duration::from_mins(1);
/// A step takes one replica, or this part of them: a misjudged step costs a fifth at most.
const STEP_PART: u32 = 5;

/// Replicas wanted with fresh and complete data; at least one, unless it may sleep.
pub(super) fn follow(
    setup: &Setup,
    signals: &Signals,
    need: &Need,
    timings: &Timings,
    memory: &mut Memory,
) -> (u32, Vec<Reason>) {
    let now = signals.fresh.now;
    let last = memory.last.unwrap_or(0);
    let mut reasons = Vec::new();
    if memory.window.begins(now, setup.tick) {
        let seed = last.max(signals.supply.current.unwrap_or(0));
        memory.window.seed(now, seed);
        memory.last = Some(seed);
    }
    let base = memory.last.unwrap_or(0);
    memory.window.note(now, need.down, timings.window);
    memory.panic.note(need.up, signals.supply.ready, now, timings.window);
    let want = if need.up >= base {
        need.up
    } else if let Some((block, kept)) = blocked(signals, need, timings, memory) {
        let wanted = need.up;
        reasons.extend((kept > wanted).then_some(Reason::Kept { wanted, kept, block }));
        kept
    } else {
        let lowest = base - (base / STEP_PART).max(1).min(base);
        memory.window.step(now);
        memory.window.peak().max(need.up).max(lowest)
    };
    sleep_or_stay(setup, signals, (want, reasons), timings, memory)
}

/// What keeps `base`, and the replicas it keeps.
fn blocked(
    signals: &Signals,
    need: &Need,
    timings: &Timings,
    memory: &Memory,
) -> Option<(Block, u32)> {
    let now = signals.fresh.now;
    let base = memory.last.unwrap_or(0);
    let peak = memory.window.peak().max(need.up);
    let loading = signals.supply.loading;
    let rows = [
        memory.panic.peak(now).filter(|peak| *peak > need.up).map(|peak| Block::Panic { peak }),
        memory.window.remaining(now, timings.window).map(|remaining| Block::Gap { remaining }),
        (peak >= base).then_some(Block::Window { peak, window: timings.window }),
        (loading > 0).then_some(Block::Loading { pods: loading }),
        memory.window.just_stepped(now, STEP_PAUSE).then_some(Block::Step),
    ];
    let block = rows.into_iter().flatten().next()?;
    let kept = memory.panic.peak(now).map_or(base, |peak| base.max(peak));
    Some((block, kept))
}

/// Zero only after positive evidence for the whole idle window; one replica until then.
fn sleep_or_stay(
    setup: &Setup,
    signals: &Signals,
    (want, mut reasons): (u32, Vec<Reason>),
    timings: &Timings,
    memory: &Memory,
) -> (u32, Vec<Reason>) {
    if want > 1 {
        return (want, reasons);
    }
    let idle = memory.idle.for_at(signals.fresh.now);
    match idle {
        Some(idle) if idle >= timings.idle_after && may_sleep(setup, signals, memory, timings) => {
            reasons.push(Reason::Sleep { idle });
            reasons.extend((!signals.outside.sees_zero).then_some(Reason::NoWakePath));
            (0, reasons)
        }
        _ => {
            let (idle, needed) = (idle.unwrap_or_default(), timings.idle_after);
            let block = Block::NotIdle { idle, needed };
            reasons.extend((want == 0).then_some(Reason::Kept { wanted: 0, kept: 1, block }));
            (1, reasons)
        }
    }
}

fn may_sleep(setup: &Setup, signals: &Signals, memory: &Memory, timings: &Timings) -> bool {
    let floor = setup.min_replicas.is_some_and(|floor| floor.get() > 0);
    let full = memory.window.remaining(signals.fresh.now, timings.window).is_none();
    !floor && full && signals.supply.loading == 0
}
