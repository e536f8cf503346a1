//! Settings: what the file and the flags come to.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Url;

use crate::gate::config::file::{File, LimitsFile, RouteFile, Size, WakeFile};
use crate::gate::config::models::Pattern;
use crate::gate::config::size::bytes;
use crate::gate::config::upstream::{Probe, Upstream};
use crate::server::config::{Error, address, overlap, parse, read};
use crate::spec::{is_label, is_subdomain, span_within};

/// Routes of one gate: each has a task that looks at names and servers.
const ROUTES_MAX: usize = 1000;

/// What the command line says; wins over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// Where requests arrive.
    pub listen: Option<SocketAddr>,
    /// Where probes and Prometheus arrive.
    pub admin_listen: Option<SocketAddr>,
    /// Base URL of prescale.
    pub wake_url: Option<String>,
    /// File with the token that prescale asks for.
    pub wake_token_file: Option<PathBuf>,
    /// Servers of the one route of a gate without a file.
    pub upstream: Option<String>,
    /// Scaled object of that route, `namespace/name`.
    pub scaled_object: Option<String>,
}

/// One route: whom it serves, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Models whose requests it takes; empty: all that no other route takes.
    pub models: Vec<Pattern>,
    /// Namespace of the scaled object.
    pub namespace: String,
    /// Name of the scaled object.
    pub name: String,
    /// Its servers.
    pub upstream: Upstream,
    /// How a server shows that it is ready.
    pub ready: Probe,
    /// Requests that may wait at once.
    pub held: usize,
    /// How long one may wait.
    pub hold_for: Duration,
}

impl Route {
    /// What its series are labelled with: the first of its models, `*` where it takes every model.
    #[must_use]
    pub fn label(&self) -> String {
        self.models.first().map_or_else(|| "*".to_owned(), Pattern::to_string)
    }
}

/// How prescale is woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// Base URL of prescale's HTTP listener.
    pub url: Url,
    /// File with the token, read at each call; `None`: none is sent.
    pub token_file: Option<PathBuf>,
}

/// What one gate carries at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all bodies that are kept in memory.
    pub held_bytes: u64,
    /// Bytes of one body that is kept in memory.
    pub body_bytes: u64,
    /// Open connections of clients.
    pub connections: usize,
}

/// How often things are looked at; not configurable, tests are faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two looks at servers while requests wait.
    pub held: Duration,
    /// Between two looks while requests are in flight: a pod that is ending leaves the name while
    /// it still answers, and must get nothing new (vLLM truncates what comes after SIGTERM).
    pub busy: Duration,
    /// Between two looks while nothing happens.
    pub idle: Duration,
    /// Between two wakes while requests wait and nothing is ready; a wake's lease is far longer.
    pub wake: Duration,
    /// First pause after a wake that failed; doubles up to `wake`.
    pub wake_retry: Duration,
    /// From being asked to end to not accepting connections: load balancers have to hear of it.
    pub lame_duck: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            held: Duration::from_secs(1),
            busy: Duration::from_secs(2),
            idle: Duration::from_secs(5),
            wake: Duration::from_secs(10),
            wake_retry: Duration::from_millis(500),
            lame_duck: Duration::from_secs(5),
        }
    }
}

/// Everything the gate needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where requests arrive; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where probes and Prometheus arrive; port 0 takes a free one.
    pub admin_listen: SocketAddr,
    /// How prescale is woken; `None`: only the metrics tell it.
    pub wake: Option<Wake>,
    /// What the gate carries at most.
    pub limits: Limits,
    /// Longest silence of a server, before and within its answer.
    pub idle: Duration,
    /// From being asked to end to cutting off what has not ended.
    pub drain: Duration,
    /// Between two comments to a client that waits for a stream; `None`: it waits for the status.
    pub keep_alive_sse: Option<Duration>,
    /// The routes, at least one.
    pub routes: Vec<Route>,
    /// How often things are looked at.
    pub pace: Pace,
}

