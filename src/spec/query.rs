//! A user's own query: limits that are checked before any parser sees it.
//!
//! Whether it is a query at all is the datasource's to say; it may speak a dialect of PromQL.

use crate::spec::fault::Problem;

/// Bytes of a query.
const QUERY_BYTES: usize = 4096;
/// Brackets within brackets: parsers and the trees they build are recursive.
const DEPTH_MAX: usize = 64;

/// The query, if it is within the limits and its brackets match.
pub(crate) fn parse(text: &str) -> Result<String, Problem> {
    if text.is_empty() {
        return Err(Problem::new("must be a query that results in one number"));
    }
    if text.len() > QUERY_BYTES {
        return Err(Problem::new(format!("must be at most {QUERY_BYTES} bytes long")));
    }
    check_brackets(text)?;
    Ok(text.to_owned())
}

fn check_brackets(text: &str) -> Result<(), Problem> {
    let unbalanced = || Problem::new("must have matching brackets and quotes");
    let mut open = Vec::new();
    let mut input = text.chars();
    while let Some(c) = input.next() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return Err(unbalanced()),
            '"' | '\'' | '`' if !skip_string(&mut input, c) => return Err(unbalanced()),
            '#' => drop(input.by_ref().find(|c| *c == '\n')),
            _ => {}
        }
        if open.len() > DEPTH_MAX {
            return Err(Problem::new(format!("must nest brackets at most {DEPTH_MAX} deep")));
        }
    }
    if open.is_empty() { Ok(()) } else { Err(unbalanced()) }
}

/// Whether the string that `quote` began ends.
fn skip_string(input: &mut std::str::Chars<'_>, quote: char) -> bool {
    while let Some(c) = input.next() {
        if c == quote {
            return true;
        }
        if c == '\\' && quote != '`' {
            input.next();
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn size_depth_and_brackets_are_checked() {
        let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
        let rows = [
            ("sum(rate(http_requests_total{job=\"a\"}[2m]))".to_owned(), true),
            ("x{a=\"(\"} # ((( comment\n + 1".to_owned(), true),
            (r#"x{a="\"("}"#.to_owned(), true),
            ("x{a=`\\`}".to_owned(), true),
            (nested(64), true),
            (nested(65), false),
            ("[".repeat(4000), false),
            ("a".repeat(4096), true),
            ("a".repeat(4097), false),
            ("sum(x".to_owned(), false),
            ("sum x)".to_owned(), false),
            ("sum(x]".to_owned(), false),
            ("x{a=\"b}".to_owned(), false),
            (String::new(), false),
        ];
        for (text, accepted) in rows {
            assert_eq!(parse(&text).is_ok(), accepted, "{text}");
        }
    }
}
