//! `instanceBounds`: replicas by the calendar, in AHPA's form or in that of KEDA's cron trigger.

use chrono_tz::Tz;
use serde::Deserialize;

use crate::engine::calendar::{Bound, Calendar, Entry, Rule, Schedule};
use crate::engine::units::Replicas;
use crate::spec::fault::{Fault, Problem};
use crate::spec::yaml::{self, Element, Scalar};
use crate::spec::{number, zone};

/// Entries and bounds of one trigger, together.
const BOUNDS_MAX: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawEntry {
    start_time: Option<Scalar>,
    end_time: Option<Scalar>,
    bounds: Option<Vec<RawBound>>,
    start: Option<Scalar>,
    end: Option<Scalar>,
    desired_replicas: Option<Scalar>,
    timezone: Option<Scalar>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawBound {
    cron: Option<Scalar>,
    min_replicas: Option<Scalar>,
    max_replicas: Option<Scalar>,
}

/// What the entries are checked against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// The time zone of entries that give none.
    pub(crate) zone: Tz,
    /// The server's limit of `maxReplicas`.
    pub(crate) replicas_limit: u32,
}

/// The calendar of the list.
pub(crate) fn parse(key: &str, text: &str, around: Surroundings) -> Result<Calendar, Vec<Fault>> {
    let refuse = |Problem(problem): Problem| vec![Fault::new(key, text, problem)];
    let raw: Vec<RawEntry> = yaml::list(text).map_err(refuse)?;
    let count: usize = raw.iter().map(|entry| entry.bounds.as_ref().map_or(1, Vec::len)).sum();
    if !(1..=BOUNDS_MAX).contains(&count) || raw.len() > BOUNDS_MAX {
        return Err(refuse(Problem::new(format!("must have from 1 to {BOUNDS_MAX} bounds"))));
    }
    let mut faults = Vec::new();
    let mut entries = Vec::new();
    for (idx, raw) in raw.iter().enumerate() {
        let mut element = Element { place: format!("{key}[{idx}]"), faults: &mut faults };
        entries.extend(entry(raw, around, &mut element));
    }
    if faults.is_empty() { Ok(Calendar::new(entries)) } else { Err(faults) }
}

fn entry(raw: &RawEntry, around: Surroundings, element: &mut Element<'_>) -> Option<Entry> {
    let RawEntry { start_time, end_time, bounds, start, end, desired_replicas, timezone } = raw;
    let zone = match timezone {
        None => Some(around.zone),
        given => element.read("timezone", given.as_ref(), zone::timezone),
    };
    let kedas = start.is_some() || end.is_some() || desired_replicas.is_some();
    let ahpas = bounds.is_some() || start_time.is_some() || end_time.is_some();
    let rule = match (ahpas, kedas) {
        (true, false) => {
            let span = [start_time.as_ref(), end_time.as_ref()];
            matching(span, bounds.as_deref().unwrap_or_default(), (zone?, around), element)
        }
        (false, true) => {
            let limit = around.replicas_limit;
            let start = element.need("start", start.as_ref(), str::parse);
            let end = element.need("end", end.as_ref(), str::parse);
            let count = |text: &str| number::count(text, 0, limit);
            let desired = element.need("desiredReplicas", desired_replicas.as_ref(), count);
            between(start, end, desired)
        }
        _ => {
            element.refuse("must have either bounds, or start, end and desiredReplicas");
            None
        }
    };
    Some(Entry { zone: zone?, rule: rule? })
}

fn between(start: Option<Schedule>, end: Option<Schedule>, desired: Option<u32>) -> Option<Rule> {
    Some(Rule::Between { start: start?, end: end?, desired: Replicas::new(desired?) })
}

fn matching(
    [start_time, end_time]: [Option<&Scalar>; 2],
    bounds: &[RawBound],
    (zone, around): (Tz, Surroundings),
    element: &mut Element<'_>,
) -> Option<Rule> {
    let before = element.faults.len();
    let from = element.read("startTime", start_time, |text| zone::instant(text, zone));
    let until = element.read("endTime", end_time, |text| zone::instant(text, zone));
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        element.refuse("has an endTime that is not after its startTime");
    }
    if bounds.is_empty() {
        element.refuse("is missing: bounds");
    }
    let place = element.place.clone();
    let bounds: Vec<Bound> = bounds
        .iter()
        .enumerate()
        .filter_map(|(idx, raw)| {
            let place = format!("{place}.bounds[{idx}]");
            let mut element = Element { place, faults: &mut *element.faults };
            bound(raw, around.replicas_limit, &mut element)
        })
        .collect();
    (element.faults.len() == before).then_some(Rule::Matching { from, until, bounds })
}

