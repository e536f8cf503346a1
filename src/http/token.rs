//! The token that is asked of whoever looks at scalers.

use std::fmt;

use sha2::{Digest, Sha256};

/// A bearer token, kept as its digest only, so that it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

/// The text is no usable token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one line of at least 16 visible ASCII characters")]
pub struct BadToken;

impl Token {
    /// The token in `text`, white space around it ignored.
    ///
    /// # Errors
    /// When it is shorter than 16 characters, or holds anything but visible ASCII.
    pub fn try_new(text: &str) -> Result<Self, BadToken> {
        // Shorter ones are guessed; others cannot stand in a header.
        let text = text.trim();
        if text.len() >= 16 && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(digest(text.as_bytes())))
        } else {
            Err(BadToken)
        }
    }

    /// Whether `given` is the token; takes the same time wherever they differ.
    #[must_use]
    pub(super) fn is(&self, given: &[u8]) -> bool {
        let given = digest(given);
        self.0.iter().zip(given).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_long_and_printable_and_never_printed() {
        let rows = [
            ("0123456789abcdef", true),
            ("  0123456789abcdef\n", true),
            ("0123456789abcde", false),
            ("0123456789 abcdef", false),
            ("0123456789abcdé-f", false),
            ("", false),
        ];
        for (text, accepted) in rows {
            assert_eq!(Token::try_new(text).is_ok(), accepted, "{text:?}");
        }
        let token = Token::try_new("0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
