//! Shapes by name.

use std::time::Duration;

use prescale::backtest::input::{Sizes, generate, shapes};
use prescale::engine::replay::shapes::Parameters;
use prescale::engine::units::Timestamp;

use crate::told;

#[test]
fn every_shape_can_be_generated_and_begins_on_a_monday() {
    assert_eq!(shapes().count(), 9);
    for (name, about) in shapes() {
        let recorded = generate(name, Parameters::default(), None).unwrap();
        assert_eq!((recorded.name.as_str(), recorded.notes[0].as_str()), (name, about));
        assert_eq!(recorded.begins, Some(Timestamp::from_unix_ms(1_767_571_200_000)));
        let arrivals = recorded.arrivals(4, 1.0).unwrap();
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at), "{name}");
        let sizes = arrivals.iter().all(|one| (one.prompt, one.output) == (4000, 1000));
        assert!(sizes && !arrivals.is_empty(), "{name}");
        // A week of it has to be replayed under a dozen policies.
        assert!(arrivals.len() < 3_000_000, "{name}: {}", arrivals.len());
    }
}

#[test]
fn sizes_are_the_callers_except_for_what_is_published() {
    for (name, expected) in [("constant", (1000, 200)), ("llm-d-ramp", (4000, 1000))] {
        let recorded = generate(name, Parameters::default(), Some(Sizes::default())).unwrap();
        let first = recorded.arrivals(1, 1.0).unwrap()[0];
        assert_eq!((first.prompt, first.output), expected, "{name}");
    }
    let ramp = generate("llm-d-ramp", Parameters::default(), None).unwrap();
    assert!(ramp.notes[1].contains("as published: 4000 in, 1000 out"), "{:?}", ramp.notes);
    assert_eq!(ramp.length, Duration::from_secs(2430));
}

#[test]
fn names_and_parameters_are_checked() {
    let refused = |name: &str, pod_rate, days| {
        told(&generate(name, Parameters { pod_rate, days }, None).unwrap_err())
    };
    assert!(
        refused("ramp", 1.0, None).starts_with("no shape is called \"ramp\"; accepted are llm-d")
    );
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(refused("constant", rate, None).contains("is not above 0"));
    }
    for days in [0.0, -1.0, f64::NAN, 401.0] {
        assert!(refused("constant", 1.0, Some(days)).contains("is not from 0.01 to 400"));
    }
    let huge = generate("constant", Parameters { pod_rate: 1e4, days: Some(400.0) }, None).unwrap();
    assert!(told(&huge.arrivals(1, 1.0).unwrap_err()).contains("or less fits"));
}
