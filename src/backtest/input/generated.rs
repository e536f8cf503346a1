//! Shapes by name, as something to replay.

use std::ops::RangeInclusive;

use crate::backtest::input::error::InputError;
use crate::backtest::input::recorded::{Origin, Recorded};
use crate::backtest::input::sizes::Sizes;
use crate::engine::replay::shapes::{BEGINS, Parameters, SHAPES};

/// Lengths in days: some minutes, of which the report still tells something, to what anybody replays.
pub const DAYS: RangeInclusive<f64> = 0.01..=400.0;

/// Name of every shape, and one line about it.
pub fn shapes() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHAPES.iter().map(|shape| (shape.name, shape.about))
}

/// The shape `name`. Without `sizes` the requests are as large as the shape's own; those of a
/// published shape always are, and a note says so.
///
/// # Errors
/// When there is no such shape, or a parameter is out of range.
pub fn generate(
    name: &str,
    parameters: Parameters,
    sizes: Option<Sizes>,
) -> Result<Recorded, InputError> {
    let shape = SHAPES.iter().find(|shape| shape.name == name).ok_or_else(|| {
        let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
        InputError::Shape { name: name.to_owned(), accepted: names.join(", ") }
    })?;
    let Parameters { pod_rate, days } = parameters;
    let refused = |parameter, value, problem| InputError::Parameter { parameter, value, problem };
    if !(pod_rate > 0.0 && pod_rate <= 10_000.0) {
        let problem = "is not above 0 and at most 10000 requests per second";
        return Err(refused("rate of one pod", pod_rate, problem));
    }
    if let Some(days) = days.filter(|days| !DAYS.contains(days)) {
        return Err(refused("days", days, "is not from 0.01 to 400"));
    }
    let (prompt, output) = shape.sizes;
    let given = sizes.unwrap_or_default();
    let own = Sizes { prompt, output, ..given };
    let keep = shape.published || sizes.is_none();
    let mut notes = vec![shape.about.to_owned()];
    if shape.published {
        notes.push(format!("length, rates and sizes as published: {prompt} in, {output} out"));
    } else {
        notes.push(format!("heights in pods that carry {pod_rate:.3} requests/s each"));
    }
    Ok(Recorded {
        name: shape.name.to_owned(),
        begins: Some(BEGINS),
        length: shape.length(&parameters),
        notes,
        sizes: if keep { own } else { given },
        origin: Origin::Shape(shape, parameters),
    })
}
