//! The page: a plain table of scalers, without scripts, images or anything fetched.

use std::fmt::Write;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Html;

use crate::http::app::{App, Ask, Found, LIMIT};
use crate::http::error::Failure;
use crate::http::one::{self, One, OneQuery};
use crate::report::{Report, escape};

/// The page's only style. Its digest stands in the content security policy of
/// `guard`; a test computes it again.
pub(super) const STYLE: &str = "body{font:14px/1.5 sans-serif;margin:2em;color:#111;background:#fff}\
table{border-collapse:collapse}th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:left}\
td.n{text-align:right}";

/// The table of scalers.
pub(super) async fn index(State(app): State<App>) -> Html<String> {
    Html(render(&app.reports.read(&Ask { limit: LIMIT, ..Ask::default() })))
}

/// One scaler, and every line of its report.
pub(super) async fn scaler(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<OneQuery>, QueryRejection>,
) -> Result<Html<String>, Failure> {
    let One { report, .. } = one::find(&app, path, query)?;
    let api = format!("/api/v1{}", path_of(&report));
    Ok(Html(format!(
        "{}<pre>{}</pre>\n<p><a href=\"/\">All scalers</a>, <a href=\"{}\">JSON</a></p>{FOOT}",
        head(),
        escape(&report.to_string()),
        escape(&api)
    )))
}

fn head() -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>prescale</title>\
         <style>{STYLE}</style></head>\n<body><h1>prescale</h1>\n"
    )
}

const FOOT: &str = "</body></html>\n";

fn path_of(report: &Report) -> String {
    let Report { namespace, name, trigger, .. } = report;
    format!("/scalers/{}/{}?trigger={}", segment(namespace), segment(name), segment(trigger))
}

fn render(found: &Found) -> String {
    let Found { reports, total } = found;
    let mut page = head();
    if reports.is_empty() {
        page += "<p>No scaler yet: KEDA has not asked. <a href=\"/metrics\">Metrics</a></p>";
    } else {
        let _ = writeln!(
            page,
            "<p>{} of {total} scalers. <a href=\"/metrics\">Metrics</a>, \
            <a href=\"/api/v1/scalers\">API</a></p>",
            reports.len()
        );
        page += TABLE_HEAD;
        reports.iter().for_each(|report| page += &row(report));
        page += "</tbody></table>\n";
    }
    page += FOOT;
    page
}

const TABLE_HEAD: &str = "<table><thead><tr><th>Scaler</th><th>Trigger</th><th>State</th>\
<th>Desired</th><th>Current</th><th>Ready</th><th>Data age</th><th>Why</th></tr></thead><tbody>\n";

fn row(report: &Report) -> String {
    let Report { namespace, name, trigger, .. } = report;
    let state = report.state.map_or_else(|| "starting".to_owned(), |state| state.to_string());
    let age = report.data_age_seconds.map(|age| format!("{age:.0} s"));
    let why = report.answer.error.clone().or_else(|| binding(report)).unwrap_or_default();
    let text = |cell: &str| format!("<td>{}</td>", escape(cell));
    let number = |cell: Option<String>| {
        format!("<td class=\"n\">{}</td>", escape(&cell.unwrap_or_else(|| "-".to_owned())))
    };
    let count = |replicas: Option<u32>| number(replicas.map(|n| n.to_string()));
    format!(
        "<tr><td><a href=\"{}\">{}</a></td>{}{}{}{}{}{}{}</tr>\n",
        escape(&path_of(report)),
        escape(&format!("{namespace}/{name}")),
        text(trigger),
        text(&state),
        count(report.answer.desired),
        count(report.current),
        count(report.ready),
        number(age),
        text(&why),
    )
}

/// The term that decides, and the last thing that shaped the decision.
fn binding(report: &Report) -> Option<String> {
    let term = report.terms.first().map(|term| term.text.clone());
    let reason = report.reasons.last().map(|reason| reason.text.clone());
    let parts: Vec<String> = term.into_iter().chain(reason).collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `text` as one segment of a path: everything but letters, digits, `-`, `.` and `_` in percent form.
fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::{STYLE, escape, segment};
    use crate::http::guard::POLICY;

    fn base64(bytes: &[u8]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let quad = |chunk: &[u8]| {
            let at = |idx: usize| usize::from(chunk.get(idx).copied().unwrap_or(0));
            let bits = (at(0) << 16) | (at(1) << 8) | at(2);
            let digit = |idx: usize| char::from(alphabet[(bits >> (18 - 6 * idx)) & 63]);
            (0..4).map(|idx| if idx > chunk.len() { '=' } else { digit(idx) }).collect::<String>()
        };
        bytes.chunks(3).map(quad).collect()
    }

    #[test]
    fn the_policy_allows_the_style_and_no_other() {
        assert_eq!(base64(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
        let digest = base64(&Sha256::digest(STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("style-src 'sha256-{digest}';")), "{digest}: {POLICY}");
    }

    #[test]
    fn text_cannot_leave_its_element_its_attribute_or_its_segment() {
        let hostile = "</td><script>\"'&";
        assert_eq!(escape(hostile), "&lt;/td&gt;&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
    }
}
