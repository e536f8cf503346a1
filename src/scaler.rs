//! One ticking state machine per trigger, and the registry that admits, finds and retires them.
//!
//! Given references as KEDA sends them, promises a scaler for each that is well-formed and has
//! room, known by namespace, name and the hash of its metadata. Ticks compute at their own pace and
//! publish on a `watch`; requests only read the latest decision. An edited trigger is a new scaler
//! that inherits the memory of its sibling. What is told of a decision is left to `crate::grpc`.

mod calls;
mod course;
mod metrics;
mod quarantine;
mod reference;
mod schedule;

mod world;

mod handle;
mod room;

mod tick;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::clock::Clock;
use crate::engine::step::Memory;
use crate::engine::units::Timestamp;
use crate::scaler::reference::Key;
use crate::scaler::room::{Admission, Known, Room};
use crate::scaler::tick::{Shared, Ticker};
use crate::source::Sources;
use crate::spec::{Limits, Spec};

pub use handle::{Activity, OpenStream, Scaler, Seen, Unanswered};
pub use metrics::Metrics;
pub use reference::{Reference, Refused};
pub use world::{Live, Observe, World};

/// Observations at once, of all scalers: what 10 000 scalers need within a 15 s tick when each
/// takes 0.7 s, and few enough sockets and pages for a small machine.
const OBSERVATIONS_MAX: usize = 512;

/// How long the ticks may take to end; they only have to be dropped.
const END_MAX: Duration = Duration::from_secs(5);

/// All scalers of this process.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    clock: Clock,
    ending: CancellationToken,
    tasks: TaskTracker,
    /// Where the scalers tick; `None`: on the runtime of whoever asks first.
    runtime: Option<Handle>,
}

impl Registry {
    /// An empty registry. Its scalers tick on `clock` and read from `sources`.
    #[must_use]
    pub fn new(sources: Arc<Sources>, clock: Clock, limits: Limits) -> Arc<Self> {
        Self::in_world(Arc::new(Live::new(sources)), clock, limits)
    }

    /// The same, ticking on `runtime`, which has to outlive [`Self::shutdown`]. All scalers tick at
    /// the same instants; on a runtime of their own that burst does not stand before the answers.
    #[must_use]
    pub fn ticking_on(
        runtime: Handle,
        sources: Arc<Sources>,
        clock: Clock,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self::made(Arc::new(Live::new(sources)), clock, limits, Some(runtime)))
    }

    /// An empty registry in a world of its own: for tests.
    #[must_use]
    pub fn in_world(world: Arc<dyn World>, clock: Clock, limits: Limits) -> Arc<Self> {
        Arc::new(Self::made(world, clock, limits, None))
    }

    fn made(world: Arc<dyn World>, clock: Clock, limits: Limits, runtime: Option<Handle>) -> Self {
        let metrics = Metrics::default();
        let shared = Shared {
            world,
            room: Room::new(limits, metrics.clone()),
            metrics,
            gate: Semaphore::new(OBSERVATIONS_MAX),
        };
        Self {
            shared: Arc::new(shared),
            clock,
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime,
        }
    }

    /// The scaler of a reference, created at first sight; counts as a call of it. Creating one needs
    /// tokio's runtime around it.
    ///
    /// # Errors
    /// When a name or the metadata is wrong, or there is no room for a new scaler.
    pub fn scaler(self: &Arc<Self>, reference: &Reference) -> Result<Arc<Scaler>, Refused> {
        let key = Key::of(reference).inspect_err(|_| {
            self.shared.metrics.refuse(metrics::RefusedFor::malformed);
        })?;
        match self.shared.room.look_up(&key)? {
            Known::Serving(scaler) => Ok(scaler),
            Known::New => self.create(key, reference),
        }
    }

    /// All scalers, ordered by namespace, name and hash.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Scaler>> {
        self.shared.room.all()
    }

    /// The scalers of one scaled object, one for each of its triggers, ordered by hash. Does not
    /// count as a call.
    #[must_use]
    pub fn named(&self, namespace: &str, name: &str) -> Vec<Arc<Scaler>> {
        self.shared.room.named(namespace, name)
    }

    /// What the registry counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The limits it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.shared.room.limits()
    }

    /// The clock that its scalers tick on.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Ends every tick; the scalers' watches close, and nobody is admitted any more.
    pub async fn shutdown(&self) {
        self.shared.room.end();
        self.ending.cancel();
        self.tasks.close();
        // A tick that computes right now is left to the end of the process.
        drop(tokio::time::timeout(END_MAX, self.tasks.wait()).await);
    }

    fn create(&self, key: Key, reference: &Reference) -> Result<Arc<Scaler>, Refused> {
        let room = &self.shared.room;
        let spec = match self.shared.world.parse(reference, room.limits()) {
            Ok(spec) => spec,
            Err(faults) => {
                room.note_wrong(key, &faults);
                return Err(Refused::Metadata(faults));
            }
        };
        let (memory, told_until) = self.inherit(&key, &spec);
        let observer = self.shared.world.observer(&spec.target);
        let (publisher, decision) = watch::channel(None);
        let scaler = Arc::new(Scaler::new(key, spec, memory, self.clock.clone(), decision));
        match room.admit(scaler)? {
            Admission::Already(scaler) => Ok(scaler),
            Admission::In(scaler, gate) => {
                let shared = Arc::clone(&self.shared);
                let ticker = Ticker::new(shared, Arc::clone(&scaler), gate, publisher, observer);
                self.spawn(&scaler, ticker, told_until);
                Ok(scaler)
            }
        }
    }

    /// The memory of a sibling that scales the same workload with the same engine, and the instant
    /// up to which that memory has been told the story.
    ///
    /// Which of several triggers was edited cannot be seen: the one that wanted most counts, for an
    /// edit must not lower anything, and of equals the one that was asked last.
    fn inherit(&self, key: &Key, spec: &Spec) -> (Memory, Option<Timestamp>) {
        let same = |other: &Arc<Scaler>| {
            other.spec.target.workload == spec.target.workload
                && other.spec.target.engine == spec.target.engine
        };
        let siblings = self.shared.room.named(&key.namespace, &key.name);
        let candidates = siblings.into_iter().filter(same).map(|other| (other.memory(), other));
        let wanting_most = |(memory, other): &(Memory, Arc<Scaler>)| {
            (memory.last, std::cmp::Reverse(other.silent()))
        };
        candidates.max_by_key(wanting_most).map_or_else(
            || (Memory::default(), None),
            |(memory, sibling)| (memory, sibling.latest().map(|decision| decision.at)),
        )
    }

    fn spawn(&self, scaler: &Scaler, ticker: Ticker, told_until: Option<Timestamp>) {
        let Scaler { namespace, name, hash8, .. } = scaler;
        // Not `name`: in JSON that is the key of the span's own name.
        let span = info_span!("scaler", %namespace, object = %name, %hash8);
        let ending = self.ending.clone();
        let life = async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = ticker.run(told_until) => {}
            }
        };
        let life = life.instrument(span);
        match &self.runtime {
            Some(runtime) => self.tasks.spawn_on(life, runtime),
            None => self.tasks.spawn(life),
        };
    }
}
