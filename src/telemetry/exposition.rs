//! The metrics page in the two formats that scrapers ask for.
//!
//! The registry writes OpenMetrics. The older text format knows neither its types `info` and
//! `unknown` nor `# UNIT` and `# EOF`, and wants the full name of a counter in its `# TYPE` line;
//! Prometheus refuses a whole page for an unknown type, so the page is rewritten line by line.

/// Content type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Content type of the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// An OpenMetrics page in the text format. Samples stay as they are: none of ours has an exemplar.
#[must_use]
pub fn to_text(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = in_text(kind);
            if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                page.extend(["# HELP ", name, suffix, " ", text, "\n"]);
            }
            page.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            page.extend([line, "\n"]);
        }
    }
    page
}

/// What a type adds to the family's name, and what it is called, in the text format.
fn in_text(kind: &str) -> (&'static str, &str) {
    match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "unknown" => ("", "untyped"),
        other => ("", other),
    }
}

#[cfg(test)]
mod tests {
    use super::to_text;

    #[test]
    fn the_text_format_has_its_own_types_and_names() {
        let open = "\
# HELP a_seconds Age.
# TYPE a_seconds gauge
# UNIT a_seconds seconds
a_seconds{name=\"x # y\"} 1.5
# HELP b Calls.
# TYPE b counter
b_total 2
# HELP c Version.
# TYPE c info
c_info{version=\"1\"} 1
# TYPE d unknown
d 3
# EOF
";
        let expected = "\
# HELP a_seconds Age.
# TYPE a_seconds gauge
a_seconds{name=\"x # y\"} 1.5
# HELP b_total Calls.
# TYPE b_total counter
b_total 2
# HELP c_info Version.
# TYPE c_info gauge
c_info{version=\"1\"} 1
# TYPE d untyped
d 3
";
        assert_eq!(to_text(open), expected);
    }
}
