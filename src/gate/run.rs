//! From settings to a running gate, and to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::gate::admin::{self, Admin};
use crate::gate::config::Settings;
use crate::gate::listen;
use crate::gate::look::Look;
use crate::gate::metrics::Metrics;
use crate::gate::payload::Budget;
use crate::gate::route::Route;
use crate::gate::state::Gate;
use crate::gate::table::Table;
use crate::gate::wake::{Waker, client};
use crate::http::{self, Phase, Readiness};
use crate::server::{self, COMMIT, Error};
use crate::source::config::ScrapePolicy;
use crate::source::resolve::Resolver;

/// For a name to be resolved, all its spellings together.
const RESOLVE: Duration = Duration::from_secs(3);

/// An answer of a name server is reused no longer: a name is asked again at each look.
const ANSWER_LIFETIME: Duration = Duration::from_millis(500);

/// For those that were told to end to say so to their clients.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where the gate listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// For clients, with its real port.
    pub listen: SocketAddr,
    /// For probes and Prometheus, with its real port.
    pub admin: SocketAddr,
}

/// How the gate is asked to end.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Take nobody new, let everybody finish.
    pub drain: CancellationToken,
    /// Wait for nobody.
    pub cut: CancellationToken,
}

/// Everything that runs.
struct Running {
    readiness: Readiness,
    tasks: JoinSet<&'static str>,
    ending: CancellationToken,
    admin_end: CancellationToken,
}

/// Serves until it is asked to end, and until what it holds has ended. `names` says how hosts
/// resolve; `on_ready` is told where, once both listeners are bound.
///
/// # Errors
/// When an address cannot be used, or a task ends unasked.
pub async fn run(
    settings: Settings,
    names: ScrapePolicy,
    ends: Ends,
    on_ready: impl FnOnce(Bound),
) -> Result<(), Error> {
    let listener = server::listen("listen", settings.listen).await?;
    let admin = server::listen("adminListen", settings.admin_listen).await?;
    let bound = Bound { listen: listener.1, admin: admin.1 };
    let mut running = start(&settings, &names, &ends, (listener.0, admin.0))?;
    running.readiness.set(Phase::Ready);
    tell(&settings, bound);
    on_ready(bound);
    tokio::select! {
        () = ends.drain.cancelled() => {}
        () = ends.cut.cancelled() => {}
        Some(ended) = running.tasks.join_next() => return Err(unasked(ended)),
    }
    end(running, &settings, &ends).await;
    Ok(())
}

fn tell(settings: &Settings, Bound { listen, admin }: Bound) {
    if settings.wake.is_none() {
        warn!("no wake.url: prescale learns of held requests from the metrics only");
    }
    let routes = settings.routes.len();
    info!(%listen, %admin, routes, version = env!("CARGO_PKG_VERSION"), "ready");
}

fn start(
    settings: &Settings,
    names: &ScrapePolicy,
    ends: &Ends,
    (listener, admin_listener): (TcpListener, TcpListener),
) -> Result<Running, Error> {
    let clock = Clock::system();
    let started = clock.now().unix_ms() / 1000;
    let metrics = Metrics::default();
    #[expect(clippy::cast_precision_loss, reason = "exact for millions of years")]
    let registry = metrics.registry(COMMIT, started as f64);
    let budget = Budget::new(
        settings.limits.held_bytes,
        settings.limits.body_bytes,
        metrics.held_bytes().clone(),
    );
    let of = |route: &crate::gate::config::Route| {
        Arc::new(Route::new(route.clone(), metrics.of(route), clock.clone()))
    };
    let routes: Vec<Arc<Route>> = settings.routes.iter().map(of).collect();
    let mut tasks = JoinSet::new();
    follow(settings, names, (&routes, &clock), &mut tasks)?;
    let gate = Arc::new(Gate {
        table: Table::new(routes),
        metrics,
        budget,
        idle: settings.idle,
        keep_alive_sse: settings.keep_alive_sse,
        clock,
        started,
        cut: ends.cut.clone(),
    });
    let (ending, admin_end) = (CancellationToken::new(), CancellationToken::new());
    let readiness = Readiness::default();
    let pages = Admin { registry: Arc::new(registry), readiness: readiness.clone() };
    let pages = http::serve(admin_listener, admin::router(pages), admin_end.clone());
    tasks.spawn(async {
        pages.await;
        "admin"
    });
    let clients = listen::serve(listener, gate, settings.limits.connections, ending.clone());
    tasks.spawn(async {
        clients.await;
        "listen"
    });
    Ok(Running { readiness, tasks, ending, admin_end })
}

/// Starts what looks after each route.
fn follow(
    settings: &Settings,
    names: &ScrapePolicy,
    (routes, clock): (&[Arc<Route>], &Clock),
    tasks: &mut JoinSet<&'static str>,
) -> Result<(), Error> {
    let names = ScrapePolicy { allow_loopback: true, ..names.clone() };
    let names = Arc::new(Resolver::fresh(&names, RESOLVE, ANSWER_LIFETIME));
    let client = client().map_err(|error| Error::Failed { task: "wake", source: error.into() })?;
    for route in routes {
        let look = Look::new(Arc::clone(route), Arc::clone(&names), settings.pace, clock.clone());
        tasks.spawn(async {
            look.run().await;
            "look"
        });
        if let Some(wake) = &settings.wake {
            let when = (settings.pace, clock.clone());
            let waker = Waker::new(Arc::clone(route), wake.clone(), client.clone(), when);
            tasks.spawn(async {
                waker.run().await;
                "wake"
            });
        }
    }
    Ok(())
}

/// Not ready first, so that nobody new is sent here; then nobody is accepted; what waits and streams
/// goes on until it ends, until its time is over, or until somebody loses patience.
async fn end(mut running: Running, settings: &Settings, ends: &Ends) {
    let Settings { pace, drain, .. } = settings;
    running.readiness.set(Phase::Ending);
    info!("draining");
    let known = tokio::time::sleep(pace.lame_duck.min(*drain));
    tokio::select! {
        () = known => {}
        () = ends.cut.cancelled() => {}
    }
    running.ending.cancel();
    tokio::select! {
        () = ended(&mut running.tasks, "listen") => {}
        () = tokio::time::sleep(drain.saturating_sub(pace.lame_duck)) => ends.cut.cancel(),
        () = ends.cut.cancelled() => {}
    }
    if ends.cut.is_cancelled()
        && timeout(LAST_WORDS, ended(&mut running.tasks, "listen")).await.is_err()
    {
        warn!("streams cut off");
    }
    running.admin_end.cancel();
    info!("ended");
}

/// Waits for the task named.
async fn ended(tasks: &mut JoinSet<&'static str>, name: &str) {
    while let Some(outcome) = tasks.join_next().await {
        match outcome {
            Ok(task) if task == name => return,
            Ok(_) => {}
            Err(error) => warn!(%error, "task panicked at its end"),
        }
    }
}

fn unasked(outcome: Result<&'static str, JoinError>) -> Error {
    match outcome {
        Ok(task) => Error::Ended { task },
        Err(panic) => Error::Failed { task: "a task", source: Box::new(panic) },
    }
}
