//! The gate between clients and a model server that sleeps, starts, dies and comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "gate/gated.rs"]
mod gated;
#[path = "gate/model.rs"]
mod model;

use std::time::Duration;

use futures_util::StreamExt;
use gated::{Gated, refusal, until};
use model::{Model, Prescale};
use reqwest::{Body, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HELD: &str = "prescale_gate_requests_held{";
const IN_FLIGHT: &str = "prescale_gate_requests_in_flight{";
const TOTAL: &str = "prescale_gate_requests_total{";

/// One route for every model.
fn one(model: &Model, more: &str) -> String {
    format!("{more}\nroutes: [{{scaledObject: team-a/llama, upstream: '{}'}}]\n", model.url())
}

/// Two models behind one server, and a third that is nowhere.
fn two(model: &Model, more: &str) -> String {
    let url = model.url();
    format!(
        "{more}\nroutes:\n\
         - {{models: [llama, 'llama-*'], scaledObject: team-a/llama, upstream: '{url}'}}\n\
         - {{models: [qwen], scaledObject: team-a/qwen, upstream: 'http://127.0.0.1:1'}}\n"
    )
}

fn woken_by(prescale: &Prescale) -> String {
    format!("wake: {{url: 'http://{}'}}", prescale.address)
}

fn chat(more: &Value) -> Value {
    let mut body = json!({ "model": "llama", "stream": true, "messages": [] });
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

async fn json_of(response: Response) -> Value {
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

const WHOLE: &str = "data: {\"n\":0}\n\ndata: {\"n\":1}\n\ndata: {\"n\":2}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn what_is_passed_on_arrives_as_it_was_sent() {
    let model = Model::ready().await;
    let gate = Gated::start(&one(&model, "")).await;
    gate.until_ready().await;
    for method in [Method::POST, Method::PUT, Method::GET, Method::DELETE, Method::OPTIONS] {
        let request = gate.client.request(method.clone(), gate.url("/echo?a=b%20c&a=d"));
        let request = request.header("authorization", "Bearer sk").header("x-request-id", "mine");
        let request = request.header("traceparent", "00-1-2-01").body("{not json");
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{method}");
        assert_eq!(response.headers()["x-own"], "1");
        assert_eq!(response.headers()["x-request-id"], "mine");
        assert!(!response.headers().contains_key("x-hop"), "hop by hop");
        let told = json_of(response).await;
        assert_eq!(told["method"], method.as_str());
        assert_eq!(told["uri"], "/echo?a=b%20c&a=d");
        assert_eq!(told["body"], "{not json");
        let headers = &told["headers"];
        assert_eq!(headers["authorization"], "Bearer sk");
        assert_eq!(headers["x-request-id"], "mine");
        assert_eq!(headers["traceparent"], "00-1-2-01");
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-host"], gate.bound.listen.to_string());
        assert_eq!(headers["host"], model.address.to_string());
    }
    let rows = [("/teapot", 418, "short"), ("/moved", 302, ""), ("/none", 404, "")];
    for (path, status, body) in rows {
        let response = gate.post(path, &json!({})).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.text().await.unwrap(), body, "{path}");
    }
    let head = gate.client.head(gate.url("/v1/models")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], "20");
    gate.until(IN_FLIGHT, 0.0).await;
    assert_eq!(gate.metric(TOTAL).await, Some(6.0), "GET, HEAD and OPTIONS are no demand");
    assert_eq!(gate.metric("prescale_gate_time_to_first_byte_seconds_count").await, Some(6.0));
}

#[tokio::test]
async fn long_bodies_pass_chunked_or_not_and_with_a_kept_body_or_without() {
    let model = Model::ready().await;
    for config in [one(&model, ""), two(&model, "")] {
        let gate = Gated::start(&config).await;
        gate.until_ready().await;
        let prompt = "x".repeat(3 << 20);
        let body = json!({ "prompt": prompt, "model": "llama" }).to_string();
        let length = body.len().to_string();
        let sized = gate.client.post(gate.url("/length")).body(body.clone());
        assert_eq!(sized.send().await.unwrap().text().await.unwrap(), length);
        let pieces: Vec<Vec<u8>> = body.into_bytes().chunks(100_000).map(<[u8]>::to_vec).collect();
        let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
        let chunked = gate.client.post(gate.url("/length")).body(Body::wrap_stream(pieces));
        assert_eq!(chunked.send().await.unwrap().text().await.unwrap(), length);
        gate.until("prescale_gate_held_bytes", 0.0).await;
    }
}

