//! What `check` found, as data: findings and the settings of each trigger.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// It will not work, or will scale wrongly.
    Error,
    /// It works, but not as it reads.
    Warning,
    /// Good to know.
    Info,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        })
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// The file, as it was named.
    pub file: String,
    /// `scaledobject/namespace/name`; empty for a finding about the whole file.
    pub object: String,
    /// The trigger's name or number; empty for a finding about the object.
    pub trigger: String,
    /// The key concerned, `cooldownPeriod` or a metadata key.
    pub key: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where a finding belongs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Place {
    /// The file.
    pub(crate) file: String,
    /// The object.
    pub(crate) object: String,
    /// The trigger.
    pub(crate) trigger: String,
}

/// Findings while they are collected.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// Adds one.
    pub(crate) fn add(
        &mut self,
        level: Level,
        place: &Place,
        key: &str,
        message: impl Into<String>,
    ) {
        let Place { file, object, trigger } = place.clone();
        self.0.push(Finding {
            level,
            file,
            object,
            trigger,
            key: key.to_owned(),
            message: message.into(),
        });
    }
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The metadata key.
    pub key: &'static str,
    /// Its value; `None`: unset, learned or left to the HPA.
    pub value: Option<String>,
    /// Whether the trigger gives it.
    pub given: bool,
}

/// One trigger of ours that could be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// The file.
    pub file: String,
    /// `scaledobject/namespace/name`.
    pub object: String,
    /// Its name or number.
    pub trigger: String,
    /// Every key with the value in force.
    pub settings: Vec<Setting>,
}

/// Everything that was found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The triggers that could be understood.
    pub triggers: Vec<Trigger>,
    /// The findings in the order of the files, then those of the queries that were tried.
    pub findings: Vec<Finding>,
    /// The HPA behaviour to use, when some object's is not it.
    pub recommended_behavior: Option<&'static str>,
    /// Files that could not be read or are not YAML; the datasource, if it did not answer.
    pub unreadable: usize,
}

impl Report {
    /// How many findings there are of `level`.
    #[must_use]
    pub fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }
}
