//! Answers to minutes. Pure: what a query did not say at an instant is unknown there, never zero.

use crate::engine::arrived::Minute;
use crate::engine::numeric::share;
use crate::engine::units::Timestamp;
use crate::source::backfill::queries::What;
use crate::source::prometheus::answer::Data;

/// Above this a number is a mistake, whatever it counts per second.
const VALUE_MAX: f64 = 1e12;

/// Minutes before and after one whose requests tell how large those of it were.
const AROUND: usize = 10;

/// The values of one query, one per minute of a stage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Column {
    /// What they are.
    pub(super) what: What,
    /// By minute from the beginning of the stage.
    pub(super) values: Vec<Option<f64>>,
}

/// Minutes of a stage.
pub(super) fn count((begins, ends): (Timestamp, Timestamp)) -> usize {
    usize::try_from(ends.since(begins).as_secs() / Minute::LENGTH.as_secs()).unwrap_or(0)
}

/// Nothing is known of any minute of `stage`.
pub(super) fn unknown(what: What, stage: (Timestamp, Timestamp)) -> Column {
    Column { what, values: vec![None; count(stage)] }
}

/// The values of an answer, each read at the end of its minute; `None` if it is no range of values. Where it has two series at an instant,
/// neither is the value.
pub(super) fn column(what: What, data: &Data, stage: (Timestamp, Timestamp)) -> Option<Column> {
    let Data::Matrix(rows) = data else { return None };
    let mut column = unknown(what, stage);
    let mut said = vec![false; column.values.len()];
    let begins = stage.0.plus(Minute::LENGTH);
    for sample in rows.iter().flat_map(|row| row.series.samples()) {
        let Some(idx) = minute(begins, sample.at).filter(|idx| *idx < said.len()) else { continue };
        let usable = (0.0..=VALUE_MAX).contains(&sample.value) && !said[idx];
        column.values[idx] = usable.then_some(sample.value);
        said[idx] = true;
    }
    Some(column)
}

/// Which minute after `begins` an instant is; `None` beside the grid.
fn minute(begins: Timestamp, at: Timestamp) -> Option<usize> {
    let length = i64::try_from(Minute::LENGTH.as_millis()).ok()?;
    let span = at.unix_ms().checked_sub(begins.unix_ms())?;
    (span % length == 0).then(|| usize::try_from(span / length).ok()).flatten()
}

/// The minutes of a stage, oldest first.
pub(super) fn minutes(stage: (Timestamp, Timestamp), columns: &[Column]) -> Vec<Minute> {
    let length = Minute::LENGTH;
    let mut minutes: Vec<Minute> = (0..count(stage))
        .map(|idx| {
            let after = length.saturating_mul(u32::try_from(idx).unwrap_or(u32::MAX));
            Row { idx, columns }.minute(stage.0.plus(after))
        })
        .collect();
    size(&mut minutes);
    minutes
}

/// Turns tokens as they were generated into the work of the requests that came, as ticks count it: by the
/// mean size around each minute. A reply of minutes would else smooth the minutes that it lasted, and what an
/// overloaded fleet could generate would pass for what was asked of it.
fn size(minutes: &mut [Minute]) {
    let known = |minute: &Minute| minute.requests.zip(minute.work);
    let sizes: Vec<Option<f64>> = (0..minutes.len())
        .map(|idx| {
            let around = idx.saturating_sub(AROUND)..(idx + AROUND + 1).min(minutes.len());
            let add = |(requests, work): (f64, f64), (more, done): (f64, f64)| {
                (requests + more, work + done)
            };
            let (requests, work) = minutes[around].iter().filter_map(known).fold((0.0, 0.0), add);
            share(work, requests)
        })
        .collect();
    for (minute, size) in minutes.iter_mut().zip(sizes) {
        let sized = known(minute).zip(size).map(|((requests, _), size)| requests * size);
        minute.work = sized.or(minute.work);
    }
}

/// One minute of all columns.
#[derive(Debug, Clone, Copy)]
struct Row<'a> {
    idx: usize,
    columns: &'a [Column],
}

