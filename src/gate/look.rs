//! Looks at a route's servers, again and again: who is there, who is ready.
//!
//! A name that surely has no address has no server. While nobody can say, the servers known so far
//! stay: they are probed themselves. Requests never wait for this; they read what was seen last.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tracing::{debug, info, warn};

use crate::clock::Clock;
use crate::engine::observation::FaultKind;
use crate::gate::config::{Pace, Probe, Upstream};
use crate::gate::endpoint::{Endpoint, Probed};
use crate::gate::route::Route;
use crate::source::resolve::Resolver;

/// Between two looks that somebody asks for: a server that refuses each request is not probed for
/// each of them.
const LOOKS_APART: Duration = Duration::from_millis(100);

/// Servers of one route; a name with more addresses is read up to here.
const ENDPOINTS_MAX: usize = 256;

/// Probes in a row that a server which was ready may be slow to answer: under full load an engine's
/// event loop hangs for seconds, and yet it serves.
const SLOW_MAX: u32 = 3;

/// One server, and how often in a row its probe was slow.
struct Known {
    endpoint: Arc<Endpoint>,
    was_ready: bool,
    slow: u32,
}

/// Looks at the servers of one route.
pub(super) struct Look {
    route: Arc<Route>,
    names: Arc<Resolver>,
    pace: Pace,
    clock: Clock,
    known: BTreeMap<SocketAddr, Known>,
    /// What was said in the log last, so that it is said once.
    told: Option<String>,
}

impl Look {
    /// For this route.
    pub(super) fn new(route: Arc<Route>, names: Arc<Resolver>, pace: Pace, clock: Clock) -> Self {
        Self { route, names, pace, clock, known: BTreeMap::new(), told: None }
    }

    /// Looks until it is dropped.
    pub(super) async fn run(mut self) {
        loop {
            self.once().await;
            let route = Arc::clone(&self.route);
            let pause = if route.held() > 0 {
                self.pace.held
            } else if route.metrics.in_flight.get() > 0 {
                self.pace.busy
            } else {
                self.pace.idle
            };
            let asked = async {
                tokio::time::sleep(LOOKS_APART).await;
                route.look.notified().await;
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = asked => {}
            }
        }
    }

