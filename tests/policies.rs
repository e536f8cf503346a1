//! docs/policies.md says what the table of policies says. `UPDATE_GOLDEN=1 cargo test --test policies`
//! rewrites it.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its page has failed")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use prescale::engine::replay::hpa::{Behavior, Rules, Step};
use prescale::engine::replay::policy::{Actuator, Context, Keda, POLICIES, Policy};
use prescale::engine::replay::profile::Profile;
use prescale::engine::replay::score::Objectives;
use prescale::engine::units::Timestamp;
use prescale::spec::{Limits, parse};

const HEAD: &str = "# Policies\n\n\
    What `prescale backtest` compares: each policy with its source, how it differs from the original here, and the one\n\
    number that a sweep turns. Written by `UPDATE_GOLDEN=1 cargo test --test policies` from the table in\n\
    `src/engine/replay/policy.rs`.\n\n\
    All of them live in the same simulated world and see it as their metrics pipeline shows it: samples as old as they are\n\
    scraped, at most five minutes, never the world itself. `static-peak`, `keda-queue-cron`, `nowcast` and `oracle` know the trace\n\
    beforehand, as their sections say. Every policy is kept within the limits of the run; where these allow no replica at\n\
    all, it sleeps and wakes as its source does. Policies are compared at equal attainment, over their sweeps, not at\n\
    their defaults.\n";

fn context() -> Context {
    Context {
        objectives: Objectives { ttft: Duration::from_secs(3), tpot: Duration::from_millis(100) },
        limits: (0, 8),
        profile: Profile::llama_3_8b_h100(),
        knee: 1.0,
        cold_start: Duration::from_secs(100),
        setup: parse("team-a", "llama", &BTreeMap::new(), &Limits::default()).unwrap().setup,
        arrivals: Arc::from([]),
        length: Duration::from_hours(1),
        origin: Timestamp::default(),
    }
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs())
}

fn rules(direction: &str, rules: &Rules) -> String {
    let policy = |policy: &Step| match policy {
        Step::Pods { value, period } => format!("{value} pods per {}", seconds(*period)),
        Step::Percent { value, period } => format!("{value} % per {}", seconds(*period)),
    };
    let policies: Vec<String> = rules.policies.iter().map(policy).collect();
    let tolerance =
        rules.tolerance.map_or_else(String::new, |ratio| format!(", tolerance {ratio}"));
    let window = seconds(rules.stabilization);
    format!("{direction} {} after {window}{tolerance}", policies.join(" or "))
}

fn behavior(hpa: &Behavior) -> String {
    match &hpa.rules {
        Some((up, down)) => format!("{}; {}", rules("up", up), rules("down", down)),
        None => {
            let window = seconds(hpa.stabilization);
            format!(
                "no `behavior` (up to double, at least 4; down after {window}; tolerance {})",
                hpa.tolerance
            )
        }
    }
}

fn acts(policy: &Policy) -> String {
    match (policy.actuator)(&context()) {
        Actuator::Direct => "its own controller, at once".to_owned(),
        // At least one replica although the run allows none: there is no KEDA in it.
        Actuator::Keda(Keda { min: 1, hpa, .. }) => format!("the HPA: {}", behavior(&hpa)),
        Actuator::Keda(Keda { polling, cooldown, push, hpa, min: _ }) => {
            let (polling, cooldown) = (seconds(polling), seconds(cooldown));
            let push = if push { ", wakes by push" } else { "" };
            format!("KEDA: polling {polling}, cooldown {cooldown}{push}; HPA: {}", behavior(&hpa))
        }
    }
}

fn section(page: &mut String, policy: &Policy) {
    let Policy { name, about, source, simplifications, knob, every, quantile, scrape, .. } = policy;
    writeln!(page, "\n## {name}\n\n{about}\n").unwrap();
    writeln!(page, "- Source: {source}").unwrap();
    writeln!(page, "- Looks every {}", seconds(*every)).unwrap();
    if let Some(scrape) = scrape {
        writeln!(page, "- Scrapes by itself, every {}", seconds(*scrape)).unwrap();
    }
    if let Some(quantile) = quantile {
        writeln!(page, "- Reads latencies at their quantile {quantile}").unwrap();
    }
    writeln!(page, "- Who acts: {}", acts(policy)).unwrap();
    if let Some(knob) = knob {
        let values: Vec<String> = knob.values.iter().map(f64::to_string).collect();
        writeln!(page, "- Swept: {}, default {}", knob.name, knob.default).unwrap();
        writeln!(page, "  - from cheap to safe: {}", values.join(", ")).unwrap();
    }
    writeln!(page, "- Simplified here:").unwrap();
    for simplification in *simplifications {
        writeln!(page, "  - {simplification}").unwrap();
    }
}

#[test]
fn the_page_says_what_the_table_says() {
    let mut page = HEAD.to_owned();
    POLICIES.iter().for_each(|policy| section(&mut page, policy));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies.md");
    #[expect(clippy::disallowed_methods, reason = "the switch that renews golden files")]
    if std::env::var("UPDATE_GOLDEN").is_ok() {
        std::fs::write(path, &page).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap();
    assert!(page == golden, "run with UPDATE_GOLDEN=1 and review the change:\n{page}");
}
