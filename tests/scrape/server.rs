//! A raw TCP server that answers as badly as it is told.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it does once the request's head was read.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Close(Vec<u8>),
    /// Sends these bytes and holds the connection open.
    Hold(Vec<u8>),
    /// Sends the first, then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Sends the first, then one byte of the second every 20 ms.
    Drip(Vec<u8>, Vec<u8>),
}

/// The server; ends with the value.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) at: SocketAddr,
    /// Heads of the requests received.
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    /// Bytes that the kernel took.
    pub(crate) sent: Arc<AtomicUsize>,
    act: Arc<Mutex<Act>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens at `at` (port 0: any) and answers with `act`.
    pub(crate) async fn start(at: &str, act: Act) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::new(AtomicUsize::new(0));
        let act = Arc::new(Mutex::new(act));
        let shared = (Arc::clone(&heads), Arc::clone(&sent), Arc::clone(&act));
        let task = tokio::spawn(async move {
            let (heads, sent, act) = shared;
            while let Ok((stream, _)) = listener.accept().await {
                let act = act.lock().unwrap().clone();
                tokio::spawn(answer(stream, act, Arc::clone(&heads), Arc::clone(&sent)));
            }
        });
        Self { at, heads, sent, act, task }
    }

    /// Answers otherwise from now on.
    pub(crate) fn now(&self, act: Act) {
        *self.act.lock().unwrap() = act;
    }

    /// Requests received.
    pub(crate) fn hits(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    /// Stops listening; done when the port is free again.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    mut stream: TcpStream,
    act: Act,
    heads: Arc<Mutex<Vec<String>>>,
    sent: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => head.extend_from_slice(&buffer[..length]),
        }
    }
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).to_lowercase());
    let (first, again, pause) = match act {
        Act::Close(bytes) => {
            let _ = stream.write_all(&bytes).await;
            return;
        }
        Act::Hold(bytes) => (bytes, Vec::new(), Duration::from_millis(20)),
        Act::Endless(first, again) => (first, again, Duration::ZERO),
        Act::Drip(first, again) => (first, again, Duration::from_millis(20)),
    };
    let _ = stream.write_all(&first).await;
    let step = if pause.is_zero() { again.len() } else { 1 };
    loop {
        if again.is_empty() {
            if matches!(stream.read(&mut buffer).await, Ok(0) | Err(_)) {
                return;
            }
            continue;
        }
        for piece in again.chunks(step) {
            if stream.write_all(piece).await.is_err() {
                return;
            }
            sent.fetch_add(piece.len(), Ordering::Relaxed);
            // A hostile server against a real client: real time, ended by the client's deadline.
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// A whole answer with its length.
pub(crate) fn page(head: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{head}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// An answer that ends with the connection, unless its head says otherwise.
pub(crate) fn text(status: &str, head: &str, body: &str) -> Act {
    Act::Close(format!("HTTP/1.1 {status}\r\n{head}\r\n{body}").into_bytes())
}
