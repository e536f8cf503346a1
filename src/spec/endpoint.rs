//! Pages to scrape directly: `dns://vllm-headless:8000/metrics` or `http://10.0.0.5:8000/metrics`.
//!
//! What a tenant may name is a service of its own namespace or a plain address that is not special.
//! Names are completed to `name.namespace.svc`: a bare name would be looked up in the namespace where
//! prescale runs. Addresses that a name resolves to are vetted again by the scrape itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::spec::fault::Problem;
use crate::spec::names::is_label;
use crate::spec::target::Endpoint;

/// Pages of one trigger: each may stand for many pods already.
const ENDPOINTS_MAX: usize = 16;
const PATH_CHARS: usize = 256;
/// etcd, the API server, and what the kubelet and the control plane listen on.
const CLUSTER_PORTS: [u16; 3] = [2379, 2380, 6443];
const NODE_PORTS: std::ops::RangeInclusive<u16> = 10_248..=10_259;
/// Metadata services outside of the link-local range: Alibaba Cloud, Oracle Cloud, Azure.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];
/// AWS.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The pages of a comma-separated list, for a scaled object in `namespace`.
pub(crate) fn parse(text: &str, namespace: &str) -> Result<Vec<Endpoint>, Problem> {
    let endpoints: Vec<Endpoint> =
        text.split(',').map(|part| one(part.trim(), namespace)).collect::<Result<_, _>>()?;
    if endpoints.len() > ENDPOINTS_MAX {
        return Err(Problem::new(format!("must be at most {ENDPOINTS_MAX} endpoints")));
    }
    Ok(endpoints)
}

/// Endpoints as they would be written.
pub(crate) fn show(endpoints: &[Endpoint]) -> String {
    let one = |Endpoint { every_address, host, port, path }: &Endpoint| {
        let scheme = if *every_address { "dns" } else { "http" };
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{host}{close}:{port}{path}")
    };
    endpoints.iter().map(one).collect::<Vec<_>>().join(",")
}

fn one(text: &str, namespace: &str) -> Result<Endpoint, Problem> {
    let (every_address, rest) = match text.split_once("://") {
        Some(("dns", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => {
            return Err(Problem::new(
                "must be dns://SERVICE:PORT/PATH or http://HOST:PORT/PATH within the namespace",
            ));
        }
    };
    let (authority, path) = rest.find('/').map_or((rest, "/metrics"), |at| rest.split_at(at));
    let (host, port) = split_port(authority)?;
    let address = literal(host)?;
    if every_address && address.is_some() {
        return Err(Problem::new("must have a name behind dns://; for an address use http://"));
    }
    let host = match address {
        Some(address) => address.to_string(),
        None => within_namespace(host, namespace)?,
    };
    Ok(Endpoint { every_address, host, port, path: checked_path(path)? })
}

/// Host (IPv6 still in brackets) and port.
fn split_port(authority: &str) -> Result<(&str, u16), Problem> {
    let refused = || Problem::new("must have a port, as in dns://vllm-headless:8000/metrics");
    let (host, port) = authority.rsplit_once(':').ok_or_else(refused)?;
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = digits.then(|| port.parse().ok()).flatten().ok_or_else(refused)?;
    if port == 0 || CLUSTER_PORTS.contains(&port) || NODE_PORTS.contains(&port) {
        return Err(Problem::new("must not use a port of the cluster's own components"));
    }
    Ok((host, port))
}

/// The address, if `host` is one; refused if it is special, or a number in disguise.
fn literal(host: &str) -> Result<Option<IpAddr>, Problem> {
    let odd =
        || Problem::new("must be a service name, a dotted IPv4 or a [bracketed] IPv6 address");
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or_else(odd)?;
        let address = inner.parse().map_err(|_| odd())?;
        return vetted(IpAddr::V6(address)).map(Some);
    }
    if let Ok(address) = host.parse::<Ipv4Addr>() {
        return vetted(IpAddr::V4(address)).map(Some);
    }
    // Resolvers read `0x7f.1`, `127.1` and `2130706433` as addresses: no name of ours ends so.
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(odd());
    }
    Ok(None)
}

