//! Settings: what the file, the environment and the flags come to.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::{Token, is_host_name};
use crate::server::config::address::{address, overlap};
use crate::server::config::error::Error;
use crate::server::config::file::{File, LimitsFile, TlsFile, read};
use crate::server::config::wake::{self, Beside, Wake};
use crate::source::config::{DatasourceConfig, Tenancy, URL_ACCEPTED, base_url};
use crate::spec::{Limits, tick as tick_of};

/// From not being ready to asking streams to end: one period of a quick readiness probe. Calls are
/// answered for some seconds more, while streams end.
const DRAIN: Duration = Duration::from_secs(1);

/// What the command line says; wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// gRPC address.
    pub listen: Option<SocketAddr>,
    /// HTTP address.
    pub http_listen: Option<SocketAddr>,
    /// URL of the datasource `default`.
    pub prometheus_url: Option<String>,
    /// gRPC reflection.
    pub reflection: Option<bool>,
    /// Directory of the store.
    pub data_dir: Option<PathBuf>,
}

/// TLS of the gRPC listener; files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// PEM certificate chain.
    pub cert_file: PathBuf,
    /// PEM private key.
    pub key_file: PathBuf,
    /// PEM authorities of clients; given: a client needs a certificate.
    pub client_ca_file: Option<PathBuf>,
    /// Names of which a client's certificate must carry one; empty: any.
    pub allowed_sans: Vec<String>,
}

/// Something legal that a person should know; logged at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// There is no datasource `default`: triggers have to name one.
    NoDefault,
    /// These datasources show every namespace's series to every trigger.
    NoTenancy(Vec<String>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDefault => f.write_str(
                "no datasource named default: triggers without the key datasource are refused; \
                 give --prometheus-url or datasources.default",
            ),
            Self::NoTenancy(names) => write!(
                f,
                "tenancy none for datasource {}: any trigger may read every namespace's series",
                names.join(", ")
            ),
        }
    }
}

/// Everything the server needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// gRPC address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// HTTP address; port 0 takes a free one.
    pub http_listen: SocketAddr,
    /// TLS of the gRPC listener; `None`: plain text.
    pub tls: Option<Tls>,
    /// Whether gRPC reflection is served.
    pub reflection: bool,
    /// Where memory outlives the process; `None`: it does not.
    pub data_dir: Option<PathBuf>,
    /// Datasources by name.
    pub datasources: BTreeMap<String, DatasourceConfig>,
    /// Limits for triggers.
    pub limits: Limits,
    /// Asked of whoever looks at scalers over HTTP.
    pub http_token: Option<Token>,
    /// Names under which HTTP is answered, beside addresses and names that only a cluster resolves.
    pub http_hosts: Vec<String>,
    /// Who may wake over HTTP, and who else is told; `None`: nobody.
    pub wake: Option<Wake>,
    /// Pause between not being ready and ending connections.
    pub drain: Duration,
}

impl Default for Settings {
    /// All interfaces, ports 6000 and 8080, no datasource, no TLS.
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 6000)),
            http_listen: SocketAddr::from(([0, 0, 0, 0], 8080)),
            tls: None,
            reflection: false,
            data_dir: None,
            datasources: BTreeMap::new(),
            limits: Limits::default(),
            http_token: None,
            http_hosts: Vec::new(),
            wake: None,
            drain: DRAIN,
        }
    }
}

impl Settings {
    /// The settings that the file at `path` (if any) and the command line come to. Reads the file
    /// and the HTTP token's file.
    ///
    /// # Errors
    /// When the file cannot be read or understood, or with every value that cannot be used.
    pub fn load(path: Option<&Path>, overrides: Overrides) -> Result<Self, Error> {
        let file = path.map(read::<File>).transpose()?.unwrap_or_default();
        let mut faults = Faults(Vec::new());
        let settings = Self::resolve(file, overrides, &mut faults);
        if faults.0.is_empty() { Ok(settings) } else { Err(Error::Values(faults.0)) }
    }

