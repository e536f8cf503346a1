//! How often pods were scraped in the past: a rate can only be read over a range that holds two samples,
//! and says of a minute what a tick counts only if they lie as far apart as those.
//!
//! One question for all of a back-fill: how many samples of a gauge that every pod has lay in ten minutes,
//! hour by hour, of the pod that had the most. Pure; asking is left to [`super`].

use std::time::Duration;

use crate::engine::observation::Role;
use crate::engine::units::Timestamp;
use crate::source::backfill::cursor::floor;
use crate::source::backfill::queries::families;
use crate::source::plan::{self, Style};
use crate::source::preset::preset;
use crate::source::prometheus::answer::Data;
use crate::spec::{Engine, SourceRef, Target, WorkloadRef};

/// Two scrapes fall into it up to an interval of 300 s.
const COUNTED: Duration = Duration::from_mins(10);
/// How often it is looked, of more than a day and of less.
const STEPS: [Duration; 2] = [Duration::from_hours(1), Duration::from_mins(10)];
const DAY: Duration = Duration::from_hours(24);

/// The times between two scrapes, by when they were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Scrapes(Vec<(Timestamp, Duration)>);

/// [`plan::pods`] or [`plan::gpus`].
type Select = fn(&Target, &WorkloadRef, &[&str], Style, Duration) -> String;

/// What to ask; `None` where no rate is read of pods in a datasource.
pub(super) fn query(target: &Target, workload: &WorkloadRef) -> Option<String> {
    let (role, select): (_, Select) = match (target.engine, &target.source) {
        (Engine::Custom, _) => return None,
        (Engine::Gpu, _) => (Role::GpuUtilization, plan::gpus),
        (_, SourceRef::Endpoints { .. }) => return None,
        (_, SourceRef::Datasource(_)) => (Role::Running, plan::pods),
    };
    let preset = preset(target.engine);
    let names: Vec<&str> =
        families(&preset, &[role]).iter().flat_map(|family| family.every_name()).collect();
    // One by one: without its name one family looks like the other, which Prometheus refuses.
    let counts = |style| {
        let count = move |name: &&str| {
            let samples = select(target, workload, &[name], style, COUNTED);
            format!("count_over_time({samples})")
        };
        names.iter().map(count).collect::<Vec<_>>()
    };
    let counts: Vec<String> = Style::ALL.into_iter().flat_map(counts).collect();
    Some(format!("max({})", counts.join(" or ")))
}

/// At which instants: from when until when, and how far apart.
pub(super) fn span(from: Timestamp, until: Timestamp) -> ((Timestamp, Timestamp), Duration) {
    let step = STEPS[usize::from(until.since(from) <= DAY)];
    ((floor(from, step), until), step)
}

impl Scrapes {
    /// What an answer says; nothing, if it is no range of counts.
    pub(super) fn read(data: &Data) -> Self {
        let Data::Matrix(rows) = data else { return Self::default() };
        let samples = rows.iter().flat_map(|row| row.series.samples());
        // Of a single one nothing can be told.
        let told = samples.filter(|sample| sample.value >= 2.0);
        Self(told.map(|sample| (sample.at, COUNTED.div_f64(sample.value))).collect())
    }

    /// The shortest within a stage: pods are young, and scrapes fail. Where none was scraped in it, as at
    /// the nearest time.
    pub(super) fn interval(&self, (begins, ends): (Timestamp, Timestamp)) -> Option<Duration> {
        let far = |at: Timestamp| at.since(ends).max(ends.since(at));
        let within = self.0.iter().filter(|(at, _)| (begins..=ends).contains(at));
        let nearest = || self.0.iter().min_by_key(|(at, _)| far(*at));
        within.min_by_key(|(_, interval)| *interval).or_else(nearest).map(|(_, interval)| *interval)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DAY, Scrapes, query, span};
    use crate::engine::series::{Sample, Series};
    use crate::engine::units::Timestamp;
    use crate::source::assemble::RawSeries;
    use crate::source::prometheus::answer::Data;
    use crate::spec::{Limits, WorkloadRef, parse};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_ms((480_000 + hours) * 3_600_000)
    }

    #[test]
    fn families_are_counted_one_by_one() {
        let asked = |metadata: &[(&str, &str)]| {
            let given =
                metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let spec = parse("llm", "chat", &given.collect(), &Limits::default()).unwrap();
            query(&spec.target, &WorkloadRef { kind: None, name: "chat".to_owned() })
        };
        for engine in ["vllm", "sglang", "tgi", "trtllm", "triton", "llamacpp", "dynamo", "gpu"] {
            let target =
                if engine == "gpu" { ("gpuUtilization", "60%") } else { ("requestRate", "2") };
            let text = asked(&[("engine", engine), target]).unwrap();
            assert!(promql_parser::parser::parse(&text).is_ok(), "{text}");
            assert!(text.starts_with("max(count_over_time({__name__=\""), "{text}");
            assert!(!text.contains("__name__=~"), "{text}");
        }
        let scraped = [("engine", "vllm"), ("endpoints", "dns://chat:8000")];
        assert_eq!(asked(&scraped), None);
    }

    #[test]
    fn a_stage_is_read_as_its_pods_were_scraped() {
        let sample = |(hour, value): &(i64, f64)| Sample { at: at(*hour), value: *value };
        let counts = [(1, 10.0), (2, 20.0), (3, 1.0), (30, 38.0), (31, 40.0), (80, 20.0)];
        let series = Series::new(counts.iter().map(sample).collect());
        let rows = vec![RawSeries { name: String::new(), labels: [].into(), series }];
        let scrapes = Scrapes::read(&Data::Matrix(rows));
        let rows = [((0, 24), 30), ((24, 48), 15), ((48, 54), 15), ((56, 79), 30), ((90, 99), 30)];
        for ((begins, ends), expected) in rows {
            let found = scrapes.interval((at(begins), at(ends)));
            assert_eq!(found, Some(Duration::from_secs(expected)), "{begins} to {ends}");
        }
        assert_eq!(Scrapes::read(&Data::Scalar(40.0)).interval((at(0), at(24))), None);
    }

    #[test]
    fn a_short_past_is_looked_at_more_often() {
        let late = |at: Timestamp| at.plus(Duration::from_mins(31));
        let (from, until) = (late(at(0)), late(at(24)).plus(Duration::from_mins(1)));
        assert_eq!(span(from, until), ((at(0), until), Duration::from_hours(1)));
        let until = from.plus(DAY);
        let begins = at(0).plus(Duration::from_mins(30));
        assert_eq!(span(from, until), ((begins, until), Duration::from_mins(10)));
    }
}
