//! `prescale score` as a user meets it: the real binary on small series.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

/// The names of the contract.
const MODELS: [&str; 7] = [
    "prescale",
    "last+conformal",
    "ewma+conformal",
    "snaive-day",
    "snaive-week",
    "holt",
    "ahpa-like",
];

/// Two days of minutes: a day's rhythm and some noise that repeats, three minutes missing.
fn trace() -> String {
    let mut csv = "timestamp,requests\n".to_owned();
    let mut noise = 1_u32;
    for minute in 0..2880_u32 {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let day = f64::from(minute % 1440) / 1440.0 * std::f64::consts::TAU;
        let value = 100.0 + 60.0 * day.sin() + f64::from(noise >> 24) / 16.0;
        let at = 1_700_006_400 + minute * 60;
        match minute {
            2000 => writeln!(csv, "{at},").unwrap(),
            2001 | 2002 => {}
            _ => writeln!(csv, "{at},{value:.1}").unwrap(),
        }
    }
    csv
}

fn folder() -> TempDir {
    let folder = tempdir().unwrap();
    let csv = trace();
    fs::write(folder.path().join("a.csv"), &csv).unwrap();
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(csv.as_bytes()).unwrap();
    fs::write(folder.path().join("a.csv.gz"), gz.finish().unwrap()).unwrap();
    folder
}

