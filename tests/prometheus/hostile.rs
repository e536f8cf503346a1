//! Every answer a server should not give, and every one it may: nothing becomes a zero.

use std::io::Write;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::observation::{FaultKind, Observation, OwnReading};
use prescale::engine::units::Timestamp;
use prescale::source::config::{BasicAuth, DatasourceConfig, Tenancy};
use prescale::spec::{Engine, Gateway, OwnQuery, Target, WorkloadKind, WorkloadRef};

use crate::http::{Reply, Server};
use crate::{sources, target};

const AT: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

/// A target with one own signal and a known workload: two queries per tick.
fn one_signal() -> Target {
    let mut target = target(Engine::Custom, "llama");
    target.workload =
        Some(WorkloadRef { kind: Some(WorkloadKind::Deployment), name: "llama".to_owned() });
    target.own = vec![OwnQuery { name: "kafka".to_owned(), query: "sum(lag)".to_owned() }];
    target
}

fn config(server: &Server) -> DatasourceConfig {
    let mut config = DatasourceConfig::at(server.url());
    config.timeout = Some(Duration::from_millis(400));
    config
}

fn vector(elements: &str) -> Reply {
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{elements}]}}}}"#
    ))
}

fn kinds(observation: &Observation) -> Vec<FaultKind> {
    observation.faults.iter().map(|fault| fault.kind).collect()
}

async fn observed(reply: Reply) -> (Observation, usize) {
    let server = Server::start(move |_| reply.clone()).await;
    let sources = sources(config(&server), Clock::system());
    let observation = sources.reader(&one_signal()).observe(AT).await;
    (observation, server.connections())
}

async fn check(reply: Reply, kind: FaultKind) {
    let said = format!("{reply:?}").chars().take(120).collect::<String>();
    let (observation, _) = observed(reply).await;
    assert!(kinds(&observation).contains(&kind), "{said}: {:?}", observation.faults);
    assert_eq!(observation.own, [OwnReading::default()], "{said}");
    assert!(observation.pods.is_empty() && observation.workload.spec_replicas.is_none(), "{said}");
}

#[tokio::test]
async fn every_wrong_status_is_a_fault_of_its_kind() {
    let rows = [
        (302, FaultKind::Redirect),
        (400, FaultKind::ClientError),
        (401, FaultKind::Forbidden),
        (403, FaultKind::Forbidden),
        (404, FaultKind::NotFound),
        (422, FaultKind::QueryFailed),
        (429, FaultKind::Overloaded),
        (500, FaultKind::ServerError),
        (502, FaultKind::ServerError),
        (503, FaultKind::Overloaded),
    ];
    for (status, kind) in rows {
        check(Reply::status(status), kind).await;
    }
}

