//! What a body asks for: the model, and whether as a stream. Everything else is skipped unread.

use serde::Deserialize;

use crate::gate::error::Refusal;

/// The keys that matter.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Asked {
    /// The model.
    #[serde(default)]
    pub(super) model: Option<String>,
    /// Whether the answer is to be a stream.
    #[serde(default)]
    pub(super) stream: Option<bool>,
}

/// Characters of a parser's complaint; they may repeat what was sent.
const PROBLEM_CHARS: usize = 160;

/// What `body` asks for; an empty one asks for nothing. A key given twice is refused: the server
/// might read the other one.
///
/// # Errors
/// When it is no JSON object, or a key is of the wrong type.
pub(super) fn read(body: &[u8]) -> Result<Asked, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Asked::default());
    }
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Refusal::Malformed("it does not begin with {".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let problem = crate::report::one_line(&error.to_string());
        Refusal::Malformed(problem.chars().take(PROBLEM_CHARS).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::{Asked, read};

    fn check(body: &str, expected: Result<(Option<&str>, Option<bool>), &str>) {
        let found = read(body.as_bytes());
        match (found, expected) {
            (Ok(Asked { model, stream }), Ok(expected)) => {
                assert_eq!((model.as_deref(), stream), expected, "{body}");
            }
            (Err(refusal), Err(part)) => {
                let text = refusal.body().to_string();
                assert!(text.contains(part), "{body}: {text}");
            }
            (found, _) => panic!("{body}: {found:?}"),
        }
    }

    #[test]
    fn the_model_is_found_wherever_it_stands_and_doubt_is_refused() {
        check(r#"{"model":"llama"}"#, Ok((Some("llama"), None)));
        check(
            r#" {"messages":[{"model":"no"}],"x":1e999,"stream":true,"model":"l\u006cama"} "#,
            Ok((Some("llama"), Some(true))),
        );
        check(r#"{"stream":null,"prompt":"x"}"#, Ok((None, None)));
        check("", Ok((None, None)));
        check(r#"{"model":"a","model":"b"}"#, Err("duplicate field"));
        check(r#"{"model":7}"#, Err("expected a string"));
        check(r#"{"model":"a""#, Err("EOF"));
        check(r#"{"model":"a"} trailing"#, Err("trailing"));
        check(r#"["a", true]"#, Err("does not begin with {"));
        check("model=llama", Err("does not begin with {"));
    }

    #[test]
    fn depth_does_not_overflow_the_stack() {
        let deep = format!(r#"{{"x":{}{},"model":"a"}}"#, "[".repeat(1 << 20), "]".repeat(1 << 20));
        check(&deep, Ok((Some("a"), None)));
    }
}
