//! Fields that KEDA or the API server would refuse or leave unread, at any depth of a scaled object.
//!
//! Given a manifest; the tables are [`crate::cli::check::schema`]. What the values mean is left to the
//! other rules.

use serde_json::{Map, Value};

use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::manifest::{Kind, Manifest};
use crate::cli::check::placeholder;
use crate::cli::check::quantity;
use crate::cli::check::schema::{self, Field, Shape};
use crate::spec::closest;

/// More places than these are no hint where a field belongs.
const PLACES_MAX: usize = 2;

/// Where the walk is: the object or trigger, and the path within it, with its dot at the end.
struct At<'a> {
    kind: Kind,
    place: &'a Place,
    path: String,
}

impl At<'_> {
    fn within(&self, key: &str) -> At<'_> {
        At { kind: self.kind, place: self.place, path: format!("{}{key}.", self.path) }
    }
}

/// Holds the spec and its triggers to the tables.
pub(crate) fn check(kind: Kind, manifest: &Manifest, place: &Place, findings: &mut Findings) {
    let at = At { kind, place, path: String::new() };
    if let Some(spec) = manifest.object("/spec") {
        object(spec, schema::spec(kind), &at, findings);
    }
    let labels = manifest.triggers().into_iter().map(|trigger| trigger.label);
    for (trigger, label) in manifest.list("/spec/triggers").zip(labels) {
        let place = &Place { trigger: label, ..place.clone() };
        let at = At { kind, place, path: String::new() };
        if let Some(trigger) = trigger.as_object() {
            object(trigger, &schema::TRIGGER, &at, findings);
        }
    }
}

/// Whether the spec's own numbers are numbers, so that rules about them speak of what is written.
pub(crate) fn counted(kind: Kind, manifest: &Manifest) -> bool {
    let spec = manifest.object("/spec");
    let given = |field: &Field| spec.and_then(|spec| spec.get(field.name));
    schema::spec(kind).iter().all(|field| match (field.shape, given(field)) {
        (Shape::Whole(least, most), Some(given)) if !given.is_null() => {
            whole(given, (least, most)).is_none()
        }
        _ => true,
    })
}

fn object(given: &Map<String, Value>, known: &[Field], at: &At<'_>, findings: &mut Findings) {
    for (name, value) in given {
        let key = format!("{}{name}", at.path);
        match known.iter().find(|field| field.name == name) {
            Some(_) if value.is_null() => {}
            Some(field) => held(value, (name, field.shape), at, findings),
            None => {
                let message = format!(
                    "is no field that KEDA knows and has no effect{}",
                    meant(name, known, at)
                );
                findings.add(Level::Warning, at.place, &key, message);
            }
        }
    }
    for Field { name, .. } in known.iter().filter(|field| field.required) {
        if given.get(*name).is_none_or(Value::is_null) {
            findings.add(Level::Error, at.place, &format!("{}{name}", at.path), "is missing");
        }
    }
}

/// What an unknown field may stand for: a name much like it, or one of another level.
fn meant(name: &str, known: &[Field], at: &At<'_>) -> String {
    let names: Vec<&str> = known.iter().map(|field| field.name).collect();
    let elsewhere = || {
        let places = schema::places(at.kind, name);
        (1..=PLACES_MAX).contains(&places.len()).then(|| places.join(" or "))
    };
    let near = closest(name, &names).map(str::to_owned);
    near.or_else(elsewhere).map_or_else(String::new, |near| format!(": did you mean {near}?"))
}

/// Holds a known field to its shape.
fn held(given: &Value, (name, shape): (&str, Shape), at: &At<'_>, findings: &mut Findings) {
    let fault = match (shape, given) {
        (Shape::Fields(known), Value::Object(inner)) => {
            return object(inner, known, &at.within(name), findings);
        }
        (Shape::List(known), Value::Array(list)) => {
            let numbered = list.iter().enumerate();
            for (idx, inner) in numbered.filter_map(|(idx, one)| Some((idx, one.as_object()?))) {
                object(inner, known, &at.within(&format!("{name}[{idx}]")), findings);
            }
            return;
        }
        _ => fault(given, shape),
    };
    if let Some(fault) = fault {
        findings.add(Level::Error, at.place, &format!("{}{name}", at.path), fault);
    }
}

