//! The simulated workload on the network: an address a pod, a page behind it, a name for all.
//!
//! Given a world and a clock, it promises that whoever connects finds what a cluster would show at
//! that instant: nobody listens while a pod loads, pages are current, and the table of names holds
//! the pods that have an address (a headless Service with `publishNotReadyAddresses`) and the
//! gateway. It is the only way to the world for the rest of the demo.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::demo::pages::{CONTENT_TYPE, gateway, vllm};
use crate::engine::replay::pod::Stage;
use crate::engine::replay::world::World;
use crate::engine::units::Timestamp;

/// Full name of the headless Service of the pods.
pub(super) const PODS_NAME: &str = "vllm-headless.demo.svc.cluster.local";

/// Full name of the gateway's Service.
pub(super) const GATEWAY_NAME: &str = "gateway.demo.svc.cluster.local";

/// Where the gateway listens; pods follow from .0.2 on.
const GATEWAY_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 88, 0, 1);

/// Real time between looks at which pods should listen. A pod listens this much late at most: 0.6 s
/// of simulated time at speed 60, 2 s at 200, both little beside a cold start.
const LOOK: Duration = Duration::from_millis(10);

/// Names to addresses, as direct scrape reads them.
pub(super) type Names = Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>;

/// The world and the clock it follows.
#[derive(Debug)]
pub(super) struct Fleet {
    world: Mutex<World>,
    clock: Clock,
    origin: Timestamp,
    length: Duration,
}

impl Fleet {
    /// A fleet whose day of `length` begins at `origin` of `clock`.
    pub(super) const fn new(
        world: World,
        clock: Clock,
        origin: Timestamp,
        length: Duration,
    ) -> Self {
        Self { world: Mutex::new(world), clock, origin, length }
    }

    /// Reads or changes the world as it is now; after the day it stays as the day ended.
    pub(super) fn look<T>(&self, read: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.advance(self.clock.now().since(self.origin).min(self.length));
        read(&mut world)
    }

    /// When the day ends.
    pub(super) fn end(&self) -> Timestamp {
        self.origin.plus(self.length)
    }
}

/// Binds the gateway; its port, chosen by the system, is the pods' as well.
pub(super) async fn bind() -> Result<(TcpListener, u16), (SocketAddr, std::io::Error)> {
    let address = SocketAddr::from((GATEWAY_ADDRESS, 0));
    let refused = |error| (address, error);
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    Ok((listener, port))
}

/// The names at the beginning: the gateway, and no pods yet.
pub(super) fn names() -> Names {
    let gateway = (GATEWAY_NAME.to_owned(), vec![IpAddr::V4(GATEWAY_ADDRESS)]);
    Arc::new(Mutex::new(BTreeMap::from([gateway, (PODS_NAME.to_owned(), Vec::new())])))
}

