//! The registry of scalers in a scripted world and on a paused clock: who is admitted, what an
//! edited trigger inherits, who is forgotten, and that no scaler's fault reaches another.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::decision::State;
use prescale::engine::units::Timestamp;
use prescale::scaler::{Reference, Refused, Registry, Unanswered};
use prescale::spec::Limits;
use prometheus_client::encoding::text::encode;
use scripted::{Plan, Script, Scripted, reference};

/// Monday 2026-01-05 00:00:07 UTC: between two ticks.
const ORIGIN: i64 = 1_767_571_207_000;

fn registry_with(limits: Limits) -> (Arc<Registry>, Arc<Script>) {
    let script = Arc::new(Script::default());
    let world = Arc::new(Scripted(Arc::clone(&script)));
    let clock = Clock::scaled(Timestamp::from_unix_ms(ORIGIN), 1.0);
    (Registry::in_world(world, clock, limits), script)
}

fn registry() -> (Arc<Registry>, Arc<Script>) {
    registry_with(Limits::default())
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Asks for `reference` every 30 s for `seconds`, as KEDA does.
async fn poll(registry: &Arc<Registry>, reference: &Reference, seconds: u64) {
    for _ in 0..seconds / 30 {
        registry.scaler(reference).unwrap();
        pass(30).await;
    }
}

fn metrics(registry: &Registry) -> String {
    let mut text = String::new();
    let mut page = prometheus_client::registry::Registry::default();
    registry.metrics().register(&mut page);
    encode(&mut text, &page).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn ticks_stand_at_multiples_of_the_tick_and_the_first_comes_at_once() {
    let (registry, script) = registry();
    let scaler = registry.scaler(&reference("ns", "llama", &[])).unwrap();
    scaler.first_tick(Duration::from_secs(1)).await;
    assert_eq!(registry.clock().elapsed(), Duration::ZERO);
    pass(60).await;
    let at: Vec<i64> = script.ticks("llama").iter().map(|at| at.unix_ms() - ORIGIN).collect();
    assert_eq!(at, [-7_000, 8_000, 23_000, 38_000, 53_000]);
}

#[tokio::test(start_paused = true)]
async fn a_scaler_is_known_by_namespace_name_and_metadata() {
    let (registry, _) = registry();
    let rows = [
        reference("ns", "llama", &[]),
        reference("ns", "llama", &[("queueDepth", "4")]),
        reference("ns", "mistral", &[]),
        reference("other", "llama", &[]),
    ];
    for row in &rows {
        let first = registry.scaler(row).unwrap();
        let second = registry.scaler(row).unwrap();
        assert!(Arc::ptr_eq(&first, &second), "{row:?}");
    }
    assert_eq!(registry.all().len(), rows.len());
    assert_eq!(registry.named("ns", "llama").len(), 2);
    assert!(metrics(&registry).contains("prescale_scalers 4"));
}

#[tokio::test(start_paused = true)]
async fn only_new_scalers_are_refused_when_it_is_full() {
    let limits = Limits { scalers: 3, per_namespace: 2, ..Limits::default() };
    let (registry, _) = registry_with(limits);
    registry.scaler(&reference("a", "one", &[])).unwrap();
    registry.scaler(&reference("a", "two", &[])).unwrap();
    let of_namespace = registry.scaler(&reference("a", "three", &[])).unwrap_err();
    assert_eq!(
        of_namespace,
        Refused::Full(
            "namespace a has 2 scalers, as many as limits.perNamespace allows".to_owned()
        )
    );
    registry.scaler(&reference("b", "one", &[])).unwrap();
    let of_all = registry.scaler(&reference("c", "one", &[])).unwrap_err();
    assert_eq!(
        of_all,
        Refused::Full("the server has 3 scalers, as many as limits.scalers allows".to_owned())
    );
    registry.scaler(&reference("a", "one", &[])).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_names_and_of_wrong_triggers_leaves_bounded_traces() {
    let limits = Limits { scalers: 100, per_namespace: 50, ..Limits::default() };
    let (registry, script) = registry_with(limits);
    let victim = reference("victim", "llama", &[]);
    let scaler = registry.scaler(&victim).unwrap();
    scaler.first_tick(Duration::from_secs(1)).await;
    let before = scaler.latest().unwrap();
    for number in 0..20_000 {
        let name = format!("flood-{number}");
        let namespace = format!("tenant-{}", number % 3);
        drop(registry.scaler(&reference(&namespace, &name, &[])));
    }
    assert_eq!(registry.all().len(), 100);
    assert_eq!(script.parsed(), 100, "a reference without room is refused before it is parsed");
    assert!(Arc::ptr_eq(&registry.scaler(&victim).unwrap().latest().unwrap(), &before));
}

/// T10: a hundred thousand names between the ticks of a victim. What it decides is what its twin in an
/// empty registry decides, bit for bit, and what is kept of the names is bounded.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_refused_names_change_no_bit_of_a_victims_decisions() {
    const NAMES: usize = 100_000;
    let limits = Limits { scalers: 1_000, per_namespace: 100, ..Limits::default() };
    let (flooded, script) = registry_with(limits);
    let (calm, _) = registry_with(limits);
    let victim = reference("victim", "llama", &[]);
    let mut decisions = Vec::new();
    let mut refused = 0;
    for tick in 0..10 {
        for registry in [&flooded, &calm] {
            registry.scaler(&victim).unwrap();
        }
        for number in (0..NAMES / 10).map(|number| number * 10 + tick) {
            let (namespace, name) = (format!("t{}", number % 13), format!("flood-{number}"));
            let wrong = format!("{number}%");
            let pairs = if number % 3 == 0 { vec![("kvCache", wrong.as_str())] } else { vec![] };
            refused += usize::from(flooded.scaler(&reference(&namespace, &name, &pairs)).is_err());
        }
        pass(15).await;
        let told = [&flooded, &calm].map(|it| it.scaler(&victim).unwrap().latest().unwrap());
        assert_eq!(format!("{:?}", told[0]), format!("{:?}", told[1]), "tick {tick}");
        assert_eq!(serde_json::to_vec(&*told[0]).unwrap(), serde_json::to_vec(&*told[1]).unwrap());
        decisions.push(told[0].at);
    }
    decisions.dedup();
    assert_eq!(decisions.len(), 10, "a decision each tick");
    assert_eq!(flooded.all().len(), 1_000, "as many as there is room for");
    assert_eq!(refused, NAMES - 999);
    let page = metrics(&flooded);
    assert!(page.lines().count() < 50 && !page.contains("flood"), "{page}");
    assert!(script.parsed() < NAMES / 2, "names without room are not parsed: {}", script.parsed());
}

/// T11: one tenant has five thousand scalers whose reads take a second each, a hundred have one. The
/// small ones tick as if they were alone, while the large one waits for itself.
#[tokio::test(start_paused = true)]
async fn five_thousand_scalers_of_one_tenant_cost_a_hundred_others_no_tick() {
    const SMALL: usize = 100;
    let ticks = |loud: usize| async move {
        let limits = Limits { scalers: 10_000, per_namespace: 5_000, ..Limits::default() };
        let (registry, script) = registry_with(limits);
        for number in 0..loud {
            let name = format!("loud-{number}");
            script.set(&name, Plan::Slow(Duration::from_secs(1)));
            registry.scaler(&reference("loud", &name, &[])).unwrap();
        }
        for number in 0..SMALL {
            let name = format!("small-{number}");
            script.set(&name, Plan::Slow(Duration::from_millis(200)));
            registry.scaler(&reference(&format!("tenant-{number}"), &name, &[])).unwrap();
        }
        let mut stale = 0;
        for _ in 0..10 {
            pass(15).await;
            let now = registry.clock().now();
            for number in 0..SMALL {
                let scaler =
                    registry.named(&format!("tenant-{number}"), &format!("small-{number}"));
                let at = scaler[0].latest().unwrap().at;
                stale += usize::from(now.since(at) > Duration::from_secs(15));
            }
        }
        let counts: Vec<usize> =
            (0..SMALL).map(|number| script.ticks(&format!("small-{number}")).len()).collect();
        let loud: usize =
            (0..loud).map(|number| script.ticks(&format!("loud-{number}")).len()).sum();
        (counts, stale, loud, script.inside_max())
    };
    let (alone, beside) = (ticks(0).await, ticks(5_000).await);
    assert_eq!(alone.0, beside.0, "as many ticks as alone");
    assert_eq!((alone.1, beside.1), (0, 0), "never older than a tick");
    assert!(beside.2 >= 64 * 140 && beside.2 <= 64 * 152, "64 at a time: {}", beside.2);
    assert!(beside.3 <= 64 + SMALL, "{}", beside.3);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_trigger_is_parsed_once_however_often_it_is_sent() {
    let (registry, script) = registry();
    let wrong = reference("ns", "llama", &[("kvCache", "85")]);
    for _ in 0..10_000 {
        assert!(matches!(registry.scaler(&wrong), Err(Refused::Metadata(_))));
    }
    assert_eq!(script.parsed(), 1);
    for number in 1_000..6_000 {
        let value = number.to_string();
        let other = reference("ns", "llama", &[("kvCache", &value)]);
        assert!(matches!(registry.scaler(&other), Err(Refused::Metadata(_))));
    }
    assert!(registry.scaler(&wrong).is_err());
    assert_eq!(script.parsed(), 5_002, "the oldest is forgotten, so that memory is bounded");
    assert!(registry.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn names_that_could_write_into_a_log_or_a_label_are_refused() {
    let (registry, script) = registry();
    for name in ["a\nb", "a\u{1b}[31mb", "a\"b", "a'b", "a{b}", "", "A", &"a".repeat(254)] {
        let refused = registry.scaler(&reference("ns", name, &[])).unwrap_err();
        assert!(matches!(refused, Refused::Malformed(_)), "{name:?}");
        let text = refused.to_string();
        assert!(!text.contains('\n') && text.len() <= 200, "{text}");
    }
    assert_eq!(script.parsed(), 0);
    assert!(registry.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_edited_trigger_goes_on_from_where_its_sibling_was() {
    let (registry, script) = registry();
    registry.scaler(&reference("ns", "llama", &[("tick", "5")])).unwrap();
    pass(47).await;
    let last = *script.ticks("llama").last().unwrap();
    let edited = registry.scaler(&reference("ns", "llama", &[("tick", "60")])).unwrap();
    edited.first_tick(Duration::from_secs(1)).await;
    // Alone it would begin at the last whole minute, before what the inherited memory has seen.
    assert_eq!(edited.latest().unwrap().at, last);
    let stranger = registry.scaler(&reference("ns", "other", &[("tick", "60")])).unwrap();
    stranger.first_tick(Duration::from_secs(1)).await;
    assert!(stranger.latest().unwrap().at < last);
}

/// Which of two triggers was edited cannot be seen, and an edit lowers nothing.
#[tokio::test(start_paused = true)]
async fn an_edited_trigger_goes_on_from_the_sibling_that_wanted_most() {
    let (registry, _) = registry();
    let wants = [("10", 8), ("20", 2)];
    for (tick, replicas) in wants {
        let scaler = registry.scaler(&reference("ns", "llama", &[("tick", tick)])).unwrap();
        scaler.revise(|memory| memory.last = Some(replicas));
        pass(1).await;
    }
    let edited = registry.scaler(&reference("ns", "llama", &[("tick", "30")])).unwrap();
    assert_eq!(edited.memory().last, Some(8), "although the other was asked last");
}

#[tokio::test(start_paused = true)]
async fn a_sibling_not_asked_for_three_polls_is_retired() {
    let (registry, _) = registry();
    let (old, new) = (reference("ns", "llama", &[]), reference("ns", "llama", &[("a", "b")]));
    poll(&registry, &old, 300).await;
    poll(&registry, &new, 60).await;
    assert_eq!(registry.named("ns", "llama").len(), 2);
    poll(&registry, &new, 90).await;
    assert_eq!(registry.named("ns", "llama").len(), 1);
    assert!(metrics(&registry).contains("prescale_scalers_removed_total{cause=\"superseded\"} 1"));
}

#[tokio::test(start_paused = true)]
async fn two_triggers_of_one_object_do_not_retire_each_other() {
    let (registry, _) = registry();
    let (one, two) = (reference("ns", "llama", &[]), reference("ns", "llama", &[("a", "b")]));
    let first = registry.scaler(&one).unwrap();
    registry.scaler(&two).unwrap();
    for _ in 0..20 {
        // The first is polled every 300 s only, the second at every HPA sync as well.
        drop(registry.scaler(&one).unwrap());
        poll(&registry, &two, 300).await;
    }
    assert!(Arc::ptr_eq(&first, &registry.scaler(&one).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_scaler_is_forgotten_after_an_hour_unless_a_stream_is_open() {
    let (registry, script) = registry();
    let (idle, watched) = (reference("ns", "idle", &[]), reference("ns", "watched", &[]));
    let mut ends = registry.scaler(&idle).unwrap().watch();
    let stream = registry.scaler(&watched).unwrap().open_stream();
    pass(3_590).await;
    assert_eq!(registry.all().len(), 2);
    pass(30).await;
    assert_eq!(registry.all().len(), 1);
    while ends.changed().await.is_ok() {}
    let ticks = script.ticks("idle").len();
    pass(300).await;
    assert_eq!(script.ticks("idle").len(), ticks, "its ticks have ended");
    drop(stream);
    pass(30).await;
    assert!(registry.all().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_scalers_refusal_and_the_third_pauses_it() {
    let (registry, script) = registry();
    script.set("bad", Plan::Panic);
    let bad = registry.scaler(&reference("ns", "bad", &[])).unwrap();
    let good = registry.scaler(&reference("ns", "good", &[])).unwrap();
    pass(1).await;
    assert_eq!(bad.answer().unwrap_err(), Unanswered::Failed);
    pass(60).await;
    assert_eq!(bad.answer().unwrap_err(), Unanswered::Paused);
    assert_eq!(script.ticks("bad").len(), 3);
    assert!(good.answer().is_ok());
    assert!(script.ticks("good").len() >= 5);
    script.set("bad", Plan::Want(2, State::Fresh));
    pass(650).await;
    assert!(bad.answer().is_ok(), "after ten minutes it may try again");
}

#[tokio::test(start_paused = true)]
async fn a_scaler_whose_life_ended_is_made_anew_by_the_next_call() {
    let (registry, script) = registry();
    let llama = reference("ns", "llama", &[]);
    registry.scaler(&llama).unwrap();
    pass(1).await;
    script.set("llama", Plan::Break);
    pass(15).await;
    assert!(registry.all().is_empty());
    script.set("llama", Plan::Want(2, State::Fresh));
    let anew = registry.scaler(&llama).unwrap();
    pass(1).await;
    assert!(anew.answer().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_told_while_its_data_is_trustworthy_although_ticks_hang() {
    let (registry, script) = registry();
    let scaler = registry.scaler(&reference("ns", "llama", &[("tick", "60")])).unwrap();
    pass(1).await;
    let decided = scaler.latest().unwrap();
    script.set("llama", Plan::Hang);
    pass(62).await;
    assert!(Arc::ptr_eq(&scaler.answer().unwrap(), &decided), "hanging delays no answer");
    pass(70).await;
    let without = scaler.latest().unwrap();
    assert!(!Arc::ptr_eq(&without, &decided), "a hanging observation is given up");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_new_scalers_share_the_places_for_observations() {
    let (registry, script) = registry();
    let mut scalers = BTreeMap::new();
    for number in 0..10_000 {
        let name = format!("s{number}");
        script.set(&name, Plan::Slow(Duration::from_millis(100)));
        let namespace = format!("ns{}", number % 40);
        let scaler = registry.scaler(&reference(&namespace, &name, &[])).unwrap();
        scalers.insert(name, scaler);
    }
    pass(10).await;
    assert!(scalers.values().all(|scaler| scaler.latest().is_some()));
    assert!(script.inside_max() <= 512, "{}", script.inside_max());
}

#[tokio::test(start_paused = true)]
async fn one_namespace_in_which_all_hangs_leaves_places_to_the_others() {
    let (registry, script) = registry();
    for number in 0..500 {
        let name = format!("hung{number}");
        script.set(&name, Plan::Hang);
        registry.scaler(&reference("hung", &name, &[])).unwrap();
    }
    let other = registry.scaler(&reference("other", "llama", &[])).unwrap();
    pass(1).await;
    assert!(other.answer().is_ok());
    assert_eq!(script.inside_max(), 65);
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_decided_upon_at_once() {
    let (registry, script) = registry();
    let scaler = registry.scaler(&reference("ns", "llama", &[])).unwrap();
    pass(1).await;
    let ticks = script.ticks("llama").len();
    scaler.revise(|_memory| {});
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(script.ticks("llama").len(), ticks + 1);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_ticks_and_watches_and_admits_nobody() {
    let (registry, script) = registry();
    script.set("hung", Plan::Hang);
    let llama = reference("ns", "llama", &[]);
    let mut ends = registry.scaler(&llama).unwrap().watch();
    registry.scaler(&reference("ns", "hung", &[])).unwrap();
    pass(1).await;
    registry.shutdown().await;
    while ends.changed().await.is_ok() {}
    assert_eq!(registry.scaler(&llama).unwrap_err(), Refused::Ending);
    assert!(registry.all().is_empty());
}
