//! What can be chosen from, printed.

use std::fmt::Write as _;

use crate::backtest::choose::{FORECASTING, USUAL};
use crate::backtest::input::shapes;
use crate::engine::replay::policy::POLICIES;
use crate::engine::replay::profile::Profile;

/// Every policy with its source, its knob and what is simplified; a star marks the usual ones.
pub(super) fn policies() -> String {
    let mut text = String::new();
    for policy in POLICIES {
        let star = if USUAL.contains(&policy.name) { " *" } else { "" };
        line(&mut text, format_args!("{}{star}", policy.name));
        line(&mut text, format_args!("  {}", policy.about));
        line(&mut text, format_args!("  source: {}", policy.source));
        if let Some(knob) = policy.knob {
            let values: Vec<String> = knob.values.iter().map(ToString::to_string).collect();
            let (name, default) = (knob.name, knob.default);
            let tried = values.join(", ");
            line(&mut text, format_args!("  knob: {name}, {default}; a sweep tries {tried}"));
        }
        for simplification in policy.simplifications {
            line(&mut text, format_args!("  simplified: {simplification}"));
        }
    }
    line(&mut text, format_args!("\n* compared where no --policy is given"));
    line(&mut text, format_args!("with the forecast come: {}", FORECASTING.join(", ")));
    text
}

/// Every generator.
pub(super) fn generators() -> String {
    let mut text = String::new();
    for (name, about) in shapes() {
        line(&mut text, format_args!("{name:<20} {about}"));
    }
    text
}

/// Every profile, with the numbers it consists of.
pub(super) fn profiles() -> String {
    let mut text = String::new();
    for name in Profile::names() {
        let Some(profile) = Profile::named(name) else { continue };
        let Profile { gpus, kv_tokens, max_sequences, token_budget, .. } = profile;
        line(
            &mut text,
            format_args!(
                "{name:<20} {gpus} GPU, {kv_tokens} KV tokens, at most {max_sequences} sequences and \
                 {token_budget} tokens in a batch"
            ),
        );
    }
    text
}

/// Writing to a string cannot fail.
fn line(text: &mut String, words: std::fmt::Arguments<'_>) {
    drop(writeln!(text, "{words}"));
}
