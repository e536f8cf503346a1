//! Truth values in strings, as KEDA reads them: those of Go's `strconv.ParseBool`.

/// What is accepted, in words.
pub(crate) const ACCEPTED: &str = "must be true or false";

const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "false", "FALSE", "False"];

/// What `text` says; `None` where KEDA would not know.
pub(crate) fn parse(text: &str) -> Option<bool> {
    if TRUE.contains(&text) {
        return Some(true);
    }
    FALSE.contains(&text).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn truth_is_what_go_calls_it() {
        let rows = [
            ("true", Some(true)),
            ("True", Some(true)),
            ("1", Some(true)),
            ("f", Some(false)),
            ("FALSE", Some(false)),
            ("yes", None),
            ("tRUE", None),
            ("", None),
            (" true", None),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
