//! The live table: drawn in place for a person, a line every few seconds for a file.
//!
//! Given a frame, it promises the same facts in both forms, no line wider than 80 columns, and no
//! escape sequence unless a person looks.

use std::io::{self, Write};
use std::time::Duration;

use crate::demo::options::Terminal;
use crate::demo::view::View;
use crate::engine::replay::world::Census;
use crate::engine::units::Timestamp;

/// Columns; a narrower terminal wraps, which costs beauty only.
const WIDTH: usize = 80;

/// Real time between frames.
const IN_PLACE: Duration = Duration::from_millis(250);
const LINES: Duration = Duration::from_secs(5);

/// Everything the table shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// Simulated time of day.
    pub(super) at: Timestamp,
    /// Simulated seconds per second.
    pub(super) speed: f64,
    /// Share of the day that has passed, 0..=1.
    pub(super) share: f64,
    /// Real time left.
    pub(super) left: Duration,
    /// The fleet.
    pub(super) census: Census,
    /// Requests per second over the last minute.
    pub(super) arrival_rate: f64,
    /// 95th percentile of TTFT over five minutes.
    pub(super) ttft_p95: Option<Duration>,
    /// What the API says.
    pub(super) view: View,
}

/// Where the table goes.
pub(super) struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    terminal: Terminal,
    drawn: usize,
}

impl<'a> Screen<'a> {
    /// A table on `out`.
    pub(super) const fn new(out: &'a mut (dyn Write + Send), terminal: Terminal) -> Self {
        Self { out, terminal, drawn: 0 }
    }

    /// Real time between frames.
    pub(super) const fn interval(&self) -> Duration {
        if self.terminal.interactive { IN_PLACE } else { LINES }
    }

    /// Writes text that stays.
    pub(super) fn say(&mut self, text: &str) -> io::Result<()> {
        self.drawn = 0;
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Shows a frame.
    pub(super) fn show(&mut self, frame: &Frame) -> io::Result<()> {
        if self.terminal.interactive { self.draw(frame) } else { self.say(&line(frame)) }
    }

    fn draw(&mut self, frame: &Frame) -> io::Result<()> {
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}A", self.drawn)?;
        }
        let rows = table(frame);
        for row in &rows {
            let (open, close) = paint(self.terminal.color, row, frame);
            writeln!(self.out, "\x1b[2K{open}{}{close}", cut(row))?;
        }
        self.drawn = rows.len();
        self.out.flush()
    }
}

/// Heading of the plain form.
pub(super) fn heading() -> &'static str {
    "  time  req/s  waiting  held  running  ready+loading/wanted  p95 TTFT  state    because"
}

fn table(frame: &Frame) -> Vec<String> {
    let Frame { census, arrival_rate, view, .. } = frame;
    let Census { held, waiting, running, ready, loading, wanted } = census;
    let desired = view.desired.map_or_else(|| "no number".to_owned(), |count| count.to_string());
    vec![
        format!(
            "{}  {} {:>3.0} %  {} left  (speed {:.0})",
            clock(frame.at),
            bar(frame.share, 30),
            frame.share * 100.0,
            span(frame.left),
            frame.speed
        ),
        String::new(),
        format!("demand     {arrival_rate:.1} requests/s"),
        format!("running    {running}"),
        format!("waiting    {waiting} in pods, {held} held at the gateway"),
        format!("p95 TTFT   {} over five minutes", latency(frame.ttft_p95)),
        format!("replicas   {ready} ready, {loading} loading, {wanted} set, {desired} wanted"),
        format!("state      {}", view.state.as_deref().unwrap_or("starting")),
        format!("because    {}", view.because.as_deref().unwrap_or("-")),
    ]
}

fn line(frame: &Frame) -> String {
    let Frame { census, arrival_rate, view, .. } = frame;
    let Census { held, waiting, running, ready, loading, wanted: _ } = census;
    let desired = view.desired.map_or_else(|| "-".to_owned(), |count| count.to_string());
    let replicas = format!("{ready}+{loading}/{desired}");
    format!(
        "{:>6}  {arrival_rate:>5.1}  {waiting:>7}  {held:>4}  {running:>7}  {replicas:>20}  {:>8}  {:<7}  {}",
        clock(frame.at),
        latency(frame.ttft_p95),
        view.state.as_deref().unwrap_or("-"),
        view.because.as_deref().unwrap_or("-"),
    )
}