fn vetted(address: IpAddr) -> Result<IpAddr, Problem> {
    let refused = match address {
        IpAddr::V4(v4) => refused_v4(v4),
        IpAddr::V6(v6) => refused_v6(v6),
    };
    if refused {
        return Err(Problem::new(
            "must not be a loopback, link-local, metadata, multicast or embedded address",
        ));
    }
    Ok(address)
}

fn refused_v4(v4: Ipv4Addr) -> bool {
    let [first, ..] = v4.octets();
    v4.is_loopback()
        || v4.is_link_local()
        || v4.is_multicast()
        || first == 0
        || first >= 240
        || METADATA_V4.contains(&v4)
}

fn refused_v6(v6: Ipv6Addr) -> bool {
    let [s0, s1, ..] = v6.segments();
    // IPv4 inside IPv6: mapped, compatible (with :: and ::1), NAT64, 6to4, Teredo.
    let embedded = v6.octets().starts_with(&[0; 8])
        || (s0 == 0x64 && s1 == 0xff9b)
        || s0 == 0x2002
        || (s0 == 0x2001 && s1 == 0);
    embedded || v6.is_unicast_link_local() || v6.is_multicast() || v6 == METADATA_V6
}

/// `name`, `name.namespace`, `name.namespace.svc` or `name.namespace.svc.cluster.local`.
fn within_namespace(host: &str, namespace: &str) -> Result<String, Problem> {
    let labels: Vec<&str> = host.split('.').collect();
    let service = labels.first().copied().unwrap_or_default();
    let foreign = match labels.as_slice() {
        [_] => false,
        [_, ns] | [_, ns, "svc"] | [_, ns, "svc", "cluster", "local"] => *ns != namespace,
        _ => true,
    };
    let named = is_label(service)
        && service.starts_with(|c: char| c.is_ascii_lowercase())
        && service != "localhost";
    if !named || foreign {
        return Err(Problem::new(
            "must be a service of the same namespace: NAME or NAME.NAMESPACE.svc",
        ));
    }
    Ok(format!("{service}.{namespace}.svc"))
}

fn checked_path(path: &str) -> Result<String, Problem> {
    let plain = path.len() <= PATH_CHARS
        && path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'#' | b'\\' | b'@'))
        && !path.split('/').any(|part| part == "..");
    if plain {
        return Ok(path.to_owned());
    }
    Err(Problem::new("must have a plain path such as /metrics"))
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn pages_within_the_namespace_are_read_and_round_trip() {
        let rows = [
            ("dns://vllm:8000/metrics", "dns://vllm.team-a.svc:8000/metrics"),
            ("dns://vllm:8000", "dns://vllm.team-a.svc:8000/metrics"),
            ("dns://vllm.team-a:8000/m", "dns://vllm.team-a.svc:8000/m"),
            ("dns://vllm.team-a.svc:8000/m", "dns://vllm.team-a.svc:8000/m"),
            ("http://vllm.team-a.svc.cluster.local:80/m", "http://vllm.team-a.svc:80/m"),
            ("http://10.0.0.5:8000/m?a=b", "http://10.0.0.5:8000/m?a=b"),
            ("http://[fd12::5]:8000/", "http://[fd12::5]:8000/"),
            ("dns://a:1/x, http://b:2/y", "dns://a.team-a.svc:1/x,http://b.team-a.svc:2/y"),
        ];
        for (text, written) in rows {
            let endpoints = parse(text, "team-a").unwrap();
            assert_eq!(show(&endpoints), written, "{text}");
            assert_eq!(parse(&show(&endpoints), "team-a").unwrap(), endpoints, "{text}");
        }
    }

    #[test]
    fn at_most_sixteen_pages() {
        assert!(parse(&vec!["dns://a:1/"; 16].join(","), "x").is_ok());
        assert!(parse(&vec!["dns://a:1/"; 17].join(","), "x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = parse(&text, "team-a");
            let _ = parse(&format!("http://{text}"), "team-a");
        }

        #[test]
        fn what_is_accepted_stays_inside(host in "[a-z0-9.:\\[\\]x]{1,20}") {
            for endpoint in parse(&format!("http://{host}:8000/"), "team-a").unwrap_or_default() {
                let address = endpoint.host.parse::<std::net::IpAddr>();
                proptest::prop_assert!(
                    address.is_ok_and(|a| !a.is_loopback())
                        || endpoint.host.ends_with(".team-a.svc")
                );
            }
        }
    }
}
