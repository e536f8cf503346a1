//! Rows of lines and pages, and properties over arbitrary bytes.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::source::exposition::{Error, Format, Limits, Page, PageSeries, Parser, Wanted};

fn parse(page: &[u8], format: Format, complete: bool) -> Result<Page, Error> {
    let mut parser = Parser::new(format, Wanted::All, Limits::default());
    parser.feed(page)?;
    parser.finish(complete)
}

type Expected<'a> = Option<(&'a str, &'a [(&'a str, &'a str)], f64, Option<i64>)>;

fn check(line: &str, format: Format, expected: Expected<'_>) {
    let text = format!("# TYPE a gauge\n{line}\n# EOF\n");
    let page = parse(text.as_bytes(), format, true).unwrap();
    let got = page.series.first().map(|series| {
        let labels: Vec<(&str, &str)> =
            series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let at = series.timestamp.map(|timestamp| timestamp.unix_ms());
        (series.name.as_str(), labels, series.value.to_bits(), at)
    });
    let wanted =
        expected.map(|(name, labels, value, at)| (name, labels.to_vec(), value.to_bits(), at));
    assert_eq!(got, wanted, "{line:?}");
    assert_eq!(page.skipped, u32::from(expected.is_none()), "{line:?}");
}

#[test]
fn a_line_is_read_as_prometheus_would() {
    let rows: &[(&str, Expected<'_>)] = &[
        ("vllm:waiting 5", Some(("vllm:waiting", &[], 5.0, None))),
        ("a{} 1", Some(("a", &[], 1.0, None))),
        ("a{x=\"1\",} 2", Some(("a", &[("x", "1")], 2.0, None))),
        ("a{ x = \"1\" , y=\"2\" } 2", Some(("a", &[("x", "1"), ("y", "2")], 2.0, None))),
        (
            r#"a{m="o/m{v1},q=\"4\" \\ x\n"} 2"#,
            Some(("a", &[("m", "o/m{v1},q=\"4\" \\ x\n")], 2.0, None)),
        ),
        (r#"a{m="\d"} 2"#, Some(("a", &[("m", "\\d")], 2.0, None))),
        ("a{m=\"通义/Qwen\"} 1", Some(("a", &[("m", "通义/Qwen")], 1.0, None))),
        ("   a{b=\"c\"}   3.5   ", Some(("a", &[("b", "c")], 3.5, None))),
        ("a\t1\r", Some(("a", &[], 1.0, None))),
        ("a 1.15891634176e+011", Some(("a", &[], 1.158_916_341_76e11, None))),
        ("a +Inf", Some(("a", &[], f64::INFINITY, None))),
        ("a -Inf", Some(("a", &[], f64::NEG_INFINITY, None))),
        ("a 2 1790347303000", Some(("a", &[], 2.0, Some(1_790_347_303_000)))),
        ("a 2 1790347303000 # {t=\"1\"} 1", Some(("a", &[], 2.0, Some(1_790_347_303_000)))),
        ("a_bucket{le=\"1\"} 2 # {t=\"x # y\"} 0.5", Some(("a_bucket", &[("le", "1")], 2.0, None))),
        ("a", None),
        ("a{x=\"1\" 2", None),
        ("a{x=\"1} 2", None),
        ("a{x=1} 2", None),
        ("a{x=\"1\"y=\"2\"} 2", None),
        ("a{x=\"1\",x=\"2\"} 2", None),
        ("a{,} 2", None),
        ("a{x:y=\"1\"} 2", None),
        ("a 0x1p4", None),
        ("a one", None),
        ("a 1 2 3", None),
        ("a 1 soon", None),
        ("1a 1", None),
        ("a-b 1", None),
        ("{a=\"1\"} 1", None),
    ];
    for (line, expected) in rows {
        check(line, Format::Text, *expected);
    }
}

#[test]
fn openmetrics_timestamps_are_seconds() {
    check("a 2 1790347303.25", Format::OpenMetrics, Some(("a", &[], 2.0, Some(1_790_347_303_250))));
    check("a 2 1e300", Format::OpenMetrics, None);
    check("a 2 NaN", Format::OpenMetrics, None);
}

#[test]
fn a_page_is_believed_only_as_far_as_it_goes() {
    let one = |page: Result<Page, Error>| page.map(|page| (page.series.len(), page.truncated));
    type Row<'a> = (&'a str, Format, bool, Result<(usize, bool), Error>);
    let rows: &[Row<'_>] = &[
        ("a 1\nb 2\n", Format::Text, false, Ok((2, false))),
        ("a 1\nb 2", Format::Text, true, Ok((2, false))),
        ("a 1\nb 2", Format::Text, false, Ok((1, true))),
        ("a 1\n# EOF\nb 2\n", Format::Text, true, Ok((2, false))),
        ("a 1\n# EOF\nb 2\n", Format::OpenMetrics, true, Ok((1, false))),
        ("a 1\n# EOF", Format::OpenMetrics, true, Ok((1, false))),
        ("a 1\nb 2\n", Format::OpenMetrics, true, Ok((2, true))),
        ("a 1", Format::Text, false, Ok((0, true))),
        ("# EOF\n", Format::OpenMetrics, true, Ok((0, false))),
        ("# HELP a b\n", Format::Text, true, Ok((0, false))),
        ("", Format::Text, true, Err(Error::Empty)),
        ("", Format::OpenMetrics, true, Err(Error::Empty)),
        ("\n\n# only words\n", Format::Text, true, Err(Error::Empty)),
        ("Not Found\n", Format::Text, true, Err(Error::NotExposition)),
        ("no such page", Format::Text, true, Err(Error::NotExposition)),
        ("[]", Format::Text, true, Err(Error::NotExposition)),
        ("\n {\"a\": 1}", Format::Text, true, Err(Error::NotExposition)),
        ("<html>a 1\n</html>", Format::Text, true, Err(Error::NotExposition)),
    ];
    for (text, format, complete, expected) in rows {
        assert_eq!(one(parse(text.as_bytes(), *format, *complete)), *expected, "{text:?}");
    }
}

#[test]
fn a_line_that_is_not_utf8_costs_only_itself() {
    let page = parse(b"a 1\nb{x=\"\xff\"} 2\nc 3\n", Format::Text, true).unwrap();
    let names: Vec<&str> = page.series.iter().map(|series| series.name.as_str()).collect();
    assert_eq!((names, page.skipped), (vec!["a", "c"], 1));
}

#[test]
fn a_family_declared_without_samples_is_noticed() {
    let text = "# TYPE a gauge\n# HELP b words\n# TYPE b gauge\nb 1\n# TYPE c counter\nc_total 1\n\
                # TYPE d histogram\n# TYPE other gauge\n";
    let wanted = Wanted::names(["a", "b", "c_total", "d_bucket"]);
    let mut parser = Parser::new(Format::Text, wanted, Limits::default());
    parser.feed(text.as_bytes()).unwrap();
    let page = parser.finish(true).unwrap();
    let declared: Vec<String> = page.declared_only.into_iter().collect();
    assert_eq!(declared, ["a", "d"]);
}

#[test]
fn every_limit_ends_the_page() {
    let limits = Limits { bytes: 1000, line: 40, lines: 20, series: 5, labels: 7 };
    let fits = "a{x=\"1\"} 1\n".repeat(5);
    let rows: &[(String, Result<usize, Error>)] = &[
        (fits.clone(), Ok(5)),
        (format!("{fits}a 1\n"), Err(Error::TooLarge("series"))),
        ("# x\n".repeat(21), Err(Error::TooLarge("lines"))),
        (format!("a 1\n# {}\n", "x".repeat(39)), Err(Error::TooLarge("line"))),
        (format!("a 1\n# {}\n", "x".repeat(38)), Ok(1)),
        (format!("a 1\n# {}", "x".repeat(39)), Err(Error::TooLarge("line"))),
        ("a{x=\"1\",y=\"2\",z=\"3\"} 1\n".repeat(3), Err(Error::TooLarge("labels"))),
        (format!("# {}\n", "x".repeat(30)).repeat(40), Err(Error::TooLarge("lines"))),
    ];
    for (text, expected) in rows {
        for size in [1, 7, text.len()] {
            let mut parser = Parser::new(Format::Text, Wanted::All, limits);
            let fed = text.as_bytes().chunks(size).try_for_each(|chunk| parser.feed(chunk));
            let got = fed.and_then(|()| parser.finish(true)).map(|page| page.series.len());
            assert_eq!(got, *expected, "{text:?} by {size}");
        }
    }
    let bytes = Limits { lines: 1000, ..limits };
    let mut parser = Parser::new(Format::Text, Wanted::All, bytes);
    assert_eq!(parser.feed("# x\n".repeat(251).as_bytes()), Err(Error::TooLarge("bytes")));
}

fn by_chunks(page: &[u8], sizes: &[usize], format: Format) -> String {
    let mut parser = Parser::new(format, Wanted::All, Limits { line: 60, ..Limits::default() });
    let mut rest = page;
    for size in sizes {
        let (chunk, tail) = rest.split_at_checked(*size).unwrap_or((rest, &[]));
        if let Err(error) = parser.feed(chunk) {
            return format!("Err({error:?})");
        }
        rest = tail;
    }
    format!("{:?}", parser.feed(rest).and_then(|()| parser.finish(false)))
}

fn format() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::Text), Just(Format::OpenMetrics)]
}

