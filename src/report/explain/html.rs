//! One scaler as a page, and the frame of every page of the server.
//!
//! Given a report with its insight, promises a page below 300 KB without scripts, in which every
//! string is escaped and a policy forbids every request; it is the same as a file and opens without a
//! network. Every drawing has a table that says the same.

use std::fmt::Write;

use chrono::TimeZone;
use chrono_tz::Tz;

use crate::engine::units::Timestamp;
use crate::report::explain::charts::{Drawn, causes, demand, replicas, table};
use crate::report::explain::data::{Insight, Readiness, Told};
use crate::report::facts::Report;
use crate::report::line::escape;
use crate::report::page::{fill, policy};

const TEMPLATE: &str = include_str!("assets/page.html");

/// The only style of the server's pages; a policy names it by its digest.
const STYLE: &str =
    concat!(include_str!("../backtest/assets/page.css"), include_str!("assets/page.css"));

/// The policy of a page with this style: nothing is fetched, no script runs.
#[must_use]
pub fn content_security_policy() -> String {
    policy(&[], STYLE)
}

/// The beginning of a page, up to and with its body's tag.
#[must_use]
pub fn head(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light \
         dark\"><title>{}</title><style>{STYLE}</style></head>\n<body>",
        escape(title)
    )
}

/// The page of one scaler at `now`; `links` are places with their names, for a page that is served.
#[must_use]
pub fn html(report: &Report, now: Timestamp, links: &[(String, &str)]) -> String {
    let insight = report.insight.as_deref();
    let drawn = insight.map(|insight| Drawn { insight, now: now.unix_ms() });
    let draw = |of: fn(&Drawn<'_>) -> String| drawn.as_ref().map_or_else(String::new, of);
    let slot = |name: &str| match name {
        "policy" => content_security_policy(),
        "style" => STYLE.to_owned(),
        "version" => env!("CARGO_PKG_VERSION").to_owned(),
        "title" => escape(&format!("{}/{}", report.namespace, report.name)),
        "trigger" => escape(&report.trigger),
        "strategy" => {
            report.standing.as_ref().map_or("scaler", |standing| standing.strategy).to_owned()
        }
        "time" => escape(&time(insight, now)),
        "links" => linked(links),
        "cards" => cards(report),
        "verdict" => insight.map_or_else(String::new, verdict),
        "demand" => draw(demand),
        "replicas" => draw(replicas),
        "lines" => insight.map_or_else(
            || format!("<pre>{}</pre>", escape(&report.to_string())),
            |insight| lines(&insight.explanation),
        ),
        "causes" => causes(insight.map_or(&[][..], |insight| &insight.causes)),
        "table" => draw(table),
        // A test fills the template and looks for this.
        unknown => format!("[no slot {unknown}]"),
    };
    fill(TEMPLATE, slot)
}

fn time(insight: Option<&Insight>, now: Timestamp) -> String {
    let zone: Tz = insight.and_then(|it| it.timezone.parse().ok()).unwrap_or(Tz::UTC);
    let local = zone.timestamp_millis_opt(now.unix_ms()).single();
    local.map_or_else(String::new, |it| format!("{} {zone}", it.format("%Y-%m-%d %H:%M:%S")))
}

fn linked(links: &[(String, &str)]) -> String {
    if links.is_empty() {
        return String::new();
    }
    let item = |(place, name): &(String, &str)| {
        format!("<a href=\"{}\">{}</a>\n", escape(place), escape(name))
    };
    format!("<nav class=\"links\">{}</nav>", links.iter().map(item).collect::<String>())
}

fn cards(report: &Report) -> String {
    let count = |replicas: Option<u32>| replicas.map_or("-".to_owned(), |n| n.to_string());
    let state = report.state.map_or("starting".to_owned(), |state| state.to_string());
    let told = report.answer.desired.or(report.unmasked.as_ref().and_then(|it| it.desired));
    let mut cards = vec![
        (count(report.answer.desired), "replicas desired".to_owned()),
        (count(report.current), format!("there, {} ready", count(report.ready))),
        (state, "state".to_owned()),
    ];
    if report.unmasked.is_some() {
        cards[0] = (count(told), "would be desired without shadow".to_owned());
    }
    let insight = report.insight.as_deref();
    if let Some(foreseen) = insight.and_then(|insight| insight.foreseen.as_ref()) {
        let counts = if foreseen.counts { "counts" } else { "does not count" };
        cards.push((count(foreseen.replicas), format!("forecast, {counts}")));
    }
    if let Some(coverage) = insight.and_then(|insight| insight.coverage) {
        let text = format!(
            "of forecasts at p{0:.0} sufficed, {0:.0} % were to",
            coverage.quantile * 100.0
        );
        cards.push((format!("{:.1} %", coverage.share * 100.0), text));
    }
    let mut text = String::from("<ul class=\"cards\">\n");
    for (figure, what) in cards {
        let (figure, what) = (escape(&figure), escape(&what));
        let _ = writeln!(text, "<li><b>{figure}</b> <span>{what}</span></li>");
    }
    text + "</ul>"
}

fn verdict(insight: &Insight) -> String {
    let class = match insight.verdict.readiness {
        Readiness::Acting => "acting",
        Readiness::Demoted => "demoted",
        Readiness::Ready => "ready",
        Readiness::NotYet => "not-yet",
        Readiness::Unready => "unready",
        Readiness::Off => "off",
    };
    let item = |line: &String| format!("<li>{}</li>", escape(line));
    let list = |lines: &[String]| {
        let items: String = lines.iter().map(item).collect();
        if items.is_empty() { items } else { format!("<ul>{items}</ul>") }
    };
    let told = &insight.verdict;
    format!(
        "<section class=\"verdict {class}\" aria-label=\"Verdict\"><p>{}</p>{}{}</section>",
        escape(&sentence(&told.text)),
        list(&told.evidence),
        list(&told.next)
    )
}

/// With a capital letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn lines(told: &[Told]) -> String {
    let mut text = String::from("<dl class=\"facts\">\n");
    let mut before = "";
    // What the box above says is not said again.
    let shown = told.iter().filter(|it| !["verdict", "evidence", "next"].contains(&it.topic));
    for Told { topic, text: line } in shown {
        if *topic != before {
            let _ = writeln!(text, "<dt>{}</dt>", escape(topic));
        }
        let _ = writeln!(text, "<dd>{}</dd>", escape(line));
        before = topic;
    }
    text + "</dl>"
}

#[cfg(test)]
mod tests {
    use super::{STYLE, TEMPLATE, html};
    use crate::engine::units::Timestamp;
    use crate::report::facts::{Report, Subject};

    #[test]
    fn a_page_of_nothing_has_no_hole() {
        let subject = Subject {
            namespace: "<b>",
            name: "</title>",
            trigger: "\"",
            searched: &[],
            faults: &[],
            withheld: None,
            open_streams: None,
            last_call: None,
        };
        let report = Report::new(&subject, None, Timestamp::from_unix_ms(0));
        let page = html(&report, Timestamp::from_unix_ms(0), &[("/?a=\"".to_owned(), "<")]);
        assert!(!page.contains("[no slot") && !page.contains("<b>/"), "{page}");
        assert!(!page.contains("<script") && page.matches("</title>").count() == 1, "{page}");
    }

    #[test]
    fn the_style_stands_in_its_element_as_it_is() {
        assert!(!STYLE.contains('\r') && !STYLE.contains("</"));
        assert!(!TEMPLATE.contains("style=\""), "the policy forbids styles of single elements");
    }
}
