//! A trace of counts per step.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::backtest::input::draw::{Step, tokens};
use crate::backtest::input::error::InputError;
use crate::backtest::input::recorded::{Origin, Recorded};
use crate::backtest::input::sizes::Sizes;
use crate::backtest::input::table::Table;
use crate::engine::numeric::median;
use crate::engine::units::Timestamp;

/// Steps at most: more than a year of ten seconds each.
const STEPS_MAX: usize = 5_000_000;

/// Clients at most: their names are held in memory.
const CLIENTS_MAX: usize = 100_000;

/// Requests of one step at most: beyond it a counter was exported instead of its increase.
const COUNT_MAX: f64 = 1e9;

/// Tokens of one step at most: a thousand million requests of a million tokens.
const TOKENS_MAX: f64 = 1e15;

/// The year 5138 in seconds; today's milliseconds are beyond it.
const INSTANT_MAX: f64 = 1e11;

/// Seconds that are too many to count from a trace's start (31 years): they are of the epoch.
const EPOCH_MIN_MS: i64 = 1_000_000_000_000;

/// Equal spacings in a row that are no coincidence of missing lines.
const STRETCH: usize = 12;

/// 400 days: nobody replays more, and a stray instant must not make a run endless.
const LENGTH_MAX: Duration = Duration::from_secs(400 * 86_400);

/// What all clients had in one step.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    /// Requests; `None` while every value is blank.
    count: Option<f64>,
    /// Prompt tokens, and the requests they belong to.
    prompt: Share,
    /// Output tokens, likewise.
    output: Share,
}

/// A sum of tokens over those requests for which it is told.
#[derive(Debug, Clone, Copy, Default)]
struct Share {
    tokens: f64,
    requests: f64,
}

/// Columns of a trace of counts.
struct Columns {
    at: usize,
    count: usize,
    prompt: Option<usize>,
    output: Option<usize>,
    client: Option<usize>,
}

/// Reads the lines of `table`, whose column `at` is `timestamp`.
///
/// # Errors
/// The first value that cannot be used, a column that is missing, or that nobody arrives.
pub(crate) fn read(table: &mut Table, at: usize, sizes: Sizes) -> Result<Recorded, InputError> {
    let count = table.column("requests").or_else(|| table.column("value"));
    let count = count.ok_or_else(|| InputError::Columns {
        path: table.path().to_owned(),
        problem: "timestamp is there, neither requests nor value".to_owned(),
    })?;
    let (prompt, output) = (table.column("prompt_tokens"), table.column("output_tokens"));
    let columns = Columns { at, count, prompt, output, client: table.column("client") };
    let sums = sums(table, &columns)?;
    recorded(&sums, sizes).map_err(|problem| table.unusable(problem))
}

/// The sum over clients at each instant, in milliseconds.
fn sums(table: &mut Table, columns: &Columns) -> Result<BTreeMap<i64, Sum>, InputError> {
    let mut sums: BTreeMap<i64, Sum> = BTreeMap::new();
    let mut newest: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    while table.advance()? {
        let at = instant(table, columns.at)?;
        let client = columns.client.map(|column| table.cell(column)).unwrap_or_default();
        if let Some(before) = newest.get_mut(client) {
            if *before >= at {
                return Err(table.refused(columns.at, unsorted(*before, columns)));
            }
            *before = at;
        } else {
            newest.insert(client.to_vec(), at);
        }
        add(sums.entry(at).or_default(), table, columns)?;
        if sums.len() > STEPS_MAX || newest.len() > CLIENTS_MAX {
            let problem = format!("more than {STEPS_MAX} steps or {CLIENTS_MAX} clients; cut it");
            return Err(table.unusable(problem));
        }
    }
    Ok(sums)
}

#[expect(clippy::cast_precision_loss, reason = "below 1e14")]
fn unsorted(before_ms: i64, columns: &Columns) -> String {
    let whose = if columns.client.is_some() { " of this client" } else { "" };
    let before = before_ms as f64 / 1000.0;
    format!("the line before{whose} has {before}; accepted are ascending instants, each once")
}

fn instant(table: &Table, column: usize) -> Result<i64, InputError> {
    let accepted = "accepted are seconds, of the epoch or from the trace's start";
    let seconds = table.number(column, INSTANT_MAX).ok().flatten();
    let seconds = seconds.ok_or_else(|| table.refused(column, accepted.to_owned()))?;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e14")]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Ok(milliseconds)
}

fn add(sum: &mut Sum, table: &Table, columns: &Columns) -> Result<(), InputError> {
    let told = |column: Option<usize>| match column {
        Some(column) => table.number(column, TOKENS_MAX),
        None => Ok(None),
    };
    let (prompt, output) = (told(columns.prompt)?, told(columns.output)?);
    let Some(count) = table.number(columns.count, COUNT_MAX)? else { return Ok(()) };
    *sum.count.get_or_insert(0.0) += count;
    for (share, tokens) in [(&mut sum.prompt, prompt), (&mut sum.output, output)] {
        if let Some(tokens) = tokens {
            share.tokens += tokens;
            share.requests += count;
        }
    }
    Ok(())
}

