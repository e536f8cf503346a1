//! The metadata map before it is understood: sizes, unknown keys, `FromEnv`, and the list of faults.
//!
//! Given the map as KEDA sends it. Values are trimmed and free of control characters; the value of a
//! `FromEnv` key never gets into a fault.

use std::collections::BTreeMap;

use crate::spec::fault::{FROM_ENV, Fault, Problem};
use crate::spec::keys::{FOREIGN_KEYS, KEDA_KEYS, Key, key, keys};
use crate::spec::names::closest;

/// Keys of one trigger: half as many again as there are.
const KEYS_MAX: usize = 64;
/// Bytes of all keys and values; KEDA repeats them with every call.
const BYTES_MAX: usize = 16 * 1024;
const SUFFIX: &str = "FromEnv";

/// One value as given.
struct Entry {
    text: String,
    from_env: bool,
}

/// The known keys of one trigger, and what is wrong so far.
pub(crate) struct Raw {
    entries: BTreeMap<&'static str, Entry>,
    faults: Vec<Fault>,
}

impl Raw {
    /// Sorts the keys. Nothing is looked at when there is too much of it.
    pub(crate) fn read(metadata: &BTreeMap<String, String>) -> Self {
        let mut raw = Self { entries: BTreeMap::new(), faults: Vec::new() };
        if let Err(fault) = check_size(metadata) {
            raw.faults.push(fault);
            return raw;
        }
        for (name, value) in metadata {
            raw.admit(name, value);
        }
        raw
    }

    fn admit(&mut self, name: &str, value: &str) {
        let base = name.strip_suffix(SUFFIX).unwrap_or(name);
        let from_env = base.len() < name.len();
        if KEDA_KEYS.contains(&base) {
            return;
        }
        let Some(key) = key(base) else {
            return self.faults.push(Fault::missing(name, unknown(base)));
        };
        let text = value.trim().to_owned();
        if let Some(problem) = unreadable(key, &text) {
            let shown = if from_env && !text.is_empty() { FROM_ENV } else { &text };
            self.faults.push(Fault::new(name, shown, problem));
        } else if self.entries.insert(key.name, Entry { text, from_env }).is_some() {
            let problem = format!("must not be given beside {}{SUFFIX}", key.name);
            self.faults.push(Fault::missing(key.name, problem));
        }
    }

    /// Whether `key` was given and can be read.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value of `key`, if it is given and understood.
    pub(crate) fn take<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        self.take_list(key, |text| {
            parse(text).map_err(|Problem(problem)| vec![Fault::new(key, text, problem)])
        })
    }

    /// The same for values with many parts, which may have many faults.
    pub(crate) fn take_list<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Vec<Fault>>,
    ) -> Option<T> {
        let Entry { text, from_env } = self.entries.get(key)?;
        match parse(text) {
            Ok(value) => Some(value),
            Err(_) if *from_env => {
                // What is wrong may quote the value: only what is accepted is said.
                let accepted = keys().iter().find(|known| known.name == key);
                let accepted = accepted.map_or("", |known| known.accepted);
                self.refuse(key, format!("must be {accepted}"));
                None
            }
            Err(faults) => {
                self.faults.extend(faults);
                None
            }
        }
    }

    /// A fault of `key`; `problem` quotes no value.
    pub(crate) fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        let fault = match self.entries.get(key) {
            None => Fault::missing(key, problem),
            Some(Entry { from_env: true, .. }) => {
                Fault::new(&format!("{key}{SUFFIX}"), FROM_ENV, problem)
            }
            Some(Entry { text, .. }) => Fault::new(key, text, problem),
        };
        self.faults.push(fault);
    }

    /// The keys whose values came from the environment.
    pub(crate) fn secrets(&self) -> Vec<&'static str> {
        let secret = self.entries.iter().filter(|(_, entry)| entry.from_env);
        secret.map(|(name, _)| *name).collect()
    }

    /// Everything that is wrong, in the order it was found.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }
}

fn check_size(metadata: &BTreeMap<String, String>) -> Result<(), Fault> {
    let refuse = |problem| Err(Fault::missing("metadata", problem));
    if metadata.len() > KEYS_MAX {
        return refuse(format!("has {} keys: must be at most {KEYS_MAX}", metadata.len()));
    }
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > BYTES_MAX {
        return refuse(format!("has {bytes} bytes: must be at most {BYTES_MAX}"));
    }
    Ok(())
}

