//! Metric pages for a scraper: set, changed and taken away by a test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::http::{Reply, Server};

/// Pages by path; a path without a page is 404.
pub(crate) struct Pages {
    pages: Arc<Mutex<BTreeMap<String, String>>>,
    server: Server,
}

impl Pages {
    /// Serves no page yet, on a free port.
    pub(crate) async fn start() -> Self {
        let pages: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let served = Arc::clone(&pages);
        let server = Server::start(move |request| {
            let path = request.line.trim_start_matches("GET ").to_owned();
            match served.lock().unwrap().get(&path) {
                Some(page) => Reply::Answer(
                    200,
                    vec![("content-type".to_owned(), "text/plain; version=0.0.4".to_owned())],
                    page.clone().into_bytes(),
                ),
                None => Reply::status(404),
            }
        })
        .await;
        Self { pages, server }
    }

    /// Where the pages are.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Shows `page` at `path` from now on.
    pub(crate) fn set(&self, path: &str, page: impl Into<String>) {
        self.pages.lock().unwrap().insert(path.to_owned(), page.into());
    }

    /// Shows nothing at `path` from now on.
    pub(crate) fn remove(&self, path: &str) {
        self.pages.lock().unwrap().remove(path);
    }
}