    async fn once(&mut self) {
        let unresolved = match self.addresses().await {
            Ok(addresses) => {
                self.keep(&addresses);
                None
            }
            Err(kind) => Some(kind),
        };
        let path = match &self.route.settings.ready {
            Probe::Connect => None,
            Probe::Path(path) => Some(path.as_str()),
        };
        let host = &self.route.host;
        let asked = self.known.values().map(|known| known.endpoint.probe(path, host));
        let answers = join_all(asked).await;
        let refusing = answers.iter().find_map(|probed| match probed {
            Probed::Status(status) => Some(*status),
            Probed::Ready | Probed::Refused | Probed::Slow => None,
        });
        for (known, probed) in self.known.values_mut().zip(answers) {
            known.heard(probed);
        }
        self.publish();
        let text = state(self.ready(), self.known.len(), refusing, unresolved);
        self.tell(text);
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, FaultKind> {
        let Upstream { every_address, host, port } = &self.route.settings.upstream;
        // It is in no name server, and always means this.
        let found = match host.as_str() {
            "localhost" => vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            name => self.names.addresses(name, &self.route.settings.namespace).await?,
        };
        let max = if *every_address { ENDPOINTS_MAX } else { 1 };
        Ok(found.into_iter().take(max).map(|address| (address, *port).into()).collect())
    }

    /// Forgets servers that the name no longer has: their addresses may be somebody else's next.
    fn keep(&mut self, addresses: &[SocketAddr]) {
        self.known.retain(|address, known| {
            let stays = addresses.contains(address);
            if !stays {
                known.endpoint.close_idle();
            }
            stays
        });
        for address in addresses {
            self.known.entry(*address).or_insert_with(|| Known {
                endpoint: Arc::new(Endpoint::new(*address, self.clock.clone())),
                was_ready: false,
                slow: 0,
            });
        }
    }

    /// How many are ready.
    fn ready(&self) -> usize {
        self.known.values().filter(|known| known.was_ready).count()
    }

    fn publish(&self) {
        let ready = self.known.values().filter(|known| known.was_ready);
        let ready: Arc<[Arc<Endpoint>]> = ready.map(|known| Arc::clone(&known.endpoint)).collect();
        self.route.metrics.endpoints.set(i64::try_from(ready.len()).unwrap_or(i64::MAX));
        self.route.ready.send_if_modified(|before| {
            let same = before.len() == ready.len()
                && before.iter().zip(ready.iter()).all(|(a, b)| Arc::ptr_eq(a, b));
            if !same {
                *before = ready;
            }
            !same
        });
    }

    /// Says what has changed. A probe that is answered with 404 will never be answered otherwise.
    fn tell(&mut self, text: String) {
        let state = Some(text);
        if self.told == state {
            return;
        }
        let scaler = self.route.scaler();
        let (upstream, held) = (self.route.settings.upstream.to_string(), self.route.held());
        let shown = state.as_deref().unwrap_or_default();
        if shown.ends_with(" 404") {
            let hint = "set ready of the route to a path that it has, or to connect";
            warn!(scaler, upstream, state = shown, hint, "upstream");
        } else if is_ready(shown) || held > 0 || self.told.as_deref().is_some_and(is_ready) {
            info!(scaler, upstream, state = shown, held, "upstream");
        } else {
            debug!(scaler, upstream, state = shown, "upstream");
        }
        self.told = state;
    }
}

fn is_ready(state: &str) -> bool {
    state.starts_with("ready")
}

/// What is said in the log: one text for one state, or it would be said at each look.
fn state(
    ready: usize,
    known: usize,
    refusing: Option<u16>,
    unresolved: Option<FaultKind>,
) -> String {
    let text = match (ready, refusing, known) {
        (0, Some(status), _) => format!("not ready: the probe answers {status}"),
        (0, None, 0) if unresolved.is_some() => "not ready".to_owned(),
        (0, None, 0) => "no address".to_owned(),
        (0, None, _) => "not ready: no answer".to_owned(),
        _ => "ready".to_owned(),
    };
    match unresolved {
        Some(kind) => format!("{text}; name not resolved: {kind:?}"),
        None => text,
    }
}

impl Known {
    /// Whether it is ready now, after this answer to its probe.
    fn heard(&mut self, probed: Probed) {
        self.slow = if probed == Probed::Slow { self.slow + 1 } else { 0 };
        self.was_ready = match probed {
            Probed::Ready => true,
            Probed::Refused | Probed::Status(_) => false,
            Probed::Slow => self.was_ready && self.slow < SLOW_MAX,
        };
        if !self.was_ready {
            self.endpoint.close_idle();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Endpoint, Known, Probed, state};
    use crate::clock::Clock;
    use crate::engine::observation::FaultKind;

    #[test]
    fn a_name_that_does_not_resolve_is_part_of_the_state_and_not_another_one() {
        let rows = [
            (1, 1, None, None, "ready"),
            (1, 1, None, Some(FaultKind::Dns), "ready; name not resolved: Dns"),
            (0, 0, None, None, "no address"),
            (0, 0, None, Some(FaultKind::Dns), "not ready; name not resolved: Dns"),
            (0, 2, None, None, "not ready: no answer"),
            (0, 2, Some(404), None, "not ready: the probe answers 404"),
        ];
        for (ready, known, refusing, unresolved, expected) in rows {
            assert_eq!(state(ready, known, refusing, unresolved), expected);
        }
    }

    fn check(answers: &[Probed], expected: bool) {
        let endpoint = Arc::new(Endpoint::new(([127, 0, 0, 1], 1).into(), Clock::system()));
        let mut known = Known { endpoint, was_ready: false, slow: 0 };
        answers.iter().for_each(|answer| known.heard(*answer));
        assert_eq!(known.was_ready, expected, "{answers:?}");
    }

    #[test]
    fn a_ready_server_may_be_slow_twice_and_a_new_one_never() {
        use Probed::{Ready, Refused, Slow, Status};
        check(&[Ready], true);
        check(&[Slow], false);
        check(&[Ready, Slow, Slow], true);
        check(&[Ready, Slow, Slow, Slow], false);
        check(&[Ready, Slow, Slow, Ready, Slow], true);
        check(&[Ready, Refused], false);
        check(&[Ready, Status(503)], false);
        check(&[Refused, Status(503), Ready], true);
    }
}
