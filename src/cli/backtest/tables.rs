//! What can be chosen from, printed.

use crate::backtest::choose::USUAL;
use crate::backtest::input::shapes;
use crate::engine::replay::policy::POLICIES;
use crate::engine::replay::profile::Profile;

/// Every policy with its source, its knob and what is simplified; a star marks the usual ones.
pub(super) fn policies() -> String {
    let mut lines = Vec::new();
    for policy in POLICIES {
        let star = if USUAL.contains(&policy.name) { " *" } else { "" };
        lines.push(format!("{}{star}", policy.name));
        lines.push(format!("  {}", policy.about));
        lines.push(format!("  source: {}", policy.source));
        if let Some(knob) = policy.knob {
            let values: Vec<String> = knob.values.iter().map(ToString::to_string).collect();
            let (name, default) = (knob.name, knob.default);
            let tried = values.join(", ");
            lines.push(format!("  knob: {name}, {default}; a sweep tries {tried}"));
        }
        for simplification in policy.simplifications {
            lines.push(format!("  simplified: {simplification}"));
        }
    }
    lines.push("\n* compared where no --policy is given".to_owned());
    shown(&lines)
}

/// Every generator.
pub(super) fn generators() -> String {
    let mut lines = Vec::new();
    for (name, about) in shapes() {
        lines.push(format!("{name:<20} {about}"));
    }
    shown(&lines)
}

/// Every profile, with the numbers it consists of.
pub(super) fn profiles() -> String {
    let mut lines = Vec::new();
    for name in Profile::names() {
        let Some(profile) = Profile::named(name) else { continue };
        let Profile { gpus, kv_tokens, max_sequences, token_budget, .. } = profile;
        lines.push(format!(
            "{name:<20} {gpus} GPU, {kv_tokens} KV tokens, at most {max_sequences} sequences and \
                 {token_budget} tokens in a batch"
        ));
    }
    shown(&lines)
}

fn shown(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