fn bound(raw: &RawBound, limit: u32, element: &mut Element<'_>) -> Option<Bound> {
    let RawBound { cron, min_replicas, max_replicas } = raw;
    let count = |text: &str| number::count(text, 0, limit);
    let cron = element.need("cron", cron.as_ref(), str::parse::<Schedule>);
    let min = element.read("minReplicas", min_replicas.as_ref(), count);
    let max = element.read("maxReplicas", max_replicas.as_ref(), count);
    if min_replicas.is_none() && max_replicas.is_none() {
        element.refuse("must have minReplicas, maxReplicas or both");
    }
    if min.zip(max).is_some_and(|(min, max)| min > max) {
        element.refuse("has minReplicas above maxReplicas");
    }
    Some(Bound { cron: cron?, min: min.map(Replicas::new), max: max.map(Replicas::new) })
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::{Surroundings, parse};
    use crate::engine::calendar::{Entry, Rule};
    use crate::engine::units::{Replicas, Timestamp};
    use crate::spec::fault::Fault;

    fn read(text: &str) -> Result<Vec<Entry>, Vec<Fault>> {
        let around = Surroundings { zone: Tz::Asia__Shanghai, replicas_limit: 1000 };
        parse("instanceBounds", text, around).map(|calendar| calendar.entries().to_vec())
    }

    #[test]
    fn ahpas_form_is_read() {
        let entries = read(
            "
- startTime: \"2021-12-16 00:00:00\"
  endTime: \"2022-12-16 00:00:00\"
  bounds:
  - cron: \"* 0-8 ? * MON-FRI\"
    maxReplicas: 15
    minReplicas: 4
  - cron: \"* 9-15 ? * MON-FRI\"
    minReplicas: 10
",
        )
        .unwrap();
        let [Entry { zone, rule: Rule::Matching { from, until, bounds } }] = entries.as_slice()
        else {
            panic!("{entries:?}")
        };
        assert_eq!(*zone, Tz::Asia__Shanghai);
        // Midnight in Shanghai is 16:00 UTC of the day before.
        assert_eq!(*from, Some(Timestamp::from_unix_ms(1_639_584_000_000)));
        assert_eq!(*until, Some(Timestamp::from_unix_ms(1_671_120_000_000)));
        assert_eq!(bounds[0].min.zip(bounds[0].max), Some((Replicas::new(4), Replicas::new(15))));
        assert_eq!((bounds[1].min, bounds[1].max), (Some(Replicas::new(10)), None));
    }

    #[test]
    fn kedas_form_is_read() {
        let entries = read(
            "[{start: 0 8 * * 1-5, end: 0 20 * * 1-5, desiredReplicas: 3, timezone: Europe/Berlin}]",
        )
        .unwrap();
        assert_eq!(entries[0].zone, Tz::Europe__Berlin);
        let Rule::Between { start, desired, .. } = &entries[0].rule else { panic!() };
        assert_eq!((start.to_string().as_str(), *desired), ("0 8 * * 1-5", Replicas::new(3)));
    }

    #[test]
    fn every_fault_is_found_and_placed() {
        let faults = read(
            "
- bounds:
  - {cron: '0 0 31 2 *', minReplicas: 1}
  - {cron: '0 0 * * *'}
  - {cron: '0 0 * * *', minReplicas: 5, maxReplicas: 2}
  - {minReplicas: 2000}
- {start: 0 8 * * *, desiredReplicas: x}
- {startTime: soon, bounds: [{cron: '0 0 * * *', minReplicas: 1}], start: 0 8 * * *}
- {startTime: 2026-02-01, endTime: 2026-01-01, bounds: [], timezone: Mars}
- {timezone: UTC}
",
        )
        .unwrap_err();
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        let either = "must have either bounds, or start, end and desiredReplicas";
        let expected = [
            "instanceBounds[0].bounds[0].cron: \"0 0 31 2 *\" names a date that never comes",
            "instanceBounds[0].bounds[1]: must have minReplicas, maxReplicas or both",
            "instanceBounds[0].bounds[2]: has minReplicas above maxReplicas",
            "instanceBounds[0].bounds[3]: is missing: cron",
            "instanceBounds[0].bounds[3].minReplicas: \"2000\" must be a whole number from 0 to 1000",
            "instanceBounds[1]: is missing: end",
            "instanceBounds[1].desiredReplicas: \"x\" must be a whole number from 0 to 1000",
            &format!("instanceBounds[2]: {either}"),
            "instanceBounds[3].timezone: \"Mars\" must be a time zone such as UTC or Europe/Berlin",
            &format!("instanceBounds[4]: {either}"),
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn an_unquoted_star_is_explained() {
        let faults =
            read("- bounds:\n  - cron: * 0-8 ? * MON-FRI\n    minReplicas: 4\n").unwrap_err();
        assert!(faults[0].problem.contains("quote what begins with *"), "{}", faults[0]);
    }

    #[test]
    fn sizes_are_bounded() {
        let bound = "{cron: '0 0 * * *', minReplicas: 1}";
        let list = |count: usize| format!("[{{bounds: [{}]}}]", vec![bound; count].join(","));
        assert!(read(&list(50)).is_ok());
        assert!(read(&list(51)).is_err());
        assert!(read("[]").is_err());
        assert!(read(&format!("[{}]", vec!["{bounds: []}"; 60].join(","))).is_err());
    }
}
