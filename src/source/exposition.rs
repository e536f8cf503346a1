//! Reads Prometheus text and OpenMetrics pages as they arrive, keeping only what is wanted.
//!
//! Given chunks of bytes in any division, it promises the wanted samples in memory proportional to
//! them plus one line, and the same result however the bytes were divided. One bad line never costs
//! the page; a page that is something else (JSON, HTML, prose) is an error. What the samples mean,
//! whether they are recent and which of two equal series counts is left to others.

mod line;
mod page;

use std::collections::BTreeSet;

use crate::source::exposition::line::{Line, classify, sample};

pub use page::{Format, Limits, Page, PageSeries, Wanted};

/// Why a page gives nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// JSON, HTML or anything else that is not an exposition page.
    #[error("not a metrics page")]
    NotExposition,
    /// One of [`Limits`] is exceeded.
    #[error("page larger than the limit of {0}")]
    TooLarge(&'static str),
    /// Nothing was sent.
    #[error("empty page")]
    Empty,
}

/// A page in the making. After an error it is of no further use.
#[derive(Debug)]
pub struct Parser {
    format: Format,
    wanted: Wanted,
    limits: Limits,
    /// The beginning of a line whose end was not seen yet.
    partial: Vec<u8>,
    bytes: usize,
    lines: u32,
    labels: usize,
    /// The first byte that is not blank was looked at.
    sniffed: bool,
    /// A line of the format was seen, so the page is one.
    understood: bool,
    ended: bool,
    declared: BTreeSet<String>,
    page: Page,
}

impl Parser {
    /// Ready for the first chunk.
    #[must_use]
    pub fn new(format: Format, wanted: Wanted, limits: Limits) -> Self {
        Self {
            format,
            wanted,
            limits,
            partial: Vec::new(),
            bytes: 0,
            lines: 0,
            labels: 0,
            sniffed: false,
            understood: false,
            ended: false,
            declared: BTreeSet::new(),
            page: Page::default(),
        }
    }

    /// Bytes taken so far.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes the next bytes of the page, divided anywhere.
    ///
    /// # Errors
    /// When the page is something else or exceeds a limit; it is then not worth reading on.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let room = self.limits.bytes.saturating_sub(self.bytes);
        let (inside, beyond) = chunk.split_at_checked(room).unwrap_or((chunk, &[]));
        self.bytes += inside.len();
        self.sniff(inside)?;
        self.split(inside)?;
        if beyond.is_empty() { Ok(()) } else { Err(Error::TooLarge("bytes")) }
    }

    /// Ends the page. `complete`: the transport said that this was all of it (length reached, last
    /// chunk seen), so that a last line without a newline may be trusted.
    ///
    /// # Errors
    /// When nothing was sent or none of it is of the format.
    pub fn finish(mut self, complete: bool) -> Result<Page, Error> {
        let cut_line = !self.partial.is_empty() && !complete;
        if !cut_line && !self.partial.is_empty() {
            let line = std::mem::take(&mut self.partial);
            self.line(&line)?;
        }
        let endless = self.format == Format::OpenMetrics && !self.ended;
        self.page.truncated = cut_line || (endless && self.understood);
        if !self.understood && !self.page.truncated {
            let nothing = self.page.skipped == 0;
            return Err(if nothing { Error::Empty } else { Error::NotExposition });
        }
        self.page.declared_only = self.declared_only();
        Ok(self.page)
    }

    /// JSON and HTML are told by their first byte, so that a huge one is not read to its end.
    fn sniff(&mut self, chunk: &[u8]) -> Result<(), Error> {
        if self.sniffed {
            return Ok(());
        }
        let Some(first) = chunk.iter().find(|byte| !byte.is_ascii_whitespace()) else {
            return Ok(());
        };
        self.sniffed = true;
        if matches!(first, b'{' | b'[' | b'<') { Err(Error::NotExposition) } else { Ok(()) }
    }

    fn split(&mut self, chunk: &[u8]) -> Result<(), Error> {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let whole = piece.strip_suffix(b"\n");
            if self.partial.len() + whole.unwrap_or(piece).len() > self.limits.line {
                return Err(Error::TooLarge("line"));
            }
            match whole {
                None => self.partial.extend_from_slice(piece),
                Some(line) if self.partial.is_empty() => self.line(line)?,
                Some(end) => {
                    let mut line = std::mem::take(&mut self.partial);
                    line.extend_from_slice(end);
                    self.line(&line)?;
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.lines += 1;
        if self.lines > self.limits.lines {
            return Err(Error::TooLarge("lines"));
        }
        if self.ended {
            return Ok(());
        }
        match std::str::from_utf8(line).ok().and_then(classify) {
            None => self.page.skipped += 1,
            Some(Line::Nothing) => {}
            Some(Line::End) => {
                // In the text format this is an ordinary comment: pages joined by a proxy have it
                // in the middle.
                self.ended = self.format == Format::OpenMetrics;
                self.understood = true;
            }
            Some(Line::Family(family)) => {
                self.understood = true;
                self.declare(family);
            }
            Some(Line::Sample(name, rest)) => return self.sample(name, rest),
        }
        Ok(())
    }

    fn sample(&mut self, name: &str, rest: &str) -> Result<(), Error> {
        let wanted = self.wanted.contains(name);
        // Once the page is known to be one, lines that nobody wants need not be read.
        if !wanted && self.understood {
            return Ok(());
        }
        let Some((labels, value, timestamp)) = sample(rest, self.format) else {
            self.page.skipped += 1;
            return Ok(());
        };
        self.understood = true;
        if !wanted {
            return Ok(());
        }
        self.labels += labels.len();
        if self.page.series.len() >= self.limits.series {
            return Err(Error::TooLarge("series"));
        }
        if self.labels > self.limits.labels {
            return Err(Error::TooLarge("labels"));
        }
        self.page.series.push(PageSeries { name: name.to_owned(), labels, value, timestamp });
        Ok(())
    }

    fn declare(&mut self, family: &str) {
        let wanted = any_sample(family, |name| self.wanted.contains(name));
        if wanted && self.declared.len() < self.limits.series {
            self.declared.insert(family.to_owned());
        }
    }

    fn declared_only(&mut self) -> BTreeSet<String> {
        let mut declared = std::mem::take(&mut self.declared);
        let present: BTreeSet<&str> =
            self.page.series.iter().map(|series| series.name.as_str()).collect();
        declared.retain(|family| !any_sample(family, |name| present.contains(name)));
        declared
    }
}

/// Whether `found` holds for any name under which samples of a declared family appear.
fn any_sample(family: &str, found: impl Fn(&str) -> bool) -> bool {
    let mut name = String::with_capacity(family.len() + "_bucket".len());
    ["", "_total", "_bucket", "_count", "_sum"].into_iter().any(|suffix| {
        name.clear();
        name.push_str(family);
        name.push_str(suffix);
        found(&name)
    })
}

#[cfg(test)]
mod tests;
