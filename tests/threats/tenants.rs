//! One tenant that takes all it can get, and what the others notice of it: nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;

use crate::http::{Reply, Server};
use crate::program::{Program, metadata};

/// T10 with the program: twenty thousand names over gRPC, most of them refused. Numbers of the victim
/// stay what they are, the table stays within its limits, and memory hardly grows.
#[tokio::test(flavor = "multi_thread")]
async fn t10_a_flood_of_names_over_grpc_is_refused_and_leaves_no_trace() {
    const FLOOD: usize = 20_000;
    let prometheus = Server::start(|request| {
        let query = request.form.get("query").cloned().unwrap_or_default();
        let time: f64 = request.form.get("time").and_then(|it| it.parse().ok()).unwrap_or(0.0);
        if query.contains("sum(jobs)") { jobs(time) } else { crate::empty() }
    })
    .await;
    let config = format!(
        "datasources: {{default: {{url: \"{}\"}}}}\nlimits: {{scalers: 200, perNamespace: 50}}\n",
        prometheus.url()
    );
    let program = Program::start(&config, "json").await;
    let signals = "[{name: jobs, query: sum(jobs), target: 10}]";
    let pairs = [("engine", "custom"), ("signals", signals), ("minReplicas", "1")];
    let victim = metadata("victim", "llama", &pairs);
    let mut before = None;
    for _ in 0..100 {
        before = program.ask(victim.clone()).await.ok();
        if before.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(before, Some((7.0, true)), "65 jobs, ten each");
    let ask = |number: usize| {
        let (namespace, name) = (format!("attacker-{}", number % 7), format!("n{number}"));
        let object = metadata(&namespace, &name, &[("model", &name), ("queueDepth", "5")]);
        let (program, victim) = (&program, victim.clone());
        async move {
            let refused = program
                .ask(object)
                .await
                .is_err_and(|it| it.code() == tonic::Code::ResourceExhausted);
            let heard =
                if number.is_multiple_of(100) { Some(program.ask(victim).await) } else { None };
            (refused, heard)
        }
    };
    let first: Vec<_> =
        futures_util::stream::iter(0..2_000).map(ask).buffer_unordered(64).collect().await;
    let resident = program.resident_mib();
    let rest: Vec<_> =
        futures_util::stream::iter(2_000..FLOOD).map(ask).buffer_unordered(64).collect().await;
    let grown = program.resident_mib() - resident;
    let refused = first.iter().chain(&rest).filter(|(refused, _)| *refused).count();
    assert_eq!(refused, FLOOD - 199, "200 have room, one is the victim");
    for heard in first.iter().chain(&rest).filter_map(|(_, heard)| heard.as_ref()) {
        assert_eq!(heard.as_ref().ok(), before.as_ref(), "{heard:?}");
    }
    let page = program.get("/metrics").await;
    assert!(page.contains("\nprescale_scalers 200\n"), "{page}");
    let named = |line: &str| {
        line.split_once("name=\"").map(|(_, rest)| rest.split('"').next().map(str::to_owned))
    };
    let names: BTreeSet<_> = page.lines().filter_map(named).collect();
    assert!(names.len() <= 200, "{} names have a series", names.len());
    assert!(grown < 64.0, "{grown} MiB for 18 000 refused names");
}

fn jobs(time: f64) -> Reply {
    let row = serde_json::json!({"metric": {}, "value": [time, "65"]});
    let data = serde_json::json!({"resultType": "vector", "result": [row]});
    Reply::ok(serde_json::json!({"status": "success", "data": data}).to_string())
}
