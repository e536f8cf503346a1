//! The way down: only with a full window of complete data, nothing on its way, and in small steps.

use std::time::Duration;

use crate::engine::decide::case::Case;
use crate::engine::decide::timings::Timings;
use crate::engine::decision::{Block, Reason};
use crate::engine::memory::Memory;
use crate::engine::setup::Setup;
use crate::engine::signals::Signals;

/// Between two steps down; the HPA behaviour shipped with prescale takes one pod per minute.
const STEP_PAUSE: Duration = Duration::from_mins(1);
/// A step takes one replica, or this part of them: a misjudged step costs a fifth at most.
const STEP_PART: u32 = 5;

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
        memory.last = Some(seed);
    }
    let base = memory.last.unwrap_or(0);
    // One is the least that the way down leads to; from there only the idle rule leads to zero.
    let up = need.up.max(1);
    memory.window.note(now, need.down.max(1), timings.window);
    memory.panic.note(up, signals.supply.ready, now, timings.window);
    let wanted = up.max(floor);
    let want = if wanted >= base {
        wanted
    } else if let Some((block, kept)) = blocked(signals, up, timings, memory) {
        let wanted = need.up;
        reasons.push(Reason::Kept { wanted, kept, block });
        kept
    } else {
        memory.window.step(now);
        let (peak, lowest) = (memory.window.peak(), base - (base / STEP_PART).max(1));
        let want = peak.max(lowest).max(floor);
        if want > wanted {
            let window = Block::Window { peak, window: timings.window };
            let block = if peak > lowest { window } else { Block::Step };
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

/// What keeps the last decision, and the replicas it keeps.
fn blocked(signals: &Signals, up: u32, timings: &Timings, memory: &Memory) -> Option<(Block, u32)> {
    let now = signals.fresh.now;
    let base = memory.last.unwrap_or(0);
    let peak = memory.window.peak();
    let panic = memory.panic.peak(now).filter(|peak| *peak > up);
    let loading = signals.supply.loading;
    let rows = [
        panic.map(|peak| Block::Panic { peak }),
        memory.window.remaining(now, timings.window).map(|remaining| Block::Gap { remaining }),
        (peak >= base).then_some(Block::Window { peak, window: timings.window }),
        (loading > 0).then_some(Block::Loading { pods: loading }),
        memory.window.just_stepped(now, STEP_PAUSE).then_some(Block::Step),
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
