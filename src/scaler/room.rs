//! Who is in: the table of scalers, its limits, and what was refused.
//!
//! Promises that memory is bounded whatever is asked: at most the configured number of scalers in
//! all and of one namespace, at most [`WRONG_MAX`] remembered refusals, and nothing kept of names
//! that are turned away. A serving scaler is never removed to make room.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::scaler::handle::Scaler;
use crate::scaler::metrics::{Metrics, RefusedFor, RemovedFor};
use crate::scaler::reference::{Key, Refused};
use crate::spec::{Faults, Limits};

/// Wrong triggers whose faults are remembered, so that each is parsed once although KEDA asks twice
/// every poll. A tenth of the default number of scalers; beyond it the oldest is parsed again.
const WRONG_MAX: usize = 1024;

/// A scaler not asked for this long, and without an open stream, is forgotten.
const IDLE_MAX: Duration = Duration::from_secs(3600);

/// Polls that a superseded sibling may miss.
const MISSED_POLLS: u32 = 3;

/// The old trigger may be asked once more after the edited one was first asked.
const HANDOVER: Duration = Duration::from_secs(60);

/// Observations of one namespace at once: enough to read its 500 scalers within one tick when each
/// takes 1.5 s, and an eighth of what all may do together, so that one slow tenant leaves room.
const NAMESPACE_OBSERVATIONS_MAX: usize = 64;