impl Share {
    /// The mean size, or the one of the flag where none is told; at least 1.
    fn mean(self, flag: u32) -> u32 {
        let mean = (self.requests > 0.0).then(|| tokens((self.tokens / self.requests).round()));
        mean.unwrap_or(flag).max(1)
    }
}

/// What these sums are to a run, or what is wrong with them as a whole.
fn recorded(sums: &BTreeMap<i64, Sum>, sizes: Sizes) -> Result<Recorded, String> {
    let instants: Vec<i64> = sums.keys().copied().collect();
    let (Some(first), Some(last)) = (instants.first().copied(), instants.last().copied()) else {
        return Err("no line in it".to_owned());
    };
    let spacings: Vec<f64> = instants.windows(2).map(spacing).map(|s| s.as_secs_f64()).collect();
    let step = median(&spacings).map(Duration::from_secs_f64).ok_or_else(|| {
        "one instant only; the step is the time between two, so two are needed".to_owned()
    })?;
    let length = spacing(&[first, last]) + step;
    if length > LENGTH_MAX {
        let days = length.as_secs() / 86_400;
        return Err(format!("it spans {days} days, accepted are 400; timestamp is in seconds"));
    }
    let steps = steps(sums, first, step, sizes);
    if steps.iter().all(|step| step.count <= 0.0) {
        return Err("no request in it".to_owned());
    }
    let begins = begins(first);
    let notes = notes(sums, &spacings, step, sizes);
    let origin = Origin::Counts(steps);
    Ok(Recorded { name: String::new(), begins, length, notes, sizes, origin })
}

fn spacing(pair: &[i64]) -> Duration {
    let (Some(from), Some(to)) = (pair.first(), pair.last()) else { return Duration::ZERO };
    Timestamp::from_unix_ms(*to).since(Timestamp::from_unix_ms(*from))
}

/// The steps that have a value: each as long as the trace's step, or until the next begins.
fn steps(sums: &BTreeMap<i64, Sum>, first: i64, step: Duration, sizes: Sizes) -> Vec<Step> {
    let ends = sums.keys().skip(1).map(Some).chain([None]);
    let valued = sums.iter().zip(ends).filter_map(|((at, sum), next)| {
        let width = next.map_or(step, |next| spacing(&[*at, *next]).min(step));
        let (prompt, output) = (sum.prompt.mean(sizes.prompt), sum.output.mean(sizes.output));
        Some(Step { at: spacing(&[first, *at]), width, count: sum.count?, prompt, output })
    });
    valued.collect()
}

/// When a trace begins whose first instant this is; `None` where it is no time of the epoch.
pub(super) fn begins(first_ms: i64) -> Option<Timestamp> {
    (first_ms >= EPOCH_MIN_MS).then(|| Timestamp::from_unix_ms(first_ms))
}

/// Another step that the trace keeps to for a stretch: what a store does that keeps old samples coarser.
fn other_step(spacings: &[f64], step: Duration) -> Option<f64> {
    let even = |run: &&[f64]| {
        let first = run[0];
        first > step.as_secs_f64() && run.iter().all(|it| (it - first).abs() < 1e-3)
    };
    spacings.windows(STRETCH).find(even).map(|run| run[0])
}

fn notes(sums: &BTreeMap<i64, Sum>, spacings: &[f64], step: Duration, sizes: Sizes) -> Vec<String> {
    let mut notes = Vec::new();
    let blank = sums.values().filter(|sum| sum.count.is_none()).count();
    let lacking = |spacing: &f64| (spacing / step.as_secs_f64()).round() - 1.0;
    let missing: f64 = spacings.iter().map(lacking).filter(|steps| *steps > 0.0).sum();
    if blank > 0 {
        notes.push(format!("{blank} steps without a value: nobody arrives in them"));
    }
    if missing > 0.0 {
        notes.push(format!("{missing} steps are missing: nobody arrives in them"));
    }
    if let Some(other) = other_step(spacings, step) {
        let step = step.as_secs_f64();
        notes.push(format!(
            "a stretch of it has a line every {other} s, the rest every {step} s: each line there counts \
             as {step} s; if it is the sum of {other} s, give the file one step throughout"
        ));
    }
    if sums.values().filter_map(|sum| sum.count).any(|count| count.fract() > 0.0) {
        notes.push("counts are fractions: rounded by chance, right in the mean".to_owned());
    }
    let untold = |sum: &Sum| {
        let arrive = sum.count.is_some_and(|count| count > 0.0);
        arrive && (sum.prompt.requests <= 0.0 || sum.output.requests <= 0.0)
    };
    let untold = sums.values().filter(|sum| untold(sum)).count();
    if untold > 0 {
        let Sizes { prompt, output, .. } = sizes;
        notes.push(format!(
            "{untold} steps do not tell sizes: {prompt} prompt and {output} output tokens a \
             request are taken where they are missing"
        ));
    }
    notes
}
