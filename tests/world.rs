//! The simulated replica before any claim is made with it: its closed form against the loop that it
//! stands for, and how its capacity depends on requests and hardware.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its case has failed")]

#[path = "world/naive.rs"]
mod naive;

use std::time::Duration;

use naive::Naive;
use prescale::engine::replay::knee::knee;
use prescale::engine::replay::profile::{Profile, Settings};
use prescale::engine::replay::replica::{Events, Replica, Request};
use prescale::engine::replay::request::Arrival;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};

/// A request and the milliseconds since the one before.
type Push = (u64, u32, u32, u32);

#[derive(Debug, Clone)]
struct Case {
    settings: Settings,
    pushes: Vec<Push>,
    /// Milliseconds between looks at the one in closed form.
    look: u64,
}

fn profile() -> impl Strategy<Value = Profile> {
    let kv = prop_oneof![Just(0_u64), 300..4000_u64, Just(421_000)];
    (kv, 1..24_u32, 1..12_u32, 0..200_u32, 0..3_u32).prop_map(
        |(kv_tokens, block_tokens, max_sequences, spare, cost)| Profile {
            kv_tokens,
            block_tokens,
            max_sequences,
            token_budget: max_sequences + spare,
            per_kv_token: f64::from(cost) * 3.7e-6,
            ..Profile::llama_3_8b_h100()
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let push = (0..700_u64, 1..400_u32, 0..300_u32, 1..150_u32);
    let patience = prop_oneof![Just(None), (50..3000_u64).prop_map(Some)];
    let pushes = proptest::collection::vec(push, 1..40);
    (profile(), pushes, patience, any::<bool>(), 1..2000_u64).prop_map(
        |(profile, pushes, patience, capped, look)| {
            let patience = patience.map(Duration::from_millis);
            let max_queued = capped.then_some(9);
            let settings = Settings { profile, patience, max_queued, ..Settings::demo() };
            Case { settings, pushes, look }
        },
    )
}

fn request(at: Duration, (_, prompt, cached, output): Push) -> Request {
    Request { arrived: at, queued: at, prompt, cached: cached.min(prompt - 1), output }
}

/// In the order of time, and among equals of size: within an iteration there is no order.
fn sorted(mut events: Events) -> Events {
    events.answered.sort_by_key(|token| (token.at, token.ttft));
    events.finished.sort_by_key(|done| (done.at, done.ttft, done.output));
    events
}

fn check(case: &Case) {
    let Case { settings, pushes, look } = case;
    let (mut closed, mut naive) = (Replica::new(settings), Naive::new(settings.clone()));
    let (mut of_closed, mut of_naive) = (Events::default(), Events::default());
    let total = settings.profile.kv_tokens / u64::from(settings.profile.block_tokens);
    let blocks = |replica: &Replica| {
        let used = replica.kv_usage() * f64::from(u32::try_from(total).unwrap());
        Duration::from_secs_f64(used.round()).as_secs()
    };
    let end = (120_000, 1, 0, 1);
    let (mut now, mut seen) = (0, 0);
    for push in pushes.iter().chain([&end]) {
        now += push.0;
        while seen + look < now {
            seen += look;
            closed.advance(Duration::from_millis(seen), &mut of_closed);
        }
        let at = Duration::from_millis(now);
        closed.advance(at, &mut of_closed);
        naive.advance(at, &mut of_naive);
        assert_eq!(closed.totals(), &naive.totals, "at {at:?}");
        let inside = (closed.waiting(), closed.running(), blocks(&closed));
        assert_eq!(inside, (naive.waiting(), naive.running(), naive.kv_blocks()), "at {at:?}");
        assert_eq!(closed.push(request(at, *push)), naive.push(request(at, *push)));
    }
    assert_eq!(sorted(of_closed), sorted(of_naive));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_closed_form_is_the_loop_iteration_by_iteration(case in case()) {
        check(&case);
    }
}

/// Requests of one size.
fn mix(prompt: u32, output: u32) -> Vec<Arrival> {
    vec![Arrival { at: Duration::ZERO, prompt, cached: 0, output }]
}

#[test]
fn knees_follow_the_size_of_requests_and_the_hardware() {
    let of = |profile: Profile, prompt, output| {
        knee(&Settings { profile, ..Settings::demo() }, &mix(prompt, output))
    };
    let small = of(Profile::llama_3_8b_h100(), 1155, 211);
    assert!(small > of(Profile::llama_3_8b_h100(), 2310, 422) * 1.9);
    assert!(small > of(Profile::llama_3_8b_a100(), 1155, 211) * 1.5);
    // 54 prompts of 300 tokens: 4 ms + 16 200 x 12 us + 54 x 20 us.
    let encoder = of(Profile::bert_gpu(), 300, 1);
    assert!((encoder - 54.0 / 0.19948).abs() < 2.0, "{encoder}");
}
