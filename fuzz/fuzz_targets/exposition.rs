//! Any bytes, divided anywhere, give the same page or the same error: `cargo +nightly fuzz run
//! exposition`, with `tests/data/pages` as a first corpus.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prescale::source::exposition::{Error, Format, Limits, Page, Parser, Wanted};

fn parse(text: &[u8], size: usize, format: Format) -> Result<Page, Error> {
    let limits = Limits { bytes: 1 << 16, line: 1 << 12, lines: 1000, series: 100, labels: 500 };
    let mut parser = Parser::new(format, Wanted::All, limits);
    text.chunks(size).try_for_each(|chunk| parser.feed(chunk))?;
    parser.finish(true)
}

fuzz_target!(|input: (u8, bool, Vec<u8>)| {
    let (size, openmetrics, text) = input;
    let format = if openmetrics { Format::OpenMetrics } else { Format::Text };
    let divided = parse(&text, usize::from(size) + 1, format);
    let whole = parse(&text, text.len() + 1, format);
    // By their text: a page may hold NaN, which equals nothing.
    assert_eq!(format!("{divided:?}"), format!("{whole:?}"));
});