#[tokio::test]
async fn every_wrong_body_is_a_fault_of_its_kind() {
    let element = r#"{"metric":{},"value":[1,"1"]}"#;
    let packed = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        let header = ("content-encoding".to_owned(), "gzip".to_owned());
        Reply::Answer(200, vec![header], encoder.finish().unwrap())
    };
    let rows = [
        (Reply::ok("<html>ok</html>"), FaultKind::BadResponse),
        (Reply::ok(""), FaultKind::BadResponse),
        (
            Reply::ok(r#"{"status":"success","data":{"resultType":"vector","res"#),
            FaultKind::BadResponse,
        ),
        (Reply::CutOff(b"{\"status\":".to_vec()), FaultKind::BadResponse),
        (Reply::Close, FaultKind::BadResponse),
        (Reply::ok(r#"{"status":"error","errorType":"internal"}"#), FaultKind::BadResponse),
        (vector(&format!("{element},{element}")), FaultKind::BadResponse),
        (Reply::ok(vec![b' '; 5 * 1024 * 1024]), FaultKind::TooLarge),
        (packed(&vec![b' '; 64 * 1024 * 1024]), FaultKind::TooLarge),
        (packed(b""), FaultKind::BadResponse),
        (vector(""), FaultKind::Empty),
        (vector(r#"{"metric":{},"value":[1,"NaN"]}"#), FaultKind::NotFinite),
        (vector(r#"{"metric":{},"value":[1,"+Inf"]}"#), FaultKind::NotFinite),
        (
            vector(r#"{"metric":{"a":"1"},"value":[1,"1"]},{"metric":{"a":"2"},"value":[1,"1"]}"#),
            FaultKind::TooManySeries,
        ),
        (Reply::Silence, FaultKind::Timeout),
        (Reply::Late(Duration::from_secs(5), b"{}".to_vec()), FaultKind::Timeout),
    ];
    for (reply, kind) in rows {
        check(reply, kind).await;
    }
}

#[tokio::test]
async fn an_answer_packed_or_with_a_warning_is_read() {
    let body = r#"{"status":"success","warnings":["store down"],"data":{"resultType":"vector",
        "result":[{"metric":{},"value":[1,"7"]}]}}"#;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body.as_bytes()).unwrap();
    let header = ("content-encoding".to_owned(), "gzip".to_owned());
    let (observation, _) =
        observed(Reply::Answer(200, vec![header], encoder.finish().unwrap())).await;
    assert_eq!(observation.own[0].value, Some(7.0));
    assert!(observation.partial);
    assert_eq!(kinds(&observation), [FaultKind::Partial]);
}

#[tokio::test]
async fn nobody_listening_and_no_such_name_are_told_apart() {
    let closed = Server::start(|_| Reply::Close).await;
    let url = closed.url();
    drop(closed);
    let rows = [
        (url, FaultKind::ConnectRefused),
        ("http://prescale-no-such-host.invalid".to_owned(), FaultKind::Dns),
    ];
    for (url, kind) in rows {
        let sources = sources(DatasourceConfig::at(url.clone()), Clock::system());
        let observation = sources.reader(&one_signal()).observe(AT).await;
        assert!(kinds(&observation).contains(&kind), "{url}: {:?}", observation.faults);
        assert!(observation.faults.iter().all(|fault| !fault.place.contains("http")));
    }
}

#[tokio::test]
async fn credentials_never_follow_a_redirect_and_are_never_printed() {
    const CANARY: &str = "canary-4711";
    let thief = Server::start(|_| Reply::ok("{}")).await;
    let location = ("location".to_owned(), format!("{}/api/v1/query", thief.url()));
    let reply = Reply::Answer(307, vec![location], Vec::new());
    let server = Server::start(move |_| reply.clone()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, CANARY).unwrap();
    let mut bearer = config(&server);
    bearer.bearer_token_file = Some(path.clone());
    bearer.headers.insert("X-Scope-OrgID".to_owned(), CANARY.to_owned());
    let mut basic = config(&server);
    basic.basic_auth = Some(BasicAuth { username: "u".to_owned(), password_file: path });
    for (config, scheme) in [(bearer, "Bearer"), (basic, "Basic")] {
        let before = server.requests().len();
        let sources = sources(config, Clock::system());
        let observation = sources.reader(&one_signal()).observe(AT).await;
        assert!(kinds(&observation).contains(&FaultKind::Redirect));
        let sent = server.requests().split_off(before);
        assert!(sent.iter().all(|request| request.headers["authorization"].starts_with(scheme)));
        assert!(!sent.is_empty());
        let printed = format!("{sources:?} {observation:?}");
        assert!(!printed.contains(CANARY), "{printed}");
    }
    assert_eq!(thief.connections(), 0);
}

#[tokio::test]
async fn a_server_that_says_wait_is_not_asked_again_until_then() {
    let wait = ("retry-after".to_owned(), "20".to_owned());
    let rows = [
        (Reply::Answer(429, vec![wait], Vec::new()), FaultKind::Overloaded),
        (Reply::status(401), FaultKind::Forbidden),
    ];
    for (reply, kind) in rows {
        let server = Server::start(move |_| reply.clone()).await;
        // A minute passes in a second.
        let clock = Clock::scaled(AT, 60.0);
        let sources = sources(config(&server), clock.clone());
        let mut reader = sources.reader(&one_signal());
        reader.observe(AT).await;
        let asked = server.requests().len();
        let observation = reader.observe(AT.plus(Duration::from_secs(5))).await;
        assert_eq!(server.requests().len(), asked, "{kind:?}");
        assert!(kinds(&observation).contains(&kind));
        clock.sleep(Duration::from_secs(40)).await;
        reader.observe(AT.plus(Duration::from_secs(45))).await;
        assert!(server.requests().len() > asked, "{kind:?}");
    }
}

#[tokio::test]
async fn a_server_that_fails_on_is_left_alone_and_says_why() {
    let server = Server::start(|_| Reply::status(500)).await;
    let clock = Clock::scaled(AT, 100.0);
    let sources = sources(config(&server), clock.clone());
    let mut reader = sources.reader(&one_signal());
    let mut opened = None;
    for tick in 0..100 {
        let observation = reader.observe(AT.plus(Duration::from_secs(tick * 15))).await;
        let kinds = kinds(&observation);
        if kinds.contains(&FaultKind::CircuitOpen) {
            opened = Some(kinds);
            break;
        }
        clock.sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(opened, Some(vec![FaultKind::ServerError, FaultKind::CircuitOpen]));
}

#[tokio::test]
async fn one_tenants_wrong_query_does_not_pause_another() {
    let server = Server::start(|request| {
        if request.form["query"] == "sum(lag)" { Reply::status(422) } else { vector("") }
    })
    .await;
    let sources = sources(config(&server), Clock::system());
    let mut wrong = sources.reader(&one_signal());
    let mut right = one_signal();
    right.own[0].query = "sum(other)".to_owned();
    let mut right = sources.reader(&right);
    for tick in 0..10 {
        let at = AT.plus(Duration::from_secs(tick * 15));
        assert!(kinds(&wrong.observe(at).await).contains(&FaultKind::QueryFailed));
        assert_eq!(kinds(&right.observe(at).await), [FaultKind::Empty]);
    }
}

/// Nor does one that takes longer than anybody waits: half of the places are left to the others.
#[tokio::test]
async fn one_tenants_slow_queries_neither_pause_another_nor_take_all_places() {
    let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"3"]}]}}"#;
    let server = Server::start(|request| {
        let slow = request.form["query"].contains("slow");
        Reply::Late(Duration::from_millis(if slow { 5_000 } else { 1 }), body.to_vec())
    })
    .await;
    let mut config = DatasourceConfig::at(server.url());
    (config.timeout, config.concurrency) = (Some(Duration::from_millis(300)), Some(4));
    let sources = sources(config, Clock::system());
    let reader = |namespace: &str, query: String| {
        let mut target = one_signal();
        namespace.clone_into(&mut target.namespace);
        target.own[0].query = query;
        sources.reader(&target)
    };
    let mut quiet = reader("quiet", "sum(lag)".to_owned());
    for tick in 0..8 {
        let at = AT.plus(Duration::from_secs(tick * 15));
        let mut slow: Vec<_> =
            (0..8).map(|idx| reader("slow", format!("sum(slow{{n=\"{idx}\"}})"))).collect();
        let slow = futures_util::future::join_all(slow.iter_mut().map(|one| one.observe(at)));
        let quiet = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            quiet.observe(at).await.own[0].value
        };
        let (slow, quiet) = tokio::join!(slow, quiet);
        assert_eq!(quiet, Some(3.0), "tick {tick}");
        assert!(slow.iter().all(|one| kinds(one).contains(&FaultKind::Timeout)));
    }
}

