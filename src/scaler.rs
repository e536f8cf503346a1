//! One ticking state machine per trigger, and the registry that admits, finds and retires them.
//!
//! Given references as KEDA sends them, promises a scaler for each that is well-formed and has
//! room, known by namespace, name and the hash of its metadata. Ticks compute at their own pace and
//! publish on a `watch`; requests only read the latest decision. An edited trigger is a new scaler
//! that inherits the memory of its sibling; with a store, what a scaler knows also outlives the process.
//! What is told of a decision is left to `crate::grpc`.

mod calls;
mod course;
mod metrics;
mod past;
mod quarantine;
mod reference;
mod schedule;

mod world;

mod handle;
mod keep;
mod room;
mod shared;
mod unseen;
mod wanted;

mod desk;
mod tick;

mod teach;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, info_span};

use crate::clock::Clock;
use crate::engine::decision::Decision;
use crate::engine::foresight::Foresight;
use crate::engine::units::Timestamp;
use crate::scaler::desk::Desk;
use crate::scaler::keep::Past;
use crate::scaler::reference::Key;
use crate::scaler::room::{Admission, Known, Room};
use crate::scaler::shared::Shared;
use crate::scaler::teach::Teacher;
use crate::scaler::tick::Ticker;
use crate::scaler::unseen::Unseen;
use crate::source::Sources;
use crate::spec::{Limits, Spec};
use crate::store::Store;

pub use desk::{Held, Woken};
pub use handle::{Activity, OpenStream, Scaler, Seen, Unanswered};
pub use metrics::Metrics;
pub use past::Learning;
pub use reference::{Reference, Refused};
pub use world::{Live, Observe, World};

/// Observations at once, of all scalers: what 10 000 scalers need within a 15 s tick when each
/// takes 0.7 s, and few enough sockets and pages for a small machine.
const OBSERVATIONS_MAX: usize = 512;

/// How long a wake waits for the tick that decides upon it, where only a tick can.
const WAKE_MAX: Duration = Duration::from_millis(900);

/// How long the ticks may take to end; they only have to be dropped.
const END_MAX: Duration = Duration::from_secs(5);

