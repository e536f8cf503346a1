//! The report of a backtest: its JSON contract, its table, and its page, opened in a real browser.
//!
//! To look at pages: `REPORT_OUT=/tmp cargo test --test backtest_report`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says aloud what it skipped"
)]

#[path = "backtest_report/browser.rs"]
mod browser;
#[path = "backtest_report/sample.rs"]
mod sample;

use std::path::Path;

use prescale::engine::replay::score::Score;
use prescale::report::backtest::html::html;
use prescale::report::backtest::json::json;
use prescale::report::backtest::table::table;
use prescale::report::backtest::{Backtest, Point, advice::advice};
use serde_json::Value;

/// Ends a script element, opens an element that would fetch and run, ends a comment and a line.
const HOSTILE: &str = "</script><img src=x onerror=alert(1)>{{style}}\"'--><!--\u{202e}\n";

fn hostile() -> Backtest {
    let mut backtest = sample::backtest(3, 50, 1);
    let text = HOSTILE.to_owned();
    backtest.trace.name.clone_from(&text);
    backtest.world.profile.clone_from(&text);
    backtest.command.clone_from(&text);
    backtest.advice = vec![text.clone()];
    for entry in &mut backtest.policies {
        entry.name = format!("{}{HOSTILE}", entry.name);
        entry.about.clone_from(&text);
        entry.source.clone_from(&text);
        entry.simplifications = vec![text.clone()];
        entry.knob = Some((text.clone(), 1.0));
    }
    for point in &mut backtest.sweep {
        point.name += HOSTILE;
    }
    backtest
}

/// Nobody arrived, nothing ran, numbers that no one could draw.
fn barren() -> Vec<Backtest> {
    let mut empty = sample::backtest(0, 1, 1);
    empty.trace.seconds = 0.0;
    let mut broken = sample::backtest(3, 50, 2);
    broken.trace.rate_mean = f64::NAN;
    broken.world.knee = f64::INFINITY;
    broken.world.gpu_price = Some(f64::NAN);
    broken.sweep[0].gpu_hours = f64::NAN;
    broken.sweep[1].slo_attainment = f64::NEG_INFINITY;
    for entry in &mut broken.policies {
        entry.course[3].demand = f64::NAN;
        entry.course[4].ttft_p95 = Some(f64::INFINITY);
        entry.scores = vec![Score { gpu_hours: f64::NAN, ..Score::default() }; 2];
    }
    let mut unrun = sample::backtest(2, 50, 1);
    for entry in &mut unrun.policies {
        entry.scores.clear();
        entry.course.clear();
    }
    vec![empty, broken, unrun]
}

#[test]
fn the_json_holds_every_key_of_the_contract() {
    let keys = [
        "slo_attainment",
        "gpu_hours",
        "replicas_mean",
        "replicas_min",
        "replicas_max",
        "desired_min",
        "desired_max",
        "cold_starts",
        "scale_events",
        "ttft_p50",
        "ttft_p95",
        "ttft_p99",
        "failed_requests",
        "cost",
    ];
    let found = json(&sample::backtest(4, 100, 3));
    assert_eq!(found["trace"]["requests"], 412_331);
    for policy in found["policies"].as_array().unwrap() {
        assert!(policy["name"].is_string());
        for key in keys {
            assert!(policy[key].is_f64(), "{key}: {}", policy[key]);
            let sd = format!("{key}_sd");
            assert!(policy[&sd].is_f64(), "{sd}: {}", policy[&sd]);
        }
    }
    for point in found["sweep"].as_array().unwrap() {
        for key in ["headroom", "slo_attainment", "gpu_hours"] {
            assert!(point[key].is_f64() && point["name"].is_string(), "{point}");
        }
    }
}

#[test]
fn the_figures_are_means_over_the_seeds_and_their_spread() {
    let mut backtest = sample::backtest(1, 50, 1);
    let row = |attained, gpu_hours, ttft_p99| Score {
        requests: 100,
        attained,
        gpu_hours,
        ttft_p99,
        ..Score::default()
    };
    backtest.policies[0].scores = vec![row(98, 10.0, None), row(100, 14.0, Some(2.5))];
    backtest.world.gpu_price = Some(2.0);
    let check = |backtest: &Backtest, key: &str, expected: Option<f64>| {
        let found = json(backtest)["policies"][0][key].clone();
        let near = match (found.as_f64(), expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (None, None) => found.is_null(),
            _ => false,
        };
        assert!(near, "{key}: {found}, not {expected:?}");
    };
    // Two values: the sample deviation is their distance over the root of 2.
    let root = 2.0_f64.sqrt();
    let rows = [
        ("slo_attainment", Some(0.99)),
        ("slo_attainment_sd", Some(0.02 / root)),
        ("gpu_hours", Some(12.0)),
        ("gpu_hours_sd", Some(4.0 / root)),
        ("cost", Some(24.0)),
        ("cost_sd", Some(8.0 / root)),
        ("ttft_p99", Some(2.5)),
        ("ttft_p99_sd", None),
        ("ttft_p50", None),
    ];
    rows.iter().for_each(|(key, expected)| check(&backtest, key, *expected));
    backtest.world.gpu_price = None;
    check(&backtest, "cost", None);
    check(&backtest, "cost_sd", None);
}