#[tokio::test]
async fn identical_queries_of_many_scalers_are_asked_once_a_tick() {
    let server = Server::start(|request| {
        if request.form["query"].ends_with("s]") {
            Reply::ok(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#)
        } else {
            vector("")
        }
    })
    .await;
    let sources = sources(DatasourceConfig::at(server.url()), Clock::system());
    let workloads = 10;
    let ask = async |scalers: usize, at: Timestamp| {
        let before = server.requests().len();
        let readers = (0..scalers).map(|idx| {
            let mut target = target(Engine::Vllm, &format!("scaler-{idx}"));
            // Ten workloads; every scaler knows the HPA of its workload.
            let name = format!("llama-{}", idx % workloads);
            target.hpa = format!("keda-hpa-{name}");
            target.workload = Some(WorkloadRef { kind: Some(WorkloadKind::Deployment), name });
            let mut reader = sources.reader(&target);
            async move { reader.observe(at).await }
        });
        futures_util::future::join_all(readers).await;
        server.requests().len() - before
    };
    let alone = ask(workloads, AT).await;
    let crowded = ask(1000, AT.plus(Duration::from_secs(60))).await;
    assert_eq!(crowded, alone);
    assert_eq!(ask(1000, AT.plus(Duration::from_secs(60))).await, 0, "asked again");
    let counted = sources.metrics().sent_count("main", "ok");
    assert_eq!(usize::try_from(counted).unwrap(), server.requests().len());
    let mut registry = prometheus_client::registry::Registry::default();
    sources.register(&mut registry);
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
    assert!(page.contains("prescale_datasource_requests_total{datasource=\"main\",result=\"ok\"}"));
    assert!(page.contains("prescale_datasource_up{datasource=\"main\"} 1"), "{page}");
}

#[tokio::test]
async fn a_tenants_queries_reach_the_server_confined() {
    let server = Server::start(|_| vector("")).await;
    let mut config = config(&server);
    config.tenancy = Tenancy::Namespace;
    // Not the label by which the gateway is asked: that one is confined all the same.
    config.tenant_labels = Some(vec!["namespace".to_owned()]);
    let sources = sources(config, Clock::system());
    let mut target = one_signal();
    let queries = ["sum(a) or sum(b offset 5m)", "up{namespace=\"other\"}", "sum("];
    target.own =
        queries.map(|query| OwnQuery { name: "s".to_owned(), query: query.to_owned() }).to_vec();
    target.gateway = Some(Gateway::KedaHttp);
    target.gateway_selector = vec![prescale::spec::LabelMatcher {
        label: "route_namespace".to_owned(),
        op: prescale::spec::MatchOp::Equal,
        value: "other".to_owned(),
    }];
    let observation = sources.reader(&target).observe(AT).await;
    let sent: Vec<String> =
        server.requests().iter().map(|request| request.form["query"].clone()).collect();
    let confined = r#"sum(a{namespace="llm"}) or sum(b{namespace="llm"} offset 5m)"#;
    assert!(sent.iter().any(|query| query == confined), "{sent:?}");
    assert!(sent.iter().all(|query| !query.contains("other")), "{sent:?}");
    let said: Vec<String> = observation.faults.iter().map(ToString::to_string).collect();
    for expected in [
        "signal s, selected by namespace=\"llm\": empty answer",
        "signal s (query may select only its own namespace, by namespace=\"llm\"): request refused",
        "signal s (query is not PromQL): request refused",
        "gatewaySelector (selects another namespace): request refused",
    ] {
        assert!(said.iter().any(|fault| fault == expected), "{expected}: {said:?}");
    }
}

#[tokio::test]
async fn only_the_namespaces_named_may_use_a_datasource() {
    let server = Server::start(|_| vector("")).await;
    let mut config = config(&server);
    config.namespaces = Some(vec!["other".to_owned()]);
    let sources = sources(config, Clock::system());
    let mut unknown = one_signal();
    unknown.source = prescale::spec::SourceRef::Datasource("nowhere".to_owned());
    unknown.namespace = "other".to_owned();
    let rows = [
        (one_signal(), "datasource main (none is available)"),
        (unknown, "datasource nowhere (available: main)"),
    ];
    for (target, place) in rows {
        let observation = sources.reader(&target).observe(AT).await;
        let faults: Vec<_> =
            observation.faults.iter().map(|fault| (fault.place.as_str(), fault.kind)).collect();
        assert_eq!(faults, [(place, FaultKind::NotAllowed)]);
        assert_eq!(observation.own.len(), 1);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_gateway_of_which_nothing_is_seen_is_unknown_and_not_empty() {
    let server = Server::start(|_| vector("")).await;
    let sources = sources(config(&server), Clock::system());
    let mut target = one_signal();
    target.gateway = Some(Gateway::Knative);
    let observation = sources.reader(&target).observe(AT).await;
    assert!(!observation.faults.is_empty());
    assert_eq!(observation.gateway.map(|gateway| gateway.held), Some(None));
}

#[tokio::test]
async fn few_queries_are_under_way_at_once() {
    let body = br#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
    let server =
        Server::start(move |_| Reply::Late(Duration::from_millis(20), body.to_vec())).await;
    let mut config = DatasourceConfig::at(server.url());
    config.concurrency = Some(2);
    let sources = sources(config, Clock::system());
    let mut target = one_signal();
    target.own =
        (0..20).map(|idx| OwnQuery { name: format!("s{idx}"), query: format!("{idx}") }).collect();
    let observation = sources.reader(&target).observe(AT).await;
    assert!(observation.own.iter().all(|reading| reading.value == Some(1.0)));
    assert_eq!(server.requests().len(), 21);
    assert_eq!(server.connections(), 2);
}

/// Accepts TLS for a plain server, as `localhost`; gives the certificate's PEM.
async fn behind_tls(server: &Server) -> (String, u16) {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = server.address;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut outer) = acceptor.accept(stream).await else { return };
                let mut inner = tokio::net::TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    (certified.cert.pem(), port)
}

#[tokio::test]
async fn a_private_authority_is_trusted_only_where_it_is_named() {
    let server = Server::start(|_| vector(r#"{"metric":{},"value":[1,"7"]}"#)).await;
    let (ours, port) = behind_tls(&server).await;
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let rows = [(ours, Some(7.0), None), (other.cert.pem(), None, Some(FaultKind::Tls))];
    for (authority, value, kind) in rows {
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, authority).unwrap();
        let mut config = DatasourceConfig::at(format!("https://localhost:{port}"));
        config.ca_file = Some(path);
        let sources = sources(config, Clock::system());
        let observation = sources.reader(&one_signal()).observe(AT).await;
        assert_eq!(observation.own[0].value, value, "{:?}", observation.faults);
        assert_eq!(kinds(&observation).first().copied(), kind);
    }
    let mut config = DatasourceConfig::at("https://localhost".to_owned());
    let path = dir.path().join("no.pem");
    std::fs::write(&path, "nothing").unwrap();
    config.ca_file = Some(path);
    let opened = prescale::source::Sources::open(
        &[("main".to_owned(), config)].into(),
        prescale::source::config::ScrapePolicy::default(),
        Clock::system(),
    );
    let error = opened.unwrap_err().to_string();
    assert_eq!(error, "datasource main: caFile must hold PEM certificates");
}

/// Pods that are gone say nothing about a queue that is not theirs: from one minute on the age of an
/// own signal is asked for anew.
#[tokio::test]
async fn an_own_signal_is_not_as_old_as_pods_that_are_gone() {
    const NOW: f64 = 1_700_000_000.0;
    for (pods_age, own_age, expected) in [(30.0, 45.0, 30), (100.0, 5.0, 5), (100.0, 300.0, 300)] {
        let server = Server::start(move |request| {
            let query = request.form.get("query").map_or("", String::as_str);
            if query.contains("timestamp(") {
                return vector(&format!(
                    r#"{{"metric":{{}},"value":[{NOW},"{}"]}}"#,
                    NOW - own_age
                ));
            }
            if query == "sum(lag)" {
                return vector(&format!(r#"{{"metric":{{}},"value":[{NOW},"7"]}}"#));
            }
            if !query.contains("num_requests_waiting") {
                return vector("");
            }
            let labels = r#""__name__":"vllm:num_requests_waiting","pod":"llama-7d9f8b6c5d-aaa00""#;
            let row = format!(r#"{{"metric":{{{labels}}},"values":[[{},"1"]]}}"#, NOW - pods_age);
            let data = format!(r#"{{"resultType":"matrix","result":[{row}]}}"#);
            Reply::ok(format!(r#"{{"status":"success","data":{data}}}"#))
        })
        .await;
        let mut target = one_signal();
        target.engine = Engine::Vllm;
        let sources = sources(config(&server), Clock::system());
        let own = sources.reader(&target).observe(AT).await.own;
        let age = Some(Duration::from_secs(expected));
        assert_eq!(own, [OwnReading { value: Some(7.0), age }], "{pods_age} {own_age}");
    }
}

/// One tenant asks a hundred times as much as a slow server answers in the time of a query. Another
/// waits for one round of it, and has its answers.
#[tokio::test]
async fn a_tenant_that_asks_too_much_keeps_only_itself_waiting() {
    const LOUD: usize = 100;
    let body = br#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1700000000,"3"]}]}}"#;
    let server = Server::start(|_| Reply::Late(Duration::from_millis(150), body.to_vec())).await;
    let mut config = DatasourceConfig::at(server.url());
    (config.timeout, config.concurrency) = (Some(Duration::from_secs(3)), Some(2));
    let sources = sources(config, Clock::system());
    let asking = |namespace: &str, number: usize| {
        let mut target = one_signal();
        namespace.clone_into(&mut target.namespace);
        target.own[0].query = format!("sum(lag{{n=\"{namespace}-{number}\"}})");
        let mut reader = sources.reader(&target);
        tokio::spawn(async move { reader.observe(AT).await.own[0].value })
    };
    let loud: Vec<_> = (0..LOUD).map(|number| asking("loud", number)).collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let quiet: Vec<_> = (0..3).map(|number| asking("quiet", number)).collect();
    for one in quiet {
        assert_eq!(one.await.unwrap(), Some(3.0), "as if it were alone");
    }
    let mut answered = 0;
    for one in loud {
        answered += usize::from(one.await.unwrap().is_some());
    }
    assert!((1..LOUD / 2).contains(&answered), "{answered}: the server was not too slow");
}
