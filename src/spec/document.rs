//! Whole files of YAML: what is wrong with one is told with its line, and key and value where there are
//! any.
//!
//! Given the text of a configuration or profile. What the values mean is left to who reads it.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_path_to_error::{Path, Segment};
use serde_saphyr::Error;

use crate::spec::fault::shown;

/// Of a key or value this much is shown.
const SHOWN_MAX: usize = 128;

/// Why a text is no document of the kind wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Misread {
    /// Where, if known.
    pub(crate) line: Option<u64>,
    /// What is wrong, and what is accepted; one line, without the place.
    pub(crate) problem: String,
}

/// Understands `text` as a `T`.
///
/// # Errors
/// With the first thing that is none of it.
pub(crate) fn document<T: DeserializeOwned>(text: &str) -> Result<T, Misread> {
    let mut place = None;
    let parsed = serde_saphyr::with_deserializer_from_str(text, |input| {
        serde_path_to_error::deserialize(input).map_err(|error| {
            place = found(text, error.path());
            error.into_inner()
        })
    });
    parsed.map_err(|error| {
        let place = place.filter(|_| is_of_a_value(&error)).unwrap_or_default();
        let line = error.location().map(|at| at.line());
        Misread { line, problem: format!("{place}{}", yaml_problem(&error)) }
    })
}

/// Whether it is a value that is wrong; what else may be wrong is told with its key.
fn is_of_a_value(error: &Error) -> bool {
    !matches!(
        error.without_snippet(),
        Error::SerdeUnknownField { .. }
            | Error::SerdeMissingField { .. }
            | Error::DuplicateMappingKey { .. }
    )
}

/// `key: value ` of what stands at `path`; the value only where it is a single one without an `@`, which
/// may come with a password.
fn found(text: &str, path: &Path) -> Option<String> {
    let document: Value = serde_saphyr::from_str(text).ok()?;
    let value = path.iter().try_fold(&document, |value, segment| match segment {
        Segment::Map { key } => value.get(key),
        Segment::Seq { index } => value.get(index),
        Segment::Enum { .. } | Segment::Unknown => None,
    });
    let value = value.filter(|value| !value.is_object() && !value.is_array());
    let value = value.map(Value::to_string).filter(|text| !text.contains('@'));
    let value = value.map_or_else(String::new, |text| format!("{} ", shown(&text, SHOWN_MAX)));
    path.iter().next()?;
    Some(format!("{}: {value}", shown(&path.to_string(), SHOWN_MAX)))
}

/// What is wrong with a YAML text, and what is accepted; one line, without the place.
#[expect(clippy::wildcard_enum_match_arm, reason = "of sixty kinds a few are said better here")]
pub(crate) fn yaml_problem(error: &Error) -> String {
    match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => unknown(field, expected),
        Error::SerdeMissingField { field, .. } => format!("{field} is missing"),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("{} is given twice", shown(key, SHOWN_MAX))
        }
        Error::InvalidScalar { ty, .. } => format!("must be {}", accepted(ty)),
        Error::SerdeUnknownVariant { expected, .. } => {
            format!("must be one of {}", expected.join(", "))
        }
        other => {
            let message = other.to_string();
            let line = message.lines().next().unwrap_or_default();
            // The line is said once, in front.
            let line = line.split(" at line ").next().unwrap_or(line);
            line.strip_prefix("error: ")
                .unwrap_or(line)
                .chars()
                .filter(|c| !c.is_control())
                .collect()
        }
    }
}

/// What is accepted where the parser wants one of its types.
fn accepted(kind: &str) -> &str {
    match kind {
        "boolean" => "true or false",
        "floating point" => "a number",
        kind if kind.starts_with('u') => "a whole number, 0 or more",
        kind if kind.starts_with('i') => "a whole number",
        kind => kind,
    }
}

fn unknown(field: &str, expected: &[&'static str]) -> String {
    let field = shown(field, SHOWN_MAX);
    let nearest = expected.iter().copied().min_by_key(|key| distance(key, &field));
    let meant = nearest.filter(|key| distance(key, &field) <= 1 + key.len() / 4);
    let meant = meant.map(|key| format!(" did you mean {key}?")).unwrap_or_default();
    format!("unknown key {field};{meant} accepted: {}", expected.join(", "))
}

/// Edits between two keys, however they are cased and hyphenated.
fn distance(key: &str, given: &str) -> usize {
    let plain = |text: &str| text.to_lowercase().replace(['_', '-'], "");
    strsim::damerau_levenshtein(&plain(key), &plain(given))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::document;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields, default)]
    #[derive(Default)]
    struct Sample {
        per_namespace: Option<u32>,
        share: f64,
        on: Option<bool>,
        mode: Mode,
        list: Vec<Sample>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    enum Mode {
        #[default]
        Plain,
        Odd,
    }

    #[test]
    fn what_is_wrong_is_told_with_line_key_and_value() {
        let rows = [
            ("perNamespace: -1", 1, "perNamespace: -1 must be a whole number, 0 or more"),
            ("perNamespace: many", 1, "perNamespace: \"many\" must be a whole number, 0 or more"),
            ("share: 1\non: maybe", 2, "on: \"maybe\" must be true or false"),
            ("share: much", 1, "share: \"much\" must be a number"),
            ("list:\n- share: 1\n- mode: od", 3, "list[1].mode: \"od\" must be one of plain, odd"),
            ("share: u:canary@p", 1, "share: must be a number"),
            ("share: 1\nshare: 2", 2, "share is given twice"),
            (
                "shar: 1",
                1,
                "unknown key shar; did you mean share? accepted: perNamespace, share, on, mode, list",
            ),
        ];
        for (text, line, problem) in rows {
            let misread = document::<Option<Sample>>(text).map(drop).unwrap_err();
            assert_eq!((misread.line, misread.problem.as_str()), (Some(line), problem), "{text}");
        }
    }
}
