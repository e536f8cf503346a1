//! The recorder's table of the run: what it read of each page, without any of prescale's code.

use prescale::engine::units::Timestamp;

const TABLE: &str = include_str!("../data/recorded/trace.csv");

/// One page.
#[derive(Debug)]
pub(crate) struct Row {
    /// When it was read.
    pub(crate) at: Timestamp,
    /// Clients that the load generator kept busy.
    pub(crate) phase: u32,
    /// The load generator stood still: the gauges are true, the phase is not.
    pub(crate) stalled: bool,
    pub(crate) running: f64,
    pub(crate) waiting: f64,
    pub(crate) kv: f64,
    /// Times to first token: observations by upper bound, ascending.
    pub(crate) ttft: Vec<(f64, f64)>,
}

/// All pages, in time.
#[derive(Debug)]
pub(crate) struct Trace(Vec<Row>);

impl Trace {
    pub(crate) fn read() -> Self {
        let mut lines = TABLE.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        Self(lines.map(|line| row(&columns, line)).collect())
    }

    pub(crate) fn first(&self) -> &Row {
        self.0.first().unwrap()
    }

    pub(crate) fn last(&self) -> &Row {
        self.0.last().unwrap()
    }

    /// The newest page at `at`.
    pub(crate) fn at(&self, at: Timestamp) -> &Row {
        self.0.iter().rfind(|row| row.at <= at).unwrap()
    }

    pub(crate) fn rows(&self) -> &[Row] {
        &self.0
    }
}

/// The newest page that a source had at a tick.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest<'a> {
    pub(crate) row: &'a Row,
    /// When the source read it.
    pub(crate) read: Timestamp,
}

/// First tokens between two pages, and the quantile of their times: linear within the bucket.
pub(crate) fn quantile((first, last): (&Row, &Row), quantile: f64) -> (f64, f64) {
    let grown = first.ttft.iter().zip(&last.ttft);
    let grown: Vec<(f64, f64)> = grown.map(|(from, to)| (from.0, to.1 - from.1)).collect();
    let total = grown.last().unwrap().1;
    let rank = quantile * total;
    let (mut below, mut before) = (0.0, 0.0);
    for (bound, count) in grown {
        if count > 0.0 && count >= rank {
            return (total, below + (bound - below) * (rank - before) / (count - before));
        }
        (below, before) = (bound, count);
    }
    (total, f64::NAN)
}

fn row(columns: &[&str], line: &str) -> Row {
    let cells: Vec<&str> = line.split(',').collect();
    let cell = |name: &str| cells[columns.iter().position(|column| *column == name).unwrap()];
    let number = |name: &str| cell(name).parse::<f64>().unwrap();
    let bounds = columns.iter().filter_map(|column| column.strip_prefix("ttft_le_"));
    Row {
        at: Timestamp::from_unix_ms(cell("unix").replace('.', "").parse().unwrap()),
        phase: clients(cell("load_phase")),
        stalled: cell("harness_stall") == "1",
        running: number("running"),
        waiting: number("waiting"),
        kv: number("kv_usage"),
        ttft: bounds
            .map(|bound| (bound.parse().unwrap(), number(&format!("ttft_le_{bound}"))))
            .collect(),
    }
}

/// Of `1795325774.7 concurrency=1 for 30.0s` the 1; before the first phase there were none.
fn clients(phase: &str) -> u32 {
    let number = phase.split_once("concurrency=").and_then(|(_, rest)| rest.split_once(' '));
    number.map_or(0, |(number, _)| number.parse().unwrap())
}