/// What is wrong with a value, if something is. An empty text counts as not given.
fn fault(given: &Value, shape: Shape) -> Option<String> {
    let expected = match shape {
        _ if given.as_str().is_some_and(placeholder::is_in) => return None,
        Shape::Any => return None,
        Shape::Text if given.is_number() || given.is_boolean() => {
            return Some("must be a string: put the value in quotes".to_owned());
        }
        Shape::Text | Shape::Word(_) if *given == "" => return None,
        Shape::Text if given.is_string() => return None,
        Shape::Text => "a string".to_owned(),
        Shape::Word(words) if given.as_str().is_some_and(|it| words.contains(&it)) => return None,
        Shape::Word(words) => one_of(words),
        Shape::Flag if given.is_boolean() => return None,
        Shape::Flag => "true or false, without quotes".to_owned(),
        Shape::Whole(least, most) => return whole(given, (least, most)),
        Shape::Quantity if is_quantity(given) => return None,
        Shape::Quantity => "a quantity from 0 in quotes, as \"0.05\" for 5 %".to_owned(),
        Shape::Fields(_) => "a mapping of fields".to_owned(),
        Shape::List(_) => "a list".to_owned(),
    };
    Some(format!("{given} must be {expected}"))
}

fn one_of(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        _ => words.concat(),
    }
}

fn whole(given: &Value, (least, most): (i64, i64)) -> Option<String> {
    match given.as_i64() {
        Some(number) if (least..=most).contains(&number) => None,
        Some(number) if number > most => {
            Some(format!("{number} must be a whole number from {least} to {most}"))
        }
        _ => Some(format!("{given} must be a whole number from {least}, without a unit")),
    }
}

/// The API server takes whole numbers and strings, as long as they are quantities.
fn is_quantity(given: &Value) -> bool {
    let quoted = given.as_str().map(|text| quantity::parse(text).filter(|value| *value >= 0.0));
    let bare = || given.as_f64().filter(|value| *value >= 0.0 && value.fract() <= 0.0);
    quoted.unwrap_or_else(bare).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::fault;
    use crate::cli::check::schema::Shape;

    fn check(given: &Value, shape: Shape, expected: Option<&str>) {
        assert_eq!(fault(given, shape).as_deref(), expected, "{given} {shape:?}");
    }

    #[test]
    fn a_value_is_held_to_its_shape() {
        let word = Shape::Word(&["Max", "Min", "Disabled"]);
        let quantity = Some("\"5%\" must be a quantity from 0 in quotes, as \"0.05\" for 5 %");
        check(&json!(5), Shape::Any, None);
        check(&json!("x"), Shape::Text, None);
        check(&json!(5), Shape::Text, Some("must be a string: put the value in quotes"));
        check(&json!([]), Shape::Text, Some("[] must be a string"));
        check(&json!("Min"), word, None);
        check(&json!(""), word, None);
        check(&json!("min"), word, Some("\"min\" must be Max, Min or Disabled"));
        check(&json!(true), Shape::Flag, None);
        check(&json!("true"), Shape::Flag, Some("\"true\" must be true or false, without quotes"));
        check(&json!(0), Shape::Whole(0, 9), None);
        check(&json!("${MIN}"), Shape::Whole(0, 9), None);
        check(&json!(10), Shape::Whole(0, 9), Some("10 must be a whole number from 0 to 9"));
        check(&json!(0), Shape::Quantity, None);
        check(&json!("50m"), Shape::Quantity, None);
        check(&json!("5%"), Shape::Quantity, quantity);
        assert!(fault(&json!(0.05), Shape::Quantity).is_some(), "the API server wants quotes");
        assert!(fault(&json!("-0.1"), Shape::Quantity).is_some());
        check(&json!("x"), Shape::Fields(&[]), Some("\"x\" must be a mapping of fields"));
    }
}
