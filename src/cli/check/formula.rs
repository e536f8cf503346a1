//! The names that a formula of `scalingModifiers` speaks of.
//!
//! No parser of KEDA's language: where a formula has more than names, numbers, operators and calls,
//! nothing is said.

/// What comes with names of its own, or with names in quotes.
const BEYOND: [char; 7] = ['"', '\'', '`', '{', '#', '$', ';'];
/// The words of the language.
const WORDS: [&str; 13] = [
    "true",
    "false",
    "nil",
    "and",
    "or",
    "not",
    "in",
    "if",
    "else",
    "contains",
    "matches",
    "startsWith",
    "endsWith",
];

/// The first name in `formula` that is none of `known`.
pub(crate) fn unknown<'a>(formula: &'a str, known: &[&str]) -> Option<&'a str> {
    let member = formula.split('.').skip(1).any(|rest| rest.starts_with(char::is_alphabetic));
    let words = words(formula);
    if member || formula.contains(BEYOND) || words.contains(&("let", false)) {
        return None;
    }
    let named = |word: &str| !word.starts_with(|c: char| c.is_ascii_digit());
    let names = words.into_iter().filter(|(word, called)| !called && named(word));
    names.map(|(word, _)| word).find(|word| !WORDS.contains(word) && !known.contains(word))
}

/// The words, and whether each is called.
fn words(formula: &str) -> Vec<(&str, bool)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = formula;
    while let Some(start) = rest.find(is_part) {
        let (_, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        words.push((word, after.trim_start().starts_with('(')));
        rest = after;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::unknown;

    #[test]
    fn names_of_no_trigger_are_found_where_the_formula_is_plain() {
        let rows = [
            ("queue", None),
            ("max(queue, 2*cron_1) + 0.5", None),
            ("queue > 1e3 ? queue : cron_1 ?? 0", None),
            ("not (queue > 1 and cron_1 < 2)", None),
            ("q + 1", Some("q")),
            ("max(queue, pre-scale)", Some("pre")),
            ("Queue", Some("Queue")),
            ("let x = queue; x + 1", None),
            ("sum([queue, cron_1], {# * 2})", None),
            ("now().Hour() + queue", None),
            ("", None),
        ];
        for (formula, expected) in rows {
            assert_eq!(unknown(formula, &["queue", "cron_1"]), expected, "{formula}");
        }
    }
}
