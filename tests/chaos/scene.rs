//! A busy scene: 40 minutes of a fleet of large models, a rise, a burst, a lull.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prescale::engine::replay::knee::knee;
use prescale::engine::replay::law::Law;
use prescale::engine::replay::policy::{Actuator, Context, Policy, find};
use prescale::engine::replay::profile::{Profile, Settings};
use prescale::engine::replay::random::Random;
use prescale::engine::replay::request::Arrival;
use prescale::engine::replay::run::Scene;
use prescale::engine::replay::scrape::Pipeline;
use prescale::engine::replay::traffic::Arrivals;
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

const LENGTH: Duration = Duration::from_mins(40);

/// When the burst begins.
pub(crate) const BURST: Duration = Duration::from_mins(18);

/// What one replica carries of these requests, per second.
static KNEE: LazyLock<f64> = LazyLock::new(|| {
    let scene = scene(0);
    knee(&scene.settings, &scene.arrivals)
});

/// Requests per second by share of the time: from two replicas to seven and back.
const COURSE: [(f64, f64); 7] =
    [(0.0, 1.5), (0.15, 1.5), (0.4, 4.0), (0.45, 4.0), (0.5, 6.5), (0.65, 6.0), (1.0, 1.5)];

/// Weight, prompt and output tokens.
const SIZES: [(f64, u32, u32); 2] = [(0.7, 3000, 300), (0.3, 8000, 600)];

/// The scene of a seed, undisturbed.
pub(crate) fn scene(seed: u64) -> Scene {
    let profile = Profile::named("qwen3-32b-tp2-h100").unwrap();
    let settings = Settings { profile, ..Settings::demo() };
    let arrivals: Arc<[Arrival]> =
        Arrivals::along(Random::new(seed), LENGTH, &COURSE, &SIZES).all();
    Scene {
        arrivals,
        length: LENGTH,
        origin: Timestamp::from_unix_ms(1_772_433_000_000),
        objectives: settings.objectives,
        initial: 2,
        seed,
        pipeline: Pipeline {
            interval: Duration::from_secs(15),
            window: Duration::from_mins(2),
            quantile: 0.95,
        },
        settings,
        limits: (0, 12),
        disturbances: Vec::new(),
    }
}

/// What the policy may know: prescale's trigger as a user writes it.
pub(crate) fn context(scene: &Scene) -> Context {
    let keys = [("engine", "vllm"), ("gateway", "keda-http"), ("maxReplicas", "12")];
    let metadata: BTreeMap<String, String> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let spec = parse("demo", "vllm", &metadata, &Limits::default()).unwrap();
    Context {
        objectives: scene.objectives,
        limits: scene.limits,
        profile: scene.settings.profile.clone(),
        knee: *KNEE,
        cold_start: scene.settings.cold_start.total(),
        setup: spec.setup,
        arrivals: Arc::clone(&scene.arrivals),
        length: scene.length,
        origin: scene.origin,
    }
}

fn policy() -> &'static Policy {
    find("prescale-reactive").unwrap()
}

/// The law that is tried, at its default.
pub(crate) fn law(context: &Context) -> Box<dyn Law> {
    (policy().law)(context, policy().knob.unwrap().default)
}

/// Who acts on it.
pub(crate) fn actuator(context: &Context) -> Actuator {
    (policy().actuator)(context)
}