impl Row<'_> {
    fn minute(self, at: Timestamp) -> Minute {
        Minute { at, requests: self.requests(), work: self.work(), replicas: self.replicas() }
    }

    fn said(self, what: What) -> Option<f64> {
        self.values().find(|(of, _)| *of == what).and_then(|(_, value)| value)
    }

    fn values(self) -> impl Iterator<Item = (What, Option<f64>)> {
        self.columns
            .iter()
            .map(move |column| (column.what, column.values.get(self.idx).copied().flatten()))
    }

    /// The gateway's count, else the engines' and what they refused; a gateway has counted that already.
    fn requests(self) -> Option<f64> {
        let engines = || Some(self.said(What::Requests)? + self.said(What::Refused).unwrap_or(0.0));
        self.said(What::Gateway).or_else(engines)
    }

    /// Output, and the prompts that had to be computed. What no engine says is cached was computed;
    /// prompts count for nothing only where the engine never counts them.
    fn work(self) -> Option<f64> {
        let output = self.said(What::Output)?;
        let counts = self.columns.iter().any(|column| column.what == What::Prompt);
        let prompt = if counts { self.said(What::Prompt)? } else { 0.0 };
        let cached = self.said(What::Cached).unwrap_or(0.0);
        Some(Minute::work_of(output, (prompt - cached).max(0.0)))
    }

    /// The largest demand of those that are known.
    fn replicas(self) -> Option<f64> {
        let ready = self.said(What::Ready);
        let demand = self.values().filter_map(|(what, value)| match what {
            What::Demand { target, per_replica } => {
                let scale = if per_replica { ready? } else { 1.0 };
                Some(value? * scale / target).filter(|demand| demand.is_finite())
            }
            What::Gateway
            | What::Requests
            | What::Refused
            | What::Output
            | What::Prompt
            | What::Cached
            | What::Ready => None,
        });
        demand.reduce(f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, column, minutes};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::assemble::RawSeries;
    use crate::source::backfill::queries::What;
    use crate::source::prometheus::answer::Data;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(1_700_006_400_000 + seconds * 1000)
    }

    fn stage() -> (Timestamp, Timestamp) {
        (at(0), at(180))
    }

    fn row(samples: &[(i64, f64)]) -> RawSeries {
        let samples = samples.iter().map(|(time, value)| Sample { at: at(*time), value: *value });
        let labels = [("a".to_owned(), samples.len().to_string())].into();
        RawSeries { name: String::new(), labels, series: Series::new(samples.collect()) }
    }

    #[test]
    fn an_answer_is_read_on_the_grid_of_minutes_and_nowhere_else() {
        let read = |series: &[&[(i64, f64)]], expected: [Option<f64>; 3]| {
            let data = Data::Matrix(series.iter().map(|samples| row(samples)).collect());
            let read = column(What::Output, &data, stage()).unwrap();
            assert_eq!(read.values, expected, "{series:?}");
        };
        read(&[], [None; 3]);
        read(&[&[(60, 1.0), (120, 0.0), (180, 3.0)]], [Some(1.0), Some(0.0), Some(3.0)]);
        read(&[&[(60, 1.0), (180, 3.0)]], [Some(1.0), None, Some(3.0)]);
        read(&[&[(0, 9.0), (61, 9.0), (240, 9.0)]], [None; 3]);
        read(&[&[(60, -1.0), (120, 1e13), (180, 1.0)]], [None, None, Some(1.0)]);
        let two: [&[(i64, f64)]; 2] = [&[(60, 1.0), (120, 2.0)], &[(120, 2.0), (180, 3.0)]];
        read(&two, [Some(1.0), None, Some(3.0)]);
        assert_eq!(column(What::Output, &Data::Scalar(1.0), stage()), None);
    }

    /// The second of three minutes, of which this is known.
    fn check(known: &[(What, Option<f64>)], expected: (Option<f64>, Option<f64>, Option<f64>)) {
        let columns: Vec<Column> = known
            .iter()
            .map(|(what, value)| Column { what: *what, values: vec![None, *value, None] })
            .collect();
        let minutes = minutes(stage(), &columns);
        assert_eq!(minutes.iter().map(|m| m.at).collect::<Vec<_>>(), [at(0), at(60), at(120)]);
        let found = (minutes[1].requests, minutes[1].work, minutes[1].replicas);
        assert_eq!(found, expected, "{known:?}");
        let other = (minutes[0].requests, minutes[2].work, minutes[2].replicas);
        assert_eq!(other, (None, None, None), "{known:?}");
    }

    #[test]
    fn work_is_that_of_the_requests_that_came() {
        // A burst of one minute, of which the replies take three.
        let requests = [2.0, 2.0, 8.0, 2.0, 2.0, 0.0, 2.0].map(Some).to_vec();
        let mut output = [200.0, 200.0, 400.0, 400.0, 400.0, 100.0, 100.0].map(Some).to_vec();
        output[6] = None;
        let of = |what, values: &[Option<f64>]| Column { what, values: values.to_vec() };
        let columns = [of(What::Requests, &requests), of(What::Output, &output)];
        let minutes = minutes((at(0), at(420)), &columns);
        let found: Vec<_> = minutes.iter().map(|minute| minute.work).collect();
        // 1700 tokens of 16 requests, and one of which no tokens are known.
        let size = 1700.0 / 16.0;
        let expected = requests.iter().map(|rate| rate.map(|rate| rate * size));
        assert_eq!(found[..6], expected.collect::<Vec<_>>()[..6]);
        assert_eq!(found[6], None);
    }

    #[test]
    fn what_was_not_said_is_unknown_and_never_zero() {
        use What::{Cached, Gateway, Output, Prompt, Ready, Refused, Requests};
        let signal = What::Demand { target: 4.0, per_replica: false };
        let mean = What::Demand { target: 2.0, per_replica: true };
        check(&[(Requests, None), (Refused, Some(1.0))], (None, None, None));
        check(&[(Requests, Some(2.0)), (Refused, None)], (Some(2.0), None, None));
        check(&[(Requests, Some(2.0)), (Refused, Some(1.0))], (Some(3.0), None, None));
        check(&[(Gateway, Some(5.0)), (Requests, Some(2.0))], (Some(5.0), None, None));
        check(&[(Gateway, Some(0.0)), (Requests, None)], (Some(0.0), None, None));
        check(&[(Gateway, None), (Requests, Some(2.0))], (Some(2.0), None, None));
        check(&[(Output, Some(7.0))], (None, Some(7.0), None));
        check(&[(Output, Some(7.0)), (Prompt, None)], (None, None, None));
        check(&[(Output, None), (Prompt, Some(40.0))], (None, None, None));
        let cached = |cached| [(Output, Some(7.0)), (Prompt, Some(40.0)), (Cached, cached)];
        check(&cached(None), (None, Some(11.0), None));
        check(&cached(Some(30.0)), (None, Some(8.0), None));
        check(&cached(Some(50.0)), (None, Some(7.0), None));
        check(&[(signal, Some(8.0)), (mean, None)], (None, None, Some(2.0)));
        check(
            &[(signal, Some(8.0)), (mean, Some(3.0)), (Ready, Some(4.0))],
            (None, None, Some(6.0)),
        );
        check(&[(mean, Some(3.0)), (Ready, None)], (None, None, None));
    }
}
