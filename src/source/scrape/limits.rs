//! The bounds of direct scrape, so that tests can have short ones.

use std::time::Duration;

use crate::source::exposition;

/// Bounds on connections, pages and rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time to resolve one name.
    pub resolve: Duration,
    /// Time to connect. Inside a cluster it takes milliseconds; more is a black hole.
    pub connect: Duration,
    /// Time for one page from asking to its last byte, connecting included.
    pub page: Duration,
    /// Time for all pages of one reader: two full pages one after the other. Pages not read by
    /// then are timed out, so that a tick ends within its own length.
    pub round: Duration,
    /// Addresses of one name that are scraped; of more, the first ones.
    pub addresses: usize,
    /// Pages of one reader read at the same time.
    pub at_once: usize,
    /// Pages of the whole server read at the same time, which bounds sockets and half-read lines.
    pub at_once_in_all: usize,
    /// Pages remembered for other scalers that ask for the same one in the same tick.
    pub shared: usize,
    /// Bounds on a page's content.
    pub content: exposition::Limits,
    /// Decoded bytes for one compressed byte. Real pages compress 10 to 20 times.
    pub ratio: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(2),
            connect: Duration::from_secs(2),
            page: Duration::from_secs(3),
            round: Duration::from_secs(6),
            addresses: 256,
            at_once: 32,
            at_once_in_all: 256,
            shared: 1024,
            content: exposition::Limits::default(),
            ratio: 100,
        }
    }
}
