//! What is counted about wakes.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(super) enum Outcome {
    /// A wake began.
    woken,
    /// Held or serving already.
    renewed,
    /// Held by a peer, where no scaler here has the name.
    elsewhere,
    /// No or a wrong token.
    unauthorized,
    /// Not for this namespace.
    forbidden,
    /// Never seen.
    unknown,
    /// Too often.
    limited,
    /// The last wake was given up.
    backing_off,
    /// The calendar allows no replica, or nothing is sent.
    refused,
}

const OUTCOMES: [Outcome; 9] = {
    use Outcome::{
        backing_off, elsewhere, forbidden, limited, refused, renewed, unauthorized, unknown, woken,
    };
    [woken, renewed, elsewhere, unauthorized, forbidden, unknown, limited, backing_off, refused]
};

/// What became of a wake that was handed to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the variant's name is the label's value")]
pub(super) enum Handed {
    /// It holds it.
    held,
    /// It does not know the scaler, and remembers the wake for a while.
    unknown,
    /// It answered something else.
    refused,
    /// It did not answer in time.
    silent,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Call {
    result: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Peer {
    result: Handed,
}

/// Counters; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    calls: Family<Call, Counter>,
    peers: Family<Peer, Counter>,
}

impl Metrics {
    /// Registers everything under its full name, each series from the start: a first unauthorized call,
    /// or a first peer that is silent, shows as an increase.
    pub fn register(&self, registry: &mut Registry) {
        for result in OUTCOMES {
            drop(self.calls.get_or_create(&Call { result }));
        }
        for result in [Handed::held, Handed::unknown, Handed::refused, Handed::silent] {
            drop(self.peers.get_or_create(&Peer { result }));
        }
        registry.register("prescale_wakes", "Calls of POST /wake by result", self.calls.clone());
        registry.register(
            "prescale_wakes_handed",
            "Wakes handed to peers, by what became of them",
            self.peers.clone(),
        );
    }

    pub(super) fn called(&self, result: Outcome) {
        self.calls.get_or_create(&Call { result }).inc();
    }

    pub(super) fn handed(&self, result: Handed) {
        self.peers.get_or_create(&Peer { result }).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::Metrics;

    #[test]
    fn every_series_is_there_from_the_start() {
        let mut registry = Registry::default();
        Metrics::default().register(&mut registry);
        let mut page = String::new();
        encode(&mut page, &registry).unwrap();
        for result in ["woken", "refused", "backing_off"] {
            let line = format!("prescale_wakes_total{{result=\"{result}\"}} 0");
            assert!(page.contains(&line), "{line} in {page}");
        }
        for result in ["held", "unknown", "refused", "silent"] {
            let line = format!("prescale_wakes_handed_total{{result=\"{result}\"}} 0");
            assert!(page.contains(&line), "{line} in {page}");
        }
    }
}
