//! `POST /wake`: who may, how often, what comes of it, here and at the peers; over real connections, with
//! the engine that decides, in a world with a mood.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "wake/process.rs"]
mod process;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "store/world.rs"]
mod world;

use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use prescale::clock::Clock;
use prescale::engine::decision::{Reason, State};
use prescale::grpc::proto::IsActiveResponse;
use prescale::scaler::{Held, Woken};
use process::{Process, SLEEPER, Start, TOKEN, TOKEN_B};
use reqwest::Method;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tonic::Streaming;
use world::{Mood, TRIGGER};

/// For what has to come, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

async fn says_true(stream: &mut Streaming<IsActiveResponse>) -> bool {
    let message = timeout(PATIENCE, stream.message()).await.unwrap().unwrap();
    message.is_some_and(|message| message.result)
}

async fn is_silent(stream: &mut Streaming<IsActiveResponse>) -> bool {
    timeout(Duration::from_millis(300), stream.message()).await.is_err()
}

#[tokio::test]
async fn every_call_has_its_status_and_its_words() {
    let process = Process::start(Start::default()).await;
    process.scaler("team-a", "llama", SLEEPER).await;
    process.scaler("team-a", "shadow", &[("scaleStrategy", "shadow")]).await;
    let never = r#"[{"timezone":"UTC","bounds":[{"cron":"* * * * *","maxReplicas":0}]}]"#;
    let capped = [SLEEPER, &[("instanceBounds", never)]].concat();
    process.scaler("team-a", "capped", &capped).await;
    let rows = [
        (Method::POST, "team-a/llama", None, 401, "send a token"),
        (Method::POST, "team-a/llama", Some("all-0123456789abcdeX"), 401, "send a token"),
        (Method::POST, "team-a/none", None, 401, "send a token"),
        (Method::POST, "team-a/llama", Some(TOKEN_B), 403, "may not wake in this namespace"),
        (Method::POST, "team-a/none", Some(TOKEN_B), 403, "may not wake in this namespace"),
        (Method::POST, "team-b/llama", Some(TOKEN_B), 404, "no scaler of this name"),
        (Method::POST, "team-a/none", Some(TOKEN), 404, "no scaler of this name"),
        (Method::POST, "team-a/%ff", Some(TOKEN), 404, "no scaler of this name"),
        (Method::POST, "team-a", Some(TOKEN), 404, "no such path"),
        (Method::GET, "team-a/llama", Some(TOKEN), 405, "only POST"),
        (Method::PUT, "team-a/llama", Some(TOKEN), 405, "only POST"),
        (Method::POST, "team-a/shadow", Some(TOKEN), 409, "scaleStrategy is shadow"),
        (Method::POST, "team-a/capped", Some(TOKEN), 409, "cut to 0: scheduled maximum"),
    ];
    for (method, path, token, status, words) in rows {
        let (told, _, body) = process.call(method, path, token).await;
        let error = body["error"].as_str().unwrap_or_default();
        assert_eq!(told, status, "{path} {token:?}: {body}");
        assert!(error.contains(words), "{path} {token:?}: {words} in {body}");
    }
    assert!(!process.is_active("team-a", "llama").await);
    let (status, _, body) = process.wake("team-a/llama", Some(TOKEN)).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!((&body["scaler"], &body["active"]), (&"team-a/llama".into(), &true.into()));
    assert!(body["expectedReadySeconds"].as_u64().unwrap() >= 180, "{body}");
    assert!(body["leaseUntil"].as_str().unwrap().ends_with('Z'), "{body}");
    assert!(body.get("peers").is_none(), "{body}");
    assert!(process.is_active("team-a", "llama").await);
    for (result, count) in [("unauthorized", 3), ("forbidden", 2), ("refused", 2), ("woken", 1)] {
        assert_eq!(process.counted(result), count, "{result}");
    }
}

