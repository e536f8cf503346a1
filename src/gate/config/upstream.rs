//! Where a route's requests go: `dns://llama-headless.team-a.svc:8000` or `http://10.0.0.5:8000`.

use std::fmt;
use std::str::FromStr;

use crate::spec::is_subdomain;

/// One route's servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Whether every address of the name is a server of its own (`dns://`), or any of them leads to
    /// the same one (`http://`).
    pub every_address: bool,
    /// A name, or an address without brackets.
    pub host: String,
    /// The port, never 0.
    pub port: u16,
}

/// How a server shows that it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It accepts a connection.
    Connect,
    /// It answers GET of this path with 2xx.
    Path(String),
}

impl Upstream {
    /// Host and port as a Host header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl FromStr for Upstream {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |why: &str| {
            let text = crate::report::one_line(text);
            // A password may stand before an @.
            let text = if text.contains('@') { "a URL with a user" } else { &text };
            format!("{text:?} {why}")
        };
        let (every_address, rest) = match text.split_once("://") {
            Some(("dns", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(("https", _)) => {
                return Err(refused("must be plain dns:// or http://; TLS is left to a mesh"));
            }
            _ => return Err(refused("must be dns://NAME:PORT or http://HOST:PORT")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(refused("must end with the port: paths are passed on as they come"));
        }
        let (host, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        let port = port.parse::<u16>().ok().filter(|port| *port > 0);
        let port = port.ok_or_else(|| refused("must have a port, as in http://llama:8000"))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = match bare {
            Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
            None => host.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        let name = host.strip_suffix('.').unwrap_or(host);
        if !is_address && !is_subdomain(&name.to_ascii_lowercase()) {
            return Err(refused("must have a DNS name, an IPv4 or a [bracketed] IPv6 address"));
        }
        if every_address && is_address {
            return Err(refused("must have a name behind dns://; for an address use http://"));
        }
        Ok(Self { every_address, host: bare.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.every_address { "dns" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl FromStr for Probe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = text.len() <= 256 && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        match text {
            "connect" => Ok(Self::Connect),
            path if plain && path.starts_with('/') => Ok(Self::Path(path.to_owned())),
            _ => {
                let text = crate::report::one_line(text);
                Err(format!("{text:?} must be a path such as /health, or connect"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Probe, Upstream};

    #[test]
    fn upstreams_are_read_and_round_trip() {
        let rows = [
            ("dns://llama-headless.team-a.svc:8000", "dns://llama-headless.team-a.svc:8000"),
            ("http://llama:80/", "http://llama:80"),
            ("http://10.0.0.5:8000", "http://10.0.0.5:8000"),
            ("http://[fd12::5]:8000", "http://[fd12::5]:8000"),
            ("dns://Llama.example.:8000", "dns://Llama.example.:8000"),
        ];
        for (text, written) in rows {
            let upstream: Upstream = text.parse().unwrap();
            assert_eq!(upstream.to_string(), written, "{text}");
            assert_eq!(written.parse::<Upstream>().unwrap(), upstream, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_is_accepted() {
        let rows = [
            ("llama:8000", "\"llama:8000\" must be dns://NAME:PORT or http://HOST:PORT"),
            ("https://llama:8000", "must be plain dns:// or http://"),
            ("http://llama", "must have a port"),
            ("http://llama:0", "must have a port"),
            ("http://llama:8000/v1", "must end with the port"),
            ("http://user:secret@llama:8000", "\"a URL with a user\" must end with the port"),
            ("http://a b:8000", "must have a DNS name"),
            ("http://[1.2.3.4]:8000", "must have a DNS name"),
            ("dns://10.0.0.5:8000", "must have a name behind dns://"),
        ];
        for (text, expected) in rows {
            let error = text.parse::<Upstream>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_probe_is_a_path_or_a_connection() {
        assert_eq!("connect".parse(), Ok(Probe::Connect));
        assert_eq!("/health".parse(), Ok(Probe::Path("/health".to_owned())));
        for text in ["", "health", "/a b", "tcp"] {
            assert!(text.parse::<Probe>().is_err(), "{text}");
        }
    }
}
