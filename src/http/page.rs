//! The pages: a table of scalers, and one scaler with its charts; without scripts or anything fetched.

use std::fmt::Write;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;

use crate::http::app::{App, Ask, Found, LIMIT};
use crate::http::error::Failure;
use crate::http::one::{self, One};
use crate::report::explain::{Standing, head, html};
use crate::report::{Report, escape};

/// What may be asked of the page of one scaler.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    trigger: Option<String>,
    format: Option<Format>,
}

/// How the page comes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// To be looked at.
    Page,
    /// To be kept: the same without links.
    File,
}

/// The table of scalers.
pub(super) async fn index(State(app): State<App>) -> Html<String> {
    Html(render(&app.reports.read(&Ask { limit: LIMIT, ..Ask::default() })))
}

/// One scaler: charts, and every line of its explanation.
pub(super) async fn scaler(
    State(app): State<App>,
    path: Result<Path<(String, String)>, PathRejection>,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Failure> {
    let accepted = "accepted are trigger and format (page or file)";
    let bad = |_| Failure::new(StatusCode::BAD_REQUEST, accepted);
    let Query(PageQuery { trigger, format }) = query.map_err(bad)?;
    let One { report, now, .. } = one::find(&app, path, trigger)?;
    if matches!(format, Some(Format::File)) {
        let headers = HeaderMap::from_iter([(CONTENT_DISPOSITION, attachment(&report))]);
        return Ok((headers, Html(html(&report, now, &[]))).into_response());
    }
    let own = path_of(&report);
    let links = [
        ("/".to_owned(), "All scalers"),
        (format!("{own}&format=file"), "Save as a file"),
        (format!("/api/v1{own}"), "JSON"),
    ];
    Ok(Html(html(&report, now, &links)).into_response())
}

/// A name for the file, of letters, digits and `-` only.
fn attachment(report: &Report) -> HeaderValue {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let name: String =
        format!("{}-{}", report.namespace, report.name).chars().take(120).map(plain).collect();
    HeaderValue::from_str(&format!("attachment; filename=\"prescale-{name}.html\""))
        .unwrap_or(HeaderValue::from_static("attachment"))
}

const FOOT: &str = "</body></html>\n";

fn path_of(report: &Report) -> String {
    let Report { namespace, name, trigger, .. } = report;
    format!("/scalers/{}/{}?trigger={}", segment(namespace), segment(name), segment(trigger))
}

fn render(found: &Found) -> String {
    let Found { reports, total, .. } = found;
    let mut page = head("prescale");
    page += "<header><h1>prescale</h1></header>\n<main>";
    if reports.is_empty() {
        page += "<p>No scaler yet: KEDA has not asked. <a href=\"/metrics\">Metrics</a></p>";
    } else {
        let _ = writeln!(
            page,
            "<p>{} of {total} scalers. <a href=\"/metrics\">Metrics</a>, \
            <a href=\"/api/v1/scalers\">API</a></p>",
            reports.len()
        );
        page += &table_head();
        reports.iter().for_each(|report| page += &row(report));
        page += "</tbody></table></div>\n";
    }
    page += "</main>";
    page += FOOT;
    page
}

/// Names of the columns after the scaler's own; on a phone each stands above its cell.
const COLUMNS: [&str; 10] = [
    "Trigger", "Strategy", "State", "Desired", "Current", "Ready", "Stage", "Trust", "Data age",
    "Why",
];

fn table_head() -> String {
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Scalers\">\
         <table class=\"list\"><thead><tr><th>Scaler</th>",
    );
    for name in COLUMNS {
        let _ = write!(text, "<th>{name}</th>");
    }
    text + "</tr></thead><tbody>\n"
}

fn row(report: &Report) -> String {
    let Report { namespace, name, trigger, .. } = report;
    let state = report.state.map_or_else(|| "starting".to_owned(), |state| state.to_string());
    let age = report.data_age_seconds.map(|age| format!("{age:.0} s"));
    let why = report.answer.error.clone().or_else(|| binding(report)).unwrap_or_default();
    let standing = report.standing.as_ref();
    let dash = || "-".to_owned();
    let stage = standing.and_then(|it| it.stage.clone()).unwrap_or_else(dash);
    let text = |cell: &str| ("", cell.to_owned());
    let number = |cell: Option<String>| (" class=\"n\"", cell.unwrap_or_else(dash));
    let count = |replicas: Option<u32>| number(replicas.map(|n| n.to_string()));
    let mut row = format!(
        "<tr><td><a href=\"{}\">{}</a></td>",
        escape(&path_of(report)),
        escape(&format!("{namespace}/{name}"))
    );
    let cells = [
        text(trigger),
        text(standing.map_or("-", |it| it.strategy)),
        text(&state),
        count(report.answer.desired),
        count(report.current),
        count(report.ready),
        text(&stage),
        text(&standing.map_or_else(dash, trust)),
        number(age),
        (" class=\"why\"", why),
    ];
    for (name, (class, cell)) in COLUMNS.iter().zip(cells) {
        let _ = write!(row, "<td{class} data-of=\"{name}\">{}</td>", escape(&cell));
    }
    row + "</tr>\n"
}

/// `trusted 0.62`, `young`, `-`.
fn trust(standing: &Standing) -> String {
    match (standing.trust, standing.skill) {
        (Some(trust), Some(skill)) => format!("{trust} {skill:.2}"),
        (Some(trust), None) => trust.to_owned(),
        (None, _) => "-".to_owned(),
    }
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
    use super::{escape, segment};

    #[test]
    fn text_cannot_leave_its_element_its_attribute_or_its_segment() {
        let hostile = "</td><script>\"'&";
        assert_eq!(escape(hostile), "&lt;/td&gt;&lt;script&gt;&quot;&#39;&amp;");
        assert_eq!(segment("a/../b?c#d é"), "a%2F..%2Fb%3Fc%23d%20%C3%A9");
    }
}
