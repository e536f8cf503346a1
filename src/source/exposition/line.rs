//! One line of a page to its parts. Lenient about spacing, strict about quoting: a line that is not
//! surely understood gives `None` and is skipped by the caller.

use std::collections::BTreeMap;

use crate::engine::units::Timestamp;
use crate::source::exposition::page::Format;

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Line<'a> {
    /// Blank, or a comment without meaning.
    Nothing,
    /// `# HELP` or `# TYPE` of this family.
    Family(&'a str),
    /// `# EOF`.
    End,
    /// A sample of this name, with the rest of the line unread.
    Sample(&'a str, &'a str),
}

/// Labels, value and instant of a sample.
pub(super) type Reading = (BTreeMap<String, String>, f64, Option<Timestamp>);

/// Tells what `line` (without its newline) is; `None` when it does not begin like any of them.
pub(super) fn classify(line: &str) -> Option<Line<'_>> {
    let line = line.trim_ascii_start();
    if line.is_empty() {
        return Some(Line::Nothing);
    }
    if let Some(comment) = line.strip_prefix('#') {
        return Some(classify_comment(comment));
    }
    let end = line.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end)?;
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    let ends_well = rest.starts_with(['{', ' ', '\t']);
    (begins_well && ends_well).then_some(Line::Sample(name, rest))
}

fn classify_comment(comment: &str) -> Line<'_> {
    let mut words = comment.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (Some("HELP" | "TYPE"), Some(family)) => Line::Family(family),
        (Some("EOF"), None) => Line::End,
        _ => Line::Nothing,
    }
}

/// Reads what follows the name of a sample; `None` when any of it is not understood.
pub(super) fn sample(rest: &str, format: Format) -> Option<Reading> {
    let rest = rest.trim_ascii_start();
    let (labels, tail) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let mut words = tail.split_ascii_whitespace();
    let value = words.next()?.parse().ok()?;
    let Some(word) = words.next().filter(|word| !word.starts_with('#')) else {
        return Some((labels, value, None));
    };
    let timestamp = instant(word, format)?;
    let ends_well = words.next().is_none_or(|word| word.starts_with('#'));
    ends_well.then_some((labels, value, Some(timestamp)))
}

/// Reads labels up to the closing brace, which has to be there; gives what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_ascii_start();
        if let Some(tail) = rest.strip_prefix('}') {
            return Some((labels, tail));
        }
        let (name, value, tail) = label(rest)?;
        // The same label twice says two things at once; neither is believed.
        if labels.insert(name.to_owned(), value).is_some() {
            return None;
        }
        let tail = tail.trim_ascii_start();
        rest = match tail.strip_prefix(',') {
            Some(next) => next,
            None if tail.starts_with('}') => tail,
            None => return None,
        };
    }
}

/// Reads `name="value"`; gives what follows it.
fn label(rest: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = rest.split_once('=')?;
    let name = name.trim_ascii_end();
    let begins_well = name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !begins_well || !name.bytes().all(|byte| is_name_byte(byte) && byte != b':') {
        return None;
    }
    let (value, rest) = quoted(rest.trim_ascii_start().strip_prefix('"')?)?;
    Some((name, value, rest))
}

/// Reads up to the closing quote and undoes escapes; an escape that the format does not know stays
/// as it is written.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (plain, tail) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
        value.push_str(plain);
        if let Some(after) = tail.strip_prefix('"') {
            return Some((value, after));
        }
        let mut escape = tail.strip_prefix('\\')?.chars();
        match escape.next()? {
            'n' => value.push('\n'),
            known @ ('"' | '\\') => value.push(known),
            other => value.extend(['\\', other]),
        }
        rest = escape.as_str();
    }
}

/// A timestamp in the unit of the format.
fn instant(word: &str, format: Format) -> Option<Timestamp> {
    match format {
        Format::Text => word.parse().ok().map(Timestamp::from_unix_ms),
        Format::OpenMetrics => {
            let milliseconds = (word.parse::<f64>().ok()? * 1000.0).round();
            // Beyond 2^53 a float no longer tells milliseconds apart; the year would be 287 396.
            if milliseconds.is_nan() || milliseconds.abs() >= 9_007_199_254_740_992.0 {
                return None;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            let milliseconds = milliseconds as i64;
            Some(Timestamp::from_unix_ms(milliseconds))
        }
    }
}

const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':')
}
