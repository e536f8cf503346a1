//! Who is at the other end of a connection, and whether he may call.
//!
//! Given the client's certificate, already verified against the client CA. The namespace in a
//! request is worth as much as the certainty that the caller is KEDA, so a certificate of the same
//! CA with another name gets nothing, not even from the health service.

use rustls_pki_types::CertificateDer;
use tonic::{Request, Status};
use x509_parser::extensions::GeneralName;

use crate::grpc::metrics::Metrics;

/// The other end of a connection; tonic puts it into every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Whether its certificate carries an allowed name, or none is asked for.
    pub(crate) allowed: bool,
}

impl Peer {
    /// The peer with this certificate, first of its chain, where `allowed` names are asked for;
    /// an empty list asks for none.
    pub(crate) fn of(certificate: Option<&CertificateDer<'_>>, allowed: &[String]) -> Self {
        let named = certificate.and_then(|certificate| name_of(certificate, allowed));
        Self { allowed: allowed.is_empty() || named.is_some() }
    }
}

/// Lets requests of allowed peers pass.
pub(crate) fn check(request: Request<()>, metrics: &Metrics) -> Result<Request<()>, Status> {
    let allowed = request.extensions().get::<Peer>().is_some_and(|peer| peer.allowed);
    if allowed {
        return Ok(request);
    }
    metrics.denied();
    Err(Status::permission_denied("client certificate: none of its names is in tls.allowedSans"))
}

/// The DNS name (in any case) or URI (exactly) of the certificate that is among `allowed`. A
/// certificate that cannot be read has no name.
pub(crate) fn name_of(certificate: &CertificateDer<'_>, allowed: &[String]) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| is_allowed(name, allowed)).cloned()
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other kinds of names identify nobody here")]
fn is_allowed<'a>(name: &GeneralName<'_>, allowed: &'a [String]) -> Option<&'a String> {
    match name {
        GeneralName::DNSName(dns) => allowed.iter().find(|it| it.eq_ignore_ascii_case(dns)),
        GeneralName::URI(uri) => allowed.iter().find(|it| it == uri),
        _ => None,
    }
}
