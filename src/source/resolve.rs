//! Names of scraped pages to addresses that may be connected to.
//!
//! Given a host as a trigger names it and the trigger's namespace, it promises addresses that were
//! all vetted; an empty list says that the name surely has none. Callers connect to the address,
//! never to the name, so that a second answer cannot differ from the vetted one.

mod deny;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

use crate::engine::observation::FaultKind;
use crate::source::config::ScrapePolicy;
use crate::source::resolve::deny::allowed;

/// An answer is reused this long at most: shorter than the shortest tick, so that each tick asks
/// again, and long enough that the many scalers of one tick ask once.
const ANSWER_LIFETIME: Duration = Duration::from_secs(4);

/// Resolves and vets.
#[derive(Debug)]
pub struct Resolver {
    names: Names,
    allow_loopback: bool,
    /// Time for one name, all its spellings and both address families together.
    timeout: Duration,
}

#[derive(Debug)]
enum Names {
    Dns {
        resolver: Box<TokioResolver>,
        /// Domain under which the cluster's services are, if the system's configuration tells.
        cluster: Option<String>,
    },
    Table(Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>),
    /// The system has no usable resolver configuration: every name is unknown.
    Broken,
}

impl Resolver {
    /// Answers from the policy's table if it has one, else from the system's name servers.
    #[must_use]
    pub fn new(policy: &ScrapePolicy, timeout: Duration) -> Self {
        let names = policy.names.as_ref().map_or_else(
            || system(timeout, ANSWER_LIFETIME).unwrap_or(Names::Broken),
            |table| Names::Table(Arc::clone(table)),
        );
        Self { names, allow_loopback: policy.allow_loopback, timeout }
    }

    /// As [`Resolver::new`], but no answer is kept longer than `lifetime`: for whoever waits for a
    /// name to get its first address.
    #[must_use]
    pub fn fresh(policy: &ScrapePolicy, timeout: Duration, lifetime: Duration) -> Self {
        match policy.names {
            Some(_) => Self::new(policy, timeout),
            None => {
                let names = system(timeout, lifetime).unwrap_or(Names::Broken);
                Self { names, allow_loopback: policy.allow_loopback, timeout }
            }
        }
    }

    /// Answers from one name server, whatever the system's configuration says.
    #[must_use]
    pub fn at(server: SocketAddr, policy: &ScrapePolicy, timeout: Duration) -> Self {
        let mut config = NameServerConfig::udp(server.ip());
        for connection in &mut config.connections {
            connection.port = server.port();
        }
        let config = ResolverConfig::from_name_servers(vec![config]);
        let names = dns((config, ResolverOpts::default()), timeout, ANSWER_LIFETIME);
        let names = names.unwrap_or(Names::Broken);
        Self { names, allow_loopback: policy.allow_loopback, timeout }
    }

    /// The addresses of `host` for a trigger of `namespace`, ascending; empty when the name surely
    /// has none. Of a name with both families the IPv4 addresses are given, since the same pods
    /// stand behind the others. An IP address is its own only address.
    ///
    /// # Errors
    /// [`FaultKind::Dns`] when nobody can say; [`FaultKind::AddressRefused`] when any address may
    /// not be scraped, since then the whole answer is suspect.
    pub async fn addresses(&self, host: &str, namespace: &str) -> Result<Vec<IpAddr>, FaultKind> {
        let literal = literal(host);
        let found = match literal {
            Some(address) => BTreeSet::from([address]),
            None => self.lookup(host, namespace).await?,
        };
        if found.iter().any(|address| !allowed(*address, self.allow_loopback)) {
            return Err(FaultKind::AddressRefused);
        }
        Ok(found.into_iter().map(|address| address.to_canonical()).collect())
    }

    async fn lookup(&self, host: &str, namespace: &str) -> Result<BTreeSet<IpAddr>, FaultKind> {
        match &self.names {
            Names::Broken => Err(FaultKind::Dns),
            Names::Table(table) => Ok(from_table(table, host, namespace)),
            Names::Dns { resolver, cluster } => {
                let names = candidates(host, namespace, cluster.as_deref());
                tokio::time::timeout(self.timeout, first_found(resolver, &names))
                    .await
                    .unwrap_or(Err(FaultKind::Dns))
            }
        }
    }
}

/// The host as an address, with or without the brackets of a URL.
#[must_use]
pub fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse().ok()
}

