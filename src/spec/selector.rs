//! Label matchers as in PromQL: `job="vllm",x=~"a.*"`, with or without braces.

use std::iter::Peekable;
use std::str::Chars;

use regex::RegexBuilder;

use crate::spec::fault::Problem;
use crate::spec::target::{LabelMatcher, MatchOp};

/// Matchers in one selector: more than any series has labels worth naming.
const MATCHERS_MAX: usize = 20;
/// Characters of a pattern; longer ones are generated, and cost memory per scaler.
const PATTERN_CHARS: usize = 256;
/// Bytes of a compiled pattern: ten thousand scalers with one each stay below 2.5 GiB at worst and
/// below 10 MiB in practice, since real ones take a few hundred bytes.
const PATTERN_BYTES: usize = 256 * 1024;
/// Nested groups in a pattern.
const PATTERN_DEPTH: u32 = 50;

const ACCEPTED: &str = "must be matchers such as job=\"vllm\",pod=~\"llama-.*\"";

/// The matchers of `text`; at least one.
pub(crate) fn parse(text: &str) -> Result<Vec<LabelMatcher>, Problem> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let mut input = inner.chars().peekable();
    let mut matchers = Vec::new();
    loop {
        skip_space(&mut input);
        if input.peek().is_none() {
            break;
        }
        matchers.push(matcher(&mut input)?);
        skip_space(&mut input);
        match input.next() {
            None => break,
            Some(',') => {}
            Some(_) => return Err(Problem::new(ACCEPTED)),
        }
    }
    match matchers.len() {
        0 => Err(Problem::new(ACCEPTED)),
        1..=MATCHERS_MAX => Ok(matchers),
        _ => Err(Problem::new(format!("must have at most {MATCHERS_MAX} matchers"))),
    }
}

/// Matchers as they would be written.
pub(crate) fn show(matchers: &[LabelMatcher]) -> String {
    let one = |LabelMatcher { label, op, value }: &LabelMatcher| {
        let op = match op {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{label}{op}\"{value}\"")
    };
    matchers.iter().map(one).collect::<Vec<_>>().join(",")
}

fn skip_space(input: &mut Peekable<Chars<'_>>) {
    while input.next_if(|c| c.is_ascii_whitespace()).is_some() {}
}

fn matcher(input: &mut Peekable<Chars<'_>>) -> Result<LabelMatcher, Problem> {
    let mut label = String::new();
    while let Some(c) = input.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        label.push(c);
    }
    if label.is_empty() || label.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(Problem::new(ACCEPTED));
    }
    if label == "__name__" {
        return Err(Problem::new("must not match __name__: the preset knows the metric names"));
    }
    skip_space(input);
    let op = operator(input)?;
    skip_space(input);
    let value = quoted(input)?;
    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
        check_pattern(&value)?;
    }
    Ok(LabelMatcher { label, op, value })
}

fn operator(input: &mut Peekable<Chars<'_>>) -> Result<MatchOp, Problem> {
    match (input.next(), input.peek()) {
        (Some('='), Some('~')) => {
            input.next();
            Ok(MatchOp::Regex)
        }
        (Some('='), _) => Ok(MatchOp::Equal),
        (Some('!'), Some('=')) => {
            input.next();
            Ok(MatchOp::NotEqual)
        }
        (Some('!'), Some('~')) => {
            input.next();
            Ok(MatchOp::NotRegex)
        }
        _ => Err(Problem::new(ACCEPTED)),
    }
}

