//! The YAML file, word for word; what the words mean is left to `settings`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::server::config::{Error, problem};

/// The file. Every key but `routes` is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) admin_listen: Option<String>,
    pub(super) wake: Option<WakeFile>,
    pub(super) limits: LimitsFile,
    pub(super) hold_for: Option<String>,
    pub(super) idle: Option<String>,
    pub(super) drain: Option<String>,
    pub(super) keep_alive: KeepAliveFile,
    pub(super) routes: Vec<RouteFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WakeFile {
    pub(super) url: String,
    #[serde(default)]
    pub(super) token_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) held: Option<usize>,
    pub(super) held_bytes: Option<Size>,
    pub(super) body_bytes: Option<Size>,
    pub(super) connections: Option<usize>,
}

/// A size as it may be written: a number of bytes, or text with a unit.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Size {
    Bytes(u64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct KeepAliveFile {
    pub(super) sse: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RouteFile {
    #[serde(default)]
    pub(super) models: Vec<String>,
    pub(super) scaled_object: String,
    pub(super) upstream: String,
    #[serde(default)]
    pub(super) ready: Option<String>,
    #[serde(default)]
    pub(super) held: Option<usize>,
    #[serde(default)]
    pub(super) hold_for: Option<String>,
}

impl File {
    /// The file at `path`.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// The file whose text is `text`; `path` is for messages.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        // An empty file, or one with comments only, is a file in which nothing is set.
        let parsed = serde_saphyr::from_str::<Option<Self>>(text);
        parsed.map(Option::unwrap_or_default).map_err(|error| Error::Form {
            path: path.to_owned(),
            line: error.location().map(|at| at.line()),
            problem: problem(&error),
        })
    }
}