/// The full names that `host` may mean for a trigger of `namespace`, best first. `cluster` is the
/// domain of the cluster's services, `svc.cluster.local`, if known.
///
/// A short name never goes through the system's search list: that list holds this server's own
/// namespace, where a service of another tenant may have the same name.
#[must_use]
pub fn candidates(host: &str, namespace: &str, cluster: Option<&str>) -> Vec<String> {
    let domain = cluster.unwrap_or("svc.cluster.local");
    let dots = host.bytes().filter(|byte| *byte == b'.').count();
    let absolute = format!("{host}.");
    if host.ends_with('.') {
        return vec![host.to_owned()];
    }
    if dots == 0 {
        let full = format!("{host}.{namespace}.{domain}.");
        return match cluster {
            // The cluster's own zone answers for all of its names; asking elsewhere as well could
            // only turn "does not exist" into a failure where there is no way out of the cluster.
            Some(_) => vec![full],
            None => vec![full, format!("{host}.{namespace}.svc.")],
        };
    }
    if dots == 1 {
        return vec![format!("{host}.{domain}."), absolute];
    }
    match host.strip_suffix(".svc") {
        Some(service) => vec![format!("{service}.{domain}."), absolute],
        None => vec![absolute],
    }
}

/// Tables are written by tests and the demo, which know the host as the trigger spells it or its
/// full name without the last dot.
fn from_table(
    table: &Mutex<BTreeMap<String, Vec<IpAddr>>>,
    host: &str,
    namespace: &str,
) -> BTreeSet<IpAddr> {
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    let full = candidates(host, namespace, None);
    std::iter::once(host)
        .chain(full.iter().map(|name| name.trim_end_matches('.')))
        .find_map(|name| table.get(name))
        .map(|addresses| addresses.iter().copied().collect())
        .unwrap_or_default()
}

fn system(timeout: Duration, lifetime: Duration) -> Option<Names> {
    dns(read_system_conf().ok()?, timeout, lifetime)
}

fn dns(
    (config, mut options): (ResolverConfig, ResolverOpts),
    timeout: Duration,
    lifetime: Duration,
) -> Option<Names> {
    let cluster = config
        .search()
        .iter()
        .map(|domain| domain.to_ascii().trim_end_matches('.').to_ascii_lowercase())
        .find(|domain| domain.starts_with("svc."));
    options.positive_max_ttl = Some(lifetime);
    options.negative_max_ttl = Some(lifetime);
    // Two tries within the time for the name.
    options.timeout = timeout / 2;
    options.attempts = 1;
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    let resolver = Box::new(builder.build().ok()?);
    Some(Names::Dns { resolver, cluster })
}

async fn first_found(
    resolver: &TokioResolver,
    names: &[String],
) -> Result<BTreeSet<IpAddr>, FaultKind> {
    let mut unknown = false;
    for name in names {
        match both_families(resolver, name).await {
            Ok(found) if found.is_empty() => {}
            Ok(found) => return Ok(found),
            Err(_) => unknown = true,
        }
    }
    if unknown { Err(FaultKind::Dns) } else { Ok(BTreeSet::new()) }
}

async fn both_families(
    resolver: &TokioResolver,
    name: &str,
) -> Result<BTreeSet<IpAddr>, FaultKind> {
    let (v4, v6) = tokio::join!(
        records(resolver, name, RecordType::A),
        records(resolver, name, RecordType::AAAA)
    );
    match (v4, v6) {
        (Ok(Answer::Found(found)), _) | (Err(_) | Ok(_), Ok(Answer::Found(found))) => Ok(found),
        // "No such name" is about the name, whichever type was asked for.
        (Ok(Answer::NoName), _) | (_, Ok(Answer::NoName)) => Ok(BTreeSet::new()),
        (Ok(Answer::NoRecord), Ok(Answer::NoRecord)) => Ok(BTreeSet::new()),
        (Err(kind), _) | (_, Err(kind)) => Err(kind),
    }
}

enum Answer {
    Found(BTreeSet<IpAddr>),
    NoRecord,
    NoName,
}

async fn records(
    resolver: &TokioResolver,
    name: &str,
    kind: RecordType,
) -> Result<Answer, FaultKind> {
    match resolver.lookup(name, kind).await {
        Ok(lookup) => {
            let found: BTreeSet<IpAddr> =
                lookup.answers().iter().filter_map(|record| address(&record.data)).collect();
            Ok(if found.is_empty() { Answer::NoRecord } else { Answer::Found(found) })
        }
        Err(error) => absence(&error).ok_or(FaultKind::Dns),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "of dozens of record types two are addresses")]
fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(v4) => Some(IpAddr::V4(v4.0)),
        RData::AAAA(v6) => Some(IpAddr::V6(v6.0)),
        _ => None,
    }
}

/// The answer that hides in an error: that there is nothing, which is an answer, unless the server
/// said it because it failed.
fn absence(error: &NetError) -> Option<Answer> {
    let NetError::Dns(DnsError::NoRecordsFound(nothing)) = error else { return None };
    if nothing.response_code == ResponseCode::NXDomain {
        Some(Answer::NoName)
    } else {
        (nothing.response_code == ResponseCode::NoError).then_some(Answer::NoRecord)
    }
}

#[cfg(test)]
mod tests;
