//! A trace with one line per request.

use std::time::Duration;

use crate::backtest::input::counts;
use crate::backtest::input::draw::{Request, SPREAD, tokens, whole};
use crate::backtest::input::error::InputError;
use crate::backtest::input::recorded::{Origin, Recorded};
use crate::backtest::input::sizes::Sizes;
use crate::backtest::input::table::Table;

/// Lines at most: as many as one run holds.
const ROWS_MAX: usize = 50_000_000;

/// 400 days in milliseconds: nobody replays more, and a stray instant must not make a run endless.
const LENGTH_MS_MAX: f64 = 400.0 * 86_400_000.0;

/// The largest instant: the year 5138 in milliseconds of the epoch.
const INSTANT_MS_MAX: f64 = 1e14;

/// Ten times the longest context of any model.
const TOKENS_MAX: f64 = 1e8;

/// Columns of a request-level trace.
struct Columns {
    at: usize,
    prompt: Option<usize>,
    output: Option<usize>,
}

/// Reads the lines of `table`, whose column `at` is `arrival_ms`.
///
/// # Errors
/// The first value that cannot be used, or that nothing is there.
pub(crate) fn read(table: &mut Table, at: usize, sizes: Sizes) -> Result<Recorded, InputError> {
    let columns = Columns {
        at,
        prompt: table.column("prompt_tokens"),
        output: table.column("output_tokens"),
    };
    let (mut requests, mut untold) = (Vec::new(), 0_u64);
    while table.advance()? {
        if requests.len() == ROWS_MAX {
            return Err(table.unusable(format!("more than {ROWS_MAX} requests; cut it")));
        }
        let (request, told) = row(table, &columns, sizes)?;
        untold += u64::from(!told);
        requests.push(request);
    }
    // Stable, so that what the file has at one instant stays in its order.
    requests.sort_by_key(|request| request.at_micros);
    let (Some(first), Some(last)) = (requests.first(), requests.last()) else {
        return Err(table.unusable("no request in it".to_owned()));
    };
    let (first, last) = (first.at_micros, last.at_micros);
    let begins = counts::begins(i64::try_from(first / 1000).unwrap_or(0));
    let span = Duration::from_micros(last - first);
    if span.as_secs_f64() * 1000.0 > LENGTH_MS_MAX {
        return Err(table.unusable(format!(
            "it spans {} days, accepted are 400; arrival_ms is in milliseconds",
            span.as_secs() / 86_400
        )));
    }
    requests.iter_mut().for_each(|request| request.at_micros -= first);
    Ok(Recorded {
        name: String::new(),
        begins,
        // Copies of the last request still come before the end.
        length: span + SPREAD,
        notes: notes(untold, sizes),
        sizes,
        origin: Origin::Requests(requests),
    })
}

/// The line's request, and whether the trace told its size.
fn row(table: &Table, columns: &Columns, sizes: Sizes) -> Result<(Request, bool), InputError> {
    let at = table.number(columns.at, INSTANT_MS_MAX)?.ok_or_else(|| {
        table.refused(columns.at, "accepted are milliseconds from 0 on".to_owned())
    })?;
    let told = |column: Option<usize>| match column {
        Some(column) => table.number(column, TOKENS_MAX),
        None => Ok(None),
    };
    let (prompt, output) = (told(columns.prompt)?, told(columns.output)?);
    let request = Request {
        at_micros: whole(at * 1000.0),
        prompt: prompt.map_or(sizes.prompt, tokens).max(1),
        output: output.map_or(sizes.output, tokens).max(1),
    };
    Ok((request, prompt.is_some() && output.is_some()))
}

fn notes(untold: u64, sizes: Sizes) -> Vec<String> {
    let Sizes { prompt, output, .. } = sizes;
    let note = format!(
        "{untold} requests do not tell their size: {prompt} prompt and {output} output tokens are \
         taken where it is missing"
    );
    if untold == 0 { Vec::new() } else { vec![note] }
}
