//! The YAML file, word for word; what the words mean is left to `settings`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::server::config::error::Error;
use crate::source::config::DatasourceConfig;
use crate::spec::{Misread, document};

/// The file. Every key is optional.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) http_listen: Option<String>,
    pub(super) tls: Option<TlsFile>,
    pub(super) reflection: Option<bool>,
    pub(super) tick: Option<String>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) datasources: BTreeMap<String, DatasourceConfig>,
    pub(super) limits: LimitsFile,
    pub(super) http_token_file: Option<PathBuf>,
    pub(super) http_hosts: Vec<String>,
    pub(super) wake: Option<WakeFile>,
    pub(super) peers: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct WakeFile {
    pub(super) token_file: Option<PathBuf>,
    pub(super) namespaces: Vec<String>,
    pub(super) tokens: Vec<TokenFile>,
    pub(super) listen: Option<String>,
    pub(super) allowed_sans: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct TokenFile {
    pub(super) file: PathBuf,
    #[serde(default)]
    pub(super) namespaces: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct TlsFile {
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) allowed_sans: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct LimitsFile {
    pub(super) scalers: Option<usize>,
    pub(super) per_namespace: Option<usize>,
    pub(super) max_replicas: Option<u32>,
}

/// The YAML file at `path`.
///
/// # Errors
/// When it cannot be read or understood.
pub(crate) fn read<T: Default + DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(path, &text)
}

/// The YAML file whose text is `text`; `path` is for messages.
///
/// # Errors
/// When it cannot be understood: where, and what is accepted.
pub(crate) fn parse<T: Default + DeserializeOwned>(path: &Path, text: &str) -> Result<T, Error> {
    // An empty file, or one with comments only, is a file in which nothing is set.
    let parsed = document::<Option<T>>(text).map(Option::unwrap_or_default);
    let path = || path.to_owned();
    parsed.map_err(|Misread { line, problem }| Error::Form { path: path(), line, problem })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{File, parse};

    fn check(text: &str, expected: Result<(), &str>) {
        let parsed = parse::<File>(Path::new("p.yaml"), text).map(drop).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_file_says_what_it_means_or_where_it_is_wrong() {
        let top = "accepted: listen, httpListen, tls, reflection, tick, dataDir, datasources, limits, httpTokenFile, httpHosts, wake, peers";
        check("", Ok(()));
        check("# nothing\n", Ok(()));
        check("listen: 0.0.0.0:6000\ndatasources:\n  default:\n    url: http://p:9090\n", Ok(()));
        check(
            "reflection: true\nhttp_listen: x\n",
            Err(&format!("p.yaml line 2: unknown key http_listen; did you mean httpListen? {top}")),
        );
        check("colour: red\n", Err(&format!("p.yaml line 1: unknown key colour; {top}")));
        check(
            "limits:\n  scaler: 1\n",
            Err("p.yaml line 2: unknown key scaler; did you mean scalers? \
                 accepted: scalers, perNamespace, maxReplicas"),
        );
        check("datasources:\n  main:\n    headers: {}\n", Err("p.yaml line 3: url is missing"));
        check("listen: a\nlisten: b\n", Err("p.yaml line 2: listen is given twice"));
        check(
            "wake:\n  tokenFiles: a\n",
            Err("p.yaml line 2: unknown key tokenFiles; did you mean tokenFile? \
                 accepted: tokenFile, namespaces, tokens, listen, allowedSans"),
        );
    }
}
