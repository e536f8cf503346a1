//! What a real `prescale serve` says after it has read nine days from a real Prometheus.
//!
//! Said the same, to the letter, by the API, `prescale explain` and the page: they are three views of one
//! decision, and are compared when no tick came between them. The page has no data of its own but what it
//! shows, so its text is compared.
//!
//! Said the same, within what is stated, by the engine when it is given the same days
//!
//! - as the generator of the history knows them ([`Past::minute`]), apart from Prometheus and the
//!   back-fill, but for minutes that the server knows nothing of: some between the end of the past and the
//!   first tick, the more the busier the machine. It may differ by whole requests and by scrapes.
//! - as a backtest replays them ([`crate::replayed`]): read by `backtest`'s own reader with a query of
//!   its own, drawn as single requests, served by simulated replicas, measured tick by tick by the
//!   engine. It may differ by what chance and scrapes do to single minutes: requests drawn once scatter
//!   by 6 % in the last one, which every horizon begins with.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use prescale::clock::Clock;
use prescale::engine::arrived::Minute;
use prescale::engine::decision::{Stage, Trust};
use prescale::engine::foresight::{Carries, Foresight};
use prescale::engine::units::Timestamp;
use prescale::spec::{self, Limits};
use prescale::store::{Identity, Key, Store};
use serde_json::Value;

use crate::fleet::{Fleet, Past, WORK};
use crate::program::Program;
use crate::{config, is_taught, replayed, told, trigger, until};

/// What does not belong to a decision, but to the moment of looking.
const OF_THE_MOMENT: [&str; 5] =
    ["decisionAgeSeconds", "dataAgeSeconds", "lastCallSeconds", "ageSeconds", "openStreams"];

/// Minutes between the end of the past and the first tick, on a machine where learning takes as long as
/// it may.
const MISSING_MAX: u64 = 8;

/// Topics of lines with an age in them.
const AGING: [&str; 2] = ["replicas", "state"];

fn setup(trigger: &[(&str, &str)]) -> prescale::engine::setup::Setup {
    let metadata = trigger.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    spec::parse("llm", "chat", &metadata.collect(), &Limits::default()).unwrap().setup
}

/// The API, `explain` and the page, of one decision upon data that was read: where others have the cores,
/// Prometheus may be late for a tick.
async fn views(program: &Program) -> (Value, Value, String) {
    for _ in 0..60 {
        let first = told(program).await;
        let server = format!("http://{}", program.http);
        let explain = tokio::task::spawn_blocking(move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
            command.args(["explain", "llm/chat", "-o", "json", "--server", &server]);
            command.env_clear().output().unwrap()
        });
        let explain = explain.await.unwrap();
        assert!(explain.status.success(), "{}", String::from_utf8_lossy(&explain.stderr));
        let page = program.get("/scalers/llm/chat").await;
        let last = told(program).await;
        if first["decidedAtMs"] == last["decidedAtMs"] && first["state"] == "fresh" {
            return (first, serde_json::from_slice(&explain.stdout).unwrap(), page);
        }
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    panic!("a tick came between each time, or nothing was read");
}

/// Without what belongs to the moment of looking.
fn lasting(mut told: Value) -> Value {
    for key in OF_THE_MOMENT {
        told.as_object_mut().unwrap().remove(key);
    }
    told["explanation"]
        .as_array_mut()
        .unwrap()
        .retain(|line| !AGING.contains(&line["topic"].as_str().unwrap()));
    told
}

fn the_page_says(page: &str, told: &Value) {
    let page = page.replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">");
    let page = page.to_lowercase();
    let says = |text: &str| assert!(page.contains(&text.to_lowercase()), "{text:?} in {page}");
    let lines = told["explanation"].as_array().unwrap();
    let lasting = lines.iter().filter(|line| !AGING.contains(&line["topic"].as_str().unwrap()));
    lasting.for_each(|line| says(line["text"].as_str().unwrap()));
    says(&format!("<b>{}</b> <span>forecast, does not count</span>", told["foreseen"]["replicas"]));
    let coverage = told["coverage"]["share"].as_f64().unwrap() * 100.0;
    says(&format!("<b>{coverage:.1} %</b>"));
}

/// What the engine says of minutes, the last of them at `newest`.
#[derive(Debug)]
pub(crate) struct Says {
    pub(crate) stage: Stage,
    pub(crate) trust: Trust,
    pub(crate) coverage: f64,
    /// Median and quantile of work per second at each horizon.
    pub(crate) bands: Vec<(u32, f64, f64)>,
}

impl Says {
    pub(crate) fn of(foresight: &mut Foresight, newest: Timestamp, lead: Duration) -> Self {
        let setup = setup(&trigger("scaleStrategy", "observer"));
        let ahead = foresight.ahead(&setup, newest.plus(Minute::LENGTH), lead).unwrap();
        let (coverage, _) = foresight.coverage().unwrap();
        let bands = foresight.bands(setup.forecast.quantile);
        Self { stage: ahead.stage, trust: ahead.trust, coverage, bands }
    }