/// A query that never ends holds a tick for 65 s, and no wake.
#[tokio::test]
async fn a_source_that_hangs_holds_up_no_wake() {
    let process = Process::start(Start::default()).await;
    let scaler = process.scaler("team-a", "llama", SLEEPER).await;
    let mut stream = process.push("team-a", "llama", SLEEPER).await;
    assert!(is_silent(&mut stream).await);
    process.set(Mood::Hangs);
    // A tick that observes now, and will for long.
    scaler.revise(|_| {});
    tokio::time::sleep(Duration::from_millis(50)).await;
    let clock = Clock::system();
    let (woken, said) =
        tokio::join!(process.wake("team-a/llama", Some(TOKEN)), says_true(&mut stream));
    println!("true on the stream {:?} after the call began", clock.elapsed());
    assert!(said && clock.elapsed() < Duration::from_secs(10), "{:?}", clock.elapsed());
    assert_eq!((woken.0, &woken.2["active"]), (202, &true.into()), "{woken:?}");
    let decision = scaler.answer().unwrap();
    assert_eq!(decision.state, State::Waking);
    let asked = |reason: &Reason| matches!(reason, Reason::Asked { .. });
    assert!(decision.reasons.iter().any(asked), "{decision:?}");
}

/// Pods that are still there when KEDA has not acted yet: they stay for an idle window from the wake on.
#[tokio::test]
async fn who_is_about_to_sleep_stays() {
    let process = Process::start(Start { speed: 60.0, ..Start::default() }).await;
    process.set(Mood::Idle);
    let scaler = process.scaler("team-a", "llama", TRIGGER).await;
    let clock = Clock::system();
    while scaler.answer().is_ok_and(|it| it.active() != Some(false)) {
        assert!(clock.elapsed() < Duration::from_secs(60), "never sleeps");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(process.wake("team-a/llama", Some(TOKEN)).await.0, 202);
    // Two ticks on, the pods are seen again.
    tokio::time::sleep(Duration::from_millis(700)).await;
    let decision = scaler.answer().unwrap();
    assert_eq!((decision.state, decision.active()), (State::Fresh, Some(true)), "{decision:?}");
    let (_, _, body) = process.wake("team-a/llama", Some(TOKEN)).await;
    assert_eq!(body["expectedReadySeconds"], 0, "{body}");
}

#[tokio::test]
async fn a_thousand_repeats_are_one_wake_and_one_message_in_ten_seconds() {
    let process = Process::start(Start::default()).await;
    let scaler = process.scaler("team-a", "llama", SLEEPER).await;
    let mut stream = process.push("team-a", "llama", SLEEPER).await;
    let clock = Clock::system();
    let mut begun = 0;
    for _ in 0..1000 {
        let Some(Woken::Held(Held { active: true, begun: new, .. })) =
            process.registry.wake("team-a", "llama").await
        else {
            panic!("not held")
        };
        begun += u32::from(new);
    }
    let ticks = clock.elapsed().as_secs() / 10;
    assert_eq!(begun, 1);
    assert_eq!(scaler.activity().period, 1);
    assert!(says_true(&mut stream).await);
    for _ in 0..ticks {
        assert!(says_true(&mut stream).await);
    }
    assert!(is_silent(&mut stream).await, "after {:?}", clock.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn t19_ten_thousand_calls_without_a_token_wake_nobody() {
    let process = Process::start(Start::default()).await;
    let scaler = process.scaler("team-a", "victim", SLEEPER).await;
    let mut stream = process.push("team-a", "victim", SLEEPER).await;
    let memory = scaler.memory().wake;
    let callers = (0..32).map(|caller| {
        let process = &process;
        async move {
            let token = (caller % 2 == 0).then_some("all-0123456789abcdeX");
            for _ in 0..313 {
                let (status, _, body) = process.wake("team-a/victim", token).await;
                assert_eq!(status, 401, "{body}");
            }
        }
    });
    join_all(callers).await;
    assert_eq!(process.counted("unauthorized"), 32 * 313);
    assert_eq!(scaler.memory().wake, memory, "nothing was asked");
    assert_eq!(scaler.activity().period, 0);
    assert!(is_silent(&mut stream).await);
    // Nor did they use up what the victim may do.
    for call in 0..10 {
        assert_eq!(process.wake("team-a/victim", Some(TOKEN)).await.0, 202, "{call}");
    }
    assert!(says_true(&mut stream).await);
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let process = Process::start(Start::default()).await;
    let names: Vec<String> = (0..61).map(|idx| format!("llm-{idx}")).collect();
    for name in &names {
        process.scaler("team-b", name, SLEEPER).await;
    }
    let paths: Vec<String> = names.iter().map(|name| format!("team-b/{name}")).collect();
    let told = join_all(paths.iter().map(|path| process.wake(path, Some(TOKEN_B)))).await;
    let limited: Vec<_> = told.iter().filter(|it| it.0 == 429).collect();
    assert_eq!(told.iter().filter(|it| it.0 == 202).count(), 60, "{told:?}");
    let [(_, wait, body)] = limited.as_slice() else { panic!("{limited:?}") };
    assert!((1..=60).contains(&wait.unwrap()), "{wait:?}");
    let error = body["error"].as_str().unwrap();
    assert!(
        error.starts_with("too many wakes in this namespace; the next one at 2026-"),
        "{error}"
    );
    // What is awake already may be asked for on, up to its own limit.
    let awake = paths.iter().zip(&told).find(|(_, told)| told.0 == 202).unwrap().0;
    let again = (0..15).map(|_| process.wake(awake, Some(TOKEN_B)));
    let again = join_all(again).await;
    let refused: Vec<_> = again.iter().filter(|it| it.0 == 429).collect();
    assert!((1..=6).contains(&refused.len()), "{again:?}");
    assert!(refused.iter().all(|it| it.1 == Some(1) && it.2["until"].is_string()), "{refused:?}");
    assert!(refused.iter().all(|it| it.2["reason"] == "limited"), "{refused:?}");
    assert_eq!(process.wake("team-a/llama", Some(TOKEN)).await.0, 404, "others are not touched");
}

#[tokio::test]
async fn a_wake_that_nobody_answered_backs_off_and_says_until_when() {
    let process = Process::start(Start { speed: 30.0, ..Start::default() }).await;
    let metadata = [SLEEPER, &[("activationTimeout", "60s")]].concat();
    let scaler = process.scaler("team-a", "llama", &metadata).await;
    assert_eq!(process.wake("team-a/llama", Some(TOKEN)).await.0, 202);
    let clock = Clock::system();
    while scaler.answer().is_ok_and(|it| it.active() == Some(true)) {
        assert!(clock.elapsed() < PATIENCE, "never given up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, wait, body) = process.wake("team-a/llama", Some(TOKEN)).await;
    assert_eq!(status, 429, "{body}");
    assert!((200..=300).contains(&wait.unwrap()), "{wait:?}");
    assert!(body["error"].as_str().unwrap().starts_with("no pod served when it was woken last"));
    assert!(body["until"].as_str().unwrap().starts_with("2026-"), "{body}");
    assert_eq!(body["reason"], "backing_off");
    assert_eq!(process.counted("backing_off"), 1);
    assert_eq!(scaler.memory().wake.asked_for(process.registry.clock().now()), None);
}

#[tokio::test]
async fn a_wake_is_handed_to_peers_and_a_dead_one_fails_nothing() {
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    ];
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = |of: &[&TcpListener]| -> Vec<String> {
        of.iter().map(|it| format!("http://{}", it.local_addr().unwrap())).collect()
    };
    let [a, b] = listeners;
    // Both know both, as a name stands for all of them.
    let peers = urls(&[&a, &b, &dead]);
    drop(dead);
    let start = |http| Start { http: Some(http), peers: peers.clone(), ..Start::default() };
    let (a, b) = (Process::start(start(a)).await, Process::start(start(b)).await);
    for process in [&a, &b] {
        process.scaler("team-a", "both", SLEEPER).await;
    }
    b.scaler("team-a", "only-b", SLEEPER).await;
    let mut stream = b.push("team-a", "both", SLEEPER).await;
    assert!(is_silent(&mut stream).await);
    let (status, _, body) = a.wake("team-a/both", Some(TOKEN)).await;
    assert_eq!(status, 202, "{body}");
    assert_eq!(body["peers"], serde_json::json!({"known": 2, "holding": 1}), "itself left out");
    assert!(says_true(&mut stream).await);
    assert!(a.is_active("team-a", "both").await);
    // KEDA is connected to the other one.
    let (status, _, body) = a.wake("team-a/only-b", Some(TOKEN)).await;
    assert_eq!((status, &body["active"]), (202, &true.into()), "{body}");
    assert!(b.is_active("team-a", "only-b").await);
    assert_eq!(a.counted("elsewhere"), 1);
    // It comes to this one a moment later.
    assert!(a.is_active("team-a", "only-b").await, "remembered");
    let name = vec![format!("dns://localhost:{}", b.http.port())];
    let c = Process::start(Start { peers: name, ..Start::default() }).await;
    let (status, _, body) = c.wake("team-a/only-b", Some(TOKEN)).await;
    assert_eq!((status, &body["peers"]["holding"]), (202, &1.into()), "by name: {body}");
    assert_eq!(a.wake("team-a/nobody", Some(TOKEN)).await.0, 404);
    let made_up = a.wake("team-a/nobody", Some(TOKEN_B)).await;
    assert_eq!(made_up.0, 403, "{made_up:?}");
}

#[tokio::test]
async fn a_wake_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let first = Process::start(Start { dir: Some(dir.path()), ..Start::default() }).await;
    first.scaler("team-a", "llama", SLEEPER).await;
    let (status, _, body) = first.wake("team-a/llama", Some(TOKEN)).await;
    assert_eq!(status, 202, "{body}");
    let store = first.store.clone().unwrap();
    assert!(store.flush(PATIENCE));
    first.registry.shutdown().await;
    store.close();
    drop((first, store));
    let start = Start { dir: Some(dir.path()), at: 60, ..Start::default() };
    let second = Process::start(start).await;
    second.set(Mood::Hangs);
    assert!(second.is_active("team-a", "llama").await);
    let (status, _, again) = second.wake("team-a/llama", Some(TOKEN)).await;
    assert_eq!(status, 202, "{again}");
    let ready = |body: &serde_json::Value| body["expectedReadySeconds"].as_u64().unwrap();
    assert!(ready(&again) < ready(&body), "it goes on: {body} {again}");
    assert!(again["leaseUntil"].as_str() > body["leaseUntil"].as_str(), "renewed: {body} {again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_wakes_waits_and_says_what_is_wrong() {
    let process = Process::start(Start { speed: 60.0, ..Start::default() }).await;
    process.scaler("team-a", "llama", SLEEPER).await;
    let server = format!("http://{}", process.http);
    let run = async |args: &[&str], token: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
        command.arg("wake").args(args).args(["--server", &server]);
        command.env_clear().env("PRESCALE_WAKE_TOKEN", token);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let rows: [(&[&str], &str, i32, &str); 5] = [
        (&["llama"], TOKEN, 2, "must be NAMESPACE/NAME"),
        (&["team-a/llama", "--token-file", "/no/such"], TOKEN, 2, "--token-file /no/such"),
        (
            &["team-a/llama"],
            "wrong",
            1,
            "refuses the token that was given: it wants the one of its wake.tokenFile",
        ),
        (&["team-a/none"], TOKEN, 1, "says 404: no scaler of this name"),
        (&["team-a/llama"], TOKEN, 0, "team-a/llama wakes: about "),
    ];
    for (args, token, code, words) in rows {
        let (ended, out, err) = run(args, token).await;
        assert_eq!(ended, code, "{args:?}: {out}{err}");
        assert!(format!("{out}{err}").contains(words), "{args:?}: {words} in {out}{err}");
    }
    let waits = run(&["team-a/llama", "--wait", "-o", "json"], TOKEN);
    let serves = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        process.set(Mood::Idle);
    };
    let ((code, out, err), ()) = tokio::join!(waits, serves);
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("waking: about "), "{err}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["active"], &told["expectedReadySeconds"]), (&true.into(), &0.into()));
}
