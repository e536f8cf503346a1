//! `prescale serve --data-dir` as a process: killed, and started again before a Prometheus that is gone.

use std::time::Duration;

use prescale::clock::Clock;

use crate::backend::{Backend, Mood, Pod, World};
use crate::made::PATIENCE;
use crate::program::{Program, metadata};

const TRIGGER: &[(&str, &str)] = &[("queueDepth", "5"), ("maxReplicas", "10"), ("tick", "5s")];

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_tells_the_last_number_as_soon_as_it_is_back() {
    let pods = (0..4).map(|idx| Pod::new(idx, 6.0, 24.0, 0.55)).collect();
    let backend = Backend::start(World::of(pods)).await;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "dataDir: {}\ndatasources: {{default: {{url: '{}'}}}}\n",
        dir.path().display(),
        backend.url
    );
    let program = Program::start(&config, "json").await;
    let object = || metadata("team-a", "llama", TRIGGER);
    let patience = Clock::system();
    let before = loop {
        match program.ask(object()).await {
            Ok(told) => break told,
            Err(error) => assert!(patience.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert!(before.0 >= 4.0 && before.1, "{before:?}");
    while written(&program).await == 0.0 {
        assert!(patience.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Minutes are rows as well; what was told is written within a second of them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    // Dropping it kills it.
    drop(program);
    backend.set(|world| world.mood = Mood::Hangs);
    let program = Program::start(&config, "json").await;
    let watch = Clock::system();
    assert_eq!(program.ask(object()).await.unwrap(), before);
    assert!(watch.elapsed() < Duration::from_secs(5), "{:?}", watch.elapsed());
    let page = program.get("/api/v1/scalers/team-a/llama").await;
    assert!(page.contains("s before this start"), "{page}");
    while program.get("/api/v1/scalers/team-a/llama").await.contains("before this start") {
        assert_eq!(program.ask(object()).await.unwrap(), before);
        assert!(watch.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(program.ask(object()).await.unwrap(), before, "after the first reading failed");
}

/// Rows in the store so far.
async fn written(program: &Program) -> f64 {
    let page = program.get("/metrics").await;
    let line = page.lines().find_map(|line| line.strip_prefix("prescale_store_writes_total "));
    line.unwrap().parse().unwrap()
}