fn quoted(input: &mut Peekable<Chars<'_>>) -> Result<String, Problem> {
    let Some(quote) = input.next_if(|c| matches!(c, '"' | '\'')) else {
        return Err(Problem::new("must have its values in quotes, as in job=\"vllm\""));
    };
    let mut value = String::new();
    while let Some(c) = input.next() {
        match c {
            c if c == quote => return Ok(value),
            '\\' => match input.next() {
                Some('n') => value.push('\n'),
                Some('t') => value.push('\t'),
                Some(c @ ('\\' | '"' | '\'')) => value.push(c),
                // `\.` is what people write in patterns; PromQL wants `\\.`, and means the same.
                Some(c) => value.extend(['\\', c]),
                None => break,
            },
            c => value.push(c),
        }
    }
    Err(Problem::new("has a value whose quote does not end"))
}

fn check_pattern(pattern: &str) -> Result<(), Problem> {
    if pattern.chars().count() > PATTERN_CHARS {
        return Err(Problem::new(format!("has a pattern above {PATTERN_CHARS} characters")));
    }
    RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(PATTERN_BYTES)
        .nest_limit(PATTERN_DEPTH)
        .build()
        .map(drop)
        .map_err(|error| {
            let too_big = matches!(error, regex::Error::CompiledTooBig(_));
            let problem = if too_big { "is too large when compiled" } else { "is no RE2 regex" };
            Problem::new(format!("has a pattern that {problem}"))
        })
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn matchers_are_read_and_round_trip() {
        let rows = [
            ("job=\"vllm\"", "job=\"vllm\""),
            ("{job=\"vllm\"}", "job=\"vllm\""),
            ("job='vllm' , x =~ \"a.*\",", "job=\"vllm\",x=~\"a.*\""),
            ("a!=\"\",b!~\"c|d\"", "a!=\"\",b!~\"c|d\""),
            (r#"a="q\"uo\\te""#, r#"a="q\"uo\\te""#),
            (r#"a=~"b\.c""#, r#"a=~"b\\.c""#),
            ("a=\"1\",\n  b=\"2\"\n", "a=\"1\",b=\"2\""),
        ];
        for (text, written) in rows {
            let matchers = parse(text).unwrap();
            assert_eq!(show(&matchers), written, "{text}");
            assert_eq!(parse(&show(&matchers)).unwrap(), matchers, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_matcher_is_refused() {
        let many = vec!["a=\"1\""; 21].join(",");
        let rows = [
            "",
            "{}",
            "job",
            "job=vllm",
            "job=\"vllm",
            "job==\"x\"",
            "1a=\"x\"",
            "a=\"x\" b=\"y\"",
            "a=\"x\"} or up{b=\"y\"",
            "__name__=\"up\"",
            ",",
            "a=\"x\";drop",
            &many,
        ];
        for text in rows {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    /// The engine is linear-time, so a pattern is harmless once it compiled within the limits.
    #[test]
    fn explosive_patterns_compile_small_or_are_refused() {
        let nested = format!("{}a{}", "(".repeat(60), ")".repeat(60));
        let accepted = ["(a+)+", "(a|a)*b", "(a|aa)+$", "(.*a){20}", "([a-zA-Z]+)*", "(x+x+)+y"];
        let refused = [
            "(?:a{1000}){1000}",
            "a{1,1000}{1,1000}",
            "(?:(?:a{100}){100}){100}",
            "(\\\\pL{500}){50}",
            nested.as_str(),
            "(a",
            "a**(",
            "(?=look)",
            "(a)\\\\1",
            "*",
        ];
        for pattern in accepted {
            assert!(parse(&format!("x=~\"{pattern}\"")).is_ok(), "{pattern}");
        }
        for pattern in refused {
            assert!(parse(&format!("x=~\"{pattern}\"")).is_err(), "{pattern}");
        }
        assert!(parse(&format!("x=~\"{}\"", "a".repeat(257))).is_err());
        assert!(parse(&format!("x=\"{}\"", "a".repeat(257))).is_ok(), "not a pattern");
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_round_trips(text in "[ -~\\n]{0,60}") {
            if let Ok(matchers) = parse(&text) {
                proptest::prop_assert_eq!(parse(&show(&matchers)).unwrap(), matchers);
            }
        }
    }
}