impl Settings {
    /// The settings that the file at `path` (if any) and the command line come to.
    ///
    /// # Errors
    /// When the file cannot be read or understood, or with every value that cannot be used.
    pub fn load(path: Option<&Path>, overrides: Overrides) -> Result<Self, Error> {
        let file = path.map(read::<File>).transpose()?.unwrap_or_default();
        Self::resolve(file, overrides).map_err(Error::Values)
    }

    /// As [`Settings::load`], from the file's text.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn parse(text: &str, overrides: Overrides) -> Result<Self, Error> {
        let file: File = parse(Path::new("gate.yaml"), text)?;
        Self::resolve(file, overrides).map_err(Error::Values)
    }

    fn resolve(file: File, overrides: Overrides) -> Result<Self, Vec<String>> {
        let File { listen, admin_listen, wake, limits, hold_for, idle, drain, keep_alive, routes } =
            file;
        let Overrides { listen: listen_flag, admin_listen: admin_flag, .. } = overrides;
        let mut faults = Faults(Vec::new());
        let by_flags = routes.is_empty();
        let wake_key = if overrides.wake_url.is_some() { "--wake-url" } else { "wake.url" };
        // A value of the file is checked even where a flag wins, so that it is not found wrong later.
        let listen = faults.note("listen", listen.map(|text| address(&text)));
        let admin_listen = faults.note("adminListen", admin_listen.map(|text| address(&text)));
        let routes = route_files(routes, &overrides, &mut faults);
        let wake = wake_file(wake, &overrides, &mut faults);
        let defaults = Held {
            held: limits.held.unwrap_or(1000),
            hold_for: faults
                .span("holdFor", hold_for.as_deref(), HOLD_FOR)
                .unwrap_or(Duration::from_secs(900)),
        };
        faults.within("limits.held", defaults.held, HELD_MAX);
        let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let settings = Self {
            listen: listen_flag.or(listen).unwrap_or(any(8000)),
            admin_listen: admin_flag.or(admin_listen).unwrap_or(any(9091)),
            wake: faults.note(wake_key, wake.map(Wake::resolve)),
            limits: resolve_limits(&limits, &mut faults),
            idle: faults.span("idle", idle.as_deref(), IDLE).unwrap_or(Duration::from_secs(600)),
            drain: faults
                .span("drain", drain.as_deref(), DRAIN)
                .unwrap_or(Duration::from_secs(600)),
            keep_alive_sse: faults.span("keepAlive.sse", keep_alive.sse.as_deref(), SSE),
            routes: resolve_routes(routes, by_flags, defaults, &mut faults),
            pace: Pace::default(),
        };
        let (open, admin) = (settings.listen, settings.admin_listen);
        if overlap(open, admin) {
            faults.0.push(format!("adminListen: {admin} is taken by listen {open}"));
        }
        if faults.0.is_empty() { Ok(settings) } else { Err(faults.0) }
    }
}

/// Bounds of a wait: a cold start of an hour exists, a client that waits for a day does not.
const HOLD_FOR: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
const IDLE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
const DRAIN: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(86_400));
/// Proxies in between give up after some 30 to 60 s of silence.
const SSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Some 2 GiB of connections.
const HELD_MAX: usize = 100_000;

/// What a route is given where it says nothing.
#[derive(Clone, Copy)]
struct Held {
    held: usize,
    hold_for: Duration,
}

/// Faults as they are found, each with its key.
struct Faults(Vec<String>);

impl Faults {
    fn note<T>(&mut self, key: &str, value: Option<Result<T, String>>) -> Option<T> {
        value?.map_err(|problem| self.0.push(format!("{key}: {problem}"))).ok()
    }

    fn span(
        &mut self,
        key: &str,
        text: Option<&str>,
        (from, to): (Duration, Duration),
    ) -> Option<Duration> {
        let read = |text: &str| {
            let shown = crate::report::one_line(text);
            span_within(text, from, to).map_err(|problem| format!("{shown:?} {}", problem.0))
        };
        self.note(key, text.map(read))
    }

