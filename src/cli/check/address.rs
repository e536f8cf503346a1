//! The address at which KEDA calls prescale, as gRPC reads it: `host:port`, with or without `dns:///`.

use std::net::IpAddr;

use crate::cli::check::finding::Level;
use crate::cli::check::placeholder;

/// The schemes of gRPC whose addresses have another form, which is not looked at.
const OTHER_SCHEMES: [&str; 6] =
    ["unix:", "unix-abstract:", "ipv4:", "ipv6:", "passthrough:", "xds:"];

/// What is wrong with an address, if something is; outer spaces do not count, as for KEDA.
pub(crate) fn fault(given: &str) -> Option<(Level, String)> {
    let text = given.trim();
    let other = OTHER_SCHEMES.iter().any(|scheme| text.starts_with(scheme));
    if other || placeholder::is_in(text) {
        return None;
    }
    let text = without_dns(text);
    let message = if text.contains("://") {
        "must be host:port without a scheme"
    } else if text.contains(',') {
        "must be one address: the name of a Service stands for all its pods"
    } else if text.contains(char::is_whitespace) {
        "has a space in it: must be host:port"
    } else {
        return parts(text);
    };
    Some((Level::Error, message.to_owned()))
}

/// The name that gRPC resolves by DNS: what follows the DNS server, if one is named.
fn without_dns(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("dns:") else { return text };
    let named = rest.strip_prefix("//").and_then(|rest| rest.split_once('/'));
    named.map_or(rest, |(_server, name)| name)
}

/// Host and port.
fn parts(text: &str) -> Option<(Level, String)> {
    let error = |message: String| Some((Level::Error, message));
    let Some((host, port)) = text.rsplit_once(':') else {
        return error("must be host:port without a scheme".to_owned());
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if bare.is_none() && host.contains(':') {
        return error(format!("must have an IPv6 address in brackets: [{host}]:{port}"));
    }
    if !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return error(format!("has the port {port:?}: must be a number from 1 to 65535"));
    }
    let host = bare.unwrap_or(host);
    let ip = host.parse::<IpAddr>().ok();
    if host.is_empty() || host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
        return error("is keda-operator's own pod: must be NAME.NAMESPACE:PORT".to_owned());
    }
    let nearby = ip.is_none() && !host.contains('.');
    nearby.then(|| {
        let message = format!("is looked for in KEDA's own namespace: {host}.NAMESPACE:{port}");
        (Level::Warning, message)
    })
}

#[cfg(test)]
mod tests {
    use super::fault;
    use crate::cli::check::finding::Level;

    /// `expected` begins the message; empty: nothing is wrong.
    fn check(text: &str, expected: &str) {
        let (level, message) = fault(text).unwrap_or((Level::Info, String::new()));
        assert!(message.starts_with(expected), "{text}: {message}");
        assert_eq!(message.is_empty(), expected.is_empty(), "{text}: {message}");
        let nearby = expected.starts_with("is looked for");
        assert_eq!(level == Level::Warning, nearby, "{text}: {message}");
    }

    #[test]
    fn addresses_that_grpc_can_call_are_fine() {
        for text in [
            "prescale.prescale:6000",
            " prescale.prescale:6000\n",
            "prescale.prescale.svc.cluster.local.:6000",
            "dns:///prescale.prescale:6000",
            "dns:prescale.prescale:6000",
            "dns://10.0.0.10/prescale.prescale:6000",
            "10.0.0.1:6000",
            "[fd00::1]:6000",
            "ipv4:10.0.0.1:6000,10.0.0.2:6000",
            "unix:/run/prescale.sock",
            "${PRESCALE_ADDRESS}",
            "prescale.$(NAMESPACE):6000",
        ] {
            check(text, "");
        }
    }

    #[test]
    fn others_are_told_with_the_reason() {
        let rows = [
            ("http://prescale.prescale:6000", "must be host:port without a scheme"),
            ("prescale.prescale", "must be host:port"),
            ("prescale.prescale:70000", "has the port \"70000\""),
            ("prescale.prescale:0", "has the port \"0\""),
            ("prescale.prescale:-1", "has the port \"-1\""),
            ("prescale.prescale:grpc", "has the port \"grpc\""),
            ("prescale.prescale:", "has the port \"\""),
            ("prescale.prescale:6000/", "has the port \"6000/\""),
            ("a.b:6000,c.d:6000", "must be one address"),
            ("prescale .prescale:6000", "has a space"),
            ("fd00::1:6000", "must have an IPv6 address in brackets: [fd00::1]:6000"),
            (":6000", "is keda-operator's own pod"),
            ("localhost:6000", "is keda-operator's own pod"),
            ("127.0.0.1:6000", "is keda-operator's own pod"),
            ("[::1]:6000", "is keda-operator's own pod"),
            ("prescale:6000", "is looked for in KEDA's own namespace: prescale.NAMESPACE:6000"),
            ("dns:///prescale:6000", "is looked for"),
        ];
        for (text, expected) in rows {
            check(text, expected);
        }
    }
}
