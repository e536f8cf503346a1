//! Lines in a frame, as a drawing that needs no script and takes its colours from the page.
//!
//! Given finite ranges, promises an SVG element in which every string is escaped and a point that is
//! missing interrupts its line. It fills the width that the page gives it.

use std::fmt::Write;

use crate::report::line::escape;

/// The drawing's own units: about the pixels of a phone, so that its letters are readable there.
const WIDTH: f64 = 360.0;
const HEIGHT: f64 = 236.0;

/// Room for ticks and titles: left, right, top, bottom.
const MARGINS: (f64, f64, f64, f64) = (40.0, 10.0, 8.0, 36.0);

/// One axis.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// What it measures.
    pub(super) title: String,
    /// Its ends, the first below the second.
    pub(super) range: (f64, f64),
    /// Where it is marked, and with what.
    pub(super) ticks: Vec<(f64, String)>,
    /// Whether equal ratios are equally far apart; its ends are then above zero.
    pub(super) log: bool,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its name.
    pub(super) name: String,
    /// Which of the page's colours; `None`: an aid that is no measurement, dashed.
    pub(super) colour: Option<usize>,
    /// Its points, ascending; a missing one interrupts it.
    pub(super) points: Vec<(f64, Option<f64>)>,
}

impl Axis {
    /// Where `value` is, from 0 to 1 within the range.
    fn place(&self, value: f64) -> f64 {
        let of = |value: f64| if self.log { value.max(1e-12).ln() } else { value };
        let (low, high) = (of(self.range.0), of(self.range.1));
        ((of(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// The drawing.
pub(super) fn svg(title: &str, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let (left, right, top, bottom) = MARGINS;
    let across = |value: f64| left + x.place(value) * (WIDTH - left - right);
    let up = |value: f64| HEIGHT - bottom - y.place(value) * (HEIGHT - top - bottom);
    let title = escape(title);
    let mut text = format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    let base = HEIGHT - bottom;
    for (value, name) in &y.ticks {
        let (at, name) = (up(*value), escape(name));
        let end = WIDTH - right;
        let _ = write!(
            text,
            "<path class=\"grid\" d=\"M{left} {at:.1}H{end}\"/>\
             <text class=\"y\" x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            left - 5.0,
            at + 3.5
        );
    }
    for (value, name) in &x.ticks {
        let (at, name) = (across(*value), escape(name));
        let _ = write!(
            text,
            "<path class=\"grid\" d=\"M{at:.1} {top}V{base}\"/>\
             <text class=\"x\" x=\"{at:.1}\" y=\"{:.1}\">{name}</text>",
            base + 14.0
        );
    }
    let _ = write!(
        text,
        "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        f64::midpoint(left, WIDTH - right),
        HEIGHT - 5.0,
        escape(&x.title)
    );
    for line in lines {
        let points: Vec<Option<(f64, f64)>> = line
            .points
            .iter()
            .map(|(at, value)| value.map(|value| (across(*at), up(value))))
            .collect();
        text += &drawn(line, &points);
    }
    text + "</svg>\n"
}

fn drawn(line: &Line, points: &[Option<(f64, f64)>]) -> String {
    let class = line.colour.map_or("aid".to_owned(), |colour| format!("k{}", colour % 8));
    let (mut path, mut marks, mut pen) = (String::new(), String::new(), 'M');
    for (point, (_, value)) in points.iter().zip(&line.points) {
        let (Some((across, up)), Some(value)) = (point, value) else {
            pen = 'M';
            continue;
        };
        let _ = write!(path, "{pen}{across:.1} {up:.1}");
        pen = 'L';
        if line.colour.is_some() {
            let _ = write!(
                marks,
                "<circle class=\"{class}\" cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"2.4\">\
                 <title>{}: {value:.3}</title></circle>",
                escape(&line.name)
            );
        }
    }
    format!("<path class=\"line {class}\" d=\"{path}\"/>{marks}")
}

/// What the colours mean.
pub(super) fn key(lines: &[Line]) -> String {
    let item = |line: &Line| {
        let class = line.colour.map_or("aid".to_owned(), |colour| format!("k{}", colour % 8));
        format!("<li><i class=\"{class}\"></i>{}</li>", escape(&line.name))
    };
    format!("<ul class=\"key\">{}</ul>\n", lines.iter().map(item).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::{Axis, Line, svg};

    fn axis(range: (f64, f64), log: bool) -> Axis {
        Axis { title: "a <b>".to_owned(), range, ticks: Vec::new(), log }
    }

    #[test]
    fn a_line_goes_from_corner_to_corner_and_stops_where_a_point_is_missing() {
        let points = vec![(1.0, Some(1.0)), (10.0, None), (100.0, Some(100.0))];
        let line = Line { name: "<x>".to_owned(), colour: Some(9), points };
        let drawn = svg("t", &axis((1.0, 100.0), true), &axis((1.0, 100.0), true), &[line]);
        assert!(drawn.contains("d=\"M40.0 200.0M350.0 8.0\""), "{drawn}");
        assert!(drawn.contains("line k1") && drawn.contains("&lt;x&gt;: 100.000"), "{drawn}");
        assert!(!drawn.contains("<x>") && !drawn.contains("<b>"), "{drawn}");
    }
}
