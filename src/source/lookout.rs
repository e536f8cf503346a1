//! Demand at zero, seen within a second: pages that show it are looked at each second while somebody
//! sleeps.
//!
//! Given the targets of sleeping scalers, promises one look per second at each distinct page, however
//! many scalers name it, and a [`Look`] for each of them that tells when more shows than it sleeps
//! through. Looks are bounded in number and time, take none of the places of those who read for a tick,
//! and are nothing but a hint: what is decided is decided by the tick that follows. A page that cannot
//! be looked at is left to the ticks. Costs nothing while nobody sleeps.

mod post;
mod sight;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;

use crate::engine::units::Timestamp;
use crate::source::lookout::post::{Post, Watcher};
use crate::source::scrape::Scraper;
use crate::spec::{Endpoint, Target};

/// Pages looked at, of all namespaces: a gateway has few, and each is shared.
const PAGES_MAX: usize = 1024;

/// Pages that one namespace may have looked at: two for each of a few gateways, and not so many that
/// one namespace takes them all.
const PAGES_OF_NAMESPACE_MAX: usize = 32;

/// Looks at the same time. One takes milliseconds, a dead page a second and then rests: a thousand pages
/// alive and some two hundred dead ones are looked at in time.
const LOOKS_MAX: usize = 64;

/// Looks at the pages of whoever sleeps; one for the server.
#[derive(Debug)]
pub(crate) struct Lookout {
    scraper: Arc<Scraper>,
    slots: Arc<Semaphore>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    posts: BTreeMap<Endpoint, Manned>,
    next: u64,
}

/// A page that is looked at, for whom it was first, and the task that does so.
#[derive(Debug)]
struct Manned {
    post: Arc<Post>,
    owner: String,
    task: AbortHandle,
}

/// Somebody sleeps and wants to be told; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Look {
    lookout: Arc<Lookout>,
    id: u64,
    namespace: String,
    endpoints: Vec<Endpoint>,
    shown: watch::Receiver<Option<Timestamp>>,
}

impl Lookout {
    /// Looks at nothing yet.
    pub(crate) fn new(scraper: Arc<Scraper>) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(LOOKS_MAX));
        Arc::new(Self { scraper, slots, table: Mutex::default() })
    }

    /// Has the pages of `target` looked at until the look is dropped; it tells when more than `above`
    /// shows. `None` where it names no page or there is no room for more. Needs tokio's runtime around it.
    pub(crate) fn look(self: &Arc<Self>, target: &Target, above: f64) -> Option<Look> {
        if target.activation_endpoints.is_empty() {
            return None;
        }
        let (sender, shown) = watch::channel(None);
        let (sender, target) = (Arc::new(sender), Arc::new(target.clone()));
        let mut table = self.table();
        let id = table.next;
        table.next = table.next.wrapping_add(1);
        let namespace = target.namespace.clone();
        let mut endpoints = Vec::new();
        for endpoint in &target.activation_endpoints {
            if let Some(post) = self.manned(&mut table, endpoint, &namespace) {
                let watcher = Watcher::new(Arc::clone(&target), above, Arc::clone(&sender));
                post.add(id, watcher);
                endpoints.push(endpoint.clone());
            }
        }
        drop(table);
        let lookout = Arc::clone(self);
        (!endpoints.is_empty()).then_some(Look { lookout, id, namespace, endpoints, shown })
    }

    /// The post at a page, manned if it was not; `None` where there is no room.
    fn manned(&self, table: &mut Table, endpoint: &Endpoint, namespace: &str) -> Option<Arc<Post>> {
        // A task that ended by itself panicked: it is started anew.
        table.posts.retain(|_, manned| !manned.task.is_finished());
        if let Some(manned) = table.posts.get(endpoint) {
            return Some(Arc::clone(&manned.post));
        }
        let own = table.posts.values().filter(|manned| manned.owner == namespace).count();
        if table.posts.len() >= PAGES_MAX || own >= PAGES_OF_NAMESPACE_MAX {
            return None;
        }
        let (scraper, slots) = (Arc::clone(&self.scraper), Arc::clone(&self.slots));
        let post = Arc::new(Post::new(scraper, slots, endpoint.clone(), namespace));
        let task = tokio::spawn(Arc::clone(&post).run()).abort_handle();
        let manned = Manned { post: Arc::clone(&post), owner: namespace.to_owned(), task };
        table.posts.insert(endpoint.clone(), manned);
        Some(post)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Look {
    /// Waits until more shows than it sleeps through, and gives the instant of the look. What showed
    /// since the last call is told at once.
    pub(crate) async fn shows(&mut self) -> Timestamp {
        loop {
            // The sender lives as long as a post knows of us; without one nothing is ever told.
            if self.shown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            if let Some(at) = *self.shown.borrow_and_update() {
                return at;
            }
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        let mut table = self.lookout.table();
        for endpoint in &self.endpoints {
            let Some(manned) = table.posts.get(endpoint) else { continue };
            if manned.post.remove(&self.namespace, self.id) {
                manned.task.abort();
                table.posts.remove(endpoint);
            }
        }
    }
}