    fn within(&mut self, key: &str, value: usize, max: usize) {
        if !(1..=max).contains(&value) {
            self.0.push(format!("{key}: {value} must be from 1 to {max}"));
        }
    }
}

/// The routes as they were given: by the file, or by flags for a gate with one route.
fn route_files(
    routes: Vec<RouteFile>,
    overrides: &Overrides,
    faults: &mut Faults,
) -> Vec<RouteFile> {
    let Overrides { upstream, scaled_object, .. } = overrides;
    match (upstream.clone(), scaled_object.clone()) {
        (None, None) => {
            if routes.is_empty() {
                let text = "routes: none is given; give a route in the file, or --upstream and \
                            --scaled-object";
                faults.0.push(text.to_owned());
            }
            routes
        }
        (Some(_) | None, _) if !routes.is_empty() => {
            let text = "--upstream and --scaled-object are for a gate with one route: leave routes \
                        out of the file, or the flags";
            faults.0.push(text.to_owned());
            routes
        }
        (Some(upstream), Some(scaled_object)) => vec![RouteFile {
            models: Vec::new(),
            scaled_object,
            upstream,
            ready: None,
            held: None,
            hold_for: None,
        }],
        (upstream, _) => {
            let missing = if upstream.is_some() { "--scaled-object" } else { "--upstream" };
            faults.0.push(format!("{missing} is missing beside the other one"));
            Vec::new()
        }
    }
}

fn wake_file(
    wake: Option<WakeFile>,
    overrides: &Overrides,
    faults: &mut Faults,
) -> Option<WakeFile> {
    let Overrides { wake_url, wake_token_file, .. } = overrides;
    let (url, token_file) =
        wake.map_or((None, None), |WakeFile { url, token_file }| (Some(url), token_file));
    let token_file = wake_token_file.clone().or(token_file);
    match wake_url.clone().or(url) {
        Some(url) => Some(WakeFile { url, token_file }),
        None => {
            if token_file.is_some() {
                faults.0.push("wake.url is missing beside the token's file".to_owned());
            }
            None
        }
    }
}

impl Wake {
    fn resolve(file: WakeFile) -> Result<Self, String> {
        let WakeFile { url, token_file } = file;
        let refused = || {
            let shown = crate::report::one_line(&url);
            let shown = if url.contains('@') { "a URL with a user" } else { &shown };
            format!("{shown:?} must be the http:// or https:// URL of prescale, without a user")
        };
        let parsed = Url::parse(&url).map_err(|_| refused())?;
        let plain = matches!(parsed.scheme(), "http" | "https")
            && parsed.username().is_empty()
            && parsed.password().is_none()
            && parsed.query().is_none()
            && parsed.fragment().is_none();
        if plain { Ok(Self { url: parsed, token_file }) } else { Err(refused()) }
    }
}

fn resolve_limits(file: &LimitsFile, faults: &mut Faults) -> Limits {
    let mut size = |key: &str, size: &Option<Size>, default: u64| {
        let read = size.as_ref().map(|size| match size {
            Size::Bytes(bytes) => Ok(*bytes),
            Size::Text(text) => bytes(text),
        });
        faults.note(key, read).unwrap_or(default)
    };
    let body_bytes = size("limits.bodyBytes", &file.body_bytes, 32 << 20);
    let held_bytes = size("limits.heldBytes", &file.held_bytes, 256 << 20);
    if held_bytes < body_bytes {
        faults.0.push(format!(
            "limits.heldBytes: {held_bytes} must be at least limits.bodyBytes, {body_bytes}"
        ));
    }
    let connections = file.connections.unwrap_or(10_000);
    faults.within("limits.connections", connections, HELD_MAX);
    Limits { held_bytes, body_bytes, connections }
}

