//! The YAML file, word for word; what the words mean is left to `settings`.

use std::path::PathBuf;

use serde::Deserialize;

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
