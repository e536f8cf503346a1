//! What people and probes look at: health, metrics, the API and a plain page.
//!
//! Given a listener and where reports, metrics and readiness come from ([`App`]), promises bounded
//! work for whoever connects: sizes, times and counts are capped, everything but a wake is read-only, every
//! string from outside is escaped. Who may connect is left to the token and the network.

mod api;
mod app;
mod error;
mod guard;
mod hosts;
mod one;
mod page;
mod probes;
mod token;

pub mod wake;

mod listen;
mod router;

pub use app::{App, Ask, Found, Phase, Readiness, Reports};
pub use hosts::{asked_by_name, is_host_name};
pub use listen::{serve, serve_mutual};
pub use router::{router, wakes_only};
pub use token::{BadToken, Token};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use serde_json::Value;
    use tower::ServiceExt;

    use super::{App, Ask, Found, Phase, Readiness, Reports, Token, router};
    use crate::engine::units::Timestamp;
    use crate::report::{Report, Subject};
    use crate::telemetry::{Build, Metrics, Readings, Snapshot};

    const TOKEN: &str = "0123456789abcdef";

    fn report(namespace: &str, name: &str, trigger: &str) -> Report {
        let subject = Subject {
            namespace,
            name,
            trigger,
            searched: &[],
            faults: &[],
            withheld: Some("<b>why</b>"),
            open_streams: None,
            last_call: None,
        };
        Report::new(&subject, None, Timestamp::from_unix_ms(0))
    }

    fn find(ask: &Ask) -> Found {
        let rows = [
            ("team-a", "llama", "00000001"),
            ("team-a", "llama", "00000002"),
            ("team-b", "</td><script>alert(1)</script>", "00000003"),
        ];
        let all = rows.map(|(namespace, name, trigger)| report(namespace, name, trigger));
        let wanted = |r: &Report| {
            ask.namespace.as_ref().is_none_or(|n| *n == r.namespace)
                && ask.name.as_ref().is_none_or(|n| *n == r.name)
        };
        let found: Vec<Report> = all.into_iter().filter(wanted).collect();
        let total = found.len();
        let reports = found.into_iter().skip(ask.skip).take(ask.limit).collect();
        Found { reports, total, now: Timestamp::from_unix_ms(0) }
    }

    fn app(token: Option<&str>, phase: Phase) -> App {
        let now = Timestamp::from_unix_ms(0);
        let build = Build { version: "1.2.3", commit: None, started: now };
        let readings = Readings::new(move || Snapshot { now, scalers: Vec::new() });
        let readiness = Readiness::default();
        readiness.set(phase);
        App {
            reports: Arc::new(Reports::new(find)),
            metrics: Arc::new(Metrics::new(&build, readings)),
            readiness,
            token: token.map(|text| Token::try_new(text).unwrap()),
        }
    }

    async fn ask(app: App, request: Request<Body>) -> (StatusCode, axum::http::HeaderMap, String) {
        let (head, body) = router(app, None).oneshot(request).await.unwrap().into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        (head.status, head.headers, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn get(path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let (status, headers, body) = ask(app(None, Phase::Ready), request).await;
        assert_eq!(headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'; "), "{path}");
        (status, body)
    }

    #[tokio::test]
    async fn every_path_answers_with_its_status_and_errors_in_json() {
        let rows = [
            ("/healthz", 200),
            ("/readyz", 200),
            ("/metrics", 200),
            ("/", 200),
            ("/scalers/team-a/llama", 200),
            ("/scalers/team-a/llama?trigger=00000001&format=file", 200),
            ("/scalers/team-a/llama?format=pdf", 400),
            ("/scalers/team-a/other", 404),
            ("/api/v1/scalers", 200),
            ("/api/v1/scalers?namespace=team-a&limit=1", 200),
            ("/api/v1/scalers/team-a/llama", 200),
            ("/api/v1/scalers/team-a/llama?trigger=00000001", 200),
            ("/api/v1/scalers?limit=0", 400),
            ("/api/v1/scalers?limit=501", 400),
            ("/api/v1/scalers?limit=x", 400),
            ("/api/v1/scalers?unknown=1", 400),
            ("/api/v1/scalers/team-a/llama?trigger=0000000f", 404),
            ("/api/v1/scalers/team-a/other", 404),
            ("/api/v1/scalers/team-a/%ff", 400),
            ("/api/v1/scalers/team-a", 404),
            ("/wake/team-a/llama", 404),
        ];
        for (path, expected) in rows {
            let (status, body) = get(path).await;
            assert_eq!(status.as_u16(), expected, "{path}: {body}");
            if expected >= 400 {
                let json: Value = serde_json::from_str(&body).unwrap();
                assert!(json["error"].is_string(), "{path}: {body}");
            }
        }
    }

    #[tokio::test]
    async fn the_list_comes_in_parts_and_one_scaler_names_its_siblings() {
        let (_, body) = get("/api/v1/scalers?skip=1&limit=1").await;
        let list: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&list["total"], &list["skip"]), (&3.into(), &1.into()));
        assert_eq!(list["scalers"].as_array().unwrap().len(), 1);
        assert_eq!(list["scalers"][0]["trigger"], "00000002");

        let (_, body) = get("/api/v1/scalers/team-a/llama?trigger=00000001").await;
        let one: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(one["trigger"], "00000001");
        assert_eq!(one["triggers"], serde_json::json!(["00000001", "00000002"]));
    }

    #[tokio::test]
    async fn a_hostile_name_is_text_on_the_page() {
        let (_, page) = get("/").await;
        assert!(!page.contains("<script"), "{page}");
        assert!(page.contains("&lt;/td&gt;&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
        let hostile = "/scalers/team-b/%3C%2Ftd%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E";
        let (status, one) = get(hostile).await;
        assert_eq!(status.as_u16(), 200);
        assert!(!one.contains("<script") && one.contains("&lt;script&gt;"), "{one}");
        assert!(page.contains("/%3C%2Ftd%3E%3Cscript%3E"), "{page}");
        assert!(page.contains("&lt;b&gt;why&lt;/b&gt;"), "{page}");
    }

    #[tokio::test]
    async fn the_token_guards_scalers_and_not_probes() {
        let good = format!("Bearer {TOKEN}");
        let rows = [
            ("/", None, 401),
            ("/scalers/team-a/llama", None, 401),
            ("/api/v1/scalers", None, 401),
            ("/api/v1/scalers/team-a/llama", Some("Bearer 0123456789abcdeX"), 401),
            ("/api/v1/scalers/team-a/other", None, 401),
            ("/api/v1/scalers", Some(good.as_str()), 200),
            ("/", Some(good.as_str()), 200),
            ("/healthz", None, 200),
            ("/readyz", None, 200),
            ("/metrics", None, 200),
        ];
        for (path, authorization, expected) in rows {
            let mut request = Request::get(path);
            if let Some(value) = authorization {
                request = request.header("authorization", value);
            }
            let request = request.body(Body::empty()).unwrap();
            let (status, headers, body) = ask(app(Some(TOKEN), Phase::Ready), request).await;
            assert_eq!(status.as_u16(), expected, "{path} {authorization:?}: {body}");
            assert_eq!(headers.contains_key("www-authenticate"), expected == 401, "{path}");
        }
    }

    #[tokio::test]
    async fn readiness_follows_the_phase_and_health_does_not() {
        let rows = [(Phase::Starting, 503), (Phase::Ready, 200), (Phase::Ending, 503)];
        for (phase, expected) in rows {
            for (path, expected) in [("/readyz", expected), ("/healthz", 200)] {
                let request = Request::get(path).body(Body::empty()).unwrap();
                let (status, _, _) = ask(app(None, phase), request).await;
                assert_eq!(status.as_u16(), expected, "{path} {phase:?}");
            }
        }
    }

    #[tokio::test]
    async fn metrics_come_in_the_format_asked_for() {
        let open = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
        let rows = [
            (None, "text/plain; version=0.0.4; charset=utf-8", false),
            (Some("text/plain"), "text/plain; version=0.0.4; charset=utf-8", false),
            (Some(open), "application/openmetrics-text; version=1.0.0; charset=utf-8", true),
        ];
        for (accept, kind, ends) in rows {
            let mut request = Request::get("/metrics");
            if let Some(value) = accept {
                request = request.header("accept", value);
            }
            let request = request.body(Body::empty()).unwrap();
            let (_, headers, body) = ask(app(None, Phase::Ready), request).await;
            assert_eq!(headers["content-type"], kind);
            assert_eq!(body.ends_with("# EOF\n"), ends, "{body}");
            assert!(body.contains("prescale_build_info{version=\"1.2.3\""), "{body}");
        }
    }

    #[tokio::test]
    async fn only_reading_is_allowed() {
        for path in ["/", "/healthz", "/metrics", "/api/v1/scalers"] {
            let request = Request::post(path).body(Body::empty()).unwrap();
            let (status, _, body) = ask(app(None, Phase::Ready), request).await;
            assert_eq!(status.as_u16(), 405, "{path}: {body}");
            assert!(body.contains("only GET"), "{path}: {body}");
        }
    }
}