#[tokio::test]
async fn a_stream_comes_through_piece_by_piece() {
    let model = Model::ready().await;
    let gate = Gated::start(&two(&model, "")).await;
    gate.until_ready().await;
    let body = chat(&json!({ "tokens": 5, "pause_ms": 60 }));
    let response = gate.ask(&body).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut frames = response.bytes_stream();
    let first = frames.next().await.unwrap().unwrap();
    assert_eq!(first, "data: {\"n\":0}\n\n");
    assert_eq!(model.open(), 1, "the first piece is here while the others are not yet made");
    assert_eq!(gate.metric(IN_FLIGHT).await, Some(1.0));
    let mut rest = Vec::new();
    while let Some(frame) = frames.next().await {
        rest.push(frame.unwrap());
    }
    assert!(rest.len() >= 5, "{rest:?}");
    assert!(rest.concat().ends_with(b"data: {\"n\":4}\n\ndata: [DONE]\n\n"));
    gate.until(IN_FLIGHT, 0.0).await;
}

#[tokio::test]
async fn a_request_for_a_sleeping_model_wakes_prescale_waits_and_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let (mut model, prescale) = (Model::asleep().await, Prescale::up().await);
    let wake =
        format!("wake: {{url: 'http://{}', tokenFile: '{}'}}", prescale.address, token.display());
    let gate = Gated::start(&two(&model, &wake)).await;
    let asked: Vec<_> = (0..20).map(|_| gate.ask(&chat(&json!({})))).collect();
    gate.until(HELD, 20.0).await;
    assert_eq!(gate.metric(IN_FLIGHT).await, Some(20.0));
    until("prescale woken", || !prescale.calls().is_empty()).await;
    assert_eq!(prescale.calls(), ["POST /wake/team-a/llama Bearer 0123456789abcdef"], "once");
    until("woken again while nothing is ready", || prescale.calls().len() > 1).await;
    model.start().await;
    for response in asked {
        let response = response.await.unwrap();
        assert_eq!(response.status(), 200);
        let held: f64 =
            response.headers()["x-prescale-held-seconds"].to_str().unwrap().parse().unwrap();
        assert!(held > 0.1, "{held}");
        assert_eq!(response.text().await.unwrap(), WHOLE);
    }
    gate.until(IN_FLIGHT, 0.0).await;
    assert_eq!(model.requests(), 20, "each was sent once");
    let calls = prescale.calls().len();
    tokio::time::sleep(Duration::from_millis(900)).await;
    assert_eq!(prescale.calls().len(), calls, "nobody waits, nobody is woken");
}

#[tokio::test]
async fn a_full_queue_refuses_and_a_wait_ends() {
    let (model, prescale) = (Model::asleep().await, Prescale::up().await);
    let more = format!("{}\nholdFor: 2s\nlimits: {{held: 2}}", woken_by(&prescale));
    let gate = Gated::start(&two(&model, &more)).await;
    let waiting: Vec<_> = (0..2).map(|_| gate.ask(&chat(&json!({})))).collect();
    gate.until(HELD, 2.0).await;
    until("prescale woken", || !prescale.calls().is_empty()).await;
    let response = gate.ask(&chat(&json!({}))).await.unwrap();
    let retry: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=42).contains(&retry), "{retry}: prescale says 42 s");
    assert_eq!(refusal(response).await, (429, "queue_full".to_owned()));
    for response in waiting {
        let response = response.await.unwrap();
        assert!(response.headers().contains_key("retry-after"));
        assert_eq!(refusal(response).await, (503, "deadline".to_owned()));
    }
    gate.until(HELD, 0.0).await;
    gate.until(IN_FLIGHT, 0.0).await;
    assert_eq!(gate.metric(TOTAL).await, Some(3.0), "refused ones arrived as well");
    let refused = "prescale_gate_requests_refused_total{namespace=\"team-a\",name=\"llama\",\
                   model=\"llama\",reason=";
    assert_eq!(gate.metric(&format!("{refused}\"queue_full\"")).await, Some(1.0));
    assert_eq!(gate.metric(&format!("{refused}\"deadline\"")).await, Some(2.0));
}

