//! Servers that do not answer as one would wish, and how politely they are asked.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::observation::FaultKind;
use prescale::source::backfill::{Told, run};
use prescale::source::config::DatasourceConfig;
use tokio::sync::mpsc;

use crate::http::{Reply, Request, Server};
use crate::{all, backfill, chunk, complete, second, sources, spec};

/// A midnight.
const FROM: i64 = 1_700_006_400;
const DAY: i64 = 86_400;

/// A clock by which it is long after: a thousand times as fast, so that pauses are short.
fn clock() -> Clock {
    Clock::scaled(second(FROM + 30 * DAY), 1000.0)
}

/// One signal of a known workload: a stage is one query, and nothing else is asked.
fn signal() -> prescale::spec::Spec {
    let signals = "- {name: queue, query: 'sum(depth)', target: 4}";
    spec(&[("engine", "custom"), ("signals", signals), ("workload", "deployment/chat")])
}

fn field(request: &Request, name: &str) -> i64 {
    let whole = request.form[name].strip_suffix(".000").unwrap();
    whole.parse().unwrap()
}

fn envelope(result: &str, more: &str) -> Reply {
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{result}]}}{more}}}"#
    ))
}

/// A range of the value 8.
fn eights(request: &Request) -> String {
    let instants = (field(request, "start")..=field(request, "end")).step_by(60);
    let values: Vec<String> = instants.map(|at| format!(r#"[{at},"8"]"#)).collect();
    format!(r#"{{"metric":{{}},"values":[{}]}}"#, values.join(","))
}

async fn told_by(reply: Reply) -> Told {
    let server = Server::start(move |_| reply.clone()).await;
    let sources = sources(DatasourceConfig::at(server.url()), clock());
    backfill(&sources, &signal(), (FROM, FROM + DAY)).next_chunk().await
}

/// The same of an engine, which is first asked how often its pods were scraped.
async fn engine_waits(reply: Reply, expected: FaultKind) {
    let said = format!("{reply:?}");
    let server = Server::start(move |_| reply.clone()).await;
    let sources = sources(DatasourceConfig::at(server.url()), clock());
    let vllm = spec(&[("engine", "vllm"), ("workload", "deployment/chat")]);
    let told = backfill(&sources, &vllm, (FROM, FROM + DAY)).next_chunk().await;
    let Told::Waiting { kind, progress, .. } = told else { panic!("{said}: {told:?}") };
    assert_eq!((kind, progress.queries, progress.days_done), (expected, 1, 0.0), "{said}");
}

async fn waits(reply: Reply, expected: FaultKind) {
    let said = format!("{reply:?}");
    let Told::Waiting { kind, pause, progress } = told_by(reply).await else { panic!("{said}") };
    assert_eq!((kind, progress.fault), (expected, Some(expected)), "{said}");
    assert!(pause >= Duration::from_secs(2), "{said}: {pause:?}");
    assert_eq!((progress.queries, progress.days_done), (1, 0.0), "{said}");
}

async fn fails(reply: Reply, expected: &str) {
    let said = format!("{reply:?}");
    let Told::Failed { reason, .. } = told_by(reply).await else { panic!("{said}") };
    assert_eq!(reason.to_string(), expected, "{said}");
}

#[tokio::test]
async fn what_may_pass_is_waited_for_and_a_refusal_is_final() {
    waits(Reply::status(503), FaultKind::Overloaded).await;
    waits(Reply::status(500), FaultKind::ServerError).await;
    engine_waits(Reply::status(503), FaultKind::Overloaded).await;
    waits(Reply::status(403), FaultKind::Forbidden).await;
    // A proxy says so as well, while what is behind it is being started.
    waits(Reply::status(404), FaultKind::NotFound).await;
    waits(Reply::Close, FaultKind::BadResponse).await;
    waits(Reply::ok("<html>canary"), FaultKind::BadResponse).await;
    let vector = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    waits(Reply::ok(vector), FaultKind::BadResponse).await;
    let refused = r#"{"status":"error","errorType":"bad_data","error":"canary"}"#;
    let bad = Reply::Answer(400, Vec::new(), refused.into());
    fails(bad, "datasource default: request refused").await;
}

#[tokio::test]
async fn triggers_without_a_past_say_so() {
    let server = Server::start(|request| envelope(&eights(request), "")).await;
    let mut config = DatasourceConfig::at(server.url());
    config.namespaces = Some(vec!["other".to_owned()]);
    let closed = sources(config.clone(), clock());
    config.namespaces = None;
    config.tenancy = prescale::source::config::Tenancy::Namespace;
    let open = sources(config, clock());
    let foreign = "- {name: queue, query: 'sum(depth{namespace=\"other\"})', target: 4}";
    let workload = ("workload", "deployment/chat");
    let scraped = [("engine", "vllm"), ("endpoints", "dns://chat:8000"), workload];
    let foreign = [("engine", "custom"), ("signals", foreign), workload];
    let rows = [
        (&closed, signal(), "datasource default (none is available): datasource not available"),
        (&open, spec(&scraped), "no datasource keeps what this trigger reads"),
        (&open, spec(&foreign), "signal queue: query may select only its own namespace"),
    ];
    for (sources, spec, expected) in rows {
        let told = backfill(sources, &spec, (FROM, FROM + DAY)).next_chunk().await;
        let Told::Failed { reason, .. } = told else { panic!("{told:?}") };
        assert!(reason.to_string().starts_with(expected), "{reason}");
    }
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn stages_are_whole_days_newest_first_and_each_minute_comes_once() {
    let server = Server::start(|request| envelope(&eights(request), "")).await;
    let clock = clock();
    let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
    let range = (FROM + 3600, FROM + 14 * DAY + 7200);
    let mut backfill = backfill(&sources, &signal(), range);
    let minutes = all(&mut backfill, &clock).await;
    complete(&minutes, range);
    assert!(minutes.iter().all(|minute| minute.replicas == Some(2.0)));
    let requests = server.requests();
    assert_eq!(requests.len(), 15);
    assert!(requests.iter().all(|request| request.line == "POST /api/v1/query_range"));
    let spans = requests.iter().map(|request| (field(request, "start"), field(request, "end")));
    let spans: Vec<_> = spans.collect();
    // A signal's value at the end of a minute is that of the minute.
    assert_eq!(spans[0], (FROM + 14 * DAY + 60, FROM + 14 * DAY + 7200));
    assert_eq!(spans[1], (FROM + 13 * DAY + 60, FROM + 14 * DAY));
    assert_eq!(spans[14], (FROM + 3660, FROM + DAY));
}

#[tokio::test]
async fn a_server_for_which_a_day_is_too_much_is_asked_for_less() {
    // Too slow; too many samples.
    for (status, said) in [(503, "timeout"), (422, "execution")] {
        let server = Server::start(move |request| {
            if field(request, "end") - field(request, "start") >= 6 * 3600 {
                let said = format!(r#"{{"status":"error","errorType":"{said}"}}"#);
                return Reply::Answer(status, Vec::new(), said.into_bytes());
            }
            envelope(&eights(request), "")
        })
        .await;
        let clock = clock();
        let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
        let mut backfill = backfill(&sources, &signal(), (FROM, FROM + 2 * DAY));
        complete(&all(&mut backfill, &clock).await, (FROM, FROM + 2 * DAY));
        // 24 and 12 hours in vain, eight stages of six; of the ninth length nothing is left.
        assert_eq!(backfill.progress().queries, 2 + 8, "{status}");
    }
}

#[tokio::test]
async fn how_often_pods_were_scraped_is_looked_up_once_and_not_insisted_upon() {
    let forty = |request: &Request| envelope(&eights(request).replace("\"8\"", "\"40\""), "");
    let cannot = |_: &Request| Reply::Answer(422, Vec::new(), r#"{"status":"error"}"#.into());
    type Answer = fn(&Request) -> Reply;
    let rows: [(Answer, &str); 2] = [(forty, "[75s]"), (cannot, "[120s]")];
    for (look, range) in rows {
        let server = Server::start(move |request| {
            let looks = request.form["query"].contains("count_over_time");
            if looks { look(request) } else { envelope(&eights(request), "") }
        })
        .await;
        let clock = clock();
        let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
        let vllm = spec(&[("engine", "vllm"), ("workload", "deployment/chat")]);
        let mut backfill = backfill(&sources, &vllm, (FROM, FROM + 2 * DAY));
        complete(&all(&mut backfill, &clock).await, (FROM, FROM + 2 * DAY));
        let requests = server.requests();
        let queries: Vec<&str> = requests.iter().map(|it| it.form["query"].as_str()).collect();
        assert!(queries[0].contains("count_over_time"), "{queries:?}");
        assert!(queries[1..].iter().all(|query| query.contains(range)), "{queries:?}");
        assert_eq!(backfill.progress().queries, 1 + 2 * 5);
    }
}

#[tokio::test]
async fn a_day_of_which_the_server_lacks_a_part_is_a_gap() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::start(move |request| {
        let partial = counted.fetch_add(1, Ordering::Relaxed) < 10;
        let more = if partial { r#","warnings":["a store is gone"]"# } else { "" };
        envelope(&eights(request), more)
    })
    .await;
    let clock = clock();
    let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
    let mut backfill = backfill(&sources, &signal(), (FROM, FROM + 2 * DAY));
    let newest = chunk(&mut backfill, &clock).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 10);
    assert!(newest.minutes.iter().all(|minute| minute.replicas.is_none()));
    assert_eq!(newest.progress.fault, Some(FaultKind::Partial));
    let oldest = chunk(&mut backfill, &clock).await.unwrap();
    assert!(oldest.minutes.iter().all(|minute| minute.replicas == Some(2.0)));
    assert_eq!(oldest.progress.fault, None);
}

#[tokio::test]
async fn one_query_is_under_way_whoever_asks_and_ticks_do_not_wait_for_it() {
    let arrived: Arc<Mutex<Vec<Duration>>> = Arc::default();
    let clock = Clock::system();
    let (noted, watch) = (Arc::clone(&arrived), clock.clone());
    let server = Server::start(move |request| {
        if request.line.ends_with("query_range") {
            noted.lock().unwrap().push(watch.elapsed());
            return Reply::Late(Duration::from_millis(600), ranged(request));
        }
        let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
        Reply::ok(body)
    })
    .await;
    let mut config = DatasourceConfig::at(server.url());
    config.concurrency = Some(2);
    let sources = sources(config, clock.clone());
    let (sender, mut told) = mpsc::channel(1);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let backfill = backfill(&sources, &signal(), (FROM, FROM + DAY));
        let sender = sender.clone();
        running.spawn(async move { run(backfill, &sender).await });
    }
    drop(sender);
    let mut reader = sources.reader(&signal().target);
    for _ in 0..5 {
        let asked = clock.elapsed();
        let observation = reader.observe(clock.now()).await;
        assert_eq!(observation.own[0].value, Some(1.0));
        assert!(clock.elapsed() - asked < Duration::from_millis(500), "a tick had to wait");
        clock.sleep(Duration::from_millis(300)).await;
    }
    let mut ended = 0;
    while let Some(told) = told.recv().await {
        ended += usize::from(matches!(told, Told::Done(_)));
    }
    assert_eq!(ended, 4);
    let arrived = arrived.lock().unwrap();
    assert_eq!(arrived.len(), 4);
    for pair in arrived.windows(2) {
        // The answer, and as long a rest.
        assert!(pair[1] - pair[0] >= Duration::from_millis(1190), "{arrived:?}");
    }
}

#[tokio::test]
async fn a_server_that_will_not_say_what_was_is_asked_what_is() {
    let server = Server::start(|request| {
        if request.line.ends_with("query_range") {
            let wait = vec![("retry-after".to_owned(), "60".to_owned())];
            return Reply::Answer(429, wait, Vec::new());
        }
        Reply::ok(r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#)
    })
    .await;
    let clock = Clock::system();
    let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
    let mut backfill = backfill(&sources, &signal(), (FROM, FROM + DAY));
    for _ in 0..6 {
        let Told::Waiting { kind, .. } = backfill.next_chunk().await else { panic!() };
        assert_eq!(kind, FaultKind::Overloaded);
    }
    let observation = sources.reader(&signal().target).observe(clock.now()).await;
    assert_eq!(observation.own[0].value, Some(1.0), "{:?}", observation.faults);
}

fn ranged(request: &Request) -> Vec<u8> {
    let Reply::Answer(_, _, body) = envelope(&eights(request), "") else { unreachable!() };
    body
}

#[tokio::test]
async fn nothing_is_fetched_that_nobody_takes() {
    let server = Server::start(|request| envelope(&eights(request), "")).await;
    let sources = sources(DatasourceConfig::at(server.url()), clock());
    let backfill = backfill(&sources, &signal(), (FROM, FROM + 14 * DAY));
    let (sender, told) = mpsc::channel(1);
    let running = tokio::spawn(async move { run(backfill, &sender).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    // One waits in the channel, one before it.
    assert_eq!(server.requests().len(), 2);
    drop(told);
    running.await.unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn what_a_gateway_counts_comes_before_what_its_engines_count() {
    let server = Server::start(|request| {
        if !request.line.ends_with("query_range") {
            return Reply::ok(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#);
        }
        let values: BTreeMap<&str, &str> =
            [("llm_d_epp_request_total", "3"), ("request_success_total", "2")].into();
        let query = &request.form["query"];
        let value = values.iter().find(|(name, _)| query.contains(**name)).map(|(_, of)| of);
        let range = |value: &&str| eights(request).replace("\"8\"", &format!("\"{value}\""));
        envelope(&value.map(range).unwrap_or_default(), "")
    })
    .await;
    let clock = clock();
    let sources = sources(DatasourceConfig::at(server.url()), clock.clone());
    let metadata = [("engine", "vllm"), ("gateway", "llm-d"), ("workload", "deployment/chat")];
    let mut backfill = backfill(&sources, &spec(&metadata), (FROM, FROM + DAY));
    let minutes = all(&mut backfill, &clock).await;
    complete(&minutes, (FROM, FROM + DAY));
    assert!(minutes.iter().all(|minute| minute.requests == Some(3.0) && minute.work.is_none()));
}
