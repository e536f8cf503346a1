//! What is wrong with a trigger's metadata.

use std::fmt;

/// One fault: the key, its value as given, and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The metadata key.
    pub key: String,
    /// The value as given, cut to 40 characters; never printed for a `FromEnv` key.
    pub value: String,
    /// What is wrong and what would be accepted, as a lower-case fragment.
    pub problem: String,
}

/// All faults of one trigger; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, problem } = self;
        write!(f, "{key}: {value:?} {problem}")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (idx, fault) in self.0.iter().enumerate() {
            if idx > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
