//! The history of a query: a scripted server that fails in every way, and a real Prometheus.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use prescale::backtest::input::{InputError, Question, Recorded, Sizes, read_prometheus};
use prescale::clock::Clock;
use prescale::engine::units::Timestamp;
use prescale::source::config::{BasicAuth, DatasourceConfig};

use crate::http::{Reply, Request, Server};
use crate::server::{Prometheus, installed};
use crate::told;

/// Monday 2026-01-05 00:00:30 UTC: ends are rounded down to the minute.
const END: i64 = 1_767_571_230;

/// The minute it is rounded to.
const UNTIL: i64 = 1_767_571_200;

const DAY: Duration = Duration::from_hours(24);

fn question(url: String, range: Duration) -> Question {
    Question {
        datasource: DatasourceConfig::at(url),
        query: "sum(rate(requests_total[2m]))".to_owned(),
        range,
        end: Timestamp::from_unix_ms(END * 1000),
    }
}

/// Reads on a clock that makes a second's pause a millisecond; the stages that were told, and what
/// came of it.
async fn read(question: &Question) -> (Vec<(u32, u32)>, Result<Recorded, InputError>) {
    let clock = Clock::scaled(Timestamp::from_unix_ms(END * 1000), 1000.0);
    let mut stages = Vec::new();
    let mut progress = |progress: prescale::source::history::Progress| {
        stages.push((progress.done, progress.all));
    };
    let read = read_prometheus(question, Sizes::default(), &clock, &mut progress).await;
    (stages, read)
}

/// The seconds of a stage that a request asks for.
fn asked(request: &Request) -> Vec<i64> {
    let field = |name: &str| request.form[name].parse::<f64>().unwrap();
    let mut second = field("start");
    let mut seconds = Vec::new();
    while second <= field("end") {
        #[expect(clippy::cast_possible_truncation, reason = "test times are small")]
        seconds.push(second as i64);
        second += field("step");
    }
    seconds
}

/// One series with `value` at each instant asked for; blank: no sample.
fn series(request: &Request, labels: &str, value: impl Fn(i64) -> String) -> String {
    let mut values = String::new();
    for second in asked(request) {
        let value = value(second);
        if !value.is_empty() {
            let comma = if values.is_empty() { "" } else { "," };
            write!(values, "{comma}[{second},\"{value}\"]").unwrap();
        }
    }
    format!(r#"{{"metric":{{{labels}}},"values":[{values}]}}"#)
}

fn matrix(rows: &[String]) -> Reply {
    let rows = rows.join(",");
    Reply::ok(format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{rows}]}}}}"#
    ))
}

#[tokio::test]
async fn weeks_are_read_day_by_day_and_gaps_stay_gaps() {
    let server = Server::start(|request| {
        // Half a request a second; nothing in the first hour, only NaN in the third, nothing in the fourth.
        matrix(&[series(request, "", |second| match (second - 1 - (UNTIL - 3 * 86_400)) / 3600 {
            0 | 3 => String::new(),
            2 => "NaN".to_owned(),
            _ => "0.5".to_owned(),
        })])
    })
    .await;
    let (stages, recorded) = read(&question(server.url(), 3 * DAY)).await;
    let recorded = recorded.unwrap();
    assert_eq!(stages, [(0, 3), (1, 3), (2, 3), (3, 3)]);
    let sent = server.requests();
    assert_eq!(sent.len(), 3);
    for request in &sent {
        assert_eq!(request.line, "POST /api/v1/query_range");
        assert_eq!(request.form["query"], "sum(rate(requests_total[2m]))");
        assert_eq!((asked(request).len(), request.form["step"].as_str()), (1440, "60"));
    }
    // That nothing is known of the first hour is not that nobody came.
    let begins = UNTIL - 3 * 86_400 + 3600;
    assert_eq!(recorded.begins, Some(Timestamp::from_unix_ms(begins * 1000)));
    assert_eq!(recorded.length, 3 * DAY - Duration::from_hours(1));
    let expected = 30.0 * (3.0 * 1440.0 - 180.0);
    assert!((recorded.requests(1.0) - expected).abs() < 1e-6, "{}", recorded.requests(1.0));
    assert!(recorded.notes[0].starts_with("nothing is known before"), "{:?}", recorded.notes);
    assert!(recorded.notes[1].starts_with("120 steps without a value"), "{:?}", recorded.notes);
    let arrivals = recorded.arrivals(1, 1.0).unwrap();
    assert_eq!(arrivals.len(), 124_200);
    let gap = Duration::from_hours(1)..Duration::from_hours(3);
    assert!(arrivals.iter().all(|it| !gap.contains(&it.at)));
    assert!(arrivals[0].at < Duration::from_secs(60));
    assert_eq!((arrivals[0].prompt, arrivals[0].output), (1000, 200));
}

