//! The answer of the query API, understood completely or refused.
//!
//! Own types over serde: `warnings` and `infos` are kept as "partial", native histograms, duplicate
//! keys, duplicate series and numbers that are none are refused. Values may be NaN or infinite here;
//! what that means is left to whoever reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use crate::engine::series::{Sample, Series};
use crate::engine::units::Timestamp;
use crate::source::assemble::RawSeries;

/// More result series than any query of ours or a tenant should have. A pod of a large engine has
/// some 30; 1 000 pods are the limit of replicas.
const SERIES_MAX: usize = 50_000;

/// Labels of one series, the name included.
pub type Labels = BTreeMap<String, String>;

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// Labels, the name included.
    pub labels: Labels,
    /// The value; may be NaN or infinite.
    pub value: f64,
}

impl Element {
    /// The metric's name; empty where a function dropped it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.label("__name__")
    }

    /// A label's value; empty where the label is absent.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// An instant vector.
    Vector(Vec<Element>),
    /// Raw samples: the finite ones of each series.
    Matrix(Vec<RawSeries>),
    /// A scalar; may be NaN or infinite.
    Scalar(f64),
    /// A string.
    Text(String),
}

/// A successful answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result.
    pub data: Data,
    /// The backend said something about its completeness.
    pub partial: bool,
}

/// The answer is not what the API promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("answer not understood")]
pub struct NotUnderstood;

impl Answer {
    /// Reads a body of the query API.
    ///
    /// # Errors
    /// When the body is not JSON of the promised shape, is cut off, is not a success, or repeats a
    /// key or a series.
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        let envelope: Envelope = serde_json::from_slice(body).map_err(|_| NotUnderstood)?;
        if envelope.status != "success" {
            return Err(NotUnderstood);
        }
        // `infos` are remarks about the query's form ("metric might not be a counter"); `warnings`
        // are about the data (a store that did not answer), as VictoriaMetrics' `isPartial` is.
        let partial = envelope.is_partial || !envelope.warnings.is_empty();
        let data = match envelope.data.ok_or(NotUnderstood)? {
            WireData::Vector(elements) => vector(elements)?,
            WireData::Matrix(rows) => matrix(rows)?,
            WireData::Scalar(sample) => Data::Scalar(sample.value),
            WireData::String((_, text)) => Data::Text(text),
        };
        Ok(Self { data, partial })
    }
}

/// The type of a refused query, as the API names it in an error's body; `None` if it says nothing.
#[must_use]
pub fn error_type(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refused {
        error_type: String,
    }
    serde_json::from_slice::<Refused>(body).ok().map(|refused| refused.error_type)
}

fn vector(elements: Vec<WireElement>) -> Result<Data, NotUnderstood> {
    distinct(elements.len(), elements.iter().map(|element| &element.metric.0))?;
    Ok(Data::Vector(
        elements
            .into_iter()
            .map(|element| Element { labels: element.metric.0, value: element.value.value })
            .collect(),
    ))
}

fn matrix(rows: Vec<WireRow>) -> Result<Data, NotUnderstood> {
    distinct(rows.len(), rows.iter().map(|row| &row.metric.0))?;
    Ok(Data::Matrix(
        rows.into_iter()
            .map(|row| {
                let mut labels = row.metric.0;
                let name = labels.remove("__name__").unwrap_or_default();
                RawSeries { name, labels, series: Series::new(samples(&row.values)) }
            })
            .collect(),
    ))
}

fn samples(values: &[WireSample]) -> Vec<Sample> {
    values.iter().map(|sample| Sample { at: sample.at, value: sample.value }).collect()
}

fn distinct<'a>(
    count: usize,
    labels: impl Iterator<Item = &'a Labels>,
) -> Result<(), NotUnderstood> {
    let distinct: BTreeSet<&Labels> = labels.collect();
    if count > SERIES_MAX || distinct.len() != count { Err(NotUnderstood) } else { Ok(()) }
}

#[derive(Deserialize)]
struct Envelope {
    status: String,
    data: Option<WireData>,
    #[serde(default)]
    warnings: Vec<IgnoredAny>,
    #[serde(default, rename = "isPartial")]
    is_partial: bool,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum WireData {
    Vector(Vec<WireElement>),
    Matrix(Vec<WireRow>),
    Scalar(WireSample),
    String((IgnoredAny, String)),
}

#[derive(Deserialize)]
struct WireElement {
    metric: UniqueLabels,
    value: WireSample,
}

#[derive(Deserialize)]
struct WireRow {
    metric: UniqueLabels,
    values: Vec<WireSample>,
    #[serde(default, rename = "histograms")]
    _histograms: Option<Never>,
}

/// Present means refused: native histograms are not samples.
#[derive(Deserialize)]
enum Never {}

#[derive(Deserialize)]
#[serde(try_from = "(f64, String)")]
struct WireSample {
    at: Timestamp,
    value: f64,
}

impl TryFrom<(f64, String)> for WireSample {
    type Error = &'static str;

