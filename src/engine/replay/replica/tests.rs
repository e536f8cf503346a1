//! What a replica does, and that its closed form is the loop that it stands for.

use std::time::Duration;

use crate::engine::replay::profile::{Profile, Settings};
use crate::engine::replay::replica::{Events, Replica, Request, float};

fn request(prompt: u32, output: u32) -> Request {
    let zero = Duration::ZERO;
    Request { arrived: zero, queued: zero, prompt, cached: 0, output }
}

fn replica(profile: Profile, requests: &[Request]) -> Replica {
    let mut replica = Replica::new(&Settings { profile, ..Settings::demo() });
    requests.iter().for_each(|request| assert!(replica.push(*request)));
    replica
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn one_request_alone_takes_its_prefill_and_seven_milliseconds_a_token() {
    let mut replica = replica(Profile::llama_3_8b_h100(), &[request(1000, 100)]);
    let mut events = Events::default();
    replica.advance(seconds(2), &mut events);
    // 6.9 ms + 1000 x 31 us + 4 us + 15.6 ms of overhead.
    let ttft = events.answered[0].ttft.as_secs_f64();
    assert!((ttft - 0.0535).abs() < 0.0002, "{ttft}");
    let totals = replica.totals();
    assert_eq!((totals.finished, totals.generation_tokens, totals.itl.count()), (1, 100, 99));
    let itl = totals.itl.sum() / 99.0;
    assert!((itl - 0.007).abs() < 0.0002, "{itl}");
    let e2e = events.finished[0].e2e.as_secs_f64();
    assert!((e2e - ttft - 99.0 * itl).abs() < 1e-6, "{e2e}");
    assert!((totals.busy.as_secs_f64() + 0.0156 - e2e).abs() < 1e-6, "{:?}", totals.busy);
    assert_eq!(replica.blocks.usage().0, 0);
}

#[test]
fn a_full_cache_of_the_8b_on_an_h100_gives_a_token_in_34_to_39_milliseconds() {
    // As many as fit, each near the end of its 2 560 tokens: 160 x 2600 of 421 000.
    let mut replica = replica(Profile::llama_3_8b_h100(), &[request(2500, 101); 160]);
    replica.advance(seconds(14), &mut Events::default());
    let before = replica.totals().clone();
    let mut to = seconds(14);
    while replica.kv_usage() < 0.985 && replica.in_flight() == 160 {
        to += Duration::from_millis(10);
        replica.advance(to, &mut Events::default());
    }
    replica.advance(to + Duration::from_millis(200), &mut Events::default());
    let after = replica.totals();
    let busy = (after.itl.sum() - before.itl.sum()) / float(after.itl.count() - before.itl.count());
    assert!((0.034..0.041).contains(&busy), "{busy} {}", replica.kv_usage());
}

#[test]
fn a_full_batch_leaves_the_rest_waiting() {
    let profile = Profile { max_sequences: 256, ..Profile::llama_3_8b_h100() };
    let mut replica = replica(profile, &[request(8, 5000); 300]);
    replica.advance(seconds(2), &mut Events::default());
    assert_eq!((replica.running(), replica.waiting()), (256, 44));
}

#[test]
fn a_full_cache_preempts_and_still_serves_everybody_once() {
    let profile = Profile { kv_tokens: 2000, ..Profile::llama_3_8b_h100() };
    let mut replica = replica(profile, &[request(400, 300); 12]);
    let mut events = Events::default();
    let mut fullest: f64 = 0.0;
    for tenth in 1..600 {
        replica.advance(Duration::from_millis(100 * tenth), &mut events);
        fullest = fullest.max(replica.kv_usage());
    }
    // 125 blocks, of which one is never given out.
    assert!(
        replica.totals().preemptions > 0 && fullest > 0.9 && fullest <= 124.0 / 125.0,
        "{fullest}"
    );
    assert_eq!((replica.totals().finished, events.answered.len()), (12, 12));
    assert_eq!(replica.totals().generation_tokens, 12 * 300);
    assert_eq!(replica.blocks.usage().0, 0);
}

#[test]
fn tokens_are_conserved() {
    let sizes = [request(600, 180), request(1800, 350), request(3500, 450), request(6000, 700)];
    let mut replica = replica(Profile::llama_3_8b_h100(), &sizes);
    replica.advance(seconds(60), &mut Events::default());
    let totals = replica.totals();
    assert_eq!((totals.prompt_tokens, totals.generation_tokens), (11_900, 1680));
    assert_eq!(totals.itl.count(), 1676);
    assert_eq!((replica.in_flight(), replica.blocks.usage().0), (0, 0));
}

#[test]
fn queue_time_is_observed_when_a_request_finishes() {
    let profile = Profile { max_sequences: 1, ..Profile::llama_3_8b_h100() };
    let mut replica = replica(profile, &[request(100, 1000); 2]);
    let mut counts = Vec::new();
    for second in [1, 8, 16] {
        replica.advance(seconds(second), &mut Events::default());
        let totals = replica.totals();
        counts.push((totals.ttft.count(), totals.queue.count(), totals.e2e.count()));
    }
    assert_eq!(counts, [(1, 0, 0), (2, 1, 1), (2, 2, 2)]);
    let waited = replica.totals().queue.sum();
    assert!((6.5..7.5).contains(&waited), "{waited}");
}

#[test]
fn cached_tokens_cost_no_computing() {
    let ttft = |cached| {
        let mut replica =
            replica(Profile::llama_3_8b_h100(), &[Request { cached, ..request(4000, 2) }]);
        let mut events = Events::default();
        replica.advance(seconds(9), &mut events);
        assert_eq!(replica.totals().cached_tokens, u64::from(cached.min(3999)));
        events.answered[0].ttft.as_secs_f64()
    };
    assert!((ttft(0) - ttft(3000) - (3000.0 * 31e-6 - 3000.0 * 76e-9)).abs() < 1e-6);
    assert!(ttft(9999) > 0.0156, "one token is always computed");
}

#[test]
fn an_encoder_finishes_with_its_prefill_and_has_no_cache() {
    let mut replica = replica(Profile::bert_gpu(), &[request(300, 50); 1000]);
    let mut events = Events::default();
    replica.advance(Duration::from_millis(1), &mut events);
    // 54 whole prompts of 300 fit into 16 384 tokens.
    assert_eq!((events.finished.len(), replica.waiting()), (54, 946));
    replica.advance(seconds(60), &mut events);
    assert_eq!((replica.totals().finished, replica.totals().generation_tokens), (1000, 1000));
    assert!(replica.kv_usage().abs() < f64::EPSILON);
    assert!(replica.push(request(40_000, 1)), "longer than the budget: alone");
    replica.advance(seconds(120), &mut events);
    assert_eq!(replica.totals().finished, 1001);
}

#[test]
fn what_can_never_fit_is_refused() {
    let mut replica = replica(Profile { kv_tokens: 2000, ..Profile::llama_3_8b_h100() }, &[]);
    assert!(!replica.push(request(1900, 200)) && replica.push(request(1900, 80)));
    replica.advance(seconds(60), &mut Events::default());
    assert_eq!((replica.totals().rejected, replica.totals().finished), (1, 1));
}
