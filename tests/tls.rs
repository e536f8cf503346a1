//! Who gets in when TLS is on, with certificates made for the occasion.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/scripted.rs"]
mod scripted;
#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/served.rs"]
mod served;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prescale::clock::Clock;
use prescale::grpc::tls::TlsFiles;
use prescale::grpc::transport::{Error, Options, serve};
use prescale::server::config::{Overrides, Settings};
use prescale::server::spawn;
use prescale::source::config::ScrapePolicy;
use prescale::spec::Limits;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use served::{Client, Served, message};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

/// How much faster the servers' clock runs: certificates are looked at every 100 ms.
const SPEED: f64 = 100.0;

/// A certificate and its key, PEM.
struct Pair {
    cert: String,
    key: String,
}

/// An authority that signs certificates.
struct Authority {
    cert: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let cert = params.self_signed(&key).unwrap().pem();
        Self { cert, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, dns: &str, uri: Option<&str>) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![dns.to_owned()]).unwrap();
        let uri = uri.map(|uri| SanType::URI(uri.try_into().unwrap()));
        params.subject_alt_names.extend(uri);
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        Pair { cert, key: key.serialize_pem() }
    }
}

/// The certificate files of a server.
struct Files {
    dir: TempDir,
}

impl Files {
    fn new(authority: &Authority) -> Self {
        let files = Self { dir: TempDir::new().unwrap() };
        files.write(&authority.sign("localhost", None));
        std::fs::write(files.path("ca.pem"), &authority.cert).unwrap();
        files
    }

    fn write(&self, pair: &Pair) {
        std::fs::write(self.path("cert.pem"), &pair.cert).unwrap();
        std::fs::write(self.path("key.pem"), &pair.key).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    fn tls(&self) -> TlsFiles {
        TlsFiles {
            cert_file: self.path("cert.pem"),
            key_file: self.path("key.pem"),
            client_ca_file: None,
            allowed_sans: Vec::new(),
        }
    }

    fn mutual(&self, allowed_sans: &[&str]) -> TlsFiles {
        let allowed_sans = allowed_sans.iter().map(|&san| san.to_owned()).collect();
        TlsFiles { client_ca_file: Some(self.path("ca.pem")), allowed_sans, ..self.tls() }
    }
}

async fn served(tls: TlsFiles) -> Served {
    let options = Options { tls: Some(tls), ..Options::default() };
    Served::of(Limits::default(), SPEED, options).await
}

fn config(authority: &Authority, identity: Option<&Pair>) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.cert.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![cert], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}

async fn handshake(
    served: &Served,
    config: ClientConfig,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let socket = TcpStream::connect(served.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

async fn connect(served: &Served, config: ClientConfig) -> Result<Client, tonic::transport::Error> {
    let address = served.address;
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let connector = connector.clone();
        async move {
            let socket = TcpStream::connect(address).await?;
            let name = ServerName::try_from("localhost").unwrap();
            connector.connect(name, socket).await.map(TokioIo::new)
        }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    let channel: Channel = endpoint.connect_with_connector(connect).await?;
    Ok(Client::new(channel))
}

/// The code of a call, `Ok` when it was answered.
async fn call(client: Result<Client, tonic::transport::Error>) -> Result<Code, String> {
    let mut client = client.map_err(|error| error.to_string())?;
    let answer = client.is_active(message("ns", "llama", &[])).await;
    match answer {
        Ok(_) => Ok(Code::Ok),
        Err(status) if status.code() == Code::PermissionDenied => Ok(status.code()),
        Err(status) => Err(status.to_string()),
    }
}

#[tokio::test]
async fn tls_speaks_http2_and_plaintext_gets_nothing() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let served = served(files.tls()).await;
    assert_eq!(call(connect(&served, config(&authority, None)).await).await, Ok(Code::Ok));
    let stream = handshake(&served, config(&authority, None)).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let plain = Endpoint::from_shared(format!("http://{}", served.address)).unwrap();
    assert!(call(plain.connect().await.map(Client::new)).await.is_err());
    assert!(served.page().contains("prescale_tls_last_reload_success 1"));
}

#[tokio::test]
async fn with_a_client_authority_only_its_certificates_get_in() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::new(&authority);
    let served = served(files.mutual(&[])).await;
    let (known, foreign) = (authority.sign("keda", None), stranger.sign("keda", None));
    for identity in [None, Some(&foreign)] {
        let refused = call(connect(&served, config(&authority, identity)).await).await;
        assert!(refused.is_err(), "{refused:?}");
    }
    assert!(served.registry.all().is_empty(), "no handler was called");
    let with = config(&authority, Some(&known));
    assert_eq!(call(connect(&served, with).await).await, Ok(Code::Ok));
}