/// A policy's name, its requests out of 1000 that met their objectives, and its GPU-hours.
type Row = (&'static str, u64, f64);

fn outcome(rows: &[Row]) -> Backtest {
    let mut backtest = sample::backtest(rows.len(), 10, 1);
    for (entry, (name, attained, gpu_hours)) in backtest.policies.iter_mut().zip(rows) {
        let score = Score {
            requests: 1_000,
            attained: *attained,
            gpu_hours: *gpu_hours,
            ..Score::default()
        };
        (entry.name, entry.scores) = ((*name).to_owned(), vec![score]);
    }
    backtest.sweep.clear();
    backtest.trace.seconds = 86_400.0;
    backtest
}

#[test]
fn the_best_is_the_cheapest_that_attains_the_target_else_the_nearest() {
    let rows: [(&[Row], &str); 5] = [
        (&[("static-peak", 1_000, 96.0), ("a", 990, 50.0), ("b", 995, 60.0)], "a"),
        (&[("a", 980, 10.0), ("b", 985, 90.0)], "b"),
        (&[("a", 980, 10.0), ("b", 980, 9.0)], "b"),
        (&[("a", 990, 9.0), ("b", 999, 9.0)], "b"),
        (&[("oracle", 1_000, 1.0), ("a", 500, 50.0)], "a"),
    ];
    for (policies, expected) in rows {
        let found = json(&outcome(policies))["best"].clone();
        assert_eq!(found, expected, "{policies:?}");
    }
}

#[test]
fn what_is_saved_is_saved_against_always_on_and_extrapolated_aloud() {
    // 46 of 96 GPU-hours less in a day, at 2.49: 30 x 46 x 2.49 = 3,436.2.
    let told = table(&outcome(&[("static-peak", 1_000, 96.0), ("a", 990, 50.0)]), 200);
    let words: Vec<&str> = told.split_whitespace().collect();
    let expected = "a is the cheapest that attains 99%: 50.00 GPU-hours at 99%, 47.9% less than \
                    static-peak (96.00 at 100%). Extrapolated from 24 h to 30 days: 3,436 saved.";
    assert!(words.join(" ").contains(expected), "{told}");
}

#[test]
fn what_always_on_saves_by_failing_its_users_is_not_told_as_a_loss() {
    let told = |rows: &[Row]| {
        let told = table(&outcome(rows), 200);
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let failing = told(&[("static-peak", 110, 13.0), ("a", 820, 58.0)]);
    let expected = "a comes nearest to 99%, which no policy attains: 58.00 GPU-hours at 82% \
                    (static-peak: 13.00 at 11%).";
    assert!(failing.contains(expected) && !failing.contains("Extrapolated"), "{failing}");
    // Dearer than one that serves as well; cheaper than one that serves worse.
    for rows in [
        [("static-peak", 820, 58.0), ("a", 820, 50.0)],
        [("static-peak", 820, 50.0), ("a", 830, 49.0)],
    ] {
        let text = told(&rows);
        assert!(text.contains("less than static-peak"), "{text}");
    }
}

#[test]
fn advice_follows_from_figures() {
    let check = |backtest: &Backtest, expected: &[&str]| {
        let found = advice(backtest);
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}, not {expected}");
        }
    };
    check(&outcome(&[("static-peak", 1_000, 96.0)]), &[]);
    let mut both = outcome(&[("static-peak", 1_000, 96.0), ("prescale-reactive", 995, 50.0)]);
    check(&both, &["Use prescale-reactive in place of static-peak: 47.9% fewer"]);
    both.policies[1].knob = Some(("headroom".to_owned(), 0.7));
    both.sweep = vec![Point {
        name: "prescale-reactive".to_owned(),
        headroom: 0.8,
        slo_attainment: 0.99,
        gpu_hours: 40.0,
    }];
    check(&both, &["Use ", "Set headroom of prescale-reactive to 0.8 (now 0.7): 99% at 40.00"]);
    both.sweep[0].slo_attainment = 0.98;
    check(&both, &["Use "]);
    let mut lost = outcome(&[("oracle", 900, 96.0), ("a", 850, 50.0)]);
    check(&lost, &["Even oracle attains only 90% of the 99% aimed at"]);
    lost.policies[1].scores[0].desired_max = Some(12);
    check(&lost, &["Even oracle", "a wanted as many as the 12 replicas"]);
    lost.policies[1].scores[0].wakes = 3;
    check(&lost, &["Even oracle", "a wanted", "a woke from zero 3 times, 100 s each"]);
}

