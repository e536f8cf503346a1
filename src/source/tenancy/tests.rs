//! What goes in, what comes out, and that nothing comes out unconfined.

use promql_parser::label::MatchOp as Op;
use promql_parser::parser::parse;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::{Refusal, admit, confined, selectors};
use crate::spec::{LabelMatcher, MatchOp};

fn labels() -> Vec<String> {
    ["namespace", "exported_namespace"].map(str::to_owned).to_vec()
}

fn check(query: &str, expected: &str) {
    let admitted = admit(query, "llm", Some(&labels())).expect(query);
    assert_eq!(admitted.query, expected, "{query}");
}

#[test]
fn every_selector_gets_the_namespace_wherever_it_stands() {
    let rows = [
        ("up", r#"up{namespace="llm"}"#),
        (r#"up{namespace="llm"}"#, r#"up{namespace="llm"}"#),
        (r#"up{exported_namespace="llm"}"#, r#"up{exported_namespace="llm"}"#),
        ("a or b", r#"a{namespace="llm"} or b{namespace="llm"}"#),
        ("absent(a)", r#"absent(a{namespace="llm"})"#),
        ("rate(a[5m])", r#"rate(a{namespace="llm"}[5m])"#),
        (
            "max_over_time(rate(a[5m])[1h:1m])",
            r#"max_over_time(rate(a{namespace="llm"}[5m])[1h:1m])"#,
        ),
        ("a @ 1 offset 5m", r#"a{namespace="llm"} @ 1.000 offset 5m"#),
        ("-a", r#"-a{namespace="llm"}"#),
        (
            r#"label_replace(a, "namespace", "x", "y", "z")"#,
            r#"label_replace(a{namespace="llm"}, "namespace", "x", "y", "z")"#,
        ),
        ("topk(scalar(k), b)", r#"topk(scalar(k{namespace="llm"}), b{namespace="llm"})"#),
        ("1 + 1", "1 + 1"),
        ("a # or b", r#"a{namespace="llm"}"#),
    ];
    for (query, expected) in rows {
        check(query, expected);
    }
}

#[test]
fn other_matchers_on_the_tenant_labels_are_refused() {
    let rows = [
        r#"up{namespace="other"}"#,
        r#"up{namespace=~"llm|other"}"#,
        r#"up{namespace!="x"}"#,
        r#"up{namespace=""}"#,
        r#"up{namespace="llm",namespace="other"}"#,
        r#"up{namespace="llm",exported_namespace="other"}"#,
        r#"up{namespace="llm"} or up{namespace="other"}"#,
        r#"up{a="1" or b="2"}"#,
    ];
    for query in rows {
        let refused = admit(query, "llm", Some(&labels()));
        assert!(matches!(refused, Err(Refusal::Foreign { .. })), "{query}: {refused:?}");
    }
}

#[test]
fn bombs_are_refused_or_survived_quickly() {
    let nested = |depth: usize| format!("{}a{}", "abs(".repeat(depth), ")".repeat(depth));
    assert!(admit(&nested(60), "llm", Some(&labels())).is_ok());
    assert_eq!(admit(&nested(65), "llm", None), Err(Refusal::TooDeep));
    assert_eq!(admit(&"a".repeat(4097), "llm", None), Err(Refusal::TooLong));
    let survived = [
        format!("a{}", "+a".repeat(2000)),
        format!("a{}", "^a".repeat(2000)),
        format!("{}a", "-".repeat(4000)),
        format!("a{}", " or a".repeat(800)),
    ];
    for query in survived {
        for tenancy in [None, Some(labels())] {
            // Whether it is admitted may change with the parser; that it ends may not.
            let _ = admit(&query, "llm", tenancy.as_deref());
        }
    }
}

#[test]
fn what_is_not_promql_is_said_even_without_tenancy() {
    for query in ["", "sum(", "a b", "rate(a)", "{}", "up{a=}", "\"", "a{b=~\"(\"}"] {
        assert_eq!(admit(query, "llm", None), Err(Refusal::Syntax), "{query}");
    }
    let query = "sum(rate(a{b=\"c\"}[5m]))";
    let admitted = admit(query, "llm", None).expect("admitted");
    assert_eq!(admitted.query, query);
    assert_eq!(admitted.newest.as_deref(), Some(r#"max(timestamp(a{b="c"}))"#));
    assert_eq!(admit("1", "llm", None).expect("admitted").newest, None);
}

#[test]
fn added_matchers_may_only_name_the_own_namespace() {
    let matcher = |label: &str, op, value: &str| LabelMatcher {
        label: label.to_owned(),
        op,
        value: value.to_owned(),
    };
    let rows = [
        (matcher("job", MatchOp::Equal, "x"), true),
        (matcher("namespace", MatchOp::Equal, "llm"), true),
        (matcher("namespace", MatchOp::Equal, "other"), false),
        (matcher("exported_namespace", MatchOp::Regex, "llm"), false),
    ];
    for (given, expected) in rows {
        assert_eq!(confined(std::slice::from_ref(&given), "llm", &labels()), expected, "{given:?}");
    }
}

fn query() -> impl Strategy<Value = String> {
    let value = any::<String>().prop_map(|text| text.escape_default().to_string());
    let leaf = prop_oneof![
        Just("up".to_owned()),
        Just("1".to_owned()),
        Just(r#"a{namespace="llm"}"#.to_owned()),
        Just(r#"a{namespace="other"}"#.to_owned()),
        Just(r#"{__name__=~"a.*",exported_namespace="llm"}"#.to_owned()),
        value.prop_map(|value| format!("a{{b=\"{value}\"}}")),
        Just("rate(a[5m] offset 1m)".to_owned()),
        Just("a @ start()".to_owned()),
    ];
    leaf.prop_recursive(4, 32, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) + on (x) ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} or {b}")),
            inner.clone().prop_map(|a| format!("sum by (pod) ({a})")),
            inner.clone().prop_map(|a| format!("absent({a})")),
            inner.clone().prop_map(|a| format!("max_over_time(({a})[1h:1m])")),
            inner.prop_map(|a| format!("-{a}")),
        ]
    })
}

proptest! {
    #[test]
    fn every_selector_of_an_admitted_query_carries_exactly_one_right_matcher(query in query()) {
        let labels = labels();
        if let Ok(admitted) = admit(&query, "llm", Some(&labels)) {
            let mut expr = parse(&admitted.query).expect("admitted text parses");
            for selector in selectors(&mut expr) {
                let given: Vec<_> = selector
                    .matchers
                    .matchers
                    .iter()
                    .filter(|matcher| labels.contains(&matcher.name))
                    .collect();
                assert_eq!(given.len(), 1, "{}", admitted.query);
                assert!(given[0].op == Op::Equal && given[0].value == "llm", "{}", admitted.query);
            }
        }
    }
}
