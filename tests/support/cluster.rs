//! A Prometheus that shows many workloads, each asleep or waking, and that can die and come back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::backend::{answer, form, request};

/// What a workload shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Workload {
    /// Replicas that its Deployment asks for; none of them is ready.
    pub(crate) replicas: u32,
    /// Requests held for it at the KEDA HTTP add-on; `None`: no route.
    pub(crate) held: Option<f64>,
}

/// A Prometheus before a cluster of workloads.
#[derive(Debug)]
pub(crate) struct Cluster {
    address: SocketAddr,
    workloads: Arc<Mutex<BTreeMap<String, Workload>>>,
    asked: Arc<AtomicUsize>,
    alive: CancellationToken,
}

impl Cluster {
    /// Starts with these workloads.
    pub(crate) async fn start(workloads: BTreeMap<String, Workload>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (workloads, asked) = (Arc::new(Mutex::new(workloads)), Arc::default());
        let cluster = Self { address, workloads, asked, alive: CancellationToken::new() };
        cluster.serve(listener);
        cluster
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Queries answered so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Changes what a workload shows.
    pub(crate) fn set(&self, name: &str, workload: Workload) {
        self.workloads.lock().unwrap().insert(name.to_owned(), workload);
    }

    /// Closes every connection and refuses new ones.
    pub(crate) async fn die(&self) {
        self.alive.cancel();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Answers again, at the same address.
    pub(crate) async fn revive(&mut self) {
        self.alive = CancellationToken::new();
        self.serve(TcpListener::bind(self.address).await.unwrap());
    }

    fn serve(&self, listener: TcpListener) {
        let (workloads, asked) = (Arc::clone(&self.workloads), Arc::clone(&self.asked));
        let alive = self.alive.clone();
        tokio::spawn(alive.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = talk(stream, Arc::clone(&workloads), Arc::clone(&asked));
                tokio::spawn(alive.clone().run_until_cancelled_owned(serving));
            }
        }));
    }
}

async fn talk(
    mut stream: TcpStream,
    workloads: Arc<Mutex<BTreeMap<String, Workload>>>,
    asked: Arc<AtomicUsize>,
) {
    while let Some(body) = request(&mut stream).await {
        let (query, time) = form(&body);
        asked.fetch_add(1, Ordering::Relaxed);
        let text = said(&query, time, &workloads.lock().unwrap());
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all((head + &text).as_bytes()).await.is_err() {
            return;
        }
    }
}

fn said(query: &str, time: f64, workloads: &BTreeMap<String, Workload>) -> String {
    let named = |label: &str| {
        let (_, rest) = query.split_once(&format!("{label}=\""))?;
        let name = rest.split('"').next()?;
        Some((name.to_owned(), *workloads.get(name)?))
    };
    if query.contains("kube_deployment_spec_replicas") {
        let rows = named("deployment").map_or_else(String::new, |(name, workload)| {
            format!(
                r#"{{"metric":{{"__name__":"kube_deployment_spec_replicas","namespace":"team","deployment":"{name}"}},"value":[{time},"{}"]}}"#,
                workload.replicas
            )
        });
        return answer("vector", &rows, "");
    }
    if query.contains("interceptor_request_concurrency") {
        let held = named("route_name").and_then(|(name, workload)| Some((name, workload.held?)));
        let rows = held.map_or_else(String::new, |(name, held)| {
            let labels = format!(
                r#""__name__":"interceptor_request_concurrency","route_namespace":"team","route_name":"{name}","instance":"i""#
            );
            let values: Vec<String> = (0..10_u8)
                .rev()
                .map(|back| format!("[{},\"{held}\"]", time - 15.0 * f64::from(back)))
                .collect();
            format!(r#"{{"metric":{{{labels}}},"values":[{}]}}"#, values.join(","))
        });
        return answer("matrix", &rows, "");
    }
    answer(if query.ends_with("s]") { "matrix" } else { "vector" }, "", "")
}