    fn skill(&self) -> Option<f64> {
        match self.trust {
            Trust::Young { .. } => None,
            Trust::Trusted { ratio, .. } | Trust::Demoted { ratio, .. } => Some(ratio),
        }
    }
}

/// How far two may be apart.
struct Within {
    /// Each horizon's median and quantile, as a share.
    bands: f64,
    skill: f64,
    coverage: f64,
}

fn alike(what: &str, told: &Value, says: &Says, within: &Within) {
    let word = match says.trust {
        Trust::Young { .. } => "young",
        Trust::Trusted { .. } => "trusted",
        Trust::Demoted { .. } => "demoted",
    };
    let row = format!("{what}: {} {} {says:?}", told["skill"], told["coverage"]);
    let mut worst: f64 = 0.0;
    for (band, (minutes, median, upper)) in
        told["bands"]["points"].as_array().unwrap().iter().zip(&says.bands)
    {
        assert_eq!(band["minutes"].as_u64(), Some(u64::from(*minutes)));
        for (found, expected) in [(&band["median"], median), (&band["upper"], upper)] {
            worst = worst.max((found.as_f64().unwrap() / expected - 1.0).abs());
        }
    }
    let skill = (told["skill"].as_f64().unwrap() - says.skill().unwrap()).abs();
    let coverage = (told["coverage"]["share"].as_f64().unwrap() - says.coverage).abs();
    eprintln!("{what}: bands {worst:.4}, skill {skill:.4}, coverage {coverage:.4} apart; {row}");
    assert_eq!(told["stage"], says.stage.to_string(), "{row}");
    assert_eq!(told["trust"], word, "{row}");
    assert!(worst <= within.bands, "{row} {:#}", told["bands"]);
    assert!(skill <= within.skill && coverage <= within.coverage, "{row}");
}

/// The minutes until `newest` of which the server that stored here knows something.
fn read(dir: &Path, newest: Timestamp) -> Vec<Timestamp> {
    let store = Store::open(dir, Clock::system()).unwrap();
    let (namespace, name) = ("llm".to_owned(), "chat".to_owned());
    let identity = Identity { namespace, name, workload: String::new(), engine: "vllm".to_owned() };
    let key = Key { identity, trigger: String::new() };
    let minutes = store.minutes(&key, Timestamp::default()).into_iter();
    let known = minutes.filter(|minute| minute.is_known() && minute.at <= newest);
    known.map(|minute| minute.at).collect()
}

/// The same minutes as their generator knows them.
fn known(past: &Past, read: &[Timestamp], lead: Duration) -> Foresight {
    let minute = |at: &Timestamp| {
        let requests = past.minute(at.unix_ms() / 1000);
        Minute { at: *at, requests: Some(requests), work: Some(requests * WORK), replicas: None }
    };
    let minutes: Vec<Minute> = read.iter().map(minute).collect();
    Foresight::of(&setup(&trigger("scaleStrategy", "observer")), lead, Carries::default(), &minutes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn api_page_and_explain_say_what_a_replay_of_the_same_days_says() {
    let Some(fleet) = Fleet::start().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let program = Program::start(&config(&fleet.prometheus, dir.path()), "text").await;
    let trigger = trigger("scaleStrategy", "observer");
    until(&program, &trigger, is_taught).await;
    let (told, explain, page) = views(&program).await;
    assert_eq!(lasting(told.clone()), lasting(explain));
    the_page_says(&page, &told);
    assert_eq!(told["verdict"]["readiness"], "ready", "{told:#}");
    let first = told["bands"]["points"][0]["atMs"].as_i64().unwrap();
    let newest = Timestamp::from_unix_ms(first).minus(2 * Minute::LENGTH);
    let lead = Duration::from_secs_f64(told["leadSeconds"].as_f64().unwrap());
    program.end();
    let read = read(dir.path(), newest);
    assert_eq!(read.last(), Some(&newest), "stored at its end");
    let days = newest.since(Timestamp::from_unix_ms(fleet.past.learned_from() * 1000));
    let missing = days.as_secs() / 60 + 1 - u64::try_from(read.len()).unwrap();
    assert!(missing <= MISSING_MAX, "{missing} minutes are unknown");
    let says = Says::of(&mut known(&fleet.past, &read, lead), newest, lead);
    alike("as generated", &told, &says, &Within { bands: 0.05, skill: 0.03, coverage: 0.01 });
    let says = replayed::says(&fleet, newest, lead).await;
    alike("as replayed", &told, &says, &Within { bands: 0.25, skill: 0.15, coverage: 0.03 });
}
