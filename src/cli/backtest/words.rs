//! Names on the command line of `prescale backtest`: policies, generators, profiles.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::backtest::choose::ALL;
use crate::backtest::input::shapes;
use crate::cli::backtest::parse::{is_file, positive};
use crate::engine::replay::policy::{POLICIES, Policy};
use crate::engine::replay::profile::Profile;
use crate::spec::{Misread, document};

/// Largest profile read: a dozen numbers.
const PROFILE_BYTES: u64 = 64 * 1024;

/// The policies there are.
pub(super) fn policies() -> PossibleValuesParser {
    let known = POLICIES.iter().map(|policy| PossibleValue::new(policy.name).help(policy.about));
    let all = PossibleValue::new(ALL).help("every policy of this version");
    PossibleValuesParser::new(known.chain([all]))
}

/// `POLICY=VALUE` of a policy that has a knob.
pub(super) fn knob(text: &str) -> Result<(&'static str, f64), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("must be POLICY=VALUE, such as keda-queue=8".to_owned());
    };
    let turned: Vec<&Policy> = POLICIES.iter().filter(|policy| policy.knob.is_some()).collect();
    let Some(policy) = turned.iter().find(|policy| policy.name == name) else {
        let names: Vec<&str> = turned.iter().map(|policy| policy.name).collect();
        return Err(format!("no such policy has a knob; those that do: {}", names.join(", ")));
    };
    let value = positive(value)?;
    // A share of a replica; other knobs may be any number.
    if policy.name.starts_with("prescale-") && value > 1.0 {
        return Err("must be above 0, at most 1".to_owned());
    }
    Ok((policy.name, value))
}

/// The generators there are.
pub(super) fn generators() -> PossibleValuesParser {
    PossibleValuesParser::new(shapes().map(|(name, about)| PossibleValue::new(name).help(about)))
}

/// A profile by name, or from a YAML file.
pub(super) fn profile(text: &str) -> Result<Profile, String> {
    let Some(named) = Profile::named(text) else {
        if is_file(text) || Path::new(text).is_file() {
            return read(Path::new(text));
        }
        let names = Profile::names();
        let meant = crate::spec::closest(text, names);
        let meant = meant.map_or_else(String::new, |name| format!("did you mean {name}? "));
        return Err(format!("is unknown: {meant}one of {}, or a YAML file", names.join(", ")));
    };
    Ok(named)
}

fn read(path: &Path) -> Result<Profile, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    file.take(PROFILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    let profile: Profile = document(&text).map_err(|misread| not_one(&misread))?;
    profile.validate().map_err(|faults| faults.join("; "))?;
    Ok(profile)
}

fn not_one(Misread { line, problem }: &Misread) -> String {
    let place = line.map_or_else(String::new, |line| format!(" (line {line})"));
    format!("is not a profile{place}: {problem}")
}
