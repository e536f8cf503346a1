//! Names of models as routes list them: `llama-3-8b`, or `llama-*` for all that begin so.

use std::fmt;
use std::str::FromStr;

/// One entry of a route's `models`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pattern {
    /// This model.
    Name(String),
    /// Every model whose name begins with this.
    Prefix(String),
}

impl Pattern {
    /// How well it fits `model`: `None` when it does not, more for the longer match, most for the
    /// name itself.
    #[must_use]
    pub fn fit(&self, model: &str) -> Option<usize> {
        match self {
            Self::Name(name) => (name == model).then_some(usize::MAX),
            Self::Prefix(prefix) => model.starts_with(prefix).then_some(prefix.len()),
        }
    }
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (bare, is_prefix) = text.strip_suffix('*').map_or((text, false), |bare| (bare, true));
        // What vLLM serves may be a path or a repository: anything visible that needs no escape.
        let plain = bare.bytes().all(|b| b.is_ascii_graphic() && !b"*\"\\".contains(&b));
        if plain && (1..=256).contains(&bare.len()) {
            let bare = bare.to_owned();
            return Ok(if is_prefix { Self::Prefix(bare) } else { Self::Name(bare) });
        }
        let text = crate::report::one_line(text);
        Err(format!(
            "{text:?} must be a model's name, or how names begin and *; for every model leave \
             models out"
        ))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn a_name_fits_itself_and_a_prefix_what_begins_so() {
        let rows = [
            ("llama", "llama", Some(usize::MAX)),
            ("llama", "llama-3", None),
            ("llama-*", "llama-3", Some(6)),
            ("llama-*", "llama", None),
            ("meta/llama*", "meta/llama", Some(10)),
        ];
        for (pattern, model, expected) in rows {
            let read: Pattern = pattern.parse().unwrap();
            assert_eq!(read.fit(model), expected, "{pattern} {model}");
            assert_eq!(read.to_string(), pattern);
        }
        for text in ["", "*", "a*b", "a b", "a\n", "\"", "*llama"] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }
}
