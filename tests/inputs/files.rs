//! Trace files: what is read, what is drawn from it, and what is refused with which words.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prescale::backtest::input::{InputError, Recorded, Sizes, read_file};
use prescale::engine::units::{Ratio, Timestamp};
use tempfile::TempDir;

use crate::told;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/traces").join(name)
}

fn written(content: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.csv");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn read(content: &[u8]) -> Result<Recorded, InputError> {
    let (_dir, path) = written(content);
    read_file(&path, Sizes::default())
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Milliseconds, prompt and output of everything drawn at `scale`.
fn drawn(recorded: &Recorded, scale: f64) -> Vec<(u128, u32, u32)> {
    let arrivals = recorded.arrivals(1, scale).unwrap();
    arrivals.iter().map(|one| (one.at.as_millis(), one.prompt, one.output)).collect()
}

/// `content` gives these requests exactly, and these notes in this order begin so.
fn check_requests(content: &str, expected: &[(u128, u32, u32)], notes: &[&str]) {
    for bytes in [content.as_bytes().to_vec(), packed(content.as_bytes())] {
        let recorded = read(&bytes).unwrap_or_else(|error| panic!("{content}: {}", told(&error)));
        assert_eq!(drawn(&recorded, 1.0), expected, "{content}");
        check_notes(&recorded, notes);
    }
}

fn check_notes(recorded: &Recorded, notes: &[&str]) {
    assert_eq!(recorded.notes.len(), notes.len(), "{:?}", recorded.notes);
    for (note, begins) in recorded.notes.iter().zip(notes) {
        assert!(note.starts_with(begins), "{note} does not begin with {begins}");
    }
}

#[test]
fn requests_come_as_recorded_relative_to_the_first_and_in_order() {
    check_requests(
        "arrival_ms,prompt_tokens,output_tokens\n100,10,1\n50,20,2\n50,30,3\n",
        &[(0, 20, 2), (0, 30, 3), (50, 10, 1)],
        &[],
    );
    // Other order, other columns, spaces, a byte order mark, upper case, other ends of lines.
    check_requests(
        "\u{feff}Output_Tokens, model ,ARRIVAL_MS, prompt_tokens\r\n7,\"a,b\", 1.5 ,9\r\n8,c,1e3,5",
        &[(0, 9, 7), (998, 5, 8)],
        &[],
    );
    check_requests(
        "arrival_ms\n0\n2000\n",
        &[(0, 1000, 200), (2000, 1000, 200)],
        &["2 requests do"],
    );
    check_requests(
        "arrival_ms,prompt_tokens,output_tokens\n0,,5\n1,0,0\n",
        &[(0, 1000, 5), (1, 1, 1)],
        &["1 requests do not tell"],
    );
}

/// `content` gives so many requests in each ten seconds, from here, so long.
fn check_counts(content: &str, counts: &[usize], begins: Option<i64>, notes: &[&str]) {
    let recorded = read(content.as_bytes()).unwrap_or_else(|error| panic!("{}", told(&error)));
    let mut seen = vec![0; counts.len()];
    for arrival in recorded.arrivals(3, 1.0).unwrap().iter() {
        assert!(arrival.at < recorded.length, "{content}: {arrival:?}");
        seen[usize::try_from(arrival.at.as_secs() / 10).unwrap()] += 1;
    }
    assert_eq!(seen, counts, "{content}");
    let begins = begins.map(|seconds| Timestamp::from_unix_ms(seconds * 1000));
    assert_eq!(recorded.begins, begins, "{content}");
    let length = Duration::from_secs(10) * u32::try_from(counts.len()).unwrap();
    assert_eq!(recorded.length, length, "{content}");
    check_notes(&recorded, notes);
}

const FLAGS: &str = "steps do not tell sizes";

#[test]
fn counts_arrive_within_their_step_and_nobody_arrives_in_gaps() {
    let untold = |steps: usize| format!("{steps} {FLAGS}");
    let (one, two, three) = (untold(1), untold(2), untold(3));
    check_counts("timestamp,requests\n0,3\n10,0\n20,5\n", &[3, 0, 5], None, &[&two]);
    check_counts("timestamp,value\n20,3\n30,1\n", &[3, 1], None, &[&two]);
    check_counts("timestamp,value,requests\n0,9,3\n10,9,1\n", &[3, 1], None, &[&two]);
    let epoch = "timestamp,requests\n1700000000,3\n1700000010,4\n1700000020,1\n";
    check_counts(epoch, &[3, 4, 1], Some(1_700_000_000), &[&three]);
    check_counts(
        "timestamp,requests\n0,3\n10,\n20,4\n",
        &[3, 0, 4],
        None,
        &["1 steps without a value: nobody", &two],
    );
    check_counts(
        "timestamp,requests\n0,3\n10,2\n20,1\n60,4\n",
        &[3, 2, 1, 0, 0, 0, 4],
        None,
        &["3 steps are missing", &untold(4)],
    );
    check_counts(
        "client,timestamp,requests\na,0,3\na,10,1\nb,0,2\nb,20,7\nc,10,\n",
        &[5, 1, 7],
        None,
        &[&three],
    );
    check_counts(
        "timestamp,requests,prompt_tokens,output_tokens\n0,1,5,5\n10,2,,6\n",
        &[1, 2],
        None,
        &[&one],
    );
}

#[test]
fn sizes_are_the_mean_of_the_step_or_the_flags() {
    let text =
        "timestamp,requests,prompt_tokens,output_tokens\n0,2,100,7\n10,1,,9\n20,0,0,0\n30,1,0,1\n";
    let (_dir, path) = written(text.as_bytes());
    let cached = Ratio::try_new(0.5).unwrap();
    let recorded = read_file(&path, Sizes { prompt: 40, output: 4, cached }).unwrap();
    let arrivals = recorded.arrivals(1, 1.0).unwrap();
    let sizes: Vec<_> = arrivals.iter().map(|one| (one.prompt, one.cached, one.output)).collect();
    assert_eq!(sizes, [(50, 25, 4), (50, 25, 4), (40, 20, 9), (1, 0, 1)]);
}

#[test]
fn public_traces_are_read_whole() {
    let rows = [
        ("azure_llm_2023_code_requests.csv.gz", 300.0, 217.839, None),
        ("azure_llm_2023_conv_1min.csv", 19_366.0, 3600.0, Some(1_700_158_500)),
        ("servegen_m_small_clients.csv", 2_790_471.0, 7200.0, None),
    ];
    for (name, requests, seconds, begins) in rows {
        let recorded = read_file(&data(name), Sizes::default()).unwrap();
        assert_eq!((recorded.name.as_str(), recorded.requests(1.0)), (name, requests));
        assert!((recorded.length.as_secs_f64() - seconds).abs() < 1e-6, "{:?}", recorded.length);
        let begins = begins.map(|seconds: i64| Timestamp::from_unix_ms(seconds * 1000));
        assert_eq!(recorded.begins, begins, "{name}");
    }
    let conversations = read_file(&data("azure_llm_2023_conv_1min.csv"), Sizes::default()).unwrap();
    let prompts: u64 = conversations
        .arrivals(1, 1.0)
        .unwrap()
        .iter()
        .map(|arrival| u64::from(arrival.prompt))
        .sum();
    // Mean sizes are rounded to tokens: at most half a token for each of 19 366 requests.
    assert!(prompts.abs_diff(22_361_870) <= 9_683, "{prompts}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let recorded = read_file(&data("azure_llm_2023_conv_1min.csv"), Sizes::default()).unwrap();
    let bytes = |seed| serde_json::to_vec(&recorded.arrivals(seed, 0.7).unwrap()[..]).unwrap();
    assert!(bytes(5) == bytes(5));
    assert!(bytes(5) != bytes(6));
}

#[test]
fn a_factor_is_checked_and_one_that_fits_is_told() {
    let recorded = read(b"timestamp,requests\n0,900000000\n10,0\n").unwrap();
    let refused = |scale| told(&recorded.arrivals(1, scale).unwrap_err());
    assert!(refused(1.0).contains("900000000 requests at rate scale 1,"), "{}", refused(1.0));
    assert!(refused(1.0).ends_with("a rate scale of 0.055 or less fits"), "{}", refused(1.0));
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e7] {
        assert!(refused(scale).contains("is not above 0"), "{}", refused(scale));
    }
    // Expected 900, standard deviation below 1: the one step is rounded.
    assert_eq!(recorded.arrivals(1, 1e-6).unwrap().len(), 900);
}

/// `content` is refused with these words.
fn check_refused(content: &[u8], words: &str) {
    let Err(error) = read(content) else { panic!("not refused: {words}") };
    let text = told(&error);
    assert!(text.contains(words) && text.contains("trace.csv"), "{text} does not say {words}");
    assert!(text.len() < 600, "{text}");
}

#[test]
fn what_cannot_be_used_is_refused_with_line_column_and_value() {
    let counts = |rows: &str| format!("timestamp,requests\n{rows}");
    let requests = |rows: &str| format!("arrival_ms,prompt_tokens,output_tokens\n{rows}");
    let rows = [
        (String::new(), "it is empty, or its first line is; accepted are arrival_ms"),
        ("a,b\n1,2\n".to_owned(), "neither arrival_ms nor timestamp is among \"a, b\""),
        ("timestamp,tokens\n1,2\n".to_owned(), "neither requests nor value"),
        ("timestamp,arrival_ms\n1,2\n".to_owned(), "both arrival_ms and timestamp"),
        ("timestamp,requests,requests\n".to_owned(), "column \"requests\" is there twice"),
        (counts(""), "no line in it"),
        (counts("0,5\n"), "one instant only"),
        (counts("0,0\n10,0\n"), "no request in it"),
        (counts("0,\n10,\n"), "no request in it"),
        (counts("0,5\n10,-1\n"), "line 3, requests \"-1\": accepted is a number from 0"),
        (counts("0,5\n10,NaN\n"), "line 3, requests \"NaN\""),
        (counts("0,inf\n10,1\n"), "line 2, requests \"inf\""),
        (counts("0,1e10\n10,1\n"), "line 2, requests \"1e10\""),
        (counts("0,many\n10,1\n"), "line 2, requests \"many\""),
        (counts("10,5\n0,5\n"), "line 3, timestamp \"0\": the line before has 10;"),
        (counts("0,5\n0,5\n"), "line 3, timestamp \"0\": the line before has 0;"),
        (counts(",5\n"), "line 2, timestamp \"\": accepted are seconds"),
        (counts("2026-01-05,5\n"), "line 2, timestamp \"2026-01-05\""),
        (counts("1700000000000,5\n"), "line 2, timestamp \"1700000000000\": accepted are seconds"),
        (counts("0,5\n10,5,5\n"), "line 3, cells \"3\": accepted are 2"),
        (counts("0,5\n99999999,1\n"), "accepted are 400"),
        ("client,timestamp,value\na,0,1\nb,0,1\na,0,1\n".to_owned(), "line 4, timestamp \"0\""),
        (requests(""), "no request in it"),
        (requests("-5,1,1\n"), "line 2, arrival_ms \"-5\""),
        (requests(",1,1\n"), "line 2, arrival_ms \"\": accepted are milliseconds"),
        (requests("0,1,1\n5,-1,1\n"), "line 3, prompt_tokens \"-1\""),
        (requests("0,1,1e12\n"), "line 2, output_tokens \"1e12\""),
        (requests("0,1,1\n1e13,1,1\n"), "accepted are 400; arrival_ms is in milliseconds"),
        (requests(&format!("{}\n", "9".repeat(5000))), "line 2"),
        ("x".repeat(100_000), "a line of more than 64 KiB"),
        (counts(&format!("0,\"{}", "5\n".repeat(100_000))), "a line of more than 64 KiB"),
    ];
    for (content, words) in rows {
        check_refused(content.as_bytes(), words);
        check_refused(&packed(content.as_bytes()), words);
    }
    check_refused(b"timestamp,requests\n0,\xff\xfe\n", "line 2, requests");
    check_refused(b"timestamp,\xff\n0,1\n", "cannot be read after line");
}

#[test]
fn what_cannot_be_opened_or_is_cut_off_is_told() {
    let missing = read_file(Path::new("/nowhere/trace.csv"), Sizes::default()).unwrap_err();
    assert!(told(&missing).starts_with("trace /nowhere/trace.csv cannot be opened: "));
    let dir = tempfile::tempdir().unwrap();
    let folder = read_file(dir.path(), Sizes::default()).unwrap_err();
    assert!(told(&folder).contains("directory"), "{}", told(&folder));
    let rows: String = (0..20_000).map(|idx| format!("{},{}\n", idx * 10, idx % 97)).collect();
    let whole = packed(format!("timestamp,requests\n{rows}").as_bytes());
    let cut = read(&whole[..whole.len() / 2]).unwrap_err();
    assert!(told(&cut).contains("cannot be read after line "), "{}", told(&cut));
    assert!(told(&cut).ends_with("its gzip'd content is cut off or damaged"), "{}", told(&cut));
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle..middle + 40].fill(0xaa);
    read(&broken).expect_err("broken in the middle");
    // Two members, as `cat a.gz b.gz` makes, are one file.
    let two = [packed(b"timestamp,requests\n0,3\n"), packed(b"10,4\n")].concat();
    assert_eq!(read(&two).unwrap().arrivals(1, 1.0).unwrap().len(), 7);
}

#[test]
fn a_small_file_that_unpacks_to_a_huge_one_is_refused() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"timestamp,requests\n").unwrap();
    // 64 MiB of empty lines, which are skipped.
    let lines = vec![b'\n'; 1 << 20];
    (0..64).for_each(|_| encoder.write_all(&lines).unwrap());
    check_refused(&encoder.finish().unwrap(), "a line of more than 64 KiB");
}
