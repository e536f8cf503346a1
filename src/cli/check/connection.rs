//! How KEDA connects to prescale: the keys of a trigger that KEDA itself reads.

use std::collections::BTreeMap;

use crate::cli::check::address;
use crate::cli::check::finding::{Findings, Level, Place};
use crate::cli::check::flag;
use crate::cli::check::placeholder;

/// Keys that KEDA reads from the metadata only, from no variable.
const NEVER_FROM_ENV: [&str; 2] = ["enableTLS", "unsafeSsl"];
/// Keys that KEDA reads from a TriggerAuthentication only.
const SECRETS: [&str; 3] = ["caCert", "tlsClientCert", "tlsClientKey"];

/// Applies every rule to one trigger.
pub(crate) fn check(metadata: &BTreeMap<String, String>, place: &Place, findings: &mut Findings) {
    scaler(metadata, place, findings);
    secrets(metadata, place, findings);
    tls(metadata, place, findings);
}

fn scaler(metadata: &BTreeMap<String, String>, place: &Place, findings: &mut Findings) {
    let given = metadata.get("scalerAddress").filter(|text| !text.trim().is_empty());
    let fault = match given {
        None => {
            let message =
                "is missing: the host:port of prescale; KEDA reads it from no variable".to_owned();
            Some((Level::Error, message))
        }
        Some(text) => address::fault(text),
    };
    if let Some((level, message)) = fault {
        findings.add(level, place, "scalerAddress", message);
    }
}

fn secrets(metadata: &BTreeMap<String, String>, place: &Place, findings: &mut Findings) {
    for name in SECRETS {
        for name in [name.to_owned(), format!("{name}FromEnv")] {
            if metadata.contains_key(&name) {
                let message = "is ignored by KEDA in metadata, which may leave the connection \
                               unencrypted: put it into a TriggerAuthentication";
                findings.add(Level::Error, place, &name, message);
            }
        }
    }
    if metadata.contains_key("tlsCertFile") {
        let message = "was removed in KEDA 2.17: put caCert into a TriggerAuthentication";
        findings.add(Level::Error, place, "tlsCertFile", message);
    }
}

fn tls(metadata: &BTreeMap<String, String>, place: &Place, findings: &mut Findings) {
    for name in NEVER_FROM_ENV {
        let from_env = format!("{name}FromEnv");
        if metadata.contains_key(&from_env) {
            let message =
                format!("is read by KEDA from no variable and has no effect: give {name}");
            findings.add(Level::Error, place, &from_env, message);
        }
    }
    let mut on = |name: &str| {
        let given = metadata.get(name).map_or("", |text| text.trim());
        let flag = flag::parse(given);
        if flag.is_none() && !given.is_empty() && !placeholder::is_in(given) {
            let message = format!("{given:?} {}: KEDA refuses the trigger", flag::ACCEPTED);
            findings.add(Level::Error, place, name, message);
        }
        flag == Some(true)
    };
    let message = match (on("unsafeSsl"), on("enableTLS")) {
        (false, _) => return,
        (true, false) => "does not enable TLS by itself: set enableTLS: \"true\", or leave it out",
        (true, true) => "accepts any certificate; put caCert into a TriggerAuthentication instead",
    };
    findings.add(Level::Warning, place, "unsafeSsl", message);
}
