//! Who may look, and what a browser may do with what it gets.

use std::sync::LazyLock;

use crate::http::app::App;
use crate::http::error::Failure;
use crate::report::explain::content_security_policy;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

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
pub(super) fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Nothing but the style of our pages, and nobody may frame them.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!("{}; frame-ancestors 'none'", content_security_policy());
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// Forbids a browser everything but to show the answer with the pages' one style.
pub(super) async fn harden(mut response: Response) -> Response {
    let headers = [
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::bearer;
    use crate::http::token::Token;

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