#[tokio::test]
async fn a_client_that_goes_away_is_forgotten_at_once() {
    let mut model = Model::asleep().await;
    let gate = Gated::start(&one(&model, "")).await;
    let waiting = gate.ask(&chat(&json!({})));
    gate.until(HELD, 1.0).await;
    waiting.abort();
    gate.until(HELD, 0.0).await;
    gate.until(IN_FLIGHT, 0.0).await;
    gate.until("prescale_gate_requests_abandoned_total{", 1.0).await;
    model.start().await;
    gate.until_ready().await;
    assert_eq!(model.requests(), 0, "nobody asks for what nobody waits for");

    let request = gate.post("/v1/chat/completions", &chat(&json!({ "tokens": 1_000_000 })));
    let mut streaming = request.send().await.unwrap().bytes_stream();
    streaming.next().await.unwrap().unwrap();
    drop(streaming);
    until("the server is told as well", || model.open() == 0).await;
    gate.until(IN_FLIGHT, 0.0).await;
    let slow = gate.ask(&json!({ "model": "llama", "pause_ms": 600_000 }));
    gate.until(IN_FLIGHT, 1.0).await;
    slow.abort();
    gate.until(IN_FLIGHT, 0.0).await;
}

#[tokio::test]
async fn prescale_may_be_away_and_come_back_or_not_know_the_model_yet() {
    let (mut model, mut prescale) = (Model::asleep().await, Prescale::down().await);
    let gate = Gated::start(&one(&model, &woken_by(&prescale))).await;
    let waiting = gate.ask(&chat(&json!({})));
    let wakes = |result: &str| {
        format!(
            "prescale_gate_wakes_total{{namespace=\"team-a\",name=\"llama\",model=\"*\",\
             result=\"{result}\"}}"
        )
    };
    gate.until(&wakes("failed"), 2.0).await;
    prescale.answers(404, None);
    prescale.start().await;
    until("called when it is back", || !prescale.calls().is_empty()).await;
    prescale.answers(401, None);
    until("called on", || prescale.calls().len() > 1).await;
    prescale.answers(202, None);
    until("called on", || prescale.calls().len() > 2).await;
    gate.until(&wakes("accepted"), 1.0).await;
    assert!(gate.metric(&wakes("not_found")).await >= Some(1.0));
    assert!(gate.metric(HELD).await == Some(1.0), "it waits through all of it");
    model.start().await;
    assert_eq!(waiting.await.unwrap().text().await.unwrap(), WHOLE);
}

#[tokio::test]
async fn a_failed_wake_ends_the_wait_and_says_when_to_come_back() {
    let (mut model, prescale) = (Model::asleep().await, Prescale::up().await);
    prescale.answers(429, Some(37));
    let gate = Gated::start(&one(&model, &woken_by(&prescale))).await;
    for _ in 0..3 {
        let response = gate.ask(&chat(&json!({}))).await.unwrap();
        let retry: u32 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
        assert!((30..=37).contains(&retry), "{retry}");
        assert_eq!(refusal(response).await, (503, "backing_off".to_owned()));
    }
    assert_eq!(prescale.calls().len(), 1, "prescale has said when to ask again");
    model.start().await;
    gate.until_ready().await;
    assert_eq!(gate.ask(&chat(&json!({}))).await.unwrap().status(), 200, "ready is ready");
}