/// What to say about a key that is not ours. Its value is never shown: nobody knows what it is.
fn unknown(base: &str) -> String {
    if let Some((_, instead)) = FOREIGN_KEYS.iter().find(|(name, _)| *name == base) {
        return format!("is not a key of prescale: {instead}");
    }
    let names: Vec<&str> = keys().iter().map(|key| key.name).collect();
    match closest(base, &names) {
        Some(name) => format!("is unknown: did you mean {name}?"),
        None => "is unknown: prescale check --keys lists the keys".to_owned(),
    }
}

fn unreadable(key: &Key, text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(format!("is empty: must be {}, or leave the key out", key.accepted));
    }
    let allowed = |c: char| !c.is_control() || (key.multiline && matches!(c, '\n' | '\t'));
    (!text.chars().all(allowed)).then(|| "has a line break or control character".to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Raw;
    use crate::spec::fault::Problem;

    fn read(pairs: &[(&str, &str)]) -> Raw {
        let owned = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Raw::read(&owned.collect::<BTreeMap<_, _>>())
    }

    fn check(pairs: &[(&str, &str)], expected: &[&str]) {
        let faults = read(pairs).into_faults();
        let texts: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(texts, expected, "{pairs:?}");
    }

    #[test]
    fn keys_are_sorted_into_ours_kedas_foreign_and_unknown() {
        check(&[("scalerAddress", "x:1"), ("enableTLS", "true"), ("queueDepth", " 5 ")], &[]);
        check(&[("caCertFromEnv", "X")], &[]);
        check(&[("queuedepth", "5")], &["queuedepth: is unknown: did you mean queueDepth?"]);
        check(&[("zzz", "canary")], &["zzz: is unknown: prescale check --keys lists the keys"]);
        check(
            &[("threshold", "5")],
            &["threshold: is not a key of prescale: write queueDepth, or signals with a target"],
        );
        check(
            &[("serverAddress", "http://u:canary@prom")],
            &["serverAddress: is not a key of prescale: addresses are named by the server's \
             configuration: write datasource: NAME"],
        );
        check(
            &[("ba\u{1b}d\n", "x")],
            &["ba\\u{1b}d\\n: is unknown: prescale check --keys lists the keys"],
        );
    }

    #[test]
    fn values_are_present_printable_and_bounded() {
        check(&[("model", "a\nb")], &["model: \"a\\nb\" has a line break or control character"]);
        check(&[("selector", "a=\"1\",\n\tb=\"2\"")], &[]);
        check(
            &[("selector", "a=\"\u{0}\"")],
            &["selector: \"a=\"\\0\"\" has a line break or control character"],
        );
        check(
            &[("tick", "  ")],
            &["tick: is empty: must be a duration from 5s to 1m, or leave the key out"],
        );
        let large = "x".repeat(16 * 1024);
        check(&[("model", &large)], &["metadata: has 16389 bytes: must be at most 16384"]);
        let names: Vec<String> = (0..65).map(|idx| format!("k{idx}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
        check(&many, &["metadata: has 65 keys: must be at most 64"]);
    }

    #[test]
    fn a_value_from_the_environment_counts_and_is_never_shown() {
        let mut raw = read(&[("modelFromEnv", "canary")]);
        assert_eq!(raw.take("model", |text| Ok(text.len())), Some(6));
        let none: Option<()> = raw.take("model", |text| Err(Problem::new(format!("no {text}"))));
        assert_eq!(none, None);
        raw.refuse("model", "is wrong here");
        let texts: Vec<String> = raw.into_faults().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "modelFromEnv: (from the environment) must be a model name of at most 256 characters",
                "modelFromEnv: (from the environment) is wrong here",
            ]
        );
        check(
            &[("modelFromEnv", "canary\u{1}")],
            &["modelFromEnv: (from the environment) has a line break or control character"],
        );
        check(
            &[("model", "a"), ("modelFromEnv", "canary")],
            &["model: must not be given beside modelFromEnv"],
        );
    }
}