/// Opens and closes the pods' listeners and keeps the names until `shutdown`.
///
/// # Errors
/// An address that cannot be listened on.
pub(super) async fn serve(
    fleet: Arc<Fleet>,
    listener: TcpListener,
    names: Names,
    shutdown: CancellationToken,
) -> Result<(), (SocketAddr, std::io::Error)> {
    let address = SocketAddr::from((GATEWAY_ADDRESS, 0));
    let port = listener.local_addr().map_err(|error| (address, error))?.port();
    let mut tasks = JoinSet::new();
    let mut open: BTreeMap<Ipv4Addr, CancellationToken> = BTreeMap::new();
    let router = Router::new().route("/metrics", get(gateway_page)).with_state(Arc::clone(&fleet));
    tasks.spawn(answer(listener, router, shutdown.child_token()));
    while !shutdown.is_cancelled() {
        let Seen { named, serving } = fleet.look(|world| see(world));
        publish(&names, named);
        for (_, end) in open.extract_if(.., |address, _| !serving.contains(address)) {
            end.cancel();
        }
        for address in serving {
            if let Entry::Vacant(entry) = open.entry(address) {
                let at = SocketAddr::from((address, port));
                let listener = TcpListener::bind(at).await.map_err(|error| (at, error))?;
                let end = entry.insert(shutdown.child_token()).clone();
                tasks.spawn(answer(listener, pod_router(&fleet, address), end));
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
    tasks.shutdown().await;
    Ok(())
}

/// Which pods have a name, and which listen.
struct Seen {
    named: Vec<IpAddr>,
    serving: Vec<Ipv4Addr>,
}

fn see(world: &World) -> Seen {
    let now = world.now();
    let of = |stages: [Stage; 2]| {
        let pods = world.pods().iter().filter(move |pod| stages.contains(&pod.stage(now)));
        pods.map(|pod| address_of(pod.serial())).collect::<Vec<_>>()
    };
    let named = of([Stage::Loading, Stage::Ready]).into_iter().map(IpAddr::V4).collect();
    Seen { named, serving: of([Stage::Ready, Stage::Draining]) }
}

fn publish(names: &Names, addresses: Vec<IpAddr>) {
    let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
    names.insert(PODS_NAME.to_owned(), addresses);
}

async fn answer(listener: TcpListener, router: Router, end: CancellationToken) {
    // An accept error would end the page of one pod; the scrape then sees a pod that is gone, which
    // is what it is. The library itself retries those that pass.
    let _ = axum::serve(listener, router).with_graceful_shutdown(end.cancelled_owned()).await;
}

fn pod_router(fleet: &Arc<Fleet>, address: Ipv4Addr) -> Router {
    Router::new().route("/metrics", get(pod_page)).with_state((Arc::clone(fleet), address))
}

async fn pod_page(State((fleet, address)): State<(Arc<Fleet>, Ipv4Addr)>) -> Response {
    let page = fleet.look(|world| {
        let pod = world.pods().iter().find(|pod| address_of(pod.serial()) == address);
        pod.map(|pod| vllm(pod.replica()))
    });
    page.map_or_else(|| StatusCode::SERVICE_UNAVAILABLE.into_response(), text)
}

async fn gateway_page(State(fleet): State<Arc<Fleet>>) -> Response {
    text(fleet.look(|world| gateway(world)))
}

fn text(page: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}

/// 127.88.0.2 and up: an address a pod, never used again within 60 000 pods, so that whoever still
/// remembers a dead pod's address finds nobody there.
pub(super) fn address_of(serial: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 88, 0, 2)) + serial % 60_000)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_util::sync::CancellationToken;

    use super::{Fleet, GATEWAY_ADDRESS, PODS_NAME, address_of, bind, names, serve};
    use crate::clock::Clock;
    use crate::demo::traffic::day;
    use crate::engine::replay::profile::Settings;
    use crate::engine::replay::world::World;
    use crate::engine::units::Timestamp;
    use std::net::Ipv4Addr;

    const DAY: Duration = Duration::from_secs(3600);

    /// A real clock: sockets do not know a paused one. 100 simulated seconds pass in one, so that a
    /// slow machine still looks while the pod loads.
    fn fleet() -> Arc<Fleet> {
        let origin = Timestamp::from_unix_ms(1_700_000_000_000);
        let world = World::new(Settings::demo(), day(1, DAY), 1, 1);
        Arc::new(Fleet::new(world, Clock::scaled(origin, 100.0), origin, DAY))
    }

    #[test]
    fn pods_have_addresses_of_their_own() {
        let rows = [(0, [127, 88, 0, 2]), (1, [127, 88, 0, 3]), (300, [127, 88, 1, 46])];
        for (serial, expected) in rows {
            assert_eq!(address_of(serial), Ipv4Addr::from(expected), "pod {serial}");
        }
    }

    async fn get(address: std::net::IpAddr, port: u16) -> Result<String, reqwest::Error> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        client.get(format!("http://{address}:{port}/metrics")).send().await?.text().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn pods_refuse_while_they_load_and_then_show_their_pages() {
        let (listener, port) = bind().await.unwrap();
        let (fleet, names, shutdown) = (fleet(), names(), CancellationToken::new());
        let table = Arc::clone(&names);
        let task = tokio::spawn(serve(Arc::clone(&fleet), listener, names, shutdown.clone()));
        fleet.look(|world| world.scale(2));
        let mut refused = false;
        let mut pages = Vec::new();
        for _ in 0..200 {
            let addresses = table.lock().unwrap().get(PODS_NAME).cloned().unwrap();
            pages.clear();
            for address in &addresses {
                match get(*address, port).await {
                    Ok(page) => pages.push(page),
                    Err(error) => refused |= error.is_connect(),
                }
            }
            if pages.len() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(refused, "the second pod was never seen loading");
        assert_eq!(pages.len(), 2);
        assert!(pages.iter().all(|page| page.contains("vllm:num_requests_running")));
        let page = get(GATEWAY_ADDRESS.into(), port).await.unwrap();
        assert!(page.contains("interceptor_request_concurrency"), "{page}");
        shutdown.cancel();
        task.await.unwrap().unwrap();
    }
}
