//! Lists inside of one metadata value: YAML with budgets, and scalars in any spelling.
//!
//! Fields are read as scalars first and understood afterwards, so that all faults of a list are
//! found at once and each names its element.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

use crate::spec::document::yaml_problem;
use crate::spec::fault::{Fault, Problem, shown};

/// A YAML scalar as text: `5`, `70%`, `true` and `"5"` alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
        Ok(Scalar(value.to_string()))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Scalar, E> {
        Ok(Scalar(value.trim().to_owned()))
    }
}

/// The list in `text`: no anchors, no aliases, at most 4 levels deep and 2,000 nodes, which is more
/// than the 16 KiB of all metadata can hold in earnest.
pub(crate) fn list<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>, Problem> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: 6,
            flow_nesting_limit: 6,
            max_nodes: 2000,
            max_events: 8000,
            max_anchors: 0,
            max_aliases: 0,
            max_documents: 1,
            max_merge_keys: 0,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or(String::new(), |at| format!(" (line {})", at.line()));
        let reason = if text.contains("cron: *") {
            "quote what begins with *".to_owned()
        } else {
            shown(&yaml_problem(&error), 80)
        };
        Problem::new(format!("is not the list expected{place}: {reason}"))
    })
}

/// One element of a list while it is understood: collects faults under `key[idx].field`.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    pub(crate) place: String,
    pub(crate) faults: &'a mut Vec<Fault>,
}

impl Element<'_> {
    /// The value of `field`, if it is given and understood.
    pub(crate) fn read<T>(
        &mut self,
        field: &str,
        given: Option<&Scalar>,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let Scalar(text) = given?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(Problem(problem)) => {
                let key = format!("{}.{field}", self.place);
                self.faults.push(Fault::new(&key, text, problem));
                None
            }
        }
    }

    /// The value of a `field` that must be given.
    pub(crate) fn need<T>(
        &mut self,
        field: &str,
        given: Option<&Scalar>,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        if given.is_none() {
            self.refuse(&format!("is missing: {field}"));
        }
        self.read(field, given, parse)
    }

    /// A fault of the element as a whole.
    pub(crate) fn refuse(&mut self, problem: &str) {
        self.faults.push(Fault::missing(&self.place, problem));
    }
}

#[cfg(test)]
mod tests {
    use super::{Scalar, list};

    #[test]
    fn scalars_keep_their_text() {
        let words: Vec<Scalar> = list("[5, 0.7, 70%, 'a b', true, \"5\", 5s, 2026-01-31]").unwrap();
        let words: Vec<&str> = words.iter().map(|word| word.0.as_str()).collect();
        assert_eq!(words, ["5", "0.7", "70%", "a b", "true", "5", "5s", "2026-01-31"]);
    }

    #[test]
    fn bombs_and_foreign_shapes_are_refused_in_one_line() {
        let deep = "[".repeat(5000);
        let wide = format!("[{}]", "1,".repeat(5000));
        let rows = [
            "a: &x [1]\nb: *x",
            "- &x 1\n- *x",
            &deep,
            &wide,
            "{a: 1}",
            "just words",
            "- 1\n---\n- 2",
            "- [1]",
            "- !!binary aGk=\n- {",
        ];
        for text in rows {
            let refusal = list::<Scalar>(text).unwrap_err().0;
            assert!(refusal.starts_with("is not the list expected"), "{refusal}");
            assert!(!refusal.contains('\n') && refusal.len() < 180, "{refusal}");
        }
    }
}
