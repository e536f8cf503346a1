//! A bar on standard error while a person waits longer than a second; nothing otherwise.

use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::backtest::progress::Progress;

/// Work shorter than this needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often the bar is drawn although nothing was done, so that the time left goes on.
const TICK: Duration = Duration::from_millis(250);

const PHASE: &str = "{spinner} {msg}, {elapsed}";

/// The bar.
#[derive(Debug)]
pub(super) struct Bar {
    drawn: Option<Drawn>,
    /// What is counted, in the plural.
    unit: &'static str,
}

#[derive(Debug)]
struct Drawn {
    bar: ProgressBar,
    /// Dropped when the work is over.
    over: Sender<()>,
    curtain: JoinHandle<()>,
}

impl Bar {
    /// A bar over `unit`, in the plural, that comes after a second, if `somebody` looks.
    pub(super) fn new(somebody: bool, unit: &'static str) -> Self {
        if !somebody {
            return Self { drawn: None, unit };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style(PHASE));
        let (over, rx) = channel::<()>();
        let shown = bar.clone();
        let curtain = thread::spawn(move || {
            if rx.recv_timeout(PATIENCE) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Self { drawn: Some(Drawn { bar, over, curtain }), unit }
    }

    /// Shows one step.
    pub(super) fn show(&self, progress: Progress<'_>) {
        let Some(Drawn { bar, .. }) = &self.drawn else { return };
        match progress {
            Progress::Phase(words) => bar.set_message(words.to_owned()),
            Progress::Planned(runs) => {
                bar.set_length(bar.length().unwrap_or(0) + runs);
                bar.set_style(style(&counted(self.unit)));
                // The time left is learned from runs, not from what came before them.
                bar.reset_eta();
            }
            Progress::Done => bar.inc(1),
        }
    }

    /// Leaves nothing behind.
    pub(super) fn end(self) {
        let Some(Drawn { bar, over, curtain }) = self.drawn else { return };
        drop(over);
        // It only waits and draws: were it to panic, there would be no bar.
        drop(curtain.join());
        bar.finish_and_clear();
    }
}

/// A template that counts.
fn counted(unit: &str) -> String {
    format!("{{spinner}} {{msg}} {{wide_bar}} {{pos}}/{{len}} {unit}, {{eta}} left")
}

/// A template is a constant of ours; were it wrong, the default would be shown.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    use super::{Bar, PHASE, counted};
    use crate::backtest::progress::Progress;

    #[test]
    fn the_templates_are_ones() {
        for template in [PHASE.to_owned(), counted("runs")] {
            assert!(ProgressStyle::with_template(&template).is_ok(), "{template}");
        }
    }

    #[test]
    fn it_counts_what_it_is_told_and_ends_before_it_was_shown() {
        let bar = Bar::new(true, "runs");
        bar.show(Progress::Phase("reading"));
        bar.show(Progress::Planned(4));
        bar.show(Progress::Done);
        let drawn = bar.drawn.as_ref().unwrap();
        assert_eq!((drawn.bar.position(), drawn.bar.length()), (1, Some(4)));
        bar.end();
        let nobody = Bar::new(false, "runs");
        nobody.show(Progress::Done);
        assert!(nobody.drawn.is_none());
        nobody.end();
    }
}