/// Two days from a server that answers its first requests with these, and then well. How many
/// requests came, and the words of the error if there is one.
async fn check(first: Vec<Reply>, expected: Result<usize, (usize, &str)>) {
    let first = Mutex::new(first.into_iter());
    let server = Server::start(move |request| {
        let scripted = first.lock().unwrap().next();
        scripted.unwrap_or_else(|| matrix(&[series(request, "", |_| "1".to_owned())]))
    })
    .await;
    let (_, read) = read(&question(server.url(), 2 * DAY)).await;
    let sent = server.requests().len();
    match (read, expected) {
        (Ok(recorded), Ok(requests)) => {
            assert_eq!((sent, recorded.requests(1.0)), (requests, 172_800.0));
        }
        (Err(error), Err((requests, words))) => {
            assert_eq!(sent, requests, "{}", told(&error));
            assert!(told(&error).contains(words), "{} does not say {words}", told(&error));
        }
        (read, _) => panic!("{expected:?}: {:?}", read.map_err(|error| told(&error))),
    }
}

#[tokio::test]
async fn a_server_that_is_busy_for_a_while_is_asked_again() {
    let wait = Reply::Answer(429, vec![("Retry-After".to_owned(), "20".to_owned())], Vec::new());
    check(vec![wait.clone(), wait], Ok(4)).await;
    check(vec![Reply::status(503), Reply::Close, Reply::status(500)], Ok(5)).await;
    check(vec![Reply::CutOff(b"{".to_vec())], Ok(3)).await;
    check(vec![Reply::status(502); 5], Ok(7)).await;
}

#[tokio::test]
async fn a_stage_that_stays_unanswered_is_named() {
    let stage = "2026-01-03T00:01:00Z to 2026-01-04T00:00:00Z was not answered: server error";
    check(vec![Reply::status(500); 6], Err((6, stage))).await;
    let page = "answer not understood (is the URL that of a Prometheus API?)";
    check(vec![Reply::ok("<html>Log in</html>"); 3], Err((3, page))).await;
    let well = |request: &Request| matrix(&[series(request, "", |_| "1".to_owned())]);
    let server = Server::start(move |request| match request.form["start"].as_str() {
        "1767484860.000" => Reply::status(401),
        _ => well(request),
    })
    .await;
    let (stages, read) = read(&question(server.url(), 2 * DAY)).await;
    let text = told(&read.unwrap_err());
    let second = "2026-01-04T00:01:00Z to 2026-01-05T00:00:00Z was not answered: access denied";
    assert!(text.contains(second), "{text}");
    assert_eq!(stages, [(0, 2), (1, 2)]);
}

#[tokio::test]
async fn what_cannot_become_right_is_asked_once() {
    let bad = br#"{"status":"error","errorType":"bad_data","error":"secret"}"#.to_vec();
    let bad = Reply::Answer(400, Vec::new(), bad);
    check(vec![bad], Err((1, "request refused (is it a valid query"))).await;
    check(vec![Reply::status(403)], Err((1, "access denied"))).await;
    let text = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;
    check(vec![Reply::ok(text)], Err((1, "something else than a range"))).await;
}

/// One day of answers made by `rows` is refused with these words.
async fn check_values(rows: fn(&Request) -> Vec<String>, words: &str) {
    let server = Server::start(move |request| matrix(&rows(request))).await;
    let (_, read) = read(&question(server.url(), 2 * DAY)).await;
    let text = told(&read.unwrap_err());
    assert!(text.contains(words), "{text} does not say {words}");
}

