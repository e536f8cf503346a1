//! Pods that come, go, load, fall silent and are shared.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prescale::engine::observation::{FaultKind, Phase};
use prescale::source::config::ScrapePolicy;
use prescale::source::exposition::Wanted;
use prescale::source::resolve::Resolver;
use prescale::source::scrape::{Limits, PageResult, Pages, Reading, Scraper};
use tokio::net::UdpSocket;

use crate::server::{Act, Server, page, text};
use crate::world::{
    GOOD, START, after, clock, endpoint, last, latest, names, only, pages, scraper, short,
};

#[tokio::test]
async fn half_of_the_pods_refuse_and_the_others_are_read() {
    let first = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let port = first.at.port();
    let endless = Act::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"x".repeat(60_000));
    let second = Server::start(&format!("127.0.0.2:{port}"), Act::Close(page("", GOOD))).await;
    let _third = Server::start(&format!("127.0.0.3:{port}"), endless).await;
    let table = names(&[("vllm", &[1, 2, 3, 4])]);
    let scraper = scraper(short(), &table);
    let mut pages = pages(&scraper, vec![endpoint(true, "vllm", port)]);
    let reading = pages.read(START).await;
    let state = |reading: &Reading| {
        let one = |page: &PageResult| (page.phase, page.answered, latest(page));
        reading.pages.values().map(one).collect::<Vec<_>>()
    };
    let (loading, ready) = ((Phase::Loading, false, None), (Phase::Ready, true, Some(3.0)));
    assert_eq!(state(&reading), [ready, ready, loading, loading]);
    assert_eq!(reading.addresses, Some(4));
    let kinds: Vec<FaultKind> = reading.faults.iter().map(|fault| fault.kind).collect();
    assert_eq!(kinds, [FaultKind::ConnectRefused, FaultKind::TooLarge]);

    // One that answered goes silent: still a ready pod, its data ageing, until the window is over.
    second.stop().await;
    let reading = pages.read(after(15)).await;
    assert_eq!(state(&reading)[..2], [ready, (Phase::Ready, false, Some(3.0))]);
    let reading = pages.read(after(200)).await;
    assert_eq!(state(&reading)[1], (Phase::Unready, false, None));
    assert!(reading.pages.values().all(|page| page.ready.is_none()));
    assert!(reading.pages[&format!("127.0.0.2:{port}")].answered_ever);
}

#[tokio::test]
async fn a_loading_pod_becomes_ready_when_it_first_answers() {
    let first = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let port = first.at.port();
    first.now(text("503 Loading", "content-length: 0\r\n", ""));
    let scraper = scraper(short(), &names(&[("vllm", &[1])]));
    let mut pages = pages(&scraper, vec![endpoint(true, "vllm", port)]);
    assert_eq!(only(&pages.read(START).await).phase, Phase::Loading);
    first.now(Act::Close(page("", GOOD)));
    let reading = pages.read(after(15)).await;
    assert_eq!(only(&reading).phase, Phase::Ready);
    assert!(only(&reading).ready.is_some());
}

#[tokio::test]
async fn pods_follow_the_name() {
    let first = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let port = first.at.port();
    let _second = Server::start(&format!("127.0.0.2:{port}"), Act::Close(page("", GOOD))).await;
    let table = names(&[("vllm", &[1])]);
    let limits = Limits { addresses: 2, ..short() };
    let scraper = scraper(limits, &table);
    let mut pages = pages(&scraper, vec![endpoint(true, "vllm", port)]);
    // Addresses in the table, then: addresses counted, pages read, samples of the first, faults.
    let rows: &[(&[u8], u32, usize, usize, usize)] = &[
        (&[1], 1, 1, 1, 0),
        (&[1, 2], 2, 2, 2, 0),
        (&[2], 1, 1, 0, 0),
        // It was gone for one round, which may be a flap: its memory is still there.
        (&[1, 2], 2, 2, 3, 0),
        (&[], 0, 0, 0, 0),
        (&[2], 1, 1, 0, 0),
        // It was gone for two: a new pod may have its address.
        (&[1, 2], 2, 2, 1, 0),
        (&[1, 2, 3], 3, 2, 2, 1),
    ];
    for (idx, (numbers, addresses, read, samples, faults)) in rows.iter().enumerate() {
        table.lock().unwrap().insert("vllm".to_owned(), last(numbers));
        let reading = pages.read(after(15 * u64::try_from(idx).unwrap())).await;
        let page = reading.pages.get(&format!("127.0.0.1:{port}"));
        let got =
            page.and_then(|page| page.series.first()).map_or(0, |raw| raw.series.samples().len());
        assert_eq!(reading.addresses, Some(*addresses), "row {idx}");
        assert_eq!((reading.pages.len(), got), (*read, *samples), "row {idx}");
        assert_eq!(reading.faults.len(), *faults, "row {idx}");
    }
    table.lock().unwrap().remove("vllm");
    assert_eq!(pages.read(after(900)).await.addresses, Some(0), "no such name is known to be zero");
}