    fn resolve(file: File, overrides: Overrides, faults: &mut Faults) -> Self {
        let File {
            listen,
            http_listen,
            tls,
            reflection,
            tick,
            data_dir,
            datasources,
            limits,
            http_token_file,
            http_hosts,
            wake,
            peers,
        } = file;
        let default = Self::default();
        // A value of the file is checked even where a flag wins, so that it is not found wrong later.
        let listen = faults.note("listen", listen.map(|text| address(&text)));
        let http_listen = faults.note("httpListen", http_listen.map(|text| address(&text)));
        let settings = Self {
            listen: overrides.listen.or(listen).unwrap_or(default.listen),
            http_listen: overrides.http_listen.or(http_listen).unwrap_or(default.http_listen),
            tls: faults.note("tls", tls.map(Tls::resolve)),
            reflection: overrides.reflection.or(reflection).unwrap_or(default.reflection),
            data_dir: faults.note("dataDir", overrides.data_dir.or(data_dir).map(directory)),
            datasources: named(datasources, overrides.prometheus_url, faults),
            limits: resolve_limits(&limits, tick.as_deref(), faults),
            http_token: faults.note("httpTokenFile", http_token_file.map(|path| token(&path))),
            http_hosts: hosts(http_hosts, faults),
            wake: None,
            drain: default.drain,
        };
        let (grpc, http) = (settings.listen, settings.http_listen);
        let verified = settings.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some());
        let beside = Beside { verified, listen: grpc, http_listen: http };
        let wake = wake::resolve(wake, peers, beside, &mut faults.0);
        let settings = Self { wake, ..settings };
        if overlap(grpc, http) {
            faults.0.push(format!("httpListen: {http} is taken by listen {grpc}"));
        }
        settings
    }

    /// What a person should know about these settings.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let open = |(name, config): (&String, &DatasourceConfig)| {
            (config.tenancy == Tenancy::None).then(|| name.clone())
        };
        let open: Vec<String> = self.datasources.iter().filter_map(open).collect();
        let no_default = !self.datasources.contains_key("default");
        [no_default.then_some(Note::NoDefault), (!open.is_empty()).then_some(Note::NoTenancy(open))]
            .into_iter()
            .flatten()
            .collect()
    }
}

/// Faults as they are found, each with its key.
struct Faults(Vec<String>);

impl Faults {
    fn note<T>(&mut self, key: &str, value: Option<Result<T, String>>) -> Option<T> {
        value?.map_err(|problem| self.0.push(format!("{key}: {problem}"))).ok()
    }
}

impl Tls {
    fn resolve(file: TlsFile) -> Result<Self, String> {
        let TlsFile { cert_file, key_file, client_ca_file, allowed_sans } = file;
        if client_ca_file.is_none() && !allowed_sans.is_empty() {
            return Err("allowedSans needs clientCaFile, which makes clients show a \
                        certificate"
                .to_owned());
        }
        match (cert_file, key_file) {
            (Some(cert_file), Some(key_file)) => {
                Ok(Self { cert_file, key_file, client_ca_file, allowed_sans })
            }
            (None, Some(_)) => Err("certFile is missing beside keyFile".to_owned()),
            (Some(_), None) => Err("keyFile is missing beside certFile".to_owned()),
            (None, None) => Err("certFile and keyFile are missing".to_owned()),
        }
    }
}

/// The datasources, their names checked; a URL of the command line becomes `default`.
fn named(
    mut datasources: BTreeMap<String, DatasourceConfig>,
    url: Option<String>,
    faults: &mut Faults,
) -> BTreeMap<String, DatasourceConfig> {
    let usable = |name: &str| {
        let byte = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        (1..=63).contains(&name.len()) && name.bytes().all(byte)
    };
    for name in datasources.keys().filter(|name| !usable(name)) {
        let name = crate::report::one_line(name);
        faults.0.push(format!(
            "datasources: {name:?} must be a name of 1 to 63 letters, digits, -, _ or ."
        ));
    }
    for (name, _) in datasources.iter().filter(|(_, config)| base_url(&config.url).is_none()) {
        let name = crate::report::one_line(name);
        faults.0.push(format!("datasources.{name}.url: {URL_ACCEPTED}"));
    }
    if let Some(url) = url {
        if base_url(&url).is_none() {
            faults.0.push(format!("--prometheus-url: {URL_ACCEPTED}"));
        }
        datasources.insert("default".to_owned(), DatasourceConfig::at(url));
    }
    datasources
}

fn resolve_limits(file: &LimitsFile, tick: Option<&str>, faults: &mut Faults) -> Limits {
    let default = Limits::default();
    let tick = tick.map(|text| tick_of(text).map_err(|problem| format!("{text:?} {}", problem.0)));
    let scalers = file.scalers.unwrap_or(default.scalers);
    let limits = Limits {
        scalers,
        per_namespace: file.per_namespace.unwrap_or(default.per_namespace.min(scalers)),
        max_replicas: file.max_replicas.unwrap_or(default.max_replicas),
        tick: faults.note("tick", tick).unwrap_or(default.tick),
    };
    // Ten times what the process is built for, and what one HPA can be asked for in earnest.
    within("limits.scalers", limits.scalers, 100_000, faults);
    within("limits.perNamespace", limits.per_namespace, 100_000, faults);
    within(
        "limits.maxReplicas",
        usize::try_from(limits.max_replicas).unwrap_or(0),
        100_000,
        faults,
    );
    limits
}

fn within(key: &str, value: usize, max: usize, faults: &mut Faults) {
    if !(1..=max).contains(&value) {
        faults.0.push(format!("{key}: {value} must be from 1 to {max}"));
    }
}

fn token(path: &Path) -> Result<Token, String> {
    let shown = crate::report::one_line(&path.display().to_string());
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("failed to read {shown}: {error}"))?;
    Token::try_new(&text).map_err(|bad| format!("{shown}: {bad}"))
}

/// The names, in lower case.
fn hosts(names: Vec<String>, faults: &mut Faults) -> Vec<String> {
    let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    for name in names.iter().filter(|name| !is_host_name(name)) {
        let name = crate::report::one_line(name);
        faults.0.push(format!("httpHosts: {name:?} must be a host name, without scheme and port"));
    }
    names
}