#[tokio::test]
async fn values_that_are_no_arrivals_are_refused() {
    check_values(|_| Vec::new(), "no value from 2026-01-03T00:00:00Z").await;
    check_values(|r| vec![series(r, "", |_| "0".to_owned())], "no value above 0").await;
    check_values(|r| vec![series(r, "", |_| "+Inf".to_owned())], "no value from").await;
    check_values(
        |r| vec![series(r, "", |second| if second == UNTIL { "-1" } else { "1" }.to_owned())],
        "the query's value at 2026-01-05T00:00:00Z is -1; accepted are arrivals per second",
    )
    .await;
    check_values(|r| vec![series(r, "", |_| "2e7".to_owned())], "is 20000000; accepted").await;
    check_values(
        |r| {
            ["a", "b"].map(|pod| series(r, &format!(r#""pod":"{pod}""#), |_| "1".to_owned())).into()
        },
        "2 series from 2026-01-03T00:01:00Z to 2026-01-04T00:00:00Z; accepted is one: use sum(..)",
    )
    .await;
    check_values(
        |r| {
            let pod = format!(r#""pod":"{}""#, r.form["start"]);
            vec![series(r, &pod, |_| "1".to_owned())]
        },
        "2 series from 2026-01-04T00:01:00Z",
    )
    .await;
}

#[tokio::test]
async fn ranges_are_checked_and_no_error_shows_credentials() {
    for range in [Duration::from_secs(59), Duration::from_hours(24 * 401)] {
        let (_, read) = read(&question("http://localhost:1".to_owned(), range)).await;
        assert!(told(&read.unwrap_err()).contains("is not from 60 to 34560000"));
    }
    let inside = question("http://user:canary@localhost".to_owned(), DAY);
    let text = told(&read(&inside).await.1.unwrap_err());
    assert!(text.contains("no credentials") && !text.contains("canary"), "{text}");

    let dir = tempfile::tempdir().unwrap();
    let password_file = dir.path().join("password");
    std::fs::write(&password_file, "canary").unwrap();
    let server = Server::start(|_| Reply::status(401)).await;
    let mut asked = question(server.url(), DAY);
    let username = "user".to_owned();
    asked.datasource.basic_auth = Some(BasicAuth { username, password_file });
    let error = read(&asked).await.1.unwrap_err();
    assert!(server.requests()[0].headers.contains_key("authorization"));
    assert!(!told(&error).contains("canary") && !format!("{error:?}").contains("canary"));

    let refused = told(&read(&question("http://127.0.0.1:1".to_owned(), DAY)).await.1.unwrap_err());
    assert!(refused.ends_with("connection refused"), "{refused}");
}

#[tokio::test]
async fn a_real_prometheus_with_two_days_of_history_is_read() {
    if !installed("promtool") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.om");
    std::fs::write(&file, history()).unwrap();
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([file, dir.path().join("data")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let Some(prometheus) = Prometheus::start_in(dir, &[]).await else { return };
    let (stages, recorded) = read(&question(prometheus.url(), 2 * DAY)).await;
    let recorded = recorded.unwrap();
    assert_eq!(stages.last(), Some(&(2, 2)));
    // 90 a minute, but for the hour that nothing was scraped in; rate() itself ends at its edges.
    let expected = 90.0 * (2.0 * 1440.0 - 60.0);
    let requests = recorded.requests(1.0);
    assert!((requests - expected).abs() < 5.0 * 90.0, "{requests} is not {expected}");
    assert!(recorded.notes[0].contains("steps without a value"), "{:?}", recorded.notes);

    let mut bare = question(prometheus.url(), DAY);
    bare.query = "requests_total{".to_owned();
    let text = told(&read(&bare).await.1.unwrap_err());
    assert!(text.contains("request refused (is it a valid query"), "{text}");
    bare.query = "requests_total".to_owned();
    let text = told(&read(&bare).await.1.unwrap_err());
    assert!(text.contains("2 series from") && text.contains("use sum(..)"), "{text}");
}

/// Two pods' counters, scraped each 30 s, 45 a minute each; one hour of the second day is missing.
fn history() -> String {
    let mut text = "# TYPE requests counter\n".to_owned();
    let begins = UNTIL - 2 * 86_400 - 3600;
    for pod in ["a", "b"] {
        for at in (begins..=UNTIL + 60).step_by(30) {
            if !(UNTIL - 36_000..UNTIL - 32_400).contains(&at) {
                #[expect(clippy::cast_precision_loss, reason = "test counts are small")]
                let count = (at - begins) as f64 * 0.75;
                writeln!(text, "requests_total{{pod=\"{pod}\"}} {count} {at}").unwrap();
            }
        }
    }
    text + "# EOF\n"
}
