//! What the engine remembers of a workload between ticks.
//!
//! Plain data with public parts, so that it can be inherited by an edited setup, stored and shown;
//! it survives a JSON round trip bit for bit, and fields that an older version did not write start
//! empty. The rules that change each part live with the part.

mod idle;
mod panic;
mod unrest;
mod wake;
mod window;

use serde::{Deserialize, Serialize};

use crate::engine::capacity::Capacity;
use crate::engine::cold_start::{ColdStarts, Stages};
use crate::engine::demand::{Pressure, Trim};
use crate::engine::foresight::Foresight;
use crate::engine::signals::PodsSeen;
use crate::engine::units::Timestamp;

pub use idle::Idle;
pub use panic::Panic;
pub use unrest::{Unrest, is_fall};
pub use wake::{Sight, Wake};
pub use window::DownWindow;

/// The engine's memory of one workload.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// The last good decision, in replicas, before `shadow` and `onNoData`.
    pub last: Option<u32>,
    /// The newest trustworthy sample ever seen.
    pub newest: Option<Timestamp>,
    /// Whether pods have served since the workload was last inactive.
    pub served: bool,
    /// The pods seen.
    pub pods: PodsSeen,
    /// What one replica carries.
    pub capacity: Capacity,
    /// How long pods take to become ready.
    pub cold_starts: ColdStarts,
    /// What they are made of.
    pub cold_start_stages: Stages,
    /// The latency trim.
    pub trim: Trim,
    /// How long requests have been waiting.
    pub pressure: Pressure,
    /// The largest needs lately.
    pub window: DownWindow,
    /// Load that went and came back.
    pub unrest: Unrest,
    /// A need far beyond what is ready.
    pub panic: Panic,
    /// How long nothing was wanted.
    pub idle: Idle,
    /// The wake in progress.
    pub wake: Wake,
    /// What is foreseen.
    pub foresight: Foresight,
}

impl Memory {
    /// What is stored: all but what the forecast learned, which is rebuilt from minutes. While a disk does
    /// not answer, what waits for it must not keep a second forecaster of each workload.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.foresight.forget();
        self
    }

    /// What is still worth something after a long time without ticks: what was learned. What was
    /// decided is not: a fleet must not grow to what it needed last week. That nothing was wanted
    /// stays, because sleeping on is what an outage may never change.
    #[must_use]
    pub fn after_absence(mut self) -> Self {
        let nothing = Self::default();
        if self.last != Some(0) {
            self.last = nothing.last;
            self.newest = nothing.newest;
        }
        self.served = nothing.served;
        self.pods = nothing.pods;
        self.pressure = nothing.pressure;
        self.window = nothing.window;
        self.unrest = nothing.unrest;
        self.panic = nothing.panic;
        self.idle = nothing.idle;
        self.wake = nothing.wake;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;
    use crate::engine::units::Timestamp;

    #[test]
    fn after_an_absence_only_what_was_learned_and_sleep_are_left() {
        for (last, left) in [(Some(50), None), (Some(0), Some(0)), (None, None)] {
            let mut memory = Memory { last, served: true, ..Memory::default() };
            memory.newest = Some(Timestamp::from_unix_ms(1));
            memory.trim.value = 1.25;
            memory.window.seed(Timestamp::from_unix_ms(1), 50);
            let after = memory.clone().after_absence();
            assert_eq!((after.last, after.trim), (left, memory.trim));
            assert_eq!(after.newest.is_some(), left.is_some());
            assert_eq!((after.served, after.window.peak()), (false, 0));
        }
    }

    #[test]
    fn what_an_older_version_did_not_write_starts_empty() {
        assert_eq!(serde_json::from_str::<Memory>("{}").unwrap(), Memory::default());
        let some: Memory = serde_json::from_str(r#"{"last":3}"#).unwrap();
        assert_eq!(some, Memory { last: Some(3), ..Memory::default() });
        // An upgrade must not forget what was learned because it learns something more.
        let whole = serde_json::to_value(Memory::default()).unwrap();
        for field in whole["capacity"].as_object().unwrap().keys() {
            let mut older = whole.clone();
            older["capacity"].as_object_mut().unwrap().remove(field);
            let read = serde_json::from_value::<Memory>(older);
            assert_eq!(read.ok(), Some(Memory::default()), "capacity without {field}");
        }
    }
}