fn score(folder: &TempDir, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prescale"));
    command.arg("score").args(args).env_clear().stdin(Stdio::null());
    command.current_dir(folder.path()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn told(folder: &TempDir, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["-o", "json"]).collect();
    let output = score(folder, &args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything but what the machine says.
fn without_times(mut told: Value) -> Value {
    for series in told["series"].as_array_mut().unwrap() {
        for model in series["models"].as_array_mut().unwrap() {
            model.as_object_mut().unwrap().remove("micros_per_update").unwrap();
        }
    }
    told
}

fn entry<'a>(series: &'a Value, name: &str, horizon: f64) -> &'a Value {
    let mut models = series["models"].as_array().unwrap().iter();
    models.find(|model| model["name"] == name && model["horizon_s"] == horizon).unwrap()
}

#[test]
fn every_key_of_the_contract_is_there_and_sane() {
    let folder = folder();
    let told = told(&folder, &["a.csv", "--warmup", "12h"]);
    let series = &told["series"][0];
    assert_eq!((&series["file"], &series["step_s"]), (&"a.csv".into(), &60.0.into()));
    assert_eq!((&series["n"], &series["gaps"]), (&2880.into(), &3.into()));
    assert_eq!(series["models"].as_array().unwrap().len(), MODELS.len() * 4);
    for name in MODELS {
        for horizon in [60.0, 300.0, 600.0, 1200.0] {
            let entry = entry(series, name, horizon);
            let places = [&entry["wql"], &entry["mase"], &entry["micros_per_update"]];
            for figure in places.into_iter().chain([&entry["window_max"]["wql"]]) {
                let positive = figure.as_f64().is_some_and(|figure| figure > 0.0);
                assert!(positive, "{name} {horizon}: {entry:#}");
            }
            for level in ["0.5", "0.9", "0.95", "0.99"] {
                for coverage in [&entry["coverage"], &entry["window_max"]["coverage"]] {
                    let share = coverage[level].as_f64().unwrap();
                    assert!((0.0..=1.0).contains(&share), "{name} {horizon} {level}: {share}");
                }
                assert_eq!(entry["coverage_by_hour"][level].as_array().unwrap().len(), 24);
            }
        }
    }
    assert!(entry(series, "prescale", 60.0)["reliability"]["0.975"].is_number());
    let summary = &told["summary"][2];
    assert_eq!(summary["horizon_s"], 600.0);
    assert_eq!(summary["models"][1]["relative_wql"], 1.0);
}

#[test]
fn equal_runs_give_equal_figures_plain_and_compressed_on_any_number_of_threads() {
    let folder = folder();
    let fast = ["--warmup", "12h", "--model", "snaive-day", "--model", "prescale"];
    let run = |file: &str, threads: &str| {
        let args: Vec<&str> = [file, file, "--threads", threads].into_iter().chain(fast).collect();
        let told = without_times(told(&folder, &args)).to_string();
        told.replace("a.csv.gz", "a.csv")
    };
    let one = run("a.csv", "1");
    assert_eq!(one, run("a.csv", "3"));
    assert_eq!(one, run("a.csv.gz", "2"));
}

#[test]
fn a_file_is_split_into_the_series_of_its_clients() {
    let folder = folder();
    let mut csv = "client,timestamp,value\n".to_owned();
    for minute in 0..240_u32 {
        for client in ["b", "a"] {
            writeln!(csv, "{client},{},{}", minute * 60, minute % 7).unwrap();
        }
    }
    fs::write(folder.path().join("c.csv"), csv).unwrap();
    let told =
        told(&folder, &["c.csv", "--group-by", "client", "--warmup", "1h", "--model", "holt"]);
    let groups: Vec<&Value> =
        told["series"].as_array().unwrap().iter().map(|series| &series["group"]).collect();
    assert_eq!(groups, ["a", "b"]);
    let models = told["series"][0]["models"].as_array().unwrap();
    assert_eq!(models[0]["wql"], told["series"][1]["models"][0]["wql"]);
}

#[test]
fn coarser_steps_origins_and_ends_are_those_asked_for() {
    let folder = folder();
    let told = told(
        &folder,
        &["a.csv", "--resample", "5m", "--origins", "1h", "--until", "36h", "--model", "holt"],
    );
    let series = &told["series"][0];
    assert_eq!((&series["step_s"], &series["n"]), (&300.0.into(), &432.into()));
    // The second half of 36 hours.
    assert_eq!(series["warmup_s"], 18.0 * 3600.0);
    assert_eq!(series["origins"], 18);
    let horizons: Vec<&Value> =
        series["models"].as_array().unwrap()[..3].iter().map(|model| &model["horizon_s"]).collect();
    assert_eq!(horizons, [300.0, 600.0, 1200.0]);
}

#[test]
fn a_disturbed_series_is_compared_with_itself_undisturbed() {
    let folder = folder();
    let run = |fault: &str| {
        let args = ["a.csv", "--warmup", "6h", "--model", "snaive-day", "--inject", fault];
        let told = told(&folder, &args);
        let series = &told["series"][0];
        assert!(series["disturbed"]["what"].is_string(), "{series:#}");
        let entry = entry(series, "last+conformal", 600.0);
        let wql = entry["wql"].as_f64().unwrap();
        wql / entry["wql_undisturbed"].as_f64().unwrap()
    };
    // Multiplied by 3, last+conformal is as good again as soon as its residuals are.
    let rows = [
        ("gaps:0.01", 0.95, 1.1),
        ("hole:2h", 0.9, 1.5),
        ("shift:3", 0.9, 2.5),
        ("outlier:50", 0.95, 5.0),
        ("clock:-1h", 1.0, 1.0),
    ];
    for (fault, low, high) in rows {
        let ratio = run(fault);
        assert!((low..=high).contains(&ratio), "{fault}: {ratio}");
    }
}

#[test]
fn the_table_names_every_model_and_the_page_is_whole() {
    let folder = folder();
    let output = score(&folder, &["a.csv", "--warmup", "12h", "--html", "p.html"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    assert!(table.lines().all(|line| line.len() <= 110), "{table}");
    for name in MODELS {
        assert!(table.contains(name), "{table}");
    }
    let page = fs::read_to_string(folder.path().join("p.html")).unwrap();
    assert!(page.len() < 1_000_000 && page.ends_with("</html>\n"), "{}", page.len());
    assert!(!page.contains("[no slot") && !page.contains("NaN") && !page.contains("<script"));
    assert!(page.contains("prescale score a.csv --warmup 12h</pre>"));
    let note = text(&output.stderr);
    assert!(note.contains("note: a.csv: 3 of 2880 steps are gaps"), "{note}");
}

/// The one line that `args` end with, where `csv` is `x.csv`.
fn refused(csv: &str, args: &[&str]) -> String {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("x.csv"), csv).unwrap();
    let args: Vec<&str> = ["x.csv"].iter().chain(args).copied().collect();
    let output = score(&folder, &args);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn a_series_that_never_changes_is_noted() {
    let folder = tempdir().unwrap();
    let lines: String = (0..180).map(|minute| format!("{},5\n", minute * 60)).collect();
    fs::write(folder.path().join("x.csv"), format!("timestamp,requests\n{lines}")).unwrap();
    let output = score(&folder, &["x.csv"]);
    let notes = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{notes}");
    assert!(notes.contains("note: x.csv: always the same value"), "{notes}");
}

#[test]
fn what_cannot_be_scored_is_one_line_with_place_value_and_what_is_accepted() {
    let lines = |body: &str| format!("timestamp,requests\n{body}");
    let hours = |hours: u32| {
        let line = |minute: u32| format!("{},5\n", minute * 60);
        lines(&(0..hours * 60).map(line).collect::<String>())
    };
    let rows: [(&str, &[&str], &[&str]); 13] = [
        (&lines("0,1\n60,NaN\n"), &[], &["x.csv line 3, requests \"NaN\"", "from 0 to 1e15"]),
        (&lines("0,1\n60,-2\n"), &[], &["line 3, requests \"-2\"", "a blank for a gap"]),
        (&lines("0,1\n60,1\n60,2\n"), &[], &["line 4, timestamp \"60\"", "twice", "ascending"]),
        (&lines("60,1\n0,1\n"), &[], &["line 3, timestamp \"0\"", "after a later one", "60"]),
        (&lines("x,1\n"), &[], &["line 2, timestamp \"x\"", "accepted are seconds"]),
        (&lines(""), &[], &["x.csv: no line in it"]),
        ("", &[], &["x.csv: no column requests or value", "there: none, its first line is empty"]),
        ("timestamp,qps\n0,1\n", &[], &["no column requests or value", "timestamp, qps"]),
        (&lines("0,1\n"), &["--column", "qps"], &["no column \"qps\"", "timestamp, requests"]),
        (&lines("0,1\n"), &["--group-by", "client"], &["no column \"client\""]),
        (&hours(1), &[], &["x.csv has 60 min of data; at least 2 h"]),
        (&hours(3), &["--resample", "90s"], &["--resample 90 s", "x.csv", "step of 60 s"]),
        (&hours(3), &["--horizons", "30s"], &["step of 60 s", "--horizons is shorter"]),
    ];
    for (csv, args, parts) in rows {
        let line = refused(csv, args);
        assert_eq!(line.lines().count(), 1, "{line}");
        for part in parts {
            assert!(line.contains(part), "{line:?} lacks {part:?}");
        }
    }
}

#[test]
fn flags_say_what_they_accept() {
    let csv = "timestamp,requests\n0,1\n60,1\n";
    let rows: [(&[&str], &str); 11] = [
        (&["--horizons", "-5m"], "must be a duration such as"),
        (&["--warmup", "-1d"], "must be a duration such as"),
        (&["--quantiles", "-0.5"], "must be a quantile such as"),
        (&["--inject", "flood:3"], "hole:DURATION such as hole:2h"),
        (&["--quantiles", "0.3"], "must be a quantile from 0.5 to 0.99"),
        (&["--horizons", "2d"], "must be a duration from 1s to 1d"),
        (&["--timezone", "Mars"], "must be a time zone such as UTC"),
        (&["--holidays", "xmas"], "must be dates such as"),
        (&["--model", "oracle"], "possible values: prescale"),
        (&["--html", "missing/p.html"], "folder missing is not there"),
        (&["--warmup", "soon"], "must be a duration such as"),
    ];
    for (args, part) in rows {
        let line = refused(csv, args);
        assert!(line.contains(part), "{line:?} lacks {part:?}");
    }
    let folder = tempdir().unwrap();
    let output = score(&folder, &["missing.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let line = text(&output.stderr);
    assert!(line.contains("missing.csv cannot be opened: No such file"), "{line}");
}
