//! Courses over time as a drawing that needs no script and takes its colours from the page.
//!
//! Given a frame and layers in it, promises an SVG element with a title and a description, in which
//! every string is escaped, and what is missing interrupts a line. Drawn twice, for a phone and for a
//! desk, so that letters are readable on both; the page's style shows one.

use std::fmt::Write;

use chrono::{TimeZone, Timelike};
use chrono_tz::Tz;

use crate::report::line::escape;

/// Half an hour: the finest offset of a time zone that a tick of whole hours has to meet.
const HALF_HOUR_MS: i64 = 1_800_000;
/// Room for ticks: left, right, top, bottom; in the drawing's units.
const MARGINS: (f64, f64, f64, f64) = (34.0, 8.0, 10.0, 22.0);

/// What a drawing shows.
#[derive(Debug, Clone)]
pub(super) struct Frame<'a> {
    /// Its name.
    pub(super) title: &'a str,
    /// What is in it, in a sentence.
    pub(super) about: &'a str,
    /// Its ends, milliseconds since the Unix epoch, the first before the second.
    pub(super) span: (i64, i64),
    /// Now; a line is drawn there.
    pub(super) now: i64,
    /// Where local time is from.
    pub(super) zone: Tz,
    /// The largest value, above zero.
    pub(super) top: f64,
    /// Values are counts: no mark lies between two whole numbers.
    pub(super) whole: bool,
}

/// Something drawn; the class says how.
#[derive(Debug, Clone)]
pub(super) enum Layer {
    /// Between two values.
    Area(&'static str, Vec<(i64, Option<(f64, f64)>)>),
    /// From point to point.
    Line(&'static str, Vec<(i64, Option<f64>)>),
    /// From each point on until the next.
    Steps(&'static str, Vec<(i64, Option<f64>)>),
}

/// Width and height of one drawing, hours that have room between ticks, and the class it is shown by.
struct Size(f64, f64, i64, &'static str);

const SIZES: [Size; 2] = [Size(360.0, 200.0, 5, "narrow"), Size(980.0, 250.0, 14, "broad")];

/// Both drawings.
pub(super) fn drawings(frame: &Frame<'_>, layers: &[Layer]) -> String {
    SIZES.iter().map(|size| svg(frame, size, layers)).collect()
}

/// Where things are.
struct Place<'a> {
    frame: &'a Frame<'a>,
    width: f64,
    height: f64,
}

impl Place<'_> {
    #[expect(clippy::cast_precision_loss, reason = "a day in milliseconds is far below 2^53")]
    fn across(&self, at: i64) -> f64 {
        let (left, right, ..) = MARGINS;
        let (from, to) = self.frame.span;
        let share = (at - from) as f64 / (to - from).max(1) as f64;
        share.clamp(0.0, 1.0).mul_add(self.width - left - right, left)
    }

    fn up(&self, value: f64) -> f64 {
        let (_, _, top, bottom) = MARGINS;
        let share = (value / self.frame.top).clamp(0.0, 1.0);
        share.mul_add(-(self.height - top - bottom), self.height - bottom)
    }
}

fn svg(frame: &Frame<'_>, size: &Size, layers: &[Layer]) -> String {
    let Size(width, height, hours, class) = *size;
    let place = Place { frame, width, height };
    let (title, about) = (escape(frame.title), escape(frame.about));
    let mut text = format!(
        "<svg class=\"course {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"{title}: {about}\"><title>{title}</title><desc>{about}</desc>"
    );
    grid(&place, between(frame, hours), &mut text);
    for layer in layers {
        text += &match layer {
            Layer::Area(class, points) => area(&place, class, points),
            Layer::Line(class, points) => line(&place, class, points, false),
            Layer::Steps(class, points) => line(&place, class, points, true),
        };
    }
    let now = place.across(frame.now);
    let (_, _, top, bottom) = MARGINS;
    let _ = write!(text, "<path class=\"now\" d=\"M{now:.1} {top}V{:.1}\"/>", height - bottom);
    text + "</svg>\n"
}

fn grid(place: &Place<'_>, hours: u32, text: &mut String) {
    let (left, right, top, bottom) = MARGINS;
    let (end, base) = (place.width - right, place.height - bottom);
    for value in ticks(place.frame.top, place.frame.whole) {
        let up = place.up(value);
        let _ = write!(
            text,
            "<path class=\"grid\" d=\"M{left} {up:.1}H{end}\"/><text class=\"y\" x=\"{:.1}\" \
             y=\"{:.1}\">{}</text>",
            left - 5.0,
            up + 3.5,
            short(value)
        );
    }
    for (at, name) in clock(place.frame, hours) {
        let across = place.across(at);
        let _ = write!(
            text,
            "<path class=\"grid\" d=\"M{across:.1} {top}V{base}\"/><text class=\"x\" \
             x=\"{across:.1}\" y=\"{:.1}\">{name}</text>",
            base + 14.0
        );
    }
}

/// Hours between ticks, so that no more than `most` have to have room.
fn between(frame: &Frame<'_>, most: i64) -> u32 {
    let (from, to) = frame.span;
    let hours = to.saturating_sub(from) / (2 * HALF_HOUR_MS);
    [1, 2, 3, 6].into_iter().find(|it| hours <= i64::from(*it) * most).unwrap_or(12)
}

/// Whole local hours.
fn clock(frame: &Frame<'_>, hours: u32) -> Vec<(i64, String)> {
    let (from, to) = frame.span;
    let first = from.div_euclid(HALF_HOUR_MS) + 1;
    let last = to.div_euclid(HALF_HOUR_MS).min(first + 96);
    let local = |half: i64| {
        let at = half * HALF_HOUR_MS;
        let local = frame.zone.timestamp_millis_opt(at).single()?;
        let whole = local.minute() == 0 && local.hour().is_multiple_of(hours);
        whole.then(|| (at, format!("{:02}:00", local.hour())))
    };
    (first..=last).filter_map(local).collect()
}

/// At most five round values up to `top`, `whole` ones or any.
fn ticks(top: f64, whole: bool) -> Vec<f64> {
    let rough = (top / 4.0).max(if whole { 1.0 } else { 1e-9 });
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|it| it * power).into_iter();
    let step = steps.filter(|it| !whole || it.fract() == 0.0).find(|it| *it >= rough);
    let step = step.unwrap_or(rough).max(f64::MIN_POSITIVE);
    (0..=5_u32).map(|idx| f64::from(idx) * step).filter(|value| *value <= top * 1.001).collect()
}

/// A little above the largest value, at least one.
pub(super) fn top(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
    (most * 1.08).max(1.0)
}

fn short(value: f64) -> String {
    crate::engine::decision::Short(value).to_string()
}

/// Runs of points that are there.
fn runs<T: Copy>(points: &[(i64, Option<T>)]) -> Vec<Vec<(i64, T)>> {
    let mut runs = Vec::new();
    for part in points.split(|(_, value)| value.is_none()) {
        let run: Vec<(i64, T)> = part.iter().filter_map(|(at, it)| Some((*at, (*it)?))).collect();
        if !run.is_empty() {
            runs.push(run);
        }
    }
    runs
}

fn line(place: &Place<'_>, class: &str, points: &[(i64, Option<f64>)], steps: bool) -> String {
    let mut path = String::new();
    for run in runs(points) {
        let mut pen = 'M';
        let mut before: Option<f64> = None;
        for (at, value) in run {
            let (across, up) = (place.across(at), place.up(value));
            if let (true, Some(level)) = (steps, before) {
                // A level that stays needs no point.
                if (level - up).abs() < 0.05 {
                    let _ = write!(path, "H{across:.1}");
                    continue;
                }
                let _ = write!(path, "H{across:.1}V{up:.1}");
            } else {
                let _ = write!(path, "{pen}{across:.1} {up:.1}");
            }
            pen = 'L';
            before = Some(up);
        }
    }
    format!("<path class=\"{class}\" d=\"{path}\"/>")
}

fn area(place: &Place<'_>, class: &str, points: &[(i64, Option<(f64, f64)>)]) -> String {
    let mut path = String::new();
    for run in runs(points) {
        for (idx, (at, (low, _))) in run.iter().enumerate() {
            let pen = if idx == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{pen}{:.1} {:.1}", place.across(*at), place.up(*low));
        }
        for (at, (_, high)) in run.iter().rev() {
            let _ = write!(path, "L{:.1} {:.1}", place.across(*at), place.up(*high));
        }
        path += "Z";
    }
    format!("<path class=\"{class}\" d=\"{path}\"/>")
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::{Frame, Layer, drawings, ticks, top};

    fn frame(zone: Tz) -> Frame<'static> {
        let span = (0, 86_400_000);
        Frame { title: "a <b>", about: "c", span, now: 43_200_000, zone, top: 10.0, whole: false }
    }