/// Where a route was given: its number in the file, or the flags.
#[derive(Clone, Copy)]
enum Origin {
    File(usize),
    Flags,
}

impl Origin {
    /// What people wrote to give `field`. A flag is a key with hyphens.
    fn key(self, field: &str) -> String {
        match self {
            Self::File(idx) => format!("routes[{idx}].{field}"),
            Self::Flags => {
                field.chars().fold("--".to_owned(), |flag, c| match c.is_ascii_uppercase() {
                    true => format!("{flag}-{}", c.to_ascii_lowercase()),
                    false => format!("{flag}{c}"),
                })
            }
        }
    }
}

fn resolve_routes(
    files: Vec<RouteFile>,
    by_flags: bool,
    defaults: Held,
    faults: &mut Faults,
) -> Vec<Route> {
    if files.len() > ROUTES_MAX {
        faults.0.push(format!("routes: {} must be at most {ROUTES_MAX}", files.len()));
    }
    let routes: Vec<Route> = files
        .into_iter()
        .enumerate()
        .filter_map(|(idx, file)| {
            let origin = if by_flags { Origin::Flags } else { Origin::File(idx) };
            resolve_route(origin, file, defaults, faults)
        })
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    for route in &routes {
        let patterns = route.models.iter().map(Pattern::to_string);
        let own = if route.models.is_empty() { vec!["*".to_owned()] } else { patterns.collect() };
        for pattern in own {
            let told = match pattern.as_str() {
                "*" => "routes: two have no models; one may take what no other takes".to_owned(),
                model => format!("routes: model {model} is given twice"),
            };
            if !seen.insert(pattern) {
                faults.0.push(told);
            }
        }
    }
    routes
}

fn resolve_route(
    origin: Origin,
    file: RouteFile,
    defaults: Held,
    faults: &mut Faults,
) -> Option<Route> {
    let RouteFile { models, scaled_object, upstream, ready, held, hold_for } = file;
    let models: Vec<Pattern> = models
        .iter()
        .filter_map(|text| faults.note(&origin.key("models"), Some(text.parse())))
        .collect();
    let object = faults.note(&origin.key("scaledObject"), Some(object(&scaled_object)));
    let upstream = faults.note(&origin.key("upstream"), Some(upstream.parse::<Upstream>()));
    let ready = faults.note(&origin.key("ready"), ready.map(|text| text.parse::<Probe>()));
    let held = held.unwrap_or(defaults.held);
    faults.within(&origin.key("held"), held, HELD_MAX);
    let hold_for = faults.span(&origin.key("holdFor"), hold_for.as_deref(), HOLD_FOR);
    let (namespace, name) = object?;
    Some(Route {
        models,
        namespace,
        name,
        upstream: upstream?,
        ready: ready.unwrap_or_else(|| Probe::Path("/health".to_owned())),
        held,
        hold_for: hold_for.unwrap_or(defaults.hold_for),
    })
}