/// Bytes that look enough like a page to reach the inner parts of the parser.
fn almost_a_page() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => "[a-z:{}=\",\\\\ #\n0-9.+-]{0,12}".prop_map(String::into_bytes),
        1 => Just(b"# EOF\n".to_vec()),
        1 => Just(b"\n# TYPE a counter\na{le=\"+Inf\"} 1e3 17\n".to_vec()),
        1 => vec(any::<u8>(), 0..8),
    ];
    vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", any::<String>(), 0..4)
}

fn written(series: &PageSeries) -> String {
    let escape =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> =
        series.labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    let at = series.timestamp.map_or(String::new(), |at| format!(" {}", at.unix_ms()));
    format!("{}{{{}}} {:e}{at}\n", series.name, labels.join(","), series.value)
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(page in vec(any::<u8>(), 0..400), format in format(), complete: bool) {
        let _ = parse(&page, format, complete);
    }

    #[test]
    fn how_the_bytes_were_divided_does_not_matter(
        page in almost_a_page(),
        sizes in vec(0_usize..20, 0..40),
        format in format(),
    ) {
        assert_eq!(by_chunks(&page, &sizes, format), by_chunks(&page, &[], format));
    }

    #[test]
    fn what_is_written_is_read(
        rows in vec(("[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", labels(), any::<f64>(), any::<Option<i64>>()), 1..20),
    ) {
        let series: Vec<PageSeries> = rows
            .into_iter()
            .map(|(name, labels, value, at)| PageSeries {
                name,
                labels,
                value,
                timestamp: at.map(crate::engine::units::Timestamp::from_unix_ms),
            })
            .collect();
        let text: String = series.iter().map(written).collect();
        let page = parse(text.as_bytes(), Format::Text, true).unwrap();
        assert_eq!(format!("{:?}", page.series), format!("{series:?}"));
        assert_eq!((page.skipped, page.truncated), (0, false));
    }
}
