//! The HPA's arithmetic, held against Kubernetes' own: vectors that its code computed.
//!
//! `tests/data/hpa/README.md` says with which version and how to make them again; Go is not needed
//! here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use prescale::engine::replay::hpa::{Behavior, Hpa, Rules, Select, Step, Sync};
use prescale::engine::replay::law::Metric;
use prescale::engine::units::Timestamp;
use serde_json::Value;

/// More than any vector asks for, and the most that one policy may allow.
const FAR: u32 = 1_000_000;

fn lines(text: &str) -> impl Iterator<Item = (usize, Value)> {
    text.lines().enumerate().map(|(idx, line)| (idx, serde_json::from_str(line).unwrap()))
}

fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap()
}

fn float(value: &Value) -> f64 {
    value.as_str().unwrap().parse().unwrap()
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap())
}

fn thousandths(value: &Value) -> f64 {
    value.as_f64().unwrap() / 1000.0
}

/// A metric of `[kind, target]` that read `value`, both in thousandths; `None` for null.
fn metric(spec: &Value, value: &Value) -> Option<Metric> {
    let target = thousandths(&spec[1]);
    if value.is_null() {
        return None;
    }
    Some(match spec[0].as_str().unwrap() {
        "average" => Metric::Average { value: thousandths(value), target },
        "value" => Metric::Value { value: thousandths(value), target },
        "pods" => {
            // The adapter in between cuts off what is below a thousandth: there has to be some.
            let values = value.as_array().unwrap().iter();
            let values = values.map(|value| (value.as_f64().unwrap() + 0.5) / 1000.0).collect();
            Metric::Pods { values, target }
        }
        kind => panic!("{kind}"),
    })
}

/// `row` begins with replicas: specification, status, ready, pending.
fn read<'a>(row: &[Value], metrics: &'a [Option<Metric>]) -> Sync<'a> {
    let [spec, status, ready, pending] = [0, 1, 2, 3].map(|idx: usize| number(&row[idx]));
    Sync { spec, status, ready, pending, metrics }
}

#[test]
fn each_metric_asks_for_what_the_replica_calculator_computes() {
    let mut seen = 0;
    for (idx, line) in lines(include_str!("data/hpa/calculator.jsonl")) {
        let open = |tolerance| Rules {
            stabilization: Duration::ZERO,
            tolerance: Some(tolerance),
            select: Select::Max,
            policies: vec![Step::Pods { value: FAR, period: Duration::from_secs(15) }],
        };
        let rules = Some((open(float(&line["up"])), open(float(&line["down"]))));
        let metrics = [metric(&line["metric"], &line["reading"][4])];
        let sync = read(line["reading"].as_array().unwrap(), &metrics);
        let found = Hpa::new(Behavior { rules, ..Behavior::plain(1, FAR) })
            .sync(&sync, Timestamp::default());
        // An error sets nothing.
        let expected = line["result"].as_i64().unwrap_or_else(|| i64::from(sync.spec));
        assert_eq!(i64::from(found), expected.clamp(1, i64::from(FAR)), "vector {idx}: {line}");
        seen += 1;
    }
    assert_eq!(seen, 400);
}

fn rules(line: &Value) -> Rules {
    let policies = line["policies"].as_array().unwrap().iter().map(|policy| {
        let (value, period) = (number(&policy[1]), seconds(&policy[2]));
        match policy[0].as_str().unwrap() {
            "Pods" => Step::Pods { value, period },
            "Percent" => Step::Percent { value, period },
            kind => panic!("{kind}"),
        }
    });
    Rules {
        stabilization: seconds(&line["window"]),
        tolerance: Some(&line["tolerance"]).filter(|value| !value.is_null()).map(float),
        select: match line["select"].as_str().unwrap() {
            "Max" => Select::Max,
            "Min" => Select::Min,
            "Disabled" => Select::Disabled,
            select => panic!("{select}"),
        },
        policies: policies.collect(),
    }
}

fn behavior(line: &Value) -> Behavior {
    let (min, max) = (number(&line["min"]), number(&line["max"]));
    let named = match line["behavior"].as_str().unwrap() {
        "plain" => Behavior::plain(min, max),
        "defaults" => Behavior::defaults(min, max),
        // As shipped when they were made: down one pod a minute.
        "shipped" => {
            let mut shipped = Behavior::shipped(min, max);
            let period = Duration::from_mins(1);
            let rules = shipped.rules.as_mut();
            rules.unwrap().1.policies = vec![Step::Pods { value: 1, period }];
            shipped
        }
        "rules" => Behavior {
            rules: Some((rules(&line["rules"][0]), rules(&line["rules"][1]))),
            ..Behavior::plain(min, max)
        },
        name => panic!("{name}"),
    };
    Behavior {
        tolerance: float(&line["tolerance"]),
        stabilization: seconds(&line["window"]),
        ..named
    }
}

#[test]
fn an_hpa_over_time_sets_what_the_controller_sets() {
    let mut seen = 0;
    for (idx, line) in lines(include_str!("data/hpa/sequences.jsonl")) {
        let mut hpa = Hpa::new(behavior(&line));
        let mut now = Timestamp::from_unix_ms(946_684_800_000);
        let specs = line["metrics"].as_array().unwrap();
        for (round, row) in line["syncs"].as_array().unwrap().iter().enumerate() {
            let row = row.as_array().unwrap();
            now = now.plus(Duration::from_millis(row[0].as_u64().unwrap()));
            let values = specs.iter().zip(&row[5..]);
            let metrics: Vec<_> = values.map(|(spec, value)| metric(spec, value)).collect();
            let found = hpa.sync(&read(&row[1..], &metrics), now);
            let expected = number(&row[5 + specs.len()]);
            assert_eq!(found, expected, "vector {idx}, sync {round}, {row:?} of {line}");
        }
        seen += 1;
    }
    assert_eq!(seen, 200);
}