/// `namespace/name`.
fn object(text: &str) -> Result<(String, String), String> {
    let split = text.split_once('/');
    let usable = split.filter(|(namespace, name)| is_label(namespace) && is_subdomain(name));
    usable.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).ok_or_else(|| {
        let text = crate::report::one_line(text);
        format!("{text:?} must be NAMESPACE/NAME of the scaled object")
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Overrides, Settings};

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(text, Overrides::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_whole_file_is_understood() {
        let text = "\
listen: 127.0.0.1:1
adminListen: 127.0.0.1:2
wake: {url: 'http://prescale:8080', tokenFile: /t}
limits: {held: 7, heldBytes: 1GiB, bodyBytes: 4MiB, connections: 9}
holdFor: 5m
idle: 1m
drain: 30s
keepAlive: {sse: 15s}
routes:
- {models: [llama, 'llama-*'], scaledObject: a/b, upstream: 'dns://l.a.svc:8000', held: 3}
- {scaledObject: a/c, upstream: 'http://c:80', ready: connect, holdFor: 10s}
";
        let settings = parse(text).unwrap();
        assert_eq!(settings.limits.body_bytes, 4 << 20);
        assert_eq!(settings.keep_alive_sse, Some(Duration::from_secs(15)));
        let [first, second] = settings.routes.as_slice() else { panic!("{settings:?}") };
        assert_eq!((first.label().as_str(), second.label().as_str()), ("llama", "*"));
        assert_eq!((first.held, first.hold_for.as_secs()), (3, 300));
        assert_eq!((second.held, second.hold_for.as_secs()), (7, 10));
    }

    #[test]
    fn flags_alone_are_a_gate_with_one_route() {
        let overrides = Overrides {
            upstream: Some("http://llama:8000".to_owned()),
            scaled_object: Some("team-a/llama".to_owned()),
            wake_url: Some("http://prescale:8080".to_owned()),
            ..Overrides::default()
        };
        let settings = Settings::parse("", overrides).unwrap();
        assert_eq!(settings.listen.port(), 8000);
        assert_eq!(settings.routes[0].label(), "*");
        assert_eq!(settings.routes[0].hold_for.as_secs(), 900);
        assert!(settings.wake.is_some());
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = "\
listen: here
limits: {held: 0, bodyBytes: big, connections: 0}
holdFor: soon
wake: {url: 'ftp://x'}
routes:
- {models: ['*'], scaledObject: llama, upstream: llama, ready: health, held: 0}
- {models: [a, a], scaledObject: a/b, upstream: 'http://a:1'}
- {scaledObject: a/b, upstream: 'http://a:1'}
- {scaledObject: a/b, upstream: 'http://a:1'}
";
        let error = parse(text).unwrap_err();
        let expected = [
            "listen: \"here\" must be",
            "limits.held: 0 must be from 1 to 100000",
            "limits.bodyBytes: \"big\" must be a size",
            "limits.connections: 0 must be",
            "holdFor: \"soon\" must be a duration",
            "wake.url: \"ftp://x\" must be the http:// or https:// URL",
            "routes[0].models: \"*\" must be a model's name",
            "routes[0].scaledObject: \"llama\" must be NAMESPACE/NAME",
            "routes[0].upstream: \"llama\" must be dns://NAME:PORT",
            "routes[0].ready: \"health\" must be a path",
            "routes[0].held: 0 must be",
            "model a is given twice",
            "two have no models",
        ];
        for part in expected {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn what_flags_give_is_told_by_their_names() {
        let overrides = Overrides {
            upstream: Some("llama".to_owned()),
            scaled_object: Some("llama".to_owned()),
            wake_url: Some("prescale".to_owned()),
            ..Overrides::default()
        };
        let error = Settings::parse("", overrides).map(drop).unwrap_err().to_string();
        for key in
            ["--upstream: \"llama\"", "--scaled-object: \"llama\"", "--wake-url: \"prescale\""]
        {
            assert!(error.contains(key), "{key} in {error}");
        }
        assert!(!error.contains("routes["), "{error}");
    }

    #[test]
    fn single_faults_name_their_key() {
        let route = "routes: [{scaledObject: a/b, upstream: 'http://a:1'}]\n";
        let rows = [
            (String::new(), "routes: none is given"),
            (format!("{route}holdfor: 1s\n"), "unknown key holdfor; did you mean holdFor?"),
            (
                "routes: [{scaledObject: a/b, upstrem: x}]".to_owned(),
                "unknown key upstrem; did you mean upstream?",
            ),
            ("routes: [{scaledObject: a/b}]".to_owned(), "upstream is missing"),
            (format!("{route}listen: 0.0.0.0:9091\n"), "adminListen: 0.0.0.0:9091 is taken"),
            (
                format!("{route}limits: {{heldBytes: 1MiB}}\n"),
                "limits.heldBytes: 1048576 must be at least limits.bodyBytes, 33554432",
            ),
        ];
        for (text, expected) in rows {
            let error = parse(&text).map(drop).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
