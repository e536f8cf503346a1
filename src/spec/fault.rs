//! What is wrong with a trigger's metadata, in words short enough for `kubectl describe`.
//!
//! Every text is one line, whatever the input was: values are escaped and cut, and the value of a
//! `FromEnv` key is replaced before it gets here.

use std::fmt;

/// Characters of a value that are shown.
const VALUE_CHARS: usize = 40;
/// Characters of a key that are shown: room for `instanceBounds[49].bounds[49].minReplicas`.
const KEY_CHARS: usize = 48;
/// Characters of one fault; the fixed texts fit, this is the backstop for those with a detail.
const FAULT_CHARS: usize = 200;
/// Characters of all faults: what an event of Kubernetes (1024 bytes) has room for.
const FAULTS_CHARS: usize = 1000;
/// Characters kept for the closing "and N more".
const MORE_CHARS: usize = 20;
/// What stands for the value of a `FromEnv` key.
pub(crate) const FROM_ENV: &str = "(from the environment)";
/// What stands for a value that may hold a password, `http://user:password@host`.
const HIDDEN: &str = "(hidden)";

/// One fault: the key, its value as given, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The metadata key.
    pub key: String,
    /// The value as given, cut to 40 characters; never printed for a `FromEnv` key; empty when the
    /// key is missing.
    pub value: String,
    /// What is wrong and what would be accepted, as a lower-case fragment.
    pub problem: String,
}

impl Fault {
    /// A fault of `key` with the `value` given.
    #[must_use]
    pub fn new(key: &str, value: &str, problem: impl Into<String>) -> Self {
        let credentials = value.contains('@') && value.contains(':');
        let value = if credentials { HIDDEN } else { value };
        // One character more than is shown, so that Display sees that something was cut.
        let value = value.chars().take(VALUE_CHARS + 1).collect();
        Self { key: key.to_owned(), value, problem: problem.into() }
    }

    /// A fault of a key that is not there.
    #[must_use]
    pub fn missing(key: &str, problem: impl Into<String>) -> Self {
        Self::new(key, "", problem)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, problem } = self;
        let key = shown(key, KEY_CHARS);
        let text = match value.as_str() {
            "" => format!("{key}: {problem}"),
            hidden @ (FROM_ENV | HIDDEN) => format!("{key}: {hidden} {problem}"),
            value => format!("{key}: \"{}\" {problem}", shown(value, VALUE_CHARS)),
        };
        f.write_str(&cut(&text, FAULT_CHARS))
    }
}

/// All faults of one trigger; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut used = 0;
        for (idx, fault) in self.0.iter().enumerate() {
            let separator = if idx == 0 { "" } else { "; " };
            let text = format!("{separator}{fault}");
            let length = text.chars().count();
            if used + length > FAULTS_CHARS - MORE_CHARS {
                return write!(f, "; and {} more", self.0.len() - idx);
            }
            f.write_str(&text)?;
            used += length;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What is wrong with one value and what would be accepted: a lower-case fragment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

impl Problem {
    /// The fragment `text`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// `text` without control characters, at most `limit` characters.
pub(crate) fn shown(text: &str, limit: usize) -> String {
    // Only the beginning is escaped: an escape is never shorter than its character.
    let escaped: String =
        text.chars().take(limit + 1).flat_map(char::escape_debug).collect::<String>();
    cut(&escaped.replace("\\\"", "\"").replace("\\'", "'"), limit)
}

fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut kept: String = text.chars().take(limit - 1).collect();
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::{FROM_ENV, Fault, Faults};

    #[test]
    fn a_fault_is_one_short_line_whatever_the_value() {
        let rows = [
            (("queueDepth", "five", "must be a number"), "queueDepth: \"five\" must be a number"),
            (("signals", "", "is missing"), "signals: is missing"),
            (("model", "a\nb\u{1b}[31m", "no"), "model: \"a\\nb\\u{1b}[31m\" no"),
            (("model", "say \"hi\"", "no"), "model: \"say \"hi\"\" no"),
            (("modelFromEnv", FROM_ENV, "no"), "modelFromEnv: (from the environment) no"),
            (("datasource", "http://u:canary@h", "no"), "datasource: (hidden) no"),
            (("datasource", "u:canary@h", "no"), "datasource: (hidden) no"),
        ];
        for ((key, value, problem), expected) in rows {
            assert_eq!(Fault::new(key, value, problem).to_string(), expected);
        }
    }

    #[test]
    fn long_values_keys_and_lists_are_cut() {
        let long = Fault::new(&"k".repeat(500), &"\u{7}".repeat(500), "p".repeat(500));
        let text = long.to_string();
        assert_eq!(text.chars().count(), 200, "{text}");
        assert!(text.contains('…'));

        let many = Faults((0..50).map(|_| long.clone()).collect());
        let text = many.to_string();
        assert!(text.chars().count() <= 1000, "{}", text.chars().count());
        assert!(text.ends_with("; and 46 more"), "{text}");
    }
}
