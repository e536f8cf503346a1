//! The run as the server showed it: one page that changes from tick to tick, and then is gone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The page's server; it ends with the value.
pub(crate) struct Served {
    address: SocketAddr,
    page: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Served {
    /// Serves no page yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page: Arc<Mutex<Option<String>>> = Arc::default();
        let shown = Arc::clone(&page);
        let show = async move || shown.lock().unwrap().clone().ok_or(StatusCode::BAD_GATEWAY);
        let router = Router::new().route("/metrics", get(show));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, page, task }
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows `page` from now on; without one the server fails.
    pub(crate) fn set(&self, page: Option<String>) {
        *self.page.lock().unwrap() = page;
    }
}

/// As long as this is kept, a paused clock stands still: it would otherwise run to the next time-out
/// whenever everybody waits for the network.
pub(crate) fn still() -> mpsc::Sender<()> {
    let (keep, ended) = mpsc::channel();
    tokio::task::spawn_blocking(move || ended.recv());
    keep
}
