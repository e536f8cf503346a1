//! TLS from files, read again when they change.
//!
//! Promises TLS 1.2 or newer with ALPN `h2`, a client certificate wherever a client CA is given,
//! and that a bad file never replaces a good one: it is said once, and the old one stays in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::grpc::metrics::Metrics;

/// Between looks at the files: a kubelet takes up to a minute to bring a new secret, so more often
/// than this shows nothing sooner.
const POLL: Duration = Duration::from_secs(10);

/// Largest file read: a chain of a few certificates has a few KiB.
const FILE_MAX: usize = 1024 * 1024;

/// Where the certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert_file: PathBuf,
    /// Its private key, PEM.
    pub key_file: PathBuf,
    /// Authorities of client certificates, PEM; given: a client certificate is required.
    pub client_ca_file: Option<PathBuf>,
    /// DNS names and URIs of which a client certificate must carry one; empty: any will do.
    pub allowed_sans: Vec<String>,
}

/// Certificate files that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Names are asked for, but no certificate.
    #[error("tls.allowedSans needs tls.clientCaFile")]
    SansWithoutCa,
    /// A file could not be read.
    #[error("{what} {} could not be read", path.display())]
    Read {
        /// The setting.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{what} {}: no usable PEM in it", path.display())]
    Pem {
        /// The setting.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key are not for each other, or of a kind not supported.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// The client authorities cannot be used.
    #[error("tls.clientCaFile cannot be used")]
    ClientCa(#[source] rustls::server::VerifierBuilderError),
}

/// A configuration and the files it was made of.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Arc<ServerConfig>,
    hash: [u8; 32],
}

#[derive(Debug)]
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

/// Reads the files for the first time.
///
/// # Errors
/// When they cannot be used.
pub(crate) async fn load(files: &TlsFiles, metrics: &Metrics) -> Result<Loaded, Error> {
    if !files.allowed_sans.is_empty() && files.client_ca_file.is_none() {
        return Err(Error::SansWithoutCa);
    }
    let contents = read(files).await?;
    let loaded = build(files, &contents)?;
    note(&contents, metrics);
    Ok(loaded)
}

/// Looks at the files for ever and publishes a new configuration when they changed and are good.
pub(crate) async fn reload(
    files: TlsFiles,
    clock: Clock,
    publisher: watch::Sender<Loaded>,
    metrics: Metrics,
) {
    // The contents that were last judged, good or bad, so that each is judged once.
    let mut judged = Some(publisher.borrow().hash);
    loop {
        clock.sleep(POLL).await;
        let contents = read(&files).await;
        let hash = contents.as_ref().ok().map(hash_of);
        if hash == judged {
            continue;
        }
        judged = hash;
        match contents.and_then(|contents| Ok((build(&files, &contents)?, contents))) {
            Ok((loaded, contents)) => {
                publisher.send_replace(loaded);
                note(&contents, &metrics);
                info!("certificates reloaded");
            }
            Err(error) => {
                metrics.reloaded(false);
                warn!(%error, "certificates not reloaded, the old ones stay in use");
            }
        }
    }
}

async fn read(files: &TlsFiles) -> Result<Contents, Error> {
    let TlsFiles { cert_file, key_file, client_ca_file, allowed_sans: _ } = files;
    let client_ca = match client_ca_file {
        Some(path) => Some(read_file("tls.clientCaFile", path).await?),
        None => None,
    };
    Ok(Contents {
        cert: read_file("tls.certFile", cert_file).await?,
        key: read_file("tls.keyFile", key_file).await?,
        client_ca,
    })
}

async fn read_file(what: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    let path_buf = path.to_owned();
    let bytes = tokio::fs::read(path).await.map_err(|source| Error::Read {
        what,
        path: path_buf.clone(),
        source,
    })?;
    if bytes.len() > FILE_MAX {
        return Err(Error::Pem { what, path: path_buf });
    }
    Ok(bytes)
}

fn build(files: &TlsFiles, contents: &Contents) -> Result<Loaded, Error> {
    let chain = certificates("tls.certFile", &files.cert_file, &contents.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&contents.key)
        .map_err(|_| Error::Pem { what: "tls.keyFile", path: files.key_file.clone() })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::Pair)?;
    let builder = match (&files.client_ca_file, &contents.client_ca) {
        (Some(path), Some(pem)) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates("tls.clientCaFile", path, pem)?);
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(Error::ClientCa)?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(Error::Pair)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Loaded { config: Arc::new(config), hash: hash_of(contents) })
}

fn certificates(
    what: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bad = || Error::Pem { what, path: path.to_owned() };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| bad())?;
    if chain.is_empty() { Err(bad()) } else { Ok(chain) }
}

fn note(contents: &Contents, metrics: &Metrics) {
    metrics.reloaded(true);
    let first = CertificateDer::from_pem_slice(&contents.cert).ok();
    let expiry = first.as_ref().and_then(|der| x509_parser::parse_x509_certificate(der).ok());
    if let Some((_, certificate)) = expiry {
        metrics.expires(certificate.validity().not_after.timestamp());
    }
}

fn hash_of(contents: &Contents) -> [u8; 32] {
    let Contents { cert, key, client_ca } = contents;
    let mut hasher = Sha256::new();
    for part in [cert, key].into_iter().chain(client_ca) {
        hasher.update(Sha256::digest(part));
    }
    hasher.finalize().into()
}