#[derive(Debug)]
struct Namespace {
    scalers: usize,
    gate: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Table {
    scalers: BTreeMap<Key, Arc<Scaler>>,
    namespaces: BTreeMap<String, Namespace>,
    wrong: BTreeMap<Key, Faults>,
    wrong_order: VecDeque<Key>,
    ending: bool,
}

/// The table of scalers.
#[derive(Debug)]
pub(crate) struct Room {
    limits: Limits,
    metrics: Metrics,
    table: Mutex<Table>,
}

/// What is known of a key before its metadata is parsed.
pub(crate) enum Known {
    /// It is served.
    Serving(Arc<Scaler>),
    /// It is new, and there is room.
    New,
}

/// The result of admitting a new scaler.
pub(crate) enum Admission {
    /// It is in; its observations go through the gate.
    In(Arc<Scaler>, Arc<Semaphore>),
    /// Somebody else was faster.
    Already(Arc<Scaler>),
}

impl Room {
    pub(crate) fn new(limits: Limits, metrics: Metrics) -> Self {
        Self { limits, metrics, table: Mutex::new(Table::default()) }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Looks `key` up; a scaler that is served counts the call.
    pub(crate) fn look_up(&self, key: &Key) -> Result<Known, Refused> {
        let table = self.table();
        if table.ending {
            self.metrics.refuse(RefusedFor::ending);
            return Err(Refused::Ending);
        }
        if let Some(scaler) = table.scalers.get(key) {
            scaler.touch();
            return Ok(Known::Serving(Arc::clone(scaler)));
        }
        if let Some(faults) = table.wrong.get(key) {
            self.metrics.refuse(RefusedFor::metadata);
            return Err(Refused::Metadata(faults.clone()));
        }
        self.space(&table, &key.namespace)?;
        Ok(Known::New)
    }

    /// Remembers that the metadata behind `key` is wrong.
    pub(crate) fn note_wrong(&self, key: Key, faults: &Faults) {
        self.metrics.refuse(RefusedFor::metadata);
        let mut table = self.table();
        if table.wrong_order.len() >= WRONG_MAX
            && let Some(oldest) = table.wrong_order.pop_front()
        {
            table.wrong.remove(&oldest);
        }
        if table.wrong.insert(key.clone(), faults.clone()).is_none() {
            table.wrong_order.push_back(key);
        }
    }

    /// Admits `scaler` unless there is one already or the room was taken meanwhile.
    pub(crate) fn admit(&self, scaler: Arc<Scaler>) -> Result<Admission, Refused> {
        let mut table = self.table();
        if table.ending {
            return Err(Refused::Ending);
        }
        if let Some(already) = table.scalers.get(scaler.key()) {
            already.touch();
            return Ok(Admission::Already(Arc::clone(already)));
        }
        self.space(&table, &scaler.namespace)?;
        let namespace = table.namespaces.entry(scaler.namespace.clone()).or_insert_with(|| {
            Namespace { scalers: 0, gate: Arc::new(Semaphore::new(NAMESPACE_OBSERVATIONS_MAX)) }
        });
        namespace.scalers += 1;
        let gate = Arc::clone(&namespace.gate);
        table.scalers.insert(scaler.key().clone(), Arc::clone(&scaler));
        self.metrics.count(table.scalers.len());
        Ok(Admission::In(scaler, gate))
    }

    /// Removes `scaler` if nobody wants it any more; says whether it is gone.
    ///
    /// Decided under the lock under which calls are counted, so that no caller is handed a scaler
    /// that has just been judged idle.
    pub(crate) fn dismiss(&self, scaler: &Scaler) -> bool {
        let mut table = self.table();
        let Some(cause) = unwanted(scaler, &table) else { return false };
        table.remove(scaler.key());
        self.metrics.remove(cause);
        self.metrics.count(table.scalers.len());
        true
    }

    /// Removes `scaler` if it is still in; another one under its key stays.
    pub(crate) fn leave(&self, scaler: &Arc<Scaler>) {
        let mut table = self.table();
        let is_in = table.scalers.get(scaler.key()).is_some_and(|it| Arc::ptr_eq(it, scaler));
        if is_in {
            table.remove(scaler.key());
            self.metrics.remove(RemovedFor::failed);
            self.metrics.count(table.scalers.len());
        }
    }

    /// All scalers, ordered by namespace, name and hash.
    pub(crate) fn all(&self) -> Vec<Arc<Scaler>> {
        self.table().scalers.values().cloned().collect()
    }

    /// The scalers of one scaled object, ordered by hash.
    pub(crate) fn named(&self, namespace: &str, name: &str) -> Vec<Arc<Scaler>> {
        self.table().siblings(namespace, name).cloned().collect()
    }

    /// Admits nobody from now on, and forgets everybody.
    pub(crate) fn end(&self) {
        let mut table = self.table();
        *table = Table { ending: true, ..Table::default() };
        self.metrics.count(0);
    }

    fn space(&self, table: &Table, namespace: &str) -> Result<(), Refused> {
        let Limits { scalers, per_namespace, .. } = self.limits;
        let of_namespace = table.namespaces.get(namespace).map_or(0, |entry| entry.scalers);
        let full = if table.scalers.len() >= scalers {
            format!("the server has {scalers} scalers, as many as limits.scalers allows")
        } else if of_namespace >= per_namespace {
            format!(
                "namespace {namespace} has {per_namespace} scalers, \
                 as many as limits.perNamespace allows"
            )
        } else {
            return Ok(());
        };
        self.metrics.refuse(RefusedFor::full);
        Err(Refused::Full(full))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn siblings(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Arc<Scaler>> {
        let key = |hash| Key { namespace: namespace.to_owned(), name: name.to_owned(), hash };
        self.scalers.range(key([0; 32])..=key([0xff; 32])).map(|(_, scaler)| scaler)
    }

    fn remove(&mut self, key: &Key) {
        if self.scalers.remove(key).is_none() {
            return;
        }
        if let Some(namespace) = self.namespaces.get_mut(&key.namespace) {
            namespace.scalers = namespace.scalers.saturating_sub(1);
            if namespace.scalers == 0 {
                self.namespaces.remove(&key.namespace);
            }
        }
    }
}

/// Why nobody wants `scaler`, if so: not asked for an hour, or edited away. Never while a stream is
/// open, which is how KEDA says that it still waits.
fn unwanted(scaler: &Scaler, table: &Table) -> Option<RemovedFor> {
    let silent = scaler.silent();
    if scaler.streams() > 0 {
        return None;
    }
    if silent >= IDLE_MAX {
        return Some(RemovedFor::idle);
    }
    if silent < scaler.poll_interval() * MISSED_POLLS {
        return None;
    }
    let last_call = scaler.clock().elapsed().saturating_sub(silent);
    // A sibling that is as old belongs to another trigger of the same scaled object; one that came
    // when this one fell silent has replaced it.
    let replaced = table.siblings(&scaler.namespace, &scaler.name).any(|other| {
        other.key() != scaler.key()
            && other.created() + HANDOVER > last_call
            && other.created() > scaler.created()
    });
    replaced.then_some(RemovedFor::superseded)
}