    #[test]
    fn a_drawing_is_escaped_has_local_hours_and_stops_where_a_point_is_missing() {
        let points = vec![(0, Some(1.0)), (3_600_000, None), (7_200_000, Some(2.0))];
        let steps = vec![(0, Some(1.0)), (3_600_000, Some(1.0)), (7_200_000, Some(2.0))];
        let layers = [Layer::Line("l", points), Layer::Steps("s", steps)];
        let drawn = drawings(&frame(Tz::Asia__Kolkata), &layers);
        assert!(!drawn.contains("<b>") && drawn.contains("a &lt;b&gt;"), "{drawn}");
        assert!(drawn.contains(">06:00<") && !drawn.contains("NaN"), "{drawn}");
        let path = drawn.split("class=\"l\" d=\"").nth(1).unwrap();
        assert_eq!(path.split('"').next().unwrap().matches('M').count(), 2, "{path}");
        let path = drawn.split("class=\"s\" d=\"").nth(1).unwrap();
        assert!(path.starts_with("M34.0 161.2H47.2H60.5V144.4\""), "{path}");
    }

    #[test]
    fn axes_have_few_round_marks_and_never_none() {
        for most in [1.0, 1.08, 3.3, 7.5, 10.0, 25.0, 999.0, 1e6] {
            let marks = ticks(most, false);
            assert!((3..=6).contains(&marks.len()), "{most}: {marks:?}");
            let marks = ticks(most, true);
            assert!((2..=6).contains(&marks.len()), "{most}: {marks:?}");
            assert!(marks.iter().all(|mark| mark.fract() == 0.0), "{most}: {marks:?}");
        }
        assert_eq!(ticks(0.0, false).len(), 1);
        assert!((top(std::iter::empty()) - 1.0).abs() < 1e-9);
        assert!((top([f64::NAN, 10.0].into_iter()) - 10.8).abs() < 1e-9);
    }
}
