//! Who may look, and what a browser may do with what it gets.

use std::fmt;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use crate::http::app::App;
use crate::http::error::Failure;

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
    fn is(&self, given: &[u8]) -> bool {
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

/// Lets a request pass that carries the token, where one is set.
pub(super) async fn authorize(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
    match &app.token {
        None => Ok(next.run(request).await),
        Some(token) if given.is_some_and(|given| token.is(given)) => Ok(next.run(request).await),
        Some(_) => {
            let text = "send the token of httpTokenFile as `Authorization: Bearer TOKEN`";
            Err(Failure::new(StatusCode::UNAUTHORIZED, text))
        }
    }
}

/// What follows the scheme, whose name has no case.
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// The content security policy: nothing, but the style of the page, named by its digest.
pub(super) const POLICY: &str = "default-src 'none'; style-src 'sha256-9DcGd4oNCJCHwQujnKP4Lpy37qhBXamtK1TT+WjpFJk='; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Forbids a browser everything but to show the answer with the page's one style.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{Token, bearer};

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

    #[test]
    fn only_the_whole_token_passes() {
        let token = Token::try_new("0123456789abcdef").unwrap();
        let rows: [(&[u8], bool); 7] = [
            (b"Bearer 0123456789abcdef", true),
            (b"bearer  0123456789abcdef ", true),
            (b"Bearer 0123456789abcdeF", false),
            (b"Bearer 0123456789abcdef0", false),
            (b"Bearer ", false),
            (b"Basic 0123456789abcdef", false),
            (b"0123456789abcdef", false),
        ];
        for (header, passes) in rows {
            assert_eq!(bearer(header).is_some_and(|given| token.is(given)), passes, "{header:?}");
        }
    }
}
