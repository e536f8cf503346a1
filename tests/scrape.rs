//! Direct scrape against servers that are slow, endless, lying, redirecting or gone.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "scrape/pods.rs"]
mod pods;
#[path = "scrape/recorded.rs"]
mod recorded;
#[path = "scrape/server.rs"]
mod server;
#[path = "scrape/world.rs"]
mod world;

use std::io::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::observation::{FaultKind, Phase};
use prescale::source::config::ScrapePolicy;
use prescale::source::scrape::{Limits, Scraper};
use tokio::net::{TcpSocket, TcpStream};

use server::{Act, Server, page, text};
use world::{GOOD, START, endpoint, latest, names, only, pages, scraper, short};

/// One page that is answered with `act`: its fault, or the value of `waiting`.
async fn check(what: &str, act: Act, expected: Result<f64, FaultKind>) -> Server {
    check_within(short(), what, act, expected).await
}

async fn check_within(
    limits: Limits,
    what: &str,
    act: Act,
    expected: Result<f64, FaultKind>,
) -> Server {
    let server = Server::start("127.0.0.1:0", act).await;
    let scraper = scraper(limits, &names(&[]));
    let mut pages = pages(&scraper, vec![endpoint(false, "127.0.0.1", server.at.port())]);
    // The deadlines hold: well before anything that was sent could end by itself.
    let reading = tokio::time::timeout(Duration::from_secs(8), pages.read(START)).await.unwrap();
    let page = only(&reading);
    match expected {
        Ok(value) => {
            assert_eq!(latest(page), Some(value), "{what}");
            assert!(page.fault.is_none() && reading.faults.is_empty(), "{what} {reading:?}");
        }
        Err(kind) => {
            let fault = page.fault.clone().map(|fault| fault.kind);
            assert_eq!((fault, latest(page)), (Some(kind), None), "{what}");
            assert_eq!(page.phase, Phase::Loading, "{what}");
            // What is not there is named with its path.
            let path = if kind == FaultKind::NotFound { "/metrics" } else { "" };
            let place = format!("endpoint 127.0.0.1:{}{path}", server.at.port());
            assert_eq!(reading.faults[0].place, place, "{what}");
        }
    }
    assert_eq!(reading.addresses, None, "an http:// page is no replica count");
    server
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

type Row<'a> = (&'a str, Act, Result<f64, FaultKind>);

#[tokio::test]
async fn every_body_is_a_page_or_one_fault() {
    let packed = gzip(GOOD);
    let openmetrics = "content-type: application/openmetrics-text; version=1.0.0\r\n";
    let good = "waiting 3\nother 1\n";
    let rows: Vec<Row<'_>> = vec![
        ("a page", Act::Close(page("", GOOD)), Ok(3.0)),
        ("a connection held open after it", Act::Hold(page("", GOOD)), Ok(3.0)),
        (
            "chunked",
            text("200 OK", "transfer-encoding: chunked\r\n", "a\r\nwaiting 3\n\r\n0\r\n\r\n"),
            Ok(3.0),
        ),
        ("ended by closing", text("200 OK", "", good), Ok(3.0)),
        (
            "ended by closing inside a line",
            text("200 OK", "", "waiting 3\nother"),
            Err(FaultKind::BadResponse),
        ),
        ("compressed", Act::Close(page("content-encoding: gzip\r\n", &packed)), Ok(3.0)),
        (
            "compressed, cut",
            Act::Close(page("content-encoding: gzip\r\n", &packed[..packed.len() - 9])),
            Err(FaultKind::BadResponse),
        ),
        (
            "compressed otherwise",
            Act::Close(page("content-encoding: br\r\n", GOOD)),
            Err(FaultKind::BadResponse),
        ),
        (
            "compressed twice",
            Act::Close(page("content-encoding: gzip, gzip\r\n", &packed)),
            Err(FaultKind::BadResponse),
        ),
        ("OpenMetrics", Act::Close(page(openmetrics, b"waiting 3\n# EOF\n")), Ok(3.0)),
        (
            "OpenMetrics without its end",
            Act::Close(page(openmetrics, b"waiting 3\n")),
            Err(FaultKind::BadResponse),
        ),
        (
            "shorter than its length",
            text("200 OK", "content-length: 900\r\n", good),
            Err(FaultKind::BadResponse),
        ),
        (
            "chunks without an end",
            text("200 OK", "transfer-encoding: chunked\r\n", "a\r\nwaiting 3\n\r\n"),
            Err(FaultKind::BadResponse),
        ),
        (
            "longer than allowed by its length",
            text("200 OK", "content-length: 99999999\r\n", good),
            Err(FaultKind::TooLarge),
        ),
        (
            "HTML",
            Act::Close(page("content-type: text/html\r\n", b"<html>waiting 3\n</html>")),
            Err(FaultKind::BadResponse),
        ),
        ("JSON", Act::Close(page("", b"[]")), Err(FaultKind::BadResponse)),
        ("prose", Act::Close(page("", b"all is well\n")), Err(FaultKind::BadResponse)),
        ("nothing", Act::Close(page("", b"")), Err(FaultKind::Empty)),
    ];
    for (what, act, expected) in rows {
        check(what, act, expected).await;
    }
}