    fn try_from((seconds, text): (f64, String)) -> Result<Self, Self::Error> {
        let value = text.parse().map_err(|_| "not a number")?;
        let milliseconds = (seconds * 1000.0).round();
        // The year 5138: anything beyond is not a time in seconds.
        if !(0.0..1e14).contains(&milliseconds) {
            return Err("not a time");
        }
        #[expect(clippy::cast_possible_truncation, reason = "checked to be within 0..1e14")]
        let at = Timestamp::from_unix_ms(milliseconds as i64);
        Ok(Self { at, value })
    }
}

struct UniqueLabels(Labels);

impl<'de> Deserialize<'de> for UniqueLabels {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Unique;

        impl<'de> Visitor<'de> for Unique {
            type Value = UniqueLabels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("labels, each once")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut labels = Labels::new();
                while let Some((name, value)) = map.next_entry()? {
                    if labels.insert(name, value).is_some() {
                        return Err(A::Error::custom("label given twice"));
                    }
                }
                Ok(UniqueLabels(labels))
            }
        }

        input.deserialize_map(Unique)
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Data, NotUnderstood, error_type};

    fn check(body: &str, expected: Result<(Data, bool), NotUnderstood>) {
        let read = Answer::parse(body.as_bytes()).map(|answer| (answer.data, answer.partial));
        assert_eq!(read, expected, "{body}");
    }

    #[test]
    fn scalars_and_empty_results_are_understood() {
        let success = |data: &str| format!(r#"{{"status":"success","data":{data}}}"#);
        check(
            &success(r#"{"resultType":"scalar","result":[1700000000.5,"2.5"]}"#),
            Ok((Data::Scalar(2.5), false)),
        );
        check(
            &success(r#"{"resultType":"vector","result":[]}"#),
            Ok((Data::Vector(Vec::new()), false)),
        );
        check(
            &success(r#"{"result":[],"resultType":"matrix"}"#),
            Ok((Data::Matrix(Vec::new()), false)),
        );
        check(
            &success(r#"{"resultType":"string","result":[1,"x"]}"#),
            Ok((Data::Text("x".to_owned()), false)),
        );
        check(
            r#"{"status":"success","warnings":["store down"],
                "data":{"resultType":"vector","result":[]}}"#,
            Ok((Data::Vector(Vec::new()), true)),
        );
        check(
            r#"{"status":"success","isPartial":true,
                "data":{"resultType":"vector","result":[]}}"#,
            Ok((Data::Vector(Vec::new()), true)),
        );
        check(
            r#"{"status":"success","infos":["might not be a counter"],
                "data":{"resultType":"vector","result":[]}}"#,
            Ok((Data::Vector(Vec::new()), false)),
        );
    }

    #[test]
    fn samples_that_are_not_finite_are_missing_in_a_matrix_and_kept_in_a_vector() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"q","pod":"a"},"values":[[1,"1"],[2,"NaN"],[3,"+Inf"]]}]}}"#;
        let Ok(Answer { data: Data::Matrix(rows), .. }) = Answer::parse(body.as_bytes()) else {
            panic!("not a matrix");
        };
        assert_eq!(rows[0].name, "q");
        assert_eq!(rows[0].series.samples().len(), 1);

        let body = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{},"value":[1,"NaN"]}]}}"#;
        let Ok(Answer { data: Data::Vector(elements), .. }) = Answer::parse(body.as_bytes()) else {
            panic!("not a vector");
        };
        assert!(elements[0].value.is_nan());
    }

    #[test]
    fn what_is_not_the_promised_shape_is_refused() {
        let rows = [
            "",
            "<html>502</html>",
            "[]",
            "{}",
            r#"{"status":"success"}"#,
            r#"{"status":"error","errorType":"bad_data"}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":["#,
            r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":{}}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1e300,"1"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"1","a":"2"},"value":[1,"1"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1"]},{"metric":{},"value":[1,"1"]}]}}"#,
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}}"#,
            r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[],"histograms":[[1,{}]]}]}}"#,
            r#"{"status":"success","status":"success","data":{"resultType":"vector","result":[]}}"#,
        ];
        for body in rows {
            check(body, Err(NotUnderstood));
        }
        assert_eq!(Answer::parse(b"{\"status\":\"success\xff\"}"), Err(NotUnderstood));
    }

    #[test]
    fn the_type_of_an_error_is_read_and_nothing_else() {
        assert_eq!(
            error_type(br#"{"status":"error","errorType":"timeout","error":"secret"}"#).as_deref(),
            Some("timeout")
        );
        assert_eq!(error_type(b"<html>"), None);
    }
}
