//! Whether a push stream says `true` now: pure.
//!
//! KEDA acts on `true` only, and each one restarts the cooldown of the scaled object, so `true` is
//! said once for each active period, when the stream opens in one that nobody announced or whose
//! pods do not serve yet, and again only while a wake may have been lost (`waking`).

use std::time::Duration;

use crate::scaler::Activity;

/// Between repetitions while waking: a push can be dropped by KEDA while it discovers metrics.
pub(crate) const REPEAT: Duration = Duration::from_secs(10);

/// What the scaler is at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// Its active periods.
    pub(crate) activity: Activity,
    /// Whether it would answer `IsActive` with true: false during errors as well.
    pub(crate) active: bool,
    /// Whether a wake is unanswered or pods are loading.
    pub(crate) waking: bool,
    /// Whether pods serve in this active period.
    pub(crate) serving: bool,
}

/// What one push stream has said.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Push {
    /// The last period that was dealt with.
    period: Option<u64>,
    /// When `true` was last said or decided to be unnecessary.
    said: Option<Duration>,
}

impl Push {
    /// Whether to say `true` at `now`, on a clock that never jumps; notes that it is said.
    pub(crate) fn say(&mut self, view: View, now: Duration) -> bool {
        let opening = self.period.is_none();
        if !view.active {
            // An error hides a period that may still have to be announced.
            if !view.activity.active {
                self.period = Some(view.activity.period);
            }
            return false;
        }
        let edge = self.period != Some(view.activity.period);
        let known = opening && view.activity.announced && view.serving;
        let again = view.waking && self.said.is_none_or(|said| now >= said + REPEAT);
        let say = if edge { !known } else { again };
        if edge || say {
            self.period = Some(view.activity.period);
            self.said = Some(now);
        }
        say
    }

    /// When to look again although nothing changed; `None`: not before something does.
    pub(crate) fn next(self, view: View) -> Option<Duration> {
        let repeats = view.active && view.waking;
        self.said.filter(|_| repeats).map(|said| said + REPEAT)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Push, View};
    use crate::scaler::Activity;

    const IDLE: View = view(0, false);

    const fn view(period: u64, active: bool) -> View {
        let activity = Activity { period, active, announced: false };
        View { activity, active, waking: false, serving: false }
    }

    const fn announced(view: View) -> View {
        View { activity: Activity { announced: true, ..view.activity }, ..view }
    }

    const fn serving(view: View) -> View {
        View { serving: true, ..view }
    }

    const fn waking(view: View) -> View {
        View { waking: true, ..view }
    }

    /// The scaler is in an active period, but has only errors to tell.
    const fn erring(view: View) -> View {
        View { active: false, ..view }
    }

    fn check(what: &str, rows: &[(u64, View, bool)]) {
        let mut push = Push::default();
        for (idx, (seconds, view, said)) in rows.iter().enumerate() {
            let now = Duration::from_secs(*seconds);
            assert_eq!(push.say(*view, now), *said, "{what}: row {idx}");
        }
    }

    #[test]
    fn true_is_said_once_for_each_active_period() {
        check("idle for ever", &[(0, IDLE, false), (60, IDLE, false)]);
        check("open while active", &[(0, view(1, true), true), (60, view(1, true), false)]);
        check(
            "edges only",
            &[
                (0, IDLE, false),
                (5, view(1, true), true),
                (9, view(1, true), false),
                (20, view(1, false), false),
                (30, view(2, true), true),
            ],
        );
        check("an edge between two looks", &[(0, view(1, true), true), (9, view(2, true), true)]);
    }

    #[test]
    fn a_reopened_stream_repeats_only_what_may_have_been_lost() {
        check("announced and serving", &[(0, announced(serving(view(3, true))), false)]);
        check("announced, no pod serves yet", &[(0, announced(view(3, true)), true)]);
        check("serving, never announced", &[(0, serving(view(3, true)), true)]);
        check(
            "only the opening is forgiven",
            &[
                (0, announced(serving(view(3, true))), false),
                (5, view(3, false), false),
                (9, announced(serving(view(4, true))), true),
            ],
        );
    }

    #[test]
    fn true_is_repeated_every_ten_seconds_only_while_waking() {
        let wakes = waking(view(1, true));
        check(
            "waking",
            &[
                (0, wakes, true),
                (9, wakes, false),
                (10, wakes, true),
                (19, wakes, false),
                (20, view(1, true), false),
                (40, wakes, true),
            ],
        );
    }

    #[test]
    fn nothing_is_said_during_errors_and_nothing_is_lost_to_them() {
        check(
            "open during an error in an active period",
            &[(0, erring(view(1, true)), false), (9, view(1, true), true)],
        );
        check(
            "an error within an announced period",
            &[
                (0, view(1, true), true),
                (5, erring(view(1, true)), false),
                (9, view(1, true), false),
            ],
        );
        check(
            "waking but erring",
            &[(0, waking(view(1, true)), true), (30, waking(erring(view(1, true))), false)],
        );
    }

    #[test]
    fn a_look_is_due_only_while_waking() {
        let mut push = Push::default();
        let wakes = waking(view(1, true));
        assert!(push.say(wakes, Duration::from_secs(3)));
        assert_eq!(push.next(wakes), Some(Duration::from_secs(13)));
        assert_eq!(push.next(view(1, true)), None);
        assert_eq!(push.next(waking(erring(view(1, true)))), None);
    }
}