/// An empty path would be the working directory, which nobody means by saying nothing.
fn directory(path: PathBuf) -> Result<PathBuf, String> {
    if path.as_os_str().is_empty() {
        return Err("\"\" must be the path of a directory".to_owned());
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Error, Faults, File, Note, Overrides, Settings};
    use crate::server::config::file::parse;

    fn resolve(text: &str, overrides: Overrides) -> Result<Settings, String> {
        let file = parse::<File>(Path::new("p.yaml"), text).map_err(|e| e.to_string())?;
        let mut faults = Faults(Vec::new());
        let settings = Settings::resolve(file, overrides, &mut faults);
        if faults.0.is_empty() { Ok(settings) } else { Err(Error::Values(faults.0).to_string()) }
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = "listen: here\nhttpListen: 0.0.0.0\ntls: {certFile: a}\n\
                    datasources: {'a b': {url: 'http://p'}}\n\
                    limits: {scalers: 0, maxReplicas: 100001}\nhttpTokenFile: /no/such\n";
        let error = resolve(text, Overrides::default()).map(drop).unwrap_err();
        let expected = [
            "listen: \"here\" must be an IP address and a port, 0.0.0.0:6000 or [::]:6000",
            "httpListen: \"0.0.0.0\" must be an IP address and a port, 0.0.0.0:6000 or [::]:6000",
            "tls: keyFile is missing beside certFile",
            "datasources: \"a b\" must be a name of 1 to 63 letters, digits, -, _ or .",
            "limits.scalers: 0 must be from 1 to 100000",
            "limits.perNamespace: 0 must be from 1 to 100000",
            "limits.maxReplicas: 100001 must be from 1 to 100000",
            "httpTokenFile: failed to read /no/such: No such file or directory (os error 2)",
        ];
        assert_eq!(error, expected.join("; "));
    }

    #[test]
    fn single_faults_name_their_key() {
        let rows = [
            ("tls: {}", "tls: certFile and keyFile are missing"),
            ("tls: {keyFile: a}", "tls: certFile is missing beside keyFile"),
            (
                "tls: {certFile: a, keyFile: b, allowedSans: [keda]}",
                "tls: allowedSans needs clientCaFile, which makes clients show a certificate",
            ),
            ("dataDir: ''", "dataDir: \"\" must be the path of a directory"),
            (
                "httpHosts: ['https://x.example.com:8080']",
                "httpHosts: \"https://x.example.com:8080\" must be a host name, without scheme and port",
            ),
            ("listen: 0.0.0.0:8080", "httpListen: 0.0.0.0:8080 is taken by listen 0.0.0.0:8080"),
        ];
        for (text, expected) in rows {
            let error = resolve(text, Overrides::default()).map(drop).unwrap_err();
            assert_eq!(error, expected, "{text}");
        }
    }

    #[test]
    fn a_url_that_is_none_is_told_by_its_key_or_flag_and_not_shown() {
        let text = "datasources: {main: {url: 'http://u:canary@p'}}";
        let prometheus_url = Some("prom:9090".to_owned());
        let overrides = Overrides { prometheus_url, ..Overrides::default() };
        let error = resolve(text, overrides).map(drop).unwrap_err();
        let accepted =
            "must be http:// or https:// with a host and no credentials, as http://prometheus:9090";
        assert_eq!(
            error,
            format!("datasources.main.url: {accepted}; --prometheus-url: {accepted}")
        );
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let text = "listen: 127.0.0.1:1\nreflection: true\nlimits: {scalers: 7}\ntick: 30s\n\
                    dataDir: /file\n\
                    datasources: {default: {url: 'http://file', tenancy: namespace}}\n";
        let overrides = Overrides {
            listen: Some("127.0.0.1:2".parse().unwrap()),
            prometheus_url: Some("http://flag".to_owned()),
            data_dir: Some("/flag".into()),
            ..Overrides::default()
        };
        let settings = resolve(text, overrides).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:2");
        assert_eq!(settings.http_listen.to_string(), "0.0.0.0:8080");
        assert!(settings.reflection);
        assert_eq!(settings.data_dir.as_deref(), Some(Path::new("/flag")));
        assert_eq!((settings.limits.scalers, settings.limits.per_namespace), (7, 7));
        assert_eq!(settings.limits.tick.as_secs(), 30);
        assert_eq!(settings.datasources["default"].url, "http://flag");
        assert_eq!(settings.notes(), [Note::NoTenancy(vec!["default".to_owned()])]);
    }

    #[test]
    fn what_is_legal_and_risky_is_noted() {
        let settings = resolve("", Overrides::default()).unwrap();
        assert_eq!(settings.notes(), [Note::NoDefault]);
        let quiet = "listen: 127.0.0.1:6000\n\
                     datasources: {default: {url: 'http://p', tenancy: namespace}}\n";
        assert_eq!(resolve(quiet, Overrides::default()).unwrap().notes(), []);
    }
}
