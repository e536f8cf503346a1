//! exploration
use prescale::demo::rehearsal::{Account, Rehearsal};
use prescale::engine::decision::Verdict;
use prescale::engine::step::{Memory, step};
use prescale::spec::{Limits, Spec, parse};
use std::collections::BTreeMap;
use std::time::Duration;

fn spec(profile: Option<&str>, extra: &[(&str, &str)]) -> Spec {
    let mut m: BTreeMap<String, String> = [
        ("engine", "vllm"),
        ("endpoints", "dns://vllm-headless:8000/metrics"),
        ("gateway", "keda-http"),
        ("activationEndpoints", "http://gateway:8000/metrics"),
        ("maxReplicas", "40"),
        ("tick", "15s"),
    ]
    .iter()
    .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
    .collect();
    if let Some(p) = profile {
        m.insert("profile".into(), p.into());
    }
    for (a, b) in extra {
        m.insert((*a).into(), (*b).into());
    }
    parse("demo", "vllm", &m, &Limits::default()).unwrap()
}
#[test]
fn explore() {
    let day: Vec<(f64, f64)> = [
        (0.000, 2.0),
        (0.055, 2.0),
        (0.390, 30.0),
        (0.500, 30.0),
        (0.525, 54.0),
        (0.570, 54.0),
        (0.580, 28.0),
        (0.670, 9.0),
        (0.750, 9.0),
        (0.775, 0.0),
        (0.930, 0.0),
        (0.931, 3.0),
        (1.0, 3.0),
    ]
    .iter()
    .map(|(a, b)| (a * 180.0, *b))
    .collect();
    let three: Vec<(f64, f64)> =
        (0..3).flat_map(|d| day.iter().map(move |(a, b)| (a + 180.1 * f64::from(d), *b))).collect();
    let runs: Vec<(&str, &str, Vec<(f64, f64)>, u32, Option<&str>)> = vec![
        ("knee1", "", vec![(0.0, 9.0), (20.0, 9.0)], 1, None),
        ("day-prof", "v", day.clone(), 1, Some("llama-3-8b-h100")),
        ("day-none", "v", day, 1, None),
        ("3days-prof", "", three.clone(), 1, Some("llama-3-8b-h100")),
        ("3days-none", "", three, 1, None),
        ("const4", "c", vec![(0.0, 4.0), (90.0, 4.0)], 2, None),
        ("const20", "c", vec![(0.0, 20.0), (90.0, 20.0)], 2, None),
        ("const60", "c", vec![(0.0, 60.0), (60.0, 60.0)], 4, None),
        ("const20p", "c", vec![(0.0, 20.0), (90.0, 20.0)], 2, Some("llama-3-8b-h100")),
    ];
    let only = std::env::var("ONLY").unwrap_or_default();
    for (name, how, course, n, prof) in runs {
        if !only.is_empty() && !name.contains(&only) {
            continue;
        }
        let t = std::time::Instant::now();
        let extra: Vec<(&str, &str)> =
            std::env::var("TTFT").ok().map(|_| ("ttft", "3s")).into_iter().collect();
        let sp = spec(prof, &extra);
        let mut fleet = Rehearsal::new(1, n, &course);
        let mut mem = Memory::default();
        let minutes = course.last().unwrap().0;
        let mut range: Option<(u32, u32)> = None;
        let mut warm: Option<Account> = None;
        let mut prev: Option<Account> = None;
        for k in 0..(minutes * 4.0) as u32 {
            fleet.pass(Duration::from_secs(15));
            let o = fleet.observe(&sp.target);
            let s = step(&sp.setup, &o, mem);
            mem = s.memory;
            let d = s.decision;
            let (r, a) = match &d.verdict {
                Verdict::Scale { replicas, active, .. } => (Some(replicas.get()), Some(*active)),
                Verdict::Refuse(_) => (None, None),
            };
            if name != "knee1" {
                fleet.scale(r, a, true);
            }
            let c = fleet.account();
            if k >= 120 {
                if let Some(r) = r {
                    range = Some(range.map_or((r, r), |(l, h)| (l.min(r), h.max(r))));
                }
                if warm.is_none() {
                    warm = Some(c);
                }
            }
            if (how == "v" && k % 8 == 0)
                || (name == "knee1" && k % 12 == 0)
                || (how == "c" && k % 40 == 0)
            {
                let g = mem.capacity.request_rate();
                let served = prev.map(|p| c.finished as f64 - p.finished as f64);
                println!(
                    "{name} {:5.1}m ready {}/{} waiting {} p95 {:?} G {:?} fin {:?} | {}",
                    f64::from(k) / 4.0,
                    c.ready,
                    c.wanted,
                    c.waiting,
                    c.ttft_p95.map(|d| d.as_secs_f64()),
                    g.map(|g| (g * 100.0).round() / 100.0),
                    served,
                    d.terms.first().map(ToString::to_string).unwrap_or_default()
                );
                prev = Some(c);
            }
        }
        let c = fleet.account();
        let w = warm.unwrap_or(c);
        println!(
            "== {name}: hours {:.2} attain {:.4} warm-attain {:.4} failed {} range {:?} G {:?} took {:?}",
            c.replica_hours,
            c.within as f64 / c.arrived as f64,
            (c.within - w.within) as f64 / ((c.arrived - w.arrived).max(1)) as f64,
            c.failed,
            range,
            mem.capacity.request_rate(),
            t.elapsed()
        );
    }
}