/// All scalers of this process.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    /// Wakes of scalers that are not there yet.
    unseen: Unseen,
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

    /// The same, ticking on `runtime`, which has to outlive [`Self::shutdown`], and keeping what its
    /// scalers know in `store`, if there is one. All scalers tick at the same instants; on a runtime of
    /// their own that burst does not stand before the answers.
    #[must_use]
    pub fn ticking_on(
        runtime: Handle,
        sources: Arc<Sources>,
        clock: Clock,
        limits: Limits,
        store: Option<Arc<Store>>,
    ) -> Arc<Self> {
        let world = Arc::new(Live::new(sources));
        Arc::new(Self { runtime: Some(runtime), ..Self::made(world, clock, limits, store) })
    }

    /// An empty registry in a world of its own: for tests.
    #[must_use]
    pub fn in_world(world: Arc<dyn World>, clock: Clock, limits: Limits) -> Arc<Self> {
        Arc::new(Self::made(world, clock, limits, None))
    }

    /// The same, ticking on `runtime` as [`Self::ticking_on`] does.
    #[must_use]
    pub fn in_world_on(
        runtime: Handle,
        world: Arc<dyn World>,
        clock: Clock,
        limits: Limits,
    ) -> Arc<Self> {
        Arc::new(Self { runtime: Some(runtime), ..Self::made(world, clock, limits, None) })
    }

    /// The same, keeping what its scalers know in `store`.
    #[must_use]
    pub fn keeping(
        world: Arc<dyn World>,
        clock: Clock,
        limits: Limits,
        store: Arc<Store>,
    ) -> Arc<Self> {
        Arc::new(Self::made(world, clock, limits, Some(store)))
    }

    fn made(
        world: Arc<dyn World>,
        clock: Clock,
        limits: Limits,
        store: Option<Arc<Store>>,
    ) -> Self {
        let metrics = Metrics::default();
        let shared = Shared {
            world,
            room: Room::new(limits, metrics.clone()),
            metrics,
            gate: Semaphore::new(OBSERVATIONS_MAX),
            learning: teach::gate(),
            store,
        };
        Self {
            shared: Arc::new(shared),
            unseen: Unseen::default(),
            clock,
            ending: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: None,
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

    /// Has a scaled object woken, all of its triggers; `None` when there is none of that name. A sleeping
    /// one is active when this returns; one that has not decided yet within 0.9 s, or with a later tick.
    pub async fn wake(&self, namespace: &str, name: &str) -> Option<Woken> {
        let scalers = self.named(namespace, name);
        let woken = scalers.iter().filter_map(|scaler| {
            let desk = Desk { shared: &self.shared, scaler };
            Some((desk.wake()?, scaler))
        });
        let (mut woken, scaler) = woken.min_by_key(|(woken, _)| rank(woken))?;
        if let Woken::Held(held) = &mut woken
            && !held.active
        {
            let mut told = scaler.watch();
            let active = |told: &Option<Arc<Decision>>| {
                told.as_deref().and_then(Decision::active) == Some(true)
            };
            held.active =
                matches!(tokio::time::timeout(WAKE_MAX, told.wait_for(active)).await, Ok(Ok(_)));
        }
        Some(woken)
    }

    /// Remembers a wake of a scaled object that is not there, in case KEDA asks for it soon.
    pub fn expect_wake(&self, namespace: &str, name: &str) {
        if reference::are_names(namespace, name) {
            self.unseen.note(namespace, name, self.clock.now());
        }
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
        let Past { mut memory, told_until, decision } = self.inherit(&key, &spec);
        if let Some(at) = self.unseen.of(&key.namespace, &key.name, self.clock.now()) {
            memory.wake.ask(at);
        }
        let observer = self.shared.world.observer(&spec.target);
        let decision = decision.map(Arc::new);
        let scaler = Arc::new(Scaler::new(key, spec, memory, self.clock.clone(), decision));
        if let Some(decision) = scaler.latest() {
            scaler.note_decision(&decision);
        }
        match room.admit(scaler)? {
            Admission::Already(scaler) => Ok(scaler),
            Admission::In(scaler, gate) => {
                let shared = Arc::clone(&self.shared);
                let ticker = Ticker::new(shared, Arc::clone(&scaler), gate, observer);
                let teacher = Teacher::of(Arc::clone(&self.shared), Arc::clone(&scaler));
                self.spawn(&scaler, ticker, (teacher, told_until));
                Ok(scaler)
            }
        }
    }

    /// What a new scaler goes on with: the memory of a sibling that scales the same workload with the
    /// same engine; without one, what the store has of it.
    ///
    /// Which of several triggers was edited cannot be seen: the one that wanted most counts, for an
    /// edit must not lower anything, and of equals the one that was asked last. After a restart the
    /// triggers of one scaled object come one after the other, so that each one's own past counts as
    /// well.
    fn inherit(&self, key: &Key, spec: &Spec) -> Past {
        let same = |other: &Arc<Scaler>| {
            other.spec.target.workload == spec.target.workload
                && other.spec.target.engine == spec.target.engine
        };
        let siblings = self.shared.room.named(&key.namespace, &key.name);
        let living = siblings.into_iter().filter(same).map(|other| {
            let told_until = other.latest().map(|decision| decision.at);
            let mut memory = other.memory();
            if !keep::is_of_one_measure(&other.spec, spec) {
                memory.foresight = Foresight::default();
            }
            let past = Past { memory, told_until, decision: None };
            (past, std::cmp::Reverse(other.silent()))
        });
        let living = living.max_by_key(|(past, silent)| (past.memory.last, *silent));
        let now = self.clock.now();
        let kept = self.shared.store.as_ref().and_then(|store| store.load(&keep::key(key, spec)));
        match (kept, living) {
            (None, None) => Past::default(),
            (None, Some((living, _))) => living,
            (Some(kept), Some((living, _)))
                if living.memory.last.is_some()
                    && (!keep::stands_beside_siblings(&kept, now)
                        || kept.memory.last < living.memory.last) =>
            {
                living
            }
            (Some(kept), _) => keep::past(kept, &spec.setup, now),
        }
    }

    fn spawn(
        &self,
        scaler: &Scaler,
        ticker: Ticker,
        (teacher, told_until): (Option<Teacher>, Option<Timestamp>),
    ) {
        let Scaler { namespace, name, hash8, .. } = scaler;
        // Not `name`: in JSON that is the key of the span's own name.
        let span = info_span!("scaler", %namespace, object = %name, %hash8);
        let ending = self.ending.clone();
        let taught = async move {
            if let Some(teacher) = teacher {
                teacher.run().await;
            }
            std::future::pending::<()>().await;
        };
        let life = async move {
            tokio::select! {
                () = ending.cancelled() => {}
                () = ticker.run(told_until) => {}
                () = taught => {}
            }
        };
        let life = life.instrument(span);
        match &self.runtime {
            Some(runtime) => self.tasks.spawn_on(life, runtime),
            None => self.tasks.spawn(life),
        };
    }
}

/// Of several triggers of one scaled object KEDA takes the largest, so the best outcome counts.
const fn rank(woken: &Woken) -> u8 {
    match woken {
        Woken::Held(Held { active: true, .. }) => 0,
        Woken::Held(_) => 1,
        Woken::BacksOff { .. } => 2,
        Woken::Refused(_) => 3,
    }
}