#[tokio::test]
async fn a_server_that_refuses_is_one_fault() {
    let rows: Vec<Row<'_>> = vec![
        ("closed at once", Act::Close(Vec::new()), Err(FaultKind::BadResponse)),
        ("not HTTP", Act::Close(b"SSH-2.0-x\r\n".to_vec()), Err(FaultKind::BadResponse)),
        ("401", text("401 No", "content-length: 0\r\n", ""), Err(FaultKind::Forbidden)),
        ("403", text("403 No", "content-length: 0\r\n", ""), Err(FaultKind::Forbidden)),
        ("404", text("404 No", "content-length: 0\r\n", ""), Err(FaultKind::NotFound)),
        ("410", text("410 No", "content-length: 0\r\n", ""), Err(FaultKind::ClientError)),
        ("429", text("429 No", "content-length: 0\r\n", ""), Err(FaultKind::Overloaded)),
        ("500", text("500 No", "content-length: 0\r\n", ""), Err(FaultKind::ServerError)),
        ("503", text("503 No", "content-length: 0\r\n", ""), Err(FaultKind::Overloaded)),
        ("204", text("204 No", "", ""), Err(FaultKind::BadResponse)),
    ];
    for (what, act, expected) in rows {
        check(what, act, expected).await;
    }
}

#[tokio::test]
async fn a_server_that_dawdles_is_a_timeout() {
    let rows: Vec<Row<'_>> = vec![
        ("silence", Act::Hold(Vec::new()), Err(FaultKind::Timeout)),
        ("half a head", Act::Hold(b"HTTP/1.1 200 OK\r\ncont".to_vec()), Err(FaultKind::Timeout)),
        (
            "half a body",
            Act::Hold(b"HTTP/1.1 200 OK\r\n\r\nwaiting 3\n".to_vec()),
            Err(FaultKind::Timeout),
        ),
        (
            "a slow drip",
            Act::Drip(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"waiting 3\n".to_vec()),
            Err(FaultKind::Timeout),
        ),
        (
            "a slow drip of headers",
            Act::Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), b"a: b\r\n".to_vec()),
            Err(FaultKind::Timeout),
        ),
    ];
    for (what, act, expected) in rows {
        check(what, act, expected).await;
    }
}

#[tokio::test]
async fn a_timestamp_of_yesterday_is_no_sample() {
    let act = Act::Close(page("", b"waiting 3 1789900000000\n"));
    let server = Server::start("127.0.0.1:0", act).await;
    let scraper = scraper(short(), &names(&[]));
    let mut pages = pages(&scraper, vec![endpoint(false, "127.0.0.1", server.at.port())]);
    let reading = pages.read(START).await;
    assert_eq!(latest(only(&reading)), None);
    assert_eq!(reading.faults[0].kind, FaultKind::OutOfTime);
}