#[test]
fn the_table_reads_as_it_did_at_each_width() {
    let backtest = sample::backtest(6, 480, 3);
    for width in [60, 80, 140] {
        let found = table(&backtest, width);
        let widest = found.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} columns in {width}:\n{found}");
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/backtest_report/table-{width}.txt"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(found, expected, "table of width {width} (BLESS=1 writes it anew)");
    }
}

#[test]
fn no_number_is_too_strange_to_be_told() {
    for backtest in barren() {
        for text in [table(&backtest, 80), html(&backtest)] {
            let figures = text.split("<script>").next().unwrap();
            assert!(!figures.contains("NaN") && !figures.contains("inf"), "{figures}");
        }
        let text = json(&backtest).to_string();
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        assert!(advice(&backtest).iter().all(|sentence| !sentence.contains("NaN")));
    }
}

#[test]
fn the_page_is_small_and_the_same_each_time() {
    let backtest = sample::backtest(13, 500, 10);
    let page = html(&backtest);
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(!page.contains("[no slot"), "a slot of the template is not filled");
    assert_eq!(page, html(&sample::backtest(13, 500, 10)));
    let (unscripted, _) = page.split_once("id=\"data\"").unwrap();
    for figure in ["All 60 settings tried", "96.26 ±0.78", "at most ", "--gpu-price 2.49"] {
        assert!(unscripted.contains(figure), "without scripts {figure} is not to be read");
    }
    if let Some(folder) = std::env::var_os("REPORT_OUT") {
        let write = |name: &str, backtest: &Backtest| {
            std::fs::write(Path::new(&folder).join(name), html(backtest)).unwrap();
        };
        let mut elapsed = sample::backtest(13, 500, 10);
        elapsed.trace.begins_unix_ms = 0;
        write("report.html", &sample::backtest(6, 480, 3));
        write("report-13.html", &elapsed);
        write("report-hostile.html", &hostile());
    }
}

#[test]
fn the_page_names_nothing_that_a_browser_would_fetch() {
    let page = html(&sample::backtest(6, 100, 2));
    let (_, policy) = page.split_once("Content-Security-Policy\" content=\"").unwrap();
    let policy = policy.split('"').next().unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
    for fetching in [" src=", " href=", "url(", "@import", "<link", "<img", "<iframe", "import("] {
        assert!(!page.contains(fetching), "the page holds `{fetching}`");
    }
}

#[test]
fn hostile_names_stay_text() {
    let page = html(&hostile());
    assert_eq!(page.matches("</script>").count(), 3, "a name ended a script element");
    assert!(!page.contains("<img") && !page.contains('\u{202e}'));
    assert_eq!(page.matches("<!--").count(), 0);
    let text = table(&hostile(), 80);
    assert!(!text.contains('\u{202e}'), "{text}");
}

#[test]
fn a_browser_without_a_network_draws_every_chart() {
    for (name, backtest, charts) in
        [("sample", sample::backtest(13, 480, 3), 5), ("hostile", hostile(), 5)]
    {
        let Some(seen) = browser::open(&html(&backtest)) else { return };
        let drawn = format!("data-drawn=\"{charts}\"");
        assert!(seen.dom.contains(&drawn), "{name}: no {drawn}\n{}", seen.log);
        assert_eq!(seen.dom.matches("<canvas").count(), charts, "{name}");
        assert!(!seen.dom.contains("<img"), "{name}: a name became an element");
        assert!(!seen.log.contains("CONSOLE"), "{name}: {}", seen.log);
    }
}

/// Should escaping ever fail, the policy still forbids scripts and requests; and says so in the log
/// that the tests here look at.
#[test]
fn the_browser_refuses_what_was_smuggled_in() {
    let page = html(&sample::backtest(2, 50, 1));
    let smuggled = "<script>document.body.dataset.evil = 1</script>\
                    <img src=\"http://example.invalid/x.png\"></body>";
    let Some(seen) = browser::open(&page.replace("</body>", smuggled)) else { return };
    assert!(seen.dom.contains("data-drawn=\"5\""), "{}", seen.log);
    assert!(!seen.dom.contains("data-evil"), "{}", seen.log);
    for refused in ["script-src", "img-src"] {
        let told = seen.log.lines().any(|line| line.contains("CONSOLE") && line.contains(refused));
        assert!(told, "{refused}: {}", seen.log);
    }
}

#[test]
fn a_browser_makes_do_with_nothing_to_draw() {
    for backtest in barren() {
        let Some(seen) = browser::open(&html(&backtest)) else { return };
        assert!(seen.dom.contains("data-drawn="), "{}", seen.log);
        assert!(!seen.log.contains("CONSOLE"), "{}", seen.log);
    }
}