#[tokio::test]
async fn a_wake_that_is_one_too_many_for_a_moment_does_not_end_the_wait() {
    let (mut model, prescale) = (Model::asleep().await, Prescale::up().await);
    prescale.answers(429, Some(1));
    let gate = Gated::start(&one(&model, &woken_by(&prescale))).await;
    let waiting = gate.ask(&chat(&json!({})));
    until("called again after a second", || prescale.calls().len() > 1).await;
    model.start().await;
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn more_wakes_than_a_namespace_has_are_waited_for_and_are_no_failed_start() {
    let (mut model, prescale) = (Model::asleep().await, Prescale::up().await);
    prescale.limits(3);
    let gate = Gated::start(&one(&model, &woken_by(&prescale))).await;
    let waiting = gate.ask(&chat(&json!({})));
    until("called again when it may be", || prescale.calls().len() > 1).await;
    assert_eq!(gate.metric(HELD).await, Some(1.0), "it waits");
    model.start().await;
    assert_eq!(waiting.await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_body_that_hardly_comes_waits_no_longer_than_one_that_is_there() {
    let model = Model::asleep().await;
    let gate = Gated::start(&one(&model, "holdFor: 1s")).await;
    let mut client = TcpStream::connect(gate.bound.listen).await.unwrap();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: gate\r\ncontent-length: 100\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    gate.until(HELD, 1.0).await;
    let mut answer = vec![0; 12];
    let read = client.read_exact(&mut answer);
    tokio::time::timeout(Duration::from_secs(15), read).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 503");
    gate.until(HELD, 0.0).await;
    gate.until(IN_FLIGHT, 0.0).await;
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_does_not_keep_the_model_awake() {
    let model = Model::ready().await;
    let gate = Gated::start(&one(&model, "idle: 1s")).await;
    gate.until_ready().await;
    let stuck = gate.ask(&chat(&json!({ "tokens": 100_000_000, "pad": 65_536 }))).await.unwrap();
    gate.until(IN_FLIGHT, 0.0).await;
    until("the server is told as well", || model.open() == 0).await;
    drop(stuck);
}

#[tokio::test]
async fn requests_that_cannot_be_routed_are_told_what_could() {
    let model = Model::ready().await;
    let gate = Gated::start(&two(&model, "limits: {bodyBytes: 1KiB}")).await;
    gate.until("prescale_gate_endpoints_ready{", 1.0).await;
    let long = format!("{{\"model\":\"llama\",\"prompt\":\"{}\"}}", "x".repeat(2000));
    let rows = [
        ("{\"model\":\"gpt\"}", "application/json", 404, "model_not_found"),
        ("{\"messages\":[]}", "application/json", 400, "model_missing"),
        ("{\"model\":\"llama\"", "application/json", 400, "malformed"),
        ("{\"model\":1}", "application/json", 400, "malformed"),
        ("model=llama", "application/json", 400, "malformed"),
        ("--x\r\n", "multipart/form-data; boundary=x", 400, "model_missing"),
        (&long, "application/json", 413, "body_too_large"),
    ];
    for (body, kind, status, code) in rows {
        let request = gate.client.post(gate.url("/v1/chat/completions")).body(body.to_owned());
        let response = request.header("content-type", kind).send().await.unwrap();
        assert_eq!(refusal(response).await, (status, code.to_owned()), "{body}");
    }
    let response = gate.post("/v1/chat/completions", &json!({ "model": "gpt" })).send().await;
    let told = json_of(response.unwrap()).await;
    assert_eq!(
        told["error"]["message"],
        "the model `gpt` does not exist; accepted: llama, llama-*, qwen"
    );
    assert_eq!(told["error"]["param"], "model");
    assert_eq!(model.requests(), 0);
    assert_eq!(gate.metric(TOTAL).await, Some(0.0), "of two routes, none got any");
    let routed = gate.post("/length", &json!({ "model": "llama-3" })).send().await.unwrap();
    assert_eq!(routed.status(), 200);
    let request = gate.client.post(gate.url("/length")).header("x-model", "llama");
    let request = request.header("content-type", "audio/wav").body("RIFF");
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "4");
}

#[tokio::test]
async fn models_are_listed_and_looked_at_without_being_woken() {
    let (mut model, prescale) = (Model::asleep().await, Prescale::up().await);
    let gate = Gated::start(&two(&model, &woken_by(&prescale))).await;
    let get = async |gate: &Gated, path: &str| {
        let response = gate.client.get(gate.url(path)).send().await.unwrap();
        (response.status().as_u16(), json_of(response).await)
    };
    let (status, listed) = get(&gate, "/v1/models").await;
    let ids: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!((status, ids), (200, vec!["llama", "qwen"]));
    assert_eq!(get(&gate, "/v1/models/llama-3").await.1["id"], "llama-3");
    assert_eq!(get(&gate, "/v1/models/gpt").await.0, 404);
    let one = Gated::start(&one(&model, &woken_by(&prescale))).await;
    let (status, told) = get(&one, "/v1/models").await;
    assert_eq!((status, &told["error"]["code"]), (503, &json!("asleep")));
    // HAProxy's check, unless told otherwise.
    let options = |gate: &Gated| gate.client.request(Method::OPTIONS, gate.url("/v1/models"));
    let looked = options(&one).send().await.unwrap();
    assert_eq!(refusal(looked).await, (503, "asleep".to_owned()));
    assert!(prescale.calls().is_empty());
    assert_eq!(one.metric(TOTAL).await, Some(0.0));
    let preflight = options(&one).header("access-control-request-method", "POST");
    let preflight = tokio::spawn(async move { preflight.send().await.unwrap() });
    until("prescale woken", || !prescale.calls().is_empty()).await;
    model.start().await;
    one.until_ready().await;
    assert_eq!(get(&one, "/v1/models").await.1["from"], "the model");
    preflight.await.unwrap();
    assert_eq!(one.metric(TOTAL).await, Some(1.0));
}

#[tokio::test]
async fn comments_keep_a_waiting_stream_alive_and_failures_become_events() {
    let mut model = Model::asleep().await;
    let gate = Gated::start(&one(&model, "keepAlive: {sse: 1s}\nholdFor: 4s")).await;
    let ask = |more: Value| gate.ask(&chat(&more));
    let (fine, wrong) = (ask(json!({})), ask(json!({ "status": 400 })));
    let breaking = ask(json!({ "break_at": 2 }));
    let unstreamed = ask(json!({ "stream": false }));
    let mut answers = Vec::new();
    for asked in [fine, wrong, breaking] {
        let response = asked.await.unwrap();
        assert_eq!(response.status(), 200, "before anything is ready");
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        answers.push(response);
    }
    assert!(!unstreamed.is_finished(), "who wants no stream waits for the status");
    model.start().await;
    let mut texts = Vec::new();
    for answer in answers {
        texts.push(answer.text().await.unwrap());
    }
    let begun = ": waiting\n\n";
    assert!(texts.iter().all(|text| text.starts_with(begun)), "{texts:?}");
    let rest = |n: usize| texts[n].trim_start_matches(begun);
    assert_eq!(rest(0), WHOLE);
    assert_eq!(rest(1), "data: {\"error\":{\"message\":\"own\"}}\n\n");
    assert!(rest(2).starts_with("data: {\"n\":0}\n\ndata: {\"n\":1}\n\n"), "{}", rest(2));
    assert!(rest(2).contains("\"code\":\"upstream_broken\""), "{}", rest(2));
    assert_eq!(unstreamed.await.unwrap().status(), 200);
    model.stop().await;
    gate.until("prescale_gate_endpoints_ready", 0.0).await;
    let late = ask(json!({})).await.unwrap();
    assert_eq!(late.status(), 200);
    assert!(late.text().await.unwrap().contains("\"code\":\"deadline\""));
    gate.until(IN_FLIGHT, 0.0).await;
    gate.until(HELD, 0.0).await;
}

#[tokio::test]
async fn the_end_waits_for_streams_and_for_those_that_wait() {
    let mut model = Model::ready().await;
    let gate = Gated::start(&two(&model, "")).await;
    gate.until("prescale_gate_endpoints_ready{", 1.0).await;
    let streaming = gate.ask(&chat(&json!({ "tokens": 20, "pause_ms": 100 }))).await.unwrap();
    model.stop().await;
    gate.until("prescale_gate_endpoints_ready{", 0.0).await;
    let waiting = gate.ask(&chat(&json!({})));
    gate.until(HELD, 1.0).await;
    gate.ends.drain.cancel();
    assert_eq!(gate.admin("/readyz").await.0, 503);
    assert_eq!(gate.admin("/healthz").await.0, 200);
    let address = gate.bound.listen;
    until("nobody new is taken", || std::net::TcpStream::connect(address).is_err()).await;
    let text = streaming.text().await.unwrap();
    assert!(text.ends_with("data: {\"n\":19}\n\ndata: [DONE]\n\n"), "{text}");
    model.start().await;
    let response = waiting.await.unwrap();
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(response.text().await.unwrap(), WHOLE);
    gate.ended().await;
}

#[tokio::test]
async fn the_end_of_patience_cuts_streams_and_tells_those_that_wait() {
    let mut model = Model::ready().await;
    for by_time in [true, false] {
        let drain = if by_time { "drain: 1s" } else { "drain: 1h" };
        let gate = Gated::start(&two(&model, drain)).await;
        gate.until("prescale_gate_endpoints_ready{", 1.0).await;
        let streaming = gate.ask(&chat(&json!({ "tokens": 9000, "pause_ms": 100 })));
        let streaming = streaming.await.unwrap();
        let held = gate.ask(&json!({ "model": "qwen" }));
        gate.until(HELD, 1.0).await;
        gate.ends.drain.cancel();
        if !by_time {
            gate.ends.cut.cancel();
        }
        assert_eq!(refusal(held.await.unwrap()).await, (503, "draining".to_owned()));
        gate.ended().await;
        assert!(streaming.text().await.is_err(), "cut, and not taken for whole");
    }
    model.stop().await;
}

#[tokio::test]
async fn a_server_that_dies_is_not_taken_for_one_that_has_answered() {
    let mut model = Model::ready().await;
    let gate = Gated::start(&two(&model, "idle: 1s")).await;
    gate.until("prescale_gate_endpoints_ready{", 1.0).await;
    let response = gate.ask(&chat(&json!({ "break_at": 1 }))).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.text().await.is_err(), "a body that broke off is no whole body");
    let silent = gate.ask(&json!({ "model": "llama", "pause_ms": 600_000 })).await.unwrap();
    assert_eq!(refusal(silent).await, (504, "upstream_silent".to_owned()));
    let stalled = gate.ask(&chat(&json!({ "pause_ms": 600_000 }))).await.unwrap();
    assert_eq!(stalled.status(), 200);
    assert!(stalled.text().await.is_err(), "silence within a stream breaks it");
    gate.until("prescale_gate_answers_broken_total{namespace=\"team-a\",name=\"llama\"", 2.0).await;
    gate.until(IN_FLIGHT, 0.0).await;

    // It is gone and nobody has looked yet: what was not sent waits for the next one.
    model.stop().await;
    let sent = model.requests();
    let waiting = gate.ask(&chat(&json!({})));
    gate.until(HELD, 1.0).await;
    model.start().await;
    assert_eq!(waiting.await.unwrap().text().await.unwrap(), WHOLE);
    assert_eq!(model.requests(), sent + 1);
}

#[tokio::test]
async fn a_server_that_breaks_before_its_answer_is_a_502_and_is_not_asked_twice() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let server = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut some = [0; 1024];
            if stream.read(&mut some).await.is_ok_and(|n| n > 0) {
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    let config =
        format!("routes: [{{scaledObject: a/b, upstream: 'http://{address}', ready: connect}}]");
    let gate = Gated::start(&config).await;
    gate.until_ready().await;
    let response = gate.ask(&chat(&json!({}))).await.unwrap();
    assert_eq!(refusal(response).await, (502, "upstream_broken".to_owned()));
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    server.abort();
}

#[tokio::test]
async fn a_name_without_addresses_waits_and_pods_share_what_comes() {
    let mut model = Model::asleep().await;
    let port = model.address.port();
    model.start().await;
    let second = tokio::net::TcpListener::bind(("127.0.0.2", port)).await;
    let config = format!(
        "routes: [{{scaledObject: team-a/llama, upstream: 'dns://llama-headless:{port}'}}]"
    );
    let gate = Gated::start(&config).await;
    let waiting = gate.ask(&chat(&json!({})));
    gate.until(HELD, 1.0).await;
    let name = "llama-headless.team-a.svc".to_owned();
    let address = |text: &str| text.parse().unwrap();
    gate.names.lock().unwrap().insert(name.clone(), vec![address("127.0.0.1")]);
    assert_eq!(waiting.await.unwrap().text().await.unwrap(), WHOLE);
    // A second address that listens and never answers its probe is no pod that is ready.
    let both = vec![address("127.0.0.1"), address("127.0.0.2")];
    gate.names.lock().unwrap().insert(name.clone(), both);
    for _ in 0..10 {
        assert_eq!(gate.ask(&chat(&json!({}))).await.unwrap().status(), 200);
    }
    assert_eq!(gate.metric("prescale_gate_endpoints_ready").await, Some(1.0));
    gate.names.lock().unwrap().clear();
    gate.until("prescale_gate_endpoints_ready", 0.0).await;
    drop(second);
}

#[tokio::test]
async fn all_series_are_there_before_anything_happens() {
    let model = Model::asleep().await;
    let gate = Gated::start(&two(&model, "")).await;
    for name in ["llama", "qwen"] {
        let of = format!("namespace=\"team-a\",name=\"{name}\",model=\"{name}\"");
        let rows = [
            format!("prescale_gate_requests_held{{{of}}}"),
            format!("prescale_gate_requests_in_flight{{{of}}}"),
            format!("prescale_gate_requests_total{{{of}}}"),
            format!("prescale_gate_requests_refused_total{{{of},reason=\"queue_full\"}}"),
            format!("prescale_gate_requests_refused_total{{{of},reason=\"backing_off\"}}"),
            format!("prescale_gate_time_to_first_byte_seconds_count{{{of}}}"),
            format!("prescale_gate_wakes_total{{{of},result=\"accepted\"}}"),
        ];
        for series in rows {
            assert_eq!(gate.metric(&series).await, Some(0.0), "{series}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_small_requests_leave_nothing_behind() {
    let model = Model::ready().await;
    let gate = Gated::start(&two(&model, "")).await;
    gate.until("prescale_gate_endpoints_ready{", 1.0).await;
    let body = json!({ "model": "llama" });
    let asked = (0..10_000).map(|_| async {
        let response = gate.post("/v1/chat/completions", &body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response.bytes().await.unwrap());
    });
    futures_util::stream::iter(asked).buffer_unordered(50).collect::<Vec<()>>().await;
    assert_eq!(model.requests(), 10_000);
    gate.until(IN_FLIGHT, 0.0).await;
    gate.until("prescale_gate_held_bytes", 0.0).await;
    assert_eq!(gate.metric(TOTAL).await, Some(10_000.0));
}

/// `prescale gate` as a process; its exit code, and what it printed.
fn program(args: &[&str]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_prescale"));
    let output = command.arg("gate").args(args).env_clear().output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
fn a_configuration_is_checked_without_being_served() {
    let route = ["--scaled-object", "team-a/llama", "--upstream", "http://llama:8000", "--check"];
    let (code, text) = program(&route);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("* -> http://llama:8000 for team-a/llama, up to 1000 held"), "{text}");
    let wakes = ["--wake-url", "http://prescale:8080", "--wake-token-file", "/no/such"];
    let (code, text) = program(&[&route[..], &wakes[..]].concat());
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("token        /no/such, not readable here: No such file"), "{text}");
    let rows: [(&[&str], &str); 3] = [
        (&["--check"], "error: routes: none is given; give a route in the file, or --upstream"),
        (&["--upstream", "http://llama:8000"], "error: --scaled-object is missing"),
        (&["--config", "/no/such.yaml"], "error: failed to read the configuration file"),
    ];
    for (args, expected) in rows {
        let (code, text) = program(args);
        assert_eq!(code, Some(2), "{text}");
        assert!(text.starts_with(expected), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_drains_the_process_and_the_second_cuts() {
    let model = Model::asleep().await;
    let url = model.url();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_prescale"));
    let mut child = command
        .args(["gate", "--scaled-object", "a/b", "--upstream", &url, "--log-format", "json"])
        .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
        .env_clear()
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().unwrap()));
    let ready = log.find(|line| line.as_ref().unwrap().contains("\"ready\"")).unwrap().unwrap();
    let told: Value = serde_json::from_str(&ready).unwrap();
    let url = format!("http://{}/v1/chat/completions", told["listen"].as_str().unwrap());
    let waiting = tokio::spawn(reqwest::Client::new().post(url).body("{}").send());
    let waits = log.find(|line| line.as_ref().unwrap().contains("\"held\":1"));
    assert!(waits.is_some());
    let signal = || {
        let pid = child.id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(sent.success());
    };
    signal();
    assert!(log.any(|line| line.unwrap().contains("draining")));
    assert!(!waiting.is_finished(), "it waits on");
    signal();
    assert_eq!(refusal(waiting.await.unwrap().unwrap()).await, (503, "draining".to_owned()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
