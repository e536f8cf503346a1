//! Behaviour over time: scenario files go in, what was decided and why comes out, and the golden
//! file's diff is the review. `UPDATE_GOLDEN=1 cargo test --test scenarios` rewrites them.
//!
//! A line is `# comment`, `setup key=value ..`, `<time> key=value ..`, `<time> restart-memory`,
//! `<time> ask` (`POST /wake`), `<time> show` or `<time> end`. The engine ticks every 15 s; a line is
//! printed whenever state, count or activity change, and at `show`.
#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

#[path = "scenarios/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use prescale::engine::calendar::{Bound, Calendar, Entry, Rule};
use prescale::engine::decision::{Decision, Verdict};
use prescale::engine::invariants::violations;
use prescale::engine::setup::{
    CapacitySeed, Family, Forecasting, GpuTargets, Lead, Objectives, OnNoData, OwnRole, OwnSignal,
    Setup, Strategy, Targets,
};
use prescale::engine::step::{Memory, Step, step};
use prescale::engine::units::{Ratio, Replicas};

use world::World;

fn setup() -> Setup {
    Setup {
        family: Family::Llm,
        has_kv: true,
        prefill_waits: false,
        targets: Targets { kv_cache: Ratio::try_new(0.7).ok(), ..Targets::default() },
        gpu: GpuTargets::default(),
        objectives: Objectives::default(),
        own: Vec::new(),
        activation: 0.0,
        wake_path: false,
        idle_after: Duration::from_mins(5),
        activation_timeout: None,
        strategy: Strategy::Auto,
        lead: Lead::Learned,
        capacity: CapacitySeed::default(),
        min_replicas: None,
        max_replicas: Some(Replicas::new(12)),
        replicas_limit: Replicas::new(1000),
        calendar: Calendar::default(),
        headroom: Ratio::try_new(0.7).unwrap(),
        on_no_data: OnNoData::Hold,
        hpa_tolerance: None,
        forecast: Forecasting::default(),
        tick: Duration::from_secs(15),
    }
}

fn configure(setup: &mut Setup, key: &str, value: &str) {
    let number = || value.parse::<f64>().unwrap();
    let ratio = || Ratio::try_new(value.parse().unwrap()).unwrap();
    let seconds = || Duration::from_secs_f64(value.parse().unwrap());
    match key {
        "family" if value == "gpu" => (setup.family, setup.has_kv) = (Family::Gpu, false),
        "family" if value == "custom" => (setup.family, setup.has_kv) = (Family::Custom, false),
        "gpu" => setup.gpu.utilization = Some(ratio()),
        "gpu_memory" => setup.gpu.memory = Some(ratio()),
        "queue" => setup.targets.queue_depth = Some(number()),
        "concurrency" => setup.targets.concurrency = Some(number()),
        "request_rate" => setup.targets.request_rate = Some(number()),
        "wake" => setup.wake_path = true,
        "activation" => setup.activation = number(),
        "idle" => setup.idle_after = seconds(),
        "lead" => setup.lead = Lead::Fixed(seconds()),
        "min" => setup.min_replicas = Some(Replicas::new(value.parse().unwrap())),
        "max" => setup.max_replicas = Some(Replicas::new(value.parse().unwrap())),
        "floor" | "ceiling" => {
            let entries = setup.calendar.entries().iter().cloned();
            setup.calendar = Calendar::new(entries.chain([scheduled(key, value)]).collect());
        }
        "ttft" => setup.objectives.ttft = Some(seconds()),
        "generation" => setup.capacity.generation_tokens_per_second = Some(number()),
        "tolerance" => setup.hpa_tolerance = Some(ratio()),
        "strategy" if value == "shadow" => setup.strategy = Strategy::Shadow,
        "no_data" if value == "zero" => setup.on_no_data = OnNoData::Zero,
        "no_data" if value == "floor" => setup.on_no_data = OnNoData::Floor,
        "own" | "own_mean" | "own_activation" => {
            let (name, target) = value.split_once(':').unwrap();
            let role = if key == "own_activation" { OwnRole::Activation } else { OwnRole::Demand };
            let (name, target) = (name.to_owned(), target.parse().unwrap());
            setup.own.push(OwnSignal { name, target, role, total: key != "own_mean" });
        }
        _ => panic!("unknown setup {key}={value}"),
    }
}

/// `10..25:6` as an entry of the calendar: a floor of 6 from minute 10 of the scenario, which begins at
/// 08:00 UTC, to minute 25, in KEDA's form; or a ceiling within the first hour, in AHPA's.
fn scheduled(key: &str, value: &str) -> Entry {
    let (span, count) = value.split_once(':').unwrap();
    let (from, to) = span.split_once("..").unwrap();
    let (from, to): (u32, u32) = (from.parse().unwrap(), to.parse().unwrap());
    let replicas = Replicas::new(count.parse().unwrap());
    let at = |minute: u32| format!("{} {} * * *", minute % 60, 8 + minute / 60).parse().unwrap();
    let rule = if key == "floor" {
        Rule::Between { start: at(from), end: at(to), desired: replicas }
    } else {
        let cron = format!("{from}-{} 8 * * *", to - 1).parse().unwrap();
        let bounds = vec![Bound { cron, min: None, max: Some(replicas) }];
        Rule::Matching { from: None, until: None, bounds }
    };
    Entry { zone: chrono_tz::Tz::UTC, rule }
}

/// `1:30` or `90` as seconds.
fn seconds(text: &str) -> u64 {
    let (minutes, seconds) = text.split_once(':').unwrap_or(("0", text));
    minutes.parse::<u64>().unwrap() * 60 + seconds.parse::<u64>().unwrap()
}

