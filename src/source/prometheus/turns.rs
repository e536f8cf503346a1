//! Whose question goes next: a namespace has no more in a datasource's queue than the datasource
//! answers at once, so that who asks little waits for one round of the others, and not for all of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The namespaces that ask right now.
#[derive(Debug)]
pub(crate) struct NamespaceTurns {
    each: usize,
    gates: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A place in the queue; it ends with the value.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    turns: &'a NamespaceTurns,
    namespace: &'a str,
    /// Both are there until the end.
    held: Option<(Arc<Semaphore>, Option<OwnedSemaphorePermit>)>,
}

impl NamespaceTurns {
    /// NamespaceTurns of which each namespace has `each` at once.
    pub(crate) const fn new(each: usize) -> Self {
        Self { each, gates: Mutex::new(BTreeMap::new()) }
    }

    /// Waits for a turn of `namespace`.
    pub(crate) async fn take<'a>(&'a self, namespace: &'a str) -> Turn<'a> {
        let gate = {
            let mut gates = self.gates();
            let made = || Arc::new(Semaphore::new(self.each));
            Arc::clone(gates.entry(namespace.to_owned()).or_insert_with(made))
        };
        let mut turn = Turn { turns: self, namespace, held: Some((Arc::clone(&gate), None)) };
        // The gate is never closed.
        let permit = gate.acquire_owned().await.ok();
        turn.held = turn.held.take().map(|(gate, _)| (gate, permit));
        turn
    }

    fn gates(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Semaphore>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut gates = self.turns.gates();
        drop(self.held.take());
        // Nobody else of this namespace asks: nothing is kept of it.
        if gates.get(self.namespace).is_some_and(|gate| Arc::strong_count(gate) == 1) {
            gates.remove(self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::NamespaceTurns;

    const SOON: Duration = Duration::from_millis(10);

    #[tokio::test(start_paused = true)]
    async fn a_namespace_has_its_turns_and_nothing_is_kept_of_who_is_gone() {
        let turns = NamespaceTurns::new(2);
        let (first, second) = (turns.take("loud").await, turns.take("loud").await);
        assert!(timeout(SOON, turns.take("loud")).await.is_err(), "two are under way");
        let quiet = timeout(SOON, turns.take("quiet")).await.unwrap();
        drop(first);
        let third = timeout(SOON, turns.take("loud")).await.unwrap();
        assert_eq!(turns.gates().len(), 2);
        drop((quiet, third));
        assert_eq!(turns.gates().len(), 1, "one is still under way");
        drop(second);
        assert_eq!(turns.gates().len(), 0);
    }
}