#[tokio::test]
async fn a_certificate_without_an_allowed_name_is_denied_before_any_handler() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let operator = "spiffe://cluster.local/ns/keda/sa/keda-operator";
    let allowed = ["keda-operator.keda.svc", operator];
    let served = served(files.mutual(&allowed)).await;
    let rows = [
        ("another name", authority.sign("keda-operator.evil.svc", None), false),
        ("a part of the name", authority.sign("keda-operator.keda", None), false),
        ("a URI that begins alike", authority.sign("x", Some(&format!("{operator}-2"))), false),
        ("the DNS name", authority.sign("keda-operator.keda.svc", None), true),
        ("the URI", authority.sign("x", Some(operator)), true),
    ];
    let mut denied = 0;
    for (what, identity, allowed) in rows {
        let client = connect(&served, config(&authority, Some(&identity))).await;
        let expected = if allowed { Code::Ok } else { Code::PermissionDenied };
        assert_eq!(call(client).await, Ok(expected), "{what}");
        denied += u32::from(!allowed);
        assert_eq!(served.registry.all().is_empty(), !allowed, "{what}: handler calls");
        assert!(served.page().contains(&format!("prescale_rpc_denied_total {denied}")), "{what}");
    }
}

/// The certificate that the server shows now.
async fn shown(served: &Served, authority: &Authority) -> CertificateDer<'static> {
    let stream = handshake(served, config(authority, None)).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Waits, at most 10 s, until the server's page has this line.
async fn until_line(served: &Served, line: &str) {
    for _ in 0..1_000 {
        if served.page().contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{line} is not in\n{}", served.page());
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let served = served(files.tls()).await;
    let first = shown(&served, &authority).await;
    std::fs::write(files.path("cert.pem"), "not a certificate").unwrap();
    until_line(&served, "prescale_tls_last_reload_success 0").await;
    assert_eq!(shown(&served, &authority).await, first);
    std::fs::write(files.path("cert.pem"), authority.sign("localhost", None).cert).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(shown(&served, &authority).await, first, "it is not for the key");
    files.write(&authority.sign("localhost", None));
    until_line(&served, "prescale_tls_last_reload_success 1").await;
    assert_ne!(shown(&served, &authority).await, first);
}

#[tokio::test]
async fn a_handshake_that_never_ends_holds_nobody_up() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let served = served(files.tls()).await;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(TcpStream::connect(served.address).await.unwrap());
    }
    let client = connect(&served, config(&authority, None));
    let client = tokio::time::timeout(Duration::from_secs(2), client).await.unwrap();
    assert_eq!(call(client).await, Ok(Code::Ok));
    until_line(&served, "prescale_connections_closed_total{cause=\"handshake\"} 100").await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_start() {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let missing = files.path("missing.pem");
    let rows = [
        (
            TlsFiles { allowed_sans: vec!["keda".to_owned()], ..files.tls() },
            "tls.allowedSans needs tls.clientCaFile".to_owned(),
        ),
        (
            TlsFiles { cert_file: missing.clone(), ..files.tls() },
            format!("tls.certFile {} could not be read", missing.display()),
        ),
        (
            TlsFiles { key_file: files.path("cert.pem"), ..files.tls() },
            format!("tls.keyFile {}: no usable PEM in it", files.path("cert.pem").display()),
        ),
    ];
    for (tls, text) in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let plain = Served::start().await;
        let options = Options { tls: Some(tls), ..Options::default() };
        let registry = Arc::clone(&plain.registry);
        let error = serve(listener, options, registry, CancellationToken::new()).await.unwrap_err();
        let Error::Tls(error) = error else { panic!("{error}") };
        assert_eq!(error.to_string(), text);
    }
}

/// `POST path` over TLS; the status, or why there is no connection.
async fn post(
    address: std::net::SocketAddr,
    mut config: ClientConfig,
    path: &str,
) -> Result<u16, std::io::Error> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let socket = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    Ok(answer.split(' ').nth(1).unwrap_or_default().parse().unwrap())
}

#[tokio::test]
async fn a_certificate_with_an_allowed_name_stands_for_a_token_for_wakes() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let files = Files::new(&authority);
    let path = |name: &str| files.path(name).display().to_string();
    let text = format!(
        "listen: 127.0.0.1:0\nhttpListen: 127.0.0.1:0\n\
         tls: {{certFile: {}, keyFile: {}, clientCaFile: {}, allowedSans: [keda]}}\n\
         wake: {{listen: '127.0.0.1:0', allowedSans: [gateway], namespaces: [team-a]}}\n",
        path("cert.pem"),
        path("key.pem"),
        path("ca.pem")
    );
    std::fs::write(files.path("config.yaml"), text).unwrap();
    let file = files.path("config.yaml");
    let settings = Settings::load(Some(&file), Overrides::default()).unwrap();
    let shutdown = CancellationToken::new();
    let started = spawn(settings, Clock::system(), ScrapePolicy::default(), shutdown.clone()).await;
    let (bound, server) = started.unwrap();
    let address = bound.wake.unwrap();
    let (gateway, keda) = (authority.sign("gateway", None), authority.sign("keda", None));
    let forged = stranger.sign("gateway", None);
    // 404: allowed, but KEDA has asked for no scaler yet.
    let rows = [
        (Some(&gateway), "/wake/team-a/llama", Some(404)),
        (Some(&gateway), "/wake/team-b/llama", Some(403)),
        (Some(&keda), "/wake/team-a/llama", Some(401)),
        (Some(&gateway), "/api/v1/scalers", Some(404)),
        (Some(&forged), "/wake/team-a/llama", None),
        (None, "/wake/team-a/llama", None),
    ];
    for (number, (pair, path, status)) in rows.into_iter().enumerate() {
        let told = post(address, config(&authority, pair), path).await.ok();
        assert_eq!(told, status, "row {number}: {path}");
    }
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
