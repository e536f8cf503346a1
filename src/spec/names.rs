//! Names: Kubernetes objects, datasources, models, and one word out of a list.

use crate::spec::fault::Problem;
use crate::spec::target::{WorkloadKind, WorkloadRef};

/// The word of `table` that `text` is; otherwise a did-you-mean or the whole list.
pub(crate) fn one_of<T: Copy>(text: &str, table: &[(&'static str, T)]) -> Result<T, Problem> {
    if let Some((_, value)) = table.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let words: Vec<&str> = table.iter().map(|(word, _)| *word).collect();
    let meant =
        closest(text, &words).map_or(String::new(), |word| format!("did you mean {word}? "));
    Err(Problem::new(format!("is unknown: {meant}one of {}", words.join(", "))))
}

/// The word nearest to `text`, if it is near enough to be meant.
pub(crate) fn closest<'a>(text: &str, words: &[&'a str]) -> Option<&'a str> {
    // Comparing costs length times length: nothing that long is a typo of a name of ours.
    if text.len() > 64 {
        return None;
    }
    let lower = text.to_lowercase();
    words
        .iter()
        .map(|word| (strsim::jaro_winkler(&lower, &word.to_lowercase()), *word))
        .filter(|(likeness, _)| *likeness >= 0.83)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, word)| word)
}

/// Whether `text` is an RFC 1123 label: a namespace, a service, one of the user's signals.
pub(crate) fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether `text` is an RFC 1123 subdomain: the name of most Kubernetes objects.
pub(crate) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The name of a Kubernetes object.
pub(crate) fn object(text: &str) -> Result<String, Problem> {
    if is_subdomain(text) {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        "must be the name of a Kubernetes object: lower-case letters, digits, - and .",
    ))
}

/// `name` or `kind/name`.
pub(crate) fn workload(text: &str) -> Result<WorkloadRef, Problem> {
    let (kind, name) = match text.split_once('/') {
        None => (None, text),
        Some((kind, name)) => (Some(workload_kind(kind)?), name),
    };
    Ok(WorkloadRef { kind, name: object(name)? })
}

fn workload_kind(text: &str) -> Result<WorkloadKind, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "deployment" | "deployments" | "deploy" => Ok(WorkloadKind::Deployment),
        "statefulset" | "statefulsets" | "sts" => Ok(WorkloadKind::StatefulSet),
        _ => Err(Problem::new("must be NAME, deployment/NAME or statefulset/NAME")),
    }
}

/// A workload as it would be written.
pub(crate) fn show_workload(workload: &WorkloadRef) -> String {
    let WorkloadRef { kind, name } = workload;
    match kind {
        None => name.clone(),
        Some(WorkloadKind::Deployment) => format!("deployment/{name}"),
        Some(WorkloadKind::StatefulSet) => format!("statefulset/{name}"),
    }
}

/// The name of a datasource of the server's configuration. It has no dots, colons or slashes and
/// begins with a letter, so that no spelling of an address is one.
pub(crate) fn datasource(text: &str) -> Result<String, Problem> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let name = text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(inner);
    if name {
        return Ok(text.to_owned());
    }
    Err(Problem::new(
        "must be the name of a datasource of the server's configuration, never a URL or an address",
    ))
}

/// A served model's name.
pub(crate) fn model(text: &str) -> Result<String, Problem> {
    if text.chars().count() <= 256 {
        return Ok(text.to_owned());
    }
    Err(Problem::new("must be at most 256 characters"))
}

#[cfg(test)]
mod tests {
    use super::{closest, datasource, is_label, object, one_of, show_workload, workload};

    #[test]
    fn workloads_round_trip_and_foreign_kinds_are_refused() {
        let rows = [
            ("vllm", Some("vllm")),
            ("deployment/vllm", Some("deployment/vllm")),
            ("Deployment/vllm", Some("deployment/vllm")),
            ("sts/vllm-0.a", Some("statefulset/vllm-0.a")),
            ("daemonset/vllm", None),
            ("deployment/", None),
            ("deployment/a/b", None),
            ("Vllm", None),
            ("../../etc/passwd", None),
            ("/proc/self/environ", None),
        ];
        for (text, expected) in rows {
            let parsed = workload(text).ok();
            assert_eq!(parsed.as_ref().map(show_workload).as_deref(), expected, "{text}");
            if let Some(parsed) = parsed {
                assert_eq!(workload(&show_workload(&parsed)).unwrap(), parsed);
            }
        }
    }

    #[test]
    fn names_follow_kubernetes() {
        for good in ["a", "a-b", "0a"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(object("a.b").is_ok());
        assert!(object("a..b").is_err());
        assert!(datasource("main_2").is_ok());
        assert!(datasource("2main").is_err());
    }

    #[test]
    fn a_near_miss_is_answered_with_the_word() {
        let words = ["queueDepth", "requestRate", "tokenRate", "timezone"];
        let rows = [
            ("queuedepth", Some("queueDepth")),
            ("queueDeph", Some("queueDepth")),
            ("tokensRate", Some("tokenRate")),
            ("timeZone", Some("timezone")),
            ("banana", None),
        ];
        for (text, expected) in rows {
            assert_eq!(closest(text, &words), expected, "{text}");
        }
        assert!(closest(&"q".repeat(10_000), &words).is_none());
        let table = [("hold", 1), ("zero", 2)];
        assert_eq!(one_of("zero", &table), Ok(2));
        let refusal = one_of("zeros", &table).unwrap_err().0;
        assert_eq!(refusal, "is unknown: did you mean zero? one of hold, zero");
    }
}