#[tokio::test]
async fn scalers_of_one_tick_share_a_page() {
    let server = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let scraper = scraper(short(), &names(&[("vllm", &[1])]));
    let endpoints = vec![endpoint(true, "vllm", server.at.port())];
    let mut readers: Vec<Pages> = (0..8).map(|_| pages(&scraper, endpoints.clone())).collect();
    for (tick, hits) in [(0, 1), (15, 2), (30, 3)] {
        let readings =
            futures_util::future::join_all(readers.iter_mut().map(|one| one.read(after(tick))))
                .await;
        assert!(readings.iter().all(|reading| latest(only(reading)) == Some(3.0)));
        assert_eq!(server.hits(), hits, "tick {tick}");
    }
    let other = Wanted::names(["other"]);
    let tick = Duration::from_secs(15);
    let mut differing = Pages::new(Arc::clone(&scraper), "prod", endpoints, other, tick);
    assert_eq!(only(&differing.read(after(30)).await).series[0].name, "other");
    assert_eq!(server.hits(), 4, "another wish is another page");
}

#[tokio::test]
async fn a_round_ends_in_its_time_and_nobody_is_passed_over_for_ever() {
    let healthy = Server::start("127.0.0.9:0", Act::Close(page("", GOOD))).await;
    let port = healthy.at.port();
    let mut silent = Vec::new();
    for number in 1..=2 {
        silent
            .push(Server::start(&format!("127.0.0.{number}:{port}"), Act::Hold(Vec::new())).await);
    }
    let limits = Limits { at_once: 1, round: Duration::from_secs(1), ..short() };
    let scraper = scraper(limits, &names(&[("vllm", &[1, 2, 9])]));
    let mut pages = pages(&scraper, vec![endpoint(true, "vllm", port)]);
    let mut answered = Vec::new();
    for tick in [0, 15, 30] {
        // Each silent page takes 600 ms, so that one and a half fit into a round.
        let bounded = tokio::time::timeout(Duration::from_secs(2), pages.read(after(tick))).await;
        let reading = bounded.unwrap();
        answered.push(reading.pages.values().filter(|page| page.answered).count());
        assert!(reading.faults.iter().all(|fault| fault.kind == FaultKind::Timeout));
    }
    assert_eq!(answered, [0, 1, 1]);
}

/// A name server that answers every A question with 127.0.0.1 until it is told to fail.
async fn name_server(failing: Arc<AtomicBool>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            let labels = buffer[12..length].iter().position(|byte| *byte == 0).unwrap();
            let question = &buffer[12..12 + labels + 5];
            let failing = failing.load(Ordering::Relaxed);
            let answers = u8::from(!failing && question[question.len() - 3] == 1);
            let mut reply = vec![buffer[0], buffer[1], 0x81, if failing { 0x82 } else { 0x80 }];
            reply.extend([0, 1, 0, answers, 0, 0, 0, 0]);
            reply.extend(question);
            if answers == 1 {
                // The name of the question, A, IN, not to be kept, four bytes of address.
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
            }
            let _ = socket.send_to(&reply, peer).await;
        }
    });
    at
}

#[tokio::test]
async fn a_failing_name_server_does_not_make_pods_go_away() {
    let server = Server::start("127.0.0.1:0", Act::Close(page("", GOOD))).await;
    let failing = Arc::new(AtomicBool::new(false));
    let policy = ScrapePolicy { allow_loopback: true, names: None };
    let at = name_server(Arc::clone(&failing)).await;
    let resolver = Resolver::at(at, &policy, short().resolve);
    let scraper = Scraper::with_resolver(resolver, short(), clock()).unwrap();
    let mut pages = pages(&scraper, vec![endpoint(true, "vllm", server.at.port())]);
    // The second, whether names fail: addresses, answered, faults, phase.
    let rows = [
        (0, false, Some(1), true, 0, Phase::Ready),
        (15, true, None, false, 1, Phase::Ready),
        (30, true, None, false, 1, Phase::Ready),
        (45, true, None, false, 1, Phase::Ready),
        (60, false, Some(1), true, 0, Phase::Ready),
        (300, true, None, false, 1, Phase::Unready),
    ];
    for (second, fail, addresses, answered, faults, phase) in rows {
        failing.store(fail, Ordering::Relaxed);
        let reading = pages.read(after(second)).await;
        assert_eq!(reading.addresses, addresses, "{second}");
        assert_eq!((only(&reading).answered, only(&reading).phase), (answered, phase), "{second}");
        assert_eq!(reading.faults.len(), faults, "{second} {reading:?}");
        assert!(reading.faults.iter().all(|fault| fault.kind == FaultKind::Dns), "{second}");
    }
    assert_eq!(server.hits(), 2);
}

#[tokio::test]
async fn a_reader_can_be_moved_to_a_task() {
    let scraper = scraper(short(), &names(&[]));
    let mut pages = pages(&scraper, vec![endpoint(true, "absent", 8000)]);
    let reading = tokio::spawn(async move { pages.read(START).await }).await.unwrap();
    assert_eq!((reading.addresses, reading.pages.len()), (Some(0), 0));
}
