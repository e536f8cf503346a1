//! The log: its format, its level, and the promise of one line per event.
//!
//! JSON escapes by itself. Text goes through a writer that escapes every control character inside
//! the line, so that no name or error can forge a second line or steer a terminal; it has no
//! colours for the same reason.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line, for machines.
    Json,
    /// One readable line, for a terminal.
    Text,
}

/// Which events are written: a level, or `target=level` pairs separated by commas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(String);

/// Logging cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is not one.
    #[error(
        "log level {0:?}: expected off, error, warn, info, debug, trace, or target=level pairs"
    )]
    Level(String),
    /// Something in this process has already set up logging.
    #[error("logging is already set up")]
    Already,
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // A bare word that is no level would be taken for a target at full volume.
        let known = |level: &str| LEVELS.contains(&level);
        let accepted = |part: &str| match part.split_once('=') {
            Some((target, level)) => !target.is_empty() && known(level),
            None => known(part),
        };
        if text.split(',').all(accepted) && EnvFilter::try_new(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Level(text.to_owned()))
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Level {
    /// The filter: `debug` and `trace` alone mean our own events, because the transport's would
    /// drown them.
    fn directives(&self) -> String {
        match self.0.as_str() {
            verbose @ ("debug" | "trace") => format!("info,prescale={verbose}"),
            other => other.to_owned(),
        }
    }
}

/// Sets up logging for the whole process, to standard error.
///
/// # Errors
/// When it was set up before.
pub fn init(format: Format, level: &Level) -> Result<(), Error> {
    let filter = EnvFilter::new(level.directives());
    // A line that cannot be written is lost. Told to the same stream, as is the default, it would be a panic of
    // whoever logs: a collector that restarts must not end a scaler.
    let log = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    match format {
        Format::Json => log.json().flatten_event(true).with_writer(io::stderr).try_init(),
        Format::Text => log.with_ansi(false).with_writer(OneLine(io::stderr)).try_init(),
    }
    .map_err(|_| Error::Already)
}

/// Makes writers that keep each event on its own line.
struct OneLine<M>(M);

struct OneLineWriter<W>(W);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for OneLine<M> {
    type Writer = OneLineWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLineWriter<W> {
    /// The formatter hands over one whole event with its final new line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = crate::report::one_line(text.strip_suffix('\n').unwrap_or(&text));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Level, OneLineWriter};

    #[test]
    fn a_level_is_a_level_or_pairs() {
        let rows = [
            ("info", Some("info")),
            ("debug", Some("info,prescale=debug")),
            ("warn,h2=debug", Some("warn,h2=debug")),
            ("loud", None),
            ("INFO ", None),
            ("prescale=loud", None),
            ("=info", None),
            ("", None),
        ];
        for (text, expected) in rows {
            let parsed = text.parse::<Level>().ok().map(|level| level.directives());
            assert_eq!(parsed.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn an_event_cannot_forge_a_second_line_or_steer_a_terminal() {
        let mut out = OneLineWriter(Vec::new());
        out.write_all(b"INFO name=a\nERROR forged \x1b[2J\n").unwrap();
        assert_eq!(out.0, b"INFO name=a\\nERROR forged \\u{1b}[2J\n");
    }
}