/// Escape sequences around a row: states that hold or refuse in yellow, the rest as it is.
fn paint(color: bool, row: &str, frame: &Frame) -> (&'static str, &'static str) {
    let state = frame.view.state.as_deref().unwrap_or("starting");
    let calm = ["fresh", "asleep", "waking", "starting"].contains(&state);
    match row.split_whitespace().next() {
        Some("state") if color && !calm => ("\x1b[33m", "\x1b[0m"),
        Some("replicas") if color => ("\x1b[1m", "\x1b[0m"),
        _ => ("", ""),
    }
}

fn cut(row: &str) -> String {
    row.chars().take(WIDTH).collect()
}

/// Hours and minutes of the day, UTC.
fn clock(at: Timestamp) -> String {
    let minutes = at.unix_ms().div_euclid(60_000);
    format!("{:02}:{:02}", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))
}

/// A bar of `width` characters; `share` 0..=1.
fn bar(share: f64, width: u32) -> String {
    let filled = |idx: u32| f64::from(idx) < share * f64::from(width);
    (0..width).map(|idx| if filled(idx) { '#' } else { '.' }).collect()
}

/// A latency with the digits that matter.
pub(super) fn latency(value: Option<Duration>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.2} s", value.as_secs_f64()))
}

/// A span in its two largest units.
pub(super) fn span(value: Duration) -> String {
    let seconds = value.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {} s", seconds % 60),
        (_, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Frame, Screen, clock, heading, span};
    use crate::demo::options::Terminal;
    use crate::demo::view::View;
    use crate::engine::replay::world::Census;
    use crate::engine::units::Timestamp;

    fn frame(state: &str) -> Frame {
        Frame {
            at: Timestamp::from_unix_ms(1_772_433_000_000),
            speed: 60.0,
            share: 0.25,
            left: Duration::from_secs(135),
            census: Census { held: 0, waiting: 3, running: 148, ready: 4, loading: 1, wanted: 5 },
            arrival_rate: 12.44,
            ttft_p95: Some(Duration::from_millis(412)),
            view: View {
                state: Some(state.to_owned()),
                desired: Some(5),
                because: Some("KV cache: 4.31 replicas ".repeat(9)),
            },
        }
    }

    fn shown(terminal: Terminal, state: &str) -> String {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, terminal);
        screen.show(&frame(state)).unwrap();
        screen.show(&frame(state)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_file_gets_lines_without_escapes() {
        let text = shown(Terminal { interactive: false, color: true }, "fresh");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let expected =
            " 06:30   12.4        3     0      148                 4+1/5    0.41 s  fresh  ";
        assert!(lines[0].starts_with(expected), "{}", lines[0]);
        assert!(!text.contains('\x1b'));
        assert_eq!(heading().find("state"), lines[0].find("fresh"));
    }

    #[test]
    fn a_person_gets_one_table_drawn_over_itself() {
        let text = shown(Terminal { interactive: true, color: false }, "blind");
        assert_eq!(text.matches("replicas   4 ready, 1 loading, 5 set, 5 wanted").count(), 2);
        assert_eq!(text.matches("\x1b[9A").count(), 1, "up once, before the second frame");
        assert!(!text.contains("\x1b[1m") && !text.contains("\x1b[33m"), "no colours");
        assert!(text.lines().all(|line| line.chars().count() <= 90));
    }

    #[test]
    fn colour_marks_states_in_which_nothing_is_decided() {
        let terminal = Terminal { interactive: true, color: true };
        for (state, yellow) in
            [("fresh", false), ("hold", true), ("blind", true), ("asleep", false)]
        {
            assert_eq!(shown(terminal, state).contains("\x1b[33m"), yellow, "{state}");
        }
    }

    #[test]
    fn times_are_short() {
        assert_eq!(clock(Timestamp::from_unix_ms(-60_000)), "23:59");
        let rows = [(9, "9 s"), (75, "1 min 15 s"), (10_800, "3 h 0 min")];
        for (seconds, expected) in rows {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        }
    }
}