#[tokio::test]
async fn an_endless_body_stops_at_the_limit() {
    let head = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    // Time for 8 MiB through an unoptimised parser.
    let limits = Limits { page: Duration::from_secs(4), round: Duration::from_secs(5), ..short() };
    let rows = [
        ("comments", format!("# {}\n", "x".repeat(60_000)).into_bytes(), 9 << 20),
        ("one line", vec![b'x'; 60_000], 2 << 20),
    ];
    for (what, again, bytes) in rows {
        let server =
            check_within(limits, what, Act::Endless(head.clone(), again), Err(FaultKind::TooLarge))
                .await;
        // What was in flight when the reader stopped: the socket buffers of both sides.
        assert!(server.sent.load(Ordering::Relaxed) < bytes + (8 << 20), "{what}");
    }
}

#[tokio::test]
async fn a_compression_bomb_is_refused() {
    let bomb = gzip(&vec![b'\n'; 10 << 20]);
    assert!(bomb.len() < 16 << 10);
    let head = "content-encoding: gzip\r\n";
    check("a bomb", Act::Close(page(head, &bomb)), Err(FaultKind::TooLarge)).await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let other = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("location: http://{}/metrics\r\ncontent-length: 0\r\n", other.at);
        let act = text(&format!("{status} Moved"), &head, "");
        check("a redirect", act, Err(FaultKind::Redirect)).await;
    }
    assert_eq!(other.hits(), 0);
}

#[tokio::test]
async fn a_request_names_the_host_and_carries_no_credentials() {
    let server = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let port = server.at.port();
    let scraper = scraper(short(), &names(&[("vllm-headless", &[1])]));
    pages(&scraper, vec![endpoint(true, "vllm-headless", port)]).read(START).await;
    let head = server.heads.lock().unwrap().remove(0);
    assert!(head.starts_with("get /metrics http/1.1\r\n"), "{head}");
    for line in [
        &format!("\r\nhost: vllm-headless:{port}\r\n"),
        "\r\naccept-encoding: gzip\r\n",
        "\r\naccept: text/plain;version=0.0.4;q=0.9,",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    for name in ["authorization", "cookie", "referer", "proxy"] {
        assert!(!head.contains(name), "{head}");
    }
}

#[tokio::test]
async fn loopback_is_refused_before_any_connection() {
    let server = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let table = names(&[("rebound", &[1])]);
    let policy = ScrapePolicy { allow_loopback: false, names: Some(table) };
    let scraper = Scraper::new(&policy, short(), Clock::scaled(START, 1.0)).unwrap();
    for host in ["rebound", "127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254"] {
        let mut pages = pages(&scraper, vec![endpoint(true, host, server.at.port())]);
        let reading = pages.read(START).await;
        let kinds: Vec<FaultKind> = reading.faults.iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, [FaultKind::AddressRefused], "{host}");
        assert!(reading.pages.is_empty() && reading.addresses.is_none(), "{host}");
    }
    assert_eq!(server.hits(), 0);
}

#[tokio::test]
async fn a_black_hole_is_a_connect_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let at = listener.local_addr().unwrap();
    // Nobody accepts: once the backlog is full, further connections get no answer at all.
    let mut held = Vec::new();
    let enough = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(enough, TcpStream::connect(at)).await {
        held.push(stream.unwrap());
    }
    let scraper = scraper(short(), &names(&[]));
    let reading = pages(&scraper, vec![endpoint(false, "127.0.0.1", at.port())]).read(START).await;
    assert_eq!(reading.faults[0].kind, FaultKind::ConnectTimeout);
    assert_eq!(only(&reading).phase, Phase::Loading);
}
