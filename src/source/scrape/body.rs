//! The body of an answer, decoded as it arrives and stopped as soon as it is too much.

use std::io::{self, Write};

use flate2::write::GzDecoder;

use crate::engine::observation::FaultKind;
use crate::source::exposition::{Error, Page, Parser};

/// Decoded bytes that are free before the ratio counts: a few lines that repeat compress well.
const FREE: usize = 64 << 10;

/// A body being read.
pub(super) enum Body {
    /// Sent as it is.
    Plain(Box<Parser>),
    /// Compressed.
    Gzip { decoder: Box<GzDecoder<Sink>>, taken: usize, ratio: usize },
}

/// Where decoded bytes go.
pub(super) struct Sink {
    parser: Parser,
    allowed: usize,
    error: Option<FaultKind>,
}

impl Body {
    pub(super) fn plain(parser: Parser) -> Self {
        Self::Plain(Box::new(parser))
    }

    pub(super) fn gzip(parser: Parser, ratio: usize) -> Self {
        let sink = Sink { parser, allowed: 0, error: None };
        Self::Gzip { decoder: Box::new(GzDecoder::new(sink)), taken: 0, ratio }
    }

    /// Takes the next bytes as they came over the wire.
    pub(super) fn feed(&mut self, chunk: &[u8]) -> Result<(), FaultKind> {
        match self {
            Self::Plain(parser) => parser.feed(chunk).map_err(kind),
            Self::Gzip { decoder, taken, ratio } => {
                *taken += chunk.len();
                decoder.get_mut().allowed = FREE.saturating_add(taken.saturating_mul(*ratio));
                let fed = decoder.write_all(chunk).and_then(|()| decoder.flush());
                fed.map_err(|_| decoder.get_ref().error.unwrap_or(FaultKind::BadResponse))
            }
        }
    }

    /// Ends the body; `complete` as for [`Parser::finish`].
    pub(super) fn finish(self, complete: bool) -> Result<Page, FaultKind> {
        let page = match self {
            Self::Plain(parser) => parser.finish(complete),
            Self::Gzip { mut decoder, .. } => {
                // The checksum at the end of the stream vouches for the whole page.
                let ended = decoder.try_finish();
                ended.map_err(|_| decoder.get_ref().error.unwrap_or(FaultKind::BadResponse))?;
                let sink = decoder.finish().map_err(|_| FaultKind::BadResponse)?;
                sink.parser.finish(true)
            }
        };
        page.map_err(kind)
    }
}

impl Write for Sink {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        let fault = match self.parser.feed(decoded) {
            Err(error) => Some(kind(error)),
            Ok(()) if self.parser.bytes() > self.allowed => Some(FaultKind::TooLarge),
            Ok(()) => None,
        };
        if fault.is_some() {
            self.error = fault;
            return Err(io::Error::other("page refused"));
        }
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const fn kind(error: Error) -> FaultKind {
    match error {
        Error::NotExposition => FaultKind::BadResponse,
        Error::TooLarge(_) => FaultKind::TooLarge,
        Error::Empty => FaultKind::Empty,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::Body;
    use crate::engine::observation::FaultKind;
    use crate::source::exposition::{Format, Limits, Parser, Wanted};

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn check(wire: &[u8], expected: Result<usize, FaultKind>) {
        for size in [1, 100, wire.len().max(1)] {
            let parser = Parser::new(Format::Text, Wanted::All, Limits::default());
            let mut body = Body::gzip(parser, 100);
            let fed = wire.chunks(size).try_for_each(|chunk| body.feed(chunk));
            let got = fed.and_then(|()| body.finish(false)).map(|page| page.series.len());
            assert_eq!(got, expected, "{} bytes by {size}", wire.len());
        }
    }

    #[test]
    fn a_compressed_page_is_read_only_when_it_is_whole() {
        let page: String = (0..500).map(|idx| format!("a{{x=\"{idx}\"}} {idx}\n")).collect();
        let whole = packed(page.as_bytes());
        check(&whole, Ok(500));
        check(&whole[..whole.len() - 1], Err(FaultKind::BadResponse));
        check(&whole[..whole.len() / 2], Err(FaultKind::BadResponse));
        check(b"a 1\n", Err(FaultKind::BadResponse));
        let mut damaged = whole.clone();
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        check(&damaged, Err(FaultKind::BadResponse));
    }

    #[test]
    fn a_bomb_is_refused_by_its_ratio() {
        let bomb = packed(&b"# x\n".repeat(1 << 20));
        assert!(bomb.len() < 20_000, "{}", bomb.len());
        check(&bomb, Err(FaultKind::TooLarge));
    }
}
