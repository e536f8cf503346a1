//! A CSV file, plain or gzip'd, read line by line: cells by column name, faults by line.
//!
//! Given a path, it promises never to hold more than a line of the file, and an end: what is
//! decompressed is limited, so are lines. What columns mean is left to others.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use csv::{ByteRecord, ErrorKind, ReaderBuilder, StringRecord, Trim};
use flate2::bufread::MultiGzDecoder;

use crate::backtest::input::error::{InputError, shown};

/// Text of a trace at most, unpacked: ten times the largest public one at hand.
const BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Bytes of a line at most: traces have a dozen columns, the reader holds a line in memory.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The first bytes of a gzip'd file, whatever it is called.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An open table, before its first line.
pub(crate) struct Table {
    path: PathBuf,
    names: Vec<String>,
    reader: csv::Reader<Limited<Box<dyn Read>>>,
    pending: Rc<Cell<usize>>,
    record: ByteRecord,
    line: u64,
}

impl Table {
    /// Opens the file and reads the names of its columns.
    ///
    /// # Errors
    /// When it cannot be read, or two columns have one name.
    pub(crate) fn open(path: &Path) -> Result<Self, InputError> {
        let failed = |source| InputError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let mut plain = BufReader::new(file);
        let packed = plain.fill_buf().map_err(failed)?.starts_with(&GZIP);
        let text: Box<dyn Read> =
            if packed { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
        let pending = Rc::new(Cell::new(0));
        let limited = Limited { inner: text, left: BYTES_MAX, pending: Rc::clone(&pending) };
        let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(limited);
        let names = reader.headers().map(names).map_err(|error| fault(path, 0, error))?;
        let twice = names.iter().enumerate().find(|(idx, name)| names[..*idx].contains(name));
        if let Some((_, name)) = twice {
            let problem = format!("column {name:?} is there twice");
            return Err(InputError::Columns { path: path.to_owned(), problem });
        }
        let (path, record) = (path.to_owned(), ByteRecord::new());
        Ok(Self { path, names, reader, pending, record, line: 1 })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of the columns, in lower case.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Where the column of this name is.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// Goes to the next line; false at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on, or the line has more or fewer cells than there are columns.
    pub(crate) fn advance(&mut self) -> Result<bool, InputError> {
        let more = self.reader.read_byte_record(&mut self.record);
        let more = more.map_err(|error| fault(&self.path, self.line, error))?;
        self.pending.set(0);
        self.line = self.record.position().map_or(self.line, csv::Position::line);
        Ok(more)
    }

    /// The line's text in a column.
    pub(crate) fn cell(&self, column: usize) -> &[u8] {
        self.record.get(column).unwrap_or_default()
    }

    /// The line's number in a column, from 0 to `most`; `None` for a blank.
    ///
    /// # Errors
    /// For anything else.
    pub(crate) fn number(&self, column: usize, most: f64) -> Result<Option<f64>, InputError> {
        let cell = self.cell(column);
        if cell.is_empty() {
            return Ok(None);
        }
        let number = std::str::from_utf8(cell).ok().and_then(|text| text.parse::<f64>().ok());
        let within = number.filter(|number| (0.0..=most).contains(number));
        let accepted = || format!("accepted is a number from 0 to {most}");
        within.map(Some).ok_or_else(|| self.refused(column, accepted()))
    }

    /// The fault of this line's value in a column.
    pub(crate) fn refused(&self, column: usize, problem: String) -> InputError {
        InputError::Value {
            path: self.path.clone(),
            line: self.line,
            column: self.names.get(column).cloned().unwrap_or_default(),
            value: shown(self.cell(column)),
            problem,
        }
    }

    /// A fault of the trace as a whole.
    pub(crate) fn unusable(&self, problem: String) -> InputError {
        InputError::Whole { path: self.path.clone(), problem }
    }
}

fn names(record: &StringRecord) -> Vec<String> {
    record.iter().map(str::to_ascii_lowercase).collect()
}

/// What the reader says, with its place.
fn fault(path: &Path, line: u64, error: csv::Error) -> InputError {
    let path = path.to_owned();
    let place = error.position().map_or(line, csv::Position::line);
    if let ErrorKind::UnequalLengths { expected_len, len, .. } = error.kind() {
        return InputError::Value {
            path,
            line: place,
            column: "cells".to_owned(),
            value: len.to_string(),
            problem: format!("accepted are {expected_len}, as many as there are columns"),
        };
    }
    let not_text = matches!(error.kind(), ErrorKind::Utf8 { .. });
    let source = if let ErrorKind::Io(source) = error.into_kind() {
        unpacked(source)
    } else {
        io::Error::other(if not_text { "not text in UTF-8" } else { "not a CSV file" })
    };
    InputError::Read { path, line, source }
}

/// Of a plain file none of these kinds comes: only what was packed has an end that can be missing.
fn unpacked(error: io::Error) -> io::Error {
    use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    if matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput) {
        return io::Error::new(error.kind(), "its gzip'd content is cut off or damaged");
    }
    error
}

/// A reader that refuses to give more, or longer lines, than a trace has.
struct Limited<R> {
    inner: R,
    left: u64,
    /// Bytes since the last line was understood; the table sets it back. A quote that nobody closes
    /// makes one line of the rest of the file.
    pending: Rc<Cell<usize>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        let left = self.left.checked_sub(u64::try_from(count).unwrap_or(u64::MAX));
        self.left = left.ok_or_else(|| io::Error::other("more than 1 GiB of text; cut it"))?;
        self.pending.set(self.pending.get().saturating_add(count));
        if self.pending.get() > LINE_BYTES_MAX {
            return Err(io::Error::other("a line of more than 64 KiB; this is not a trace"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io::Read;
    use std::rc::Rc;

    use super::{LINE_BYTES_MAX, Limited};

    /// How much of 100 000 bytes is given, or which words refuse it.
    fn check(left: u64, reset: bool, expected: Result<usize, &str>) {
        let pending = Rc::new(Cell::new(0));
        let inner = std::io::repeat(b'x').take(100_000);
        let mut limited = Limited { inner, left, pending: Rc::clone(&pending) };
        let (mut buffer, mut read) = ([0; 8192], 0);
        let outcome = loop {
            match limited.read(&mut buffer) {
                Ok(0) => break Ok(read),
                Ok(count) => read += count,
                Err(error) => break Err(error.to_string()),
            }
            if reset {
                pending.set(0);
            }
        };
        match (&outcome, expected) {
            (Err(text), Err(words)) => assert!(text.contains(words), "{text}"),
            (outcome, expected) => assert_eq!(outcome.as_ref().ok(), expected.as_ref().ok()),
        }
    }

    #[test]
    fn text_and_lines_have_an_end() {
        const { assert!(LINE_BYTES_MAX < 100_000) };
        check(1 << 30, true, Ok(100_000));
        check(100_000, true, Ok(100_000));
        check(99_999, true, Err("1 GiB"));
        check(1 << 30, false, Err("64 KiB"));
    }
}
