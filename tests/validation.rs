//! The world before any claim is made with it: a replica and a whole run beside what others have
//! published. Figures are printed where a bound is missed.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

use std::time::Duration;

use prescale::engine::replay::knee::knee;
use prescale::engine::replay::profile::{ColdStart, Profile, Settings};
use prescale::engine::replay::random::Random;
use prescale::engine::replay::replica::{Events, Replica, Request};
use prescale::engine::replay::request::Arrival;
use prescale::engine::replay::score::Objectives;

#[path = "validation/ramp.rs"]
mod ramp;
#[path = "support/replayed.rs"]
mod replayed;

use ramp::{Spacing, Spread};

fn settings(profile: Profile) -> Settings {
    let objectives = Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) };
    Settings { profile, objectives, cold_start: ColdStart::warm_node(), ..Settings::demo() }
}

fn request(at: Duration, prompt: u32, output: u32) -> Request {
    Request { arrived: at, queued: at, prompt, cached: 0, output }
}

/// Mean time between tokens of `count` equal requests, while all of them decode.
fn between_tokens(profile: Profile, count: usize, prompt: u32, output: u32) -> f64 {
    let mut replica = Replica::new(&settings(profile));
    for _ in 0..count {
        assert!(replica.push(request(Duration::ZERO, prompt, output)));
    }
    let (mut now, mut before) = (Duration::ZERO, None);
    while replica.in_flight() == count {
        now += Duration::from_millis(20);
        replica.advance(now, &mut Events::default());
        let (itl, all) = (&replica.totals().itl, replica.totals().ttft.count());
        if before.is_none() && usize::try_from(all).unwrap() == count {
            before = Some((itl.sum(), itl.count()));
        }
    }
    let (sum, seen) = before.unwrap();
    let itl = &replica.totals().itl;
    assert_eq!(replica.totals().preemptions, 0, "the cache is as full as it gets, not fuller");
    (itl.sum() - sum) / f64::from(u32::try_from(itl.count() - seen).unwrap())
}

#[test]
fn the_8b_on_an_h100_gives_a_token_in_7_ms_alone_and_in_34_to_39_with_a_full_cache() {
    // BLIS and Vidur, of which the constants are: that the loop adds nothing of its own is checked.
    let alone = between_tokens(Profile::llama_3_8b_h100(), 1, 1000, 200) * 1000.0;
    assert!((6.8..7.2).contains(&alone), "{alone} ms alone");
    // 160 x 2625 of 421 000 tokens.
    let full = between_tokens(Profile::llama_3_8b_h100(), 160, 2525, 100) * 1000.0;
    assert!((34.0..=40.0).contains(&full), "{full} ms with a full cache");
}

#[test]
fn the_32b_on_two_h100_carries_what_llm_d_measured() {
    let mix = [Arrival { at: Duration::ZERO, prompt: 4000, cached: 0, output: 1000 }];
    let found = knee(&settings(Profile::qwen3_32b_tp2_h100()), &mix);
    assert!((1.4..=1.5).contains(&found), "{found} requests/s of 4000 and 1000 tokens");
}

#[test]
fn eight_static_replicas_meet_the_objectives_of_nearly_everybody_on_llm_ds_ramp() {
    for spacing in [Spacing::Even, Spacing::Poisson] {
        let found = Spread::of("static-peak", spacing);
        // Published: 100 % at 8.
        assert!(found.attained.0 >= 99.5 && (found.replicas - 8.0).abs() < 0.01, "{found:?}");
    }
}

/// llm-d's guide publishes 95.8 % at 5.93 replicas, over repeated episodes of constant rates, and says
/// where the rest goes: to one transient at the first step that exceeds three replicas, until pods
/// have started. So it does here. Evenly spaced, the published figure lies two points above the best
/// of ten seeds: some 400 requests more are late, a minute of that step, probably because the
/// predictor that stands in for theirs foresees a queue only when there is one. With Poisson
/// arrivals, where seeds differ more, it lies within their spread.
#[test]
fn the_slo_aware_policy_does_on_llm_ds_ramp_what_its_guide_says() {
    let published = 95.8;
    let even = Spread::of("slo-aware", Spacing::Even);
    let poisson = Spread::of("slo-aware", Spacing::Poisson);
    let ((low, _), (least, most)) = (even.attained, poisson.attained);
    assert!(low > published - 6.0 && even.attained.1 > published - 3.0, "{even:?}");
    assert!((least..=most).contains(&published) && least > published - 8.0, "{poisson:?}");
    for spread in [&even, &poisson] {
        // 5.93; what it costs depends little on when within the transient it reacts.
        assert!((spread.replicas / 5.93 - 1.0).abs() < 0.05, "{spread:?}");
    }
    // The transient is one: before it the floor of three held, after it the peak runs clean.
    assert!(even.attained.1 - low < 6.0, "{even:?}");
}

#[test]
fn the_cache_of_an_8b_on_an_a100_is_not_what_limits_the_azure_conversations() {
    // 5.5 requests/s of 1155 and 211 tokens. Little: 5.5/s x some 3.5 s x 1260 tokens are 24 000 of
    // 421 000. Here a request takes 5.7 s, as computing prompts takes 43 % of the time: 40 000.
    let mut replica = Replica::new(&settings(Profile::llama_3_8b_a100()));
    let (mut random, mut at) = (Random::new(1), 0.0);
    let mut events = Events::default();
    let (mut fullest, mut waiting): (f64, usize) = (0.0, 0);
    while at < 1800.0 {
        at += random.exponential(5.5);
        let now = Duration::from_secs_f64(at);
        replica.advance(now, &mut events);
        fullest = fullest.max(replica.kv_usage());
        waiting = waiting.max(replica.waiting());
        assert!(replica.push(request(now, 1155, 211)));
    }
    let mean =
        replica.totals().e2e.sum() / f64::from(u32::try_from(events.finished.len()).unwrap());
    assert!((3.0..7.0).contains(&mean), "{mean} s a request");
    // Chance bursts take it to a quarter.
    assert!(fullest < 0.5, "{fullest} of the cache");
    let late = events.answered.iter().filter(|token| token.ttft > Duration::from_secs(3)).count();
    assert_eq!((late, replica.totals().preemptions), (0, 0), "{waiting} waited at most");
}
