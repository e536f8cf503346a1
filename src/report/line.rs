//! Strings from outside, made fit to stand on one line of a terminal, a log or a page.
//!
//! Given any text, promises no control character in the result (so no new line, no terminal escape,
//! no direction override). Escaping for HTML or JSON is left to those formats.

/// `text` with every control and direction-changing character written as its escape, `\n`, `\u{1b}`.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// `text`, or as much of it as leaves room for an ellipsis within `chars_max` characters.
#[must_use]
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    text.chars().take(chars_max.saturating_sub(1)).chain(['…']).collect()
}

/// Control characters, line and paragraph separators, and the marks that reorder what is read.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// `text` as it may stand in an element or a quoted attribute.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{cut, one_line};

    #[test]
    fn hostile_text_stays_on_its_line() {
        let rows = [
            ("plain café", "plain café"),
            ("two\nlines", "two\\nlines"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("c1 \u{9b}31m", "c1 \\u{9b}31m"),
            ("over\u{202e}ride", "over\\u{202e}ride"),
        ];
        for (given, expected) in rows {
            assert_eq!(one_line(given), expected);
        }
    }

    #[test]
    fn a_long_line_is_cut_to_its_limit() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("éééé", 3), "éé…");
    }
}