fn told(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Scale { replicas, sent, active } => {
            let activity = if *active { "active" } else { "inactive" };
            let sent = if sent == replicas { String::new() } else { format!(" (sent {sent})") };
            format!("{replicas}{sent} {activity}")
        }
        Verdict::Refuse(refusal) => format!("refused: {refusal}"),
    }
}

/// What must change for a line to be printed: not the seconds in a text.
fn face(decision: &Decision) -> String {
    let told = match &decision.verdict {
        Verdict::Refuse(_) => "refused".to_owned(),
        number => told(number),
    };
    format!("{} {told} {:?} {}", decision.state, decision.active(), decision.serving)
}

fn print(out: &mut String, elapsed: u64, decision: &Decision) {
    let (minutes, seconds) = (elapsed / 60, elapsed % 60);
    let current = decision.current.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let ready = decision.ready.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let told = told(&decision.verdict);
    writeln!(out, "{minutes}:{seconds:02} {} {told} [{ready}/{current} ready]", decision.state)
        .unwrap();
    for term in decision.terms.iter().take(3) {
        writeln!(out, "      | {term}").unwrap();
    }
    for reason in &decision.reasons {
        assert!(reason.to_string().len() <= 120, "{reason}");
        writeln!(out, "      - {reason}").unwrap();
    }
}

struct Run {
    setup: Setup,
    world: World,
    memory: Memory,
    elapsed: u64,
    decision: Option<Decision>,
    out: String,
    range: Option<(u32, u32)>,
}

impl Run {
    fn new() -> Self {
        Self {
            setup: setup(),
            world: World::new(),
            memory: Memory::default(),
            elapsed: 0,
            decision: None,
            out: String::new(),
            range: None,
        }
    }

    /// Ticks until `until` seconds have passed.
    fn tick_until(&mut self, until: u64) {
        while self.elapsed + 15 <= until {
            self.elapsed += 15;
            self.world.advance(self.setup.tick, self.decision.as_ref());
            self.tick();
        }
    }

    fn tick(&mut self) {
        let observation = self.world.observe();
        let before = self.memory.clone();
        let Step { decision, memory, .. } = step(&self.setup, &observation, before.clone());
        let broken = violations(&self.setup, &observation, &before, &decision);
        assert!(broken.is_empty(), "at {} s: {broken:?} in {decision:#?}", self.elapsed);
        let stored = serde_json::to_string(&memory).unwrap();
        // What the forecast learned is not stored, but rebuilt from minutes.
        let restored: Memory = serde_json::from_str(&stored).unwrap();
        let kept = Memory { foresight: restored.foresight.clone(), ..memory.clone() };
        assert_eq!(restored, kept);
        let changed = self.decision.as_ref().is_none_or(|last| face(last) != face(&decision));
        if changed {
            print(&mut self.out, self.elapsed, &decision);
        }
        if let Verdict::Scale { replicas, .. } = decision.unmasked {
            let count = replicas.get();
            let (low, high) = self.range.unwrap_or((count, count));
            self.range = Some((low.min(count), high.max(count)));
        }
        self.memory = memory;
        self.decision = Some(decision);
    }

    fn line(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap();
        if first == "setup" {
            for (key, value) in words.filter_map(|word| word.split_once('=')) {
                configure(&mut self.setup, key, value);
            }
            return;
        }
        self.tick_until(seconds(first));
        writeln!(self.out, "> {line}").unwrap();
        for word in words {
            match (word, word.split_once('=')) {
                (_, Some(("range", expected))) => self.check_range(expected),
                (_, Some((key, value))) => self.world.set(key, value),
                ("restart-memory", None) => self.memory = Memory::default(),
                ("forget-range", None) => self.range = None,
                ("show", None) => {
                    print(&mut self.out, self.elapsed, self.decision.as_ref().unwrap());
                }
                ("ask", None) => self.memory.wake.ask(self.world.now),
                ("end", None) => {}
                _ => panic!("unknown word {word}"),
            }
        }
    }

    /// The decisions since the last `forget-range` stayed within `low..high`.
    fn check_range(&self, expected: &str) {
        let (low, high) = expected.split_once("..").unwrap();
        let (low, high): (u32, u32) = (low.parse().unwrap(), high.parse().unwrap());
        let (least, most) = self.range.unwrap();
        assert!(
            least >= low && most <= high,
            "{least}..{most} is not within {low}..{high}\n{}",
            self.out
        );
    }
}

fn run(script: &str) -> String {
    let mut run = Run::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') {
            writeln!(run.out, "{line}").unwrap();
        } else {
            run.line(line);
        }
    }
    run.out
}

fn check(path: &Path) -> Result<(), String> {
    let script = std::fs::read_to_string(path).unwrap();
    let out = run(&script);
    assert_eq!(out, run(&script), "the same scenario gives the same bytes");
    let golden = path.with_extension("golden");
    if update() {
        std::fs::write(&golden, &out).unwrap();
        return Ok(());
    }
    let expected = std::fs::read_to_string(&golden).unwrap_or_default();
    if expected == out {
        return Ok(());
    }
    let differs = expected.lines().zip(out.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or_else(|| expected.lines().count().min(out.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("<end>").to_owned();
    Err(format!(
        "{} line {}:\n  expected {}\n  got      {}",
        golden.display(),
        line + 1,
        at(&expected),
        at(&out)
    ))
}

#[expect(clippy::disallowed_methods, reason = "a switch of this test, not of the product")]
fn update() -> bool {
    std::env::var("UPDATE_GOLDEN").is_ok()
}

#[test]
fn scenarios_end_as_their_golden_files_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let scripts: BTreeSet<PathBuf> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    assert!(scripts.len() >= 20, "scenario files are missing");
    let failures: Vec<String> = scripts.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
