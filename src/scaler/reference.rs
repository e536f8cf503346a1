//! How KEDA names a trigger, and why none of our scalers may serve it.
//!
//! Given whatever a caller sent, promises that a [`Key`] exists only for names that Kubernetes would
//! accept, so that they are safe as labels and in log lines. What the metadata means is left to
//! `crate::spec`.

use std::collections::BTreeMap;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::spec::Faults;

/// Keys of one trigger's metadata; a complete one has about forty.
const METADATA_KEYS_MAX: usize = 64;

/// Bytes of one trigger's metadata, keys and values. The parser refuses above 16 KiB with a better
/// text; this only bounds what is hashed and compared for it.
const METADATA_BYTES_MAX: usize = 64 * 1024;

/// A trigger as KEDA names it: the key of a scaler is namespace, name and a hash of the metadata.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// The trigger's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Values are left out: `FromEnv` keys arrive resolved and may hold secrets.
impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reference")
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("metadata", &self.metadata.keys())
            .finish()
    }
}

/// Why no scaler serves a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The metadata is wrong: INVALID_ARGUMENT.
    #[error("{0}")]
    Metadata(Faults),
    /// Namespace or name is not a Kubernetes name, or the metadata is too large: INVALID_ARGUMENT.
    #[error("{0}")]
    Malformed(&'static str),
    /// The server, or the namespace, has as many scalers as it may: RESOURCE_EXHAUSTED.
    #[error("{0}")]
    Full(String),
    /// The server is ending: UNAVAILABLE.
    #[error("shutting down")]
    Ending,
}

/// What tells scalers apart: valid names and the SHA-256 of the metadata.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) hash: [u8; 32],
}

impl Key {
    /// The key of `reference`, refused when a name is not a Kubernetes name or the metadata is
    /// larger than anything that could be meant.
    pub(crate) fn of(reference: &Reference) -> Result<Self, Refused> {
        let Reference { namespace, name, metadata } = reference;
        check(namespace, name, metadata).map_err(Refused::Malformed)?;
        let key =
            Self { namespace: namespace.clone(), name: name.clone(), hash: hash_of(metadata) };
        Ok(key)
    }

    /// First eight hex digits of the hash.
    pub(crate) fn hash8(&self) -> String {
        let [a, b, c, d, ..] = self.hash;
        format!("{:08x}", u32::from_be_bytes([a, b, c, d]))
    }
}

fn check(
    namespace: &str,
    name: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<(), &'static str> {
    if !is_label(namespace) {
        return Err("namespace: not a Kubernetes namespace; accepted are a-z, 0-9 and -, \
                    beginning and ending with a letter or digit, at most 63 characters");
    }
    if !is_subdomain(name) {
        return Err("name: not a Kubernetes name; accepted are a-z, 0-9, - and ., \
                    each part beginning and ending with a letter or digit, at most 253 characters");
    }
    if metadata.len() > METADATA_KEYS_MAX {
        return Err("metadata: more than 64 keys");
    }
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err("metadata: larger than 64 KiB");
    }
    Ok(())
}

/// Whether Kubernetes would take both names.
pub(crate) fn are_names(namespace: &str, name: &str) -> bool {
    is_label(namespace) && is_subdomain(name)
}

/// RFC 1123 label, as Kubernetes takes it for namespaces.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

/// RFC 1123 subdomain, as Kubernetes takes it for custom resources; its parts have no limit of
/// their own there.
fn is_subdomain(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().all(|byte| inner(byte) || byte == b'-')
            && part.bytes().next().is_some_and(inner)
            && part.bytes().last().is_some_and(inner)
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Lengths go before the bytes, so that no two maps run together into the same input.
fn hash_of(metadata: &BTreeMap<String, String>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for text in metadata.iter().flat_map(|(key, value)| [key, value]) {
        hasher.update(u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Key, Reference, Refused};

    fn reference(namespace: &str, name: &str, metadata: &[(&str, &str)]) -> Reference {
        let metadata = metadata.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Reference { namespace: namespace.to_owned(), name: name.to_owned(), metadata }
    }

    #[test]
    fn only_kubernetes_names_become_keys() {
        let long_name = "a".repeat(254);
        let long_namespace = "a".repeat(64);
        let rows = [
            ("default", "llama", true),
            ("default", "llama-3.8b", true),
            ("0", "0", true),
            ("default", &long_name[..253], true),
            ("default", long_name.as_str(), false),
            (long_namespace.as_str(), "llama", false),
            ("", "llama", false),
            ("default", "", false),
            ("default", ".", false),
            ("default", "a..b", false),
            ("a.b", "llama", false),
            ("default", "-llama", false),
            ("default", "llama-", false),
            ("default", "Llama", false),
            ("default", "lla\nma", false),
            ("default", "lla\u{1b}[31mma", false),
            ("default", "lla\"ma", false),
            ("default", "lla'ma", false),
            ("default", "../etc", false),
            ("default", "łlama", false),
            ("de\nfault", "llama", false),
        ];
        for (namespace, name, valid) in rows {
            let key = Key::of(&reference(namespace, name, &[]));
            assert_eq!(key.is_ok(), valid, "{namespace:?} {name:?}");
        }
    }

    #[test]
    fn metadata_beyond_reason_is_refused_before_it_is_hashed() {
        let mut many = reference("default", "llama", &[]);
        many.metadata = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
        assert_eq!(Key::of(&many), Err(Refused::Malformed("metadata: more than 64 keys")));
        let big = "x".repeat(64 * 1024);
        let large = reference("default", "llama", &[("k", &big)]);
        assert_eq!(Key::of(&large), Err(Refused::Malformed("metadata: larger than 64 KiB")));
    }

    #[test]
    fn the_hash_tells_every_two_maps_apart() {
        let rows: [&[(&str, &str)]; 6] = [
            &[],
            &[("a", "bc")],
            &[("ab", "c")],
            &[("a", "b"), ("c", "")],
            &[("a", ""), ("b", "c")],
            &[("", "abc")],
        ];
        let keys: BTreeMap<[u8; 32], usize> = rows
            .iter()
            .enumerate()
            .map(|(idx, row)| (Key::of(&reference("ns", "n", row)).unwrap().hash, idx))
            .collect();
        assert_eq!(keys.len(), rows.len());
    }

    #[test]
    fn debug_shows_keys_and_never_values() {
        let text = format!("{:?}", reference("ns", "n", &[("tokenFromEnv", "canary")]));
        assert!(text.contains("tokenFromEnv") && !text.contains("canary"), "{text}");
    }
}
