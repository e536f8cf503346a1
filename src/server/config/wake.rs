//! Who may wake over HTTP, and who else is told.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::http::wake::{KeyFile, Keys, PeersAt};
use crate::server::config::address::{address, overlap};
use crate::server::config::file::WakeFile;

/// Who may wake over HTTP, and who else is told.
#[derive(Debug, Clone)]
pub struct Wake {
    /// The tokens.
    pub keys: Arc<Keys>,
    /// Namespaces of the first token and of certificates; empty: all.
    pub namespaces: Vec<String>,
    /// Where callers show a certificate instead of a token.
    pub mutual: Option<Mutual>,
    /// The other processes.
    pub peers: Option<PeersAt>,
}

/// A listener on which a certificate stands for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutual {
    /// Its address.
    pub listen: SocketAddr,
    /// Names of which the certificate must carry one.
    pub allowed_sans: Vec<String>,
}

/// What of the other settings counts here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beside {
    /// Whether `tls` has clients show a certificate.
    pub(super) verified: bool,
    pub(super) listen: SocketAddr,
    pub(super) http_listen: SocketAddr,
}

/// What `wake` and `peers` come to; what is wrong goes to `faults`.
pub(super) fn resolve(
    file: Option<WakeFile>,
    peers: Option<String>,
    beside: Beside,
    faults: &mut Vec<String>,
) -> Option<Wake> {
    let mut note = |key: &str, problem: String| faults.push(format!("{key}: {problem}"));
    let peers =
        peers.and_then(|text| PeersAt::parse(&text).map_err(|problem| note("peers", problem)).ok());
    let Some(WakeFile { token_file, namespaces, tokens, listen, allowed_sans }) = file else {
        if peers.is_some() {
            note("peers", "needs wake: what is handed to peers are wakes".to_owned());
        }
        return None;
    };
    let first = token_file.map(|path| KeyFile { path, namespaces: namespaces.clone() });
    let more = tokens.into_iter().map(|it| KeyFile { path: it.file, namespaces: it.namespaces });
    let files: Vec<KeyFile> = first.into_iter().chain(more).collect();
    let names = files.iter().flat_map(|file| &file.namespaces).chain(&namespaces);
    if let Some(name) = names.into_iter().find(|name| name.is_empty() || name.contains('*')) {
        note("wake.namespaces", format!("{name:?} must be a namespace; none at all: every one"));
    }
    if files.is_empty() && listen.is_none() {
        note("wake", "tokenFile, tokens or listen is missing: nobody could wake".to_owned());
    }
    if files.is_empty() && peers.is_some() {
        note("peers", "needs wake.tokenFile or wake.tokens, with which peers are asked".to_owned());
    }
    let mutual = mutual(listen, allowed_sans, beside).map_err(|(key, text)| note(key, text)).ok();
    match Keys::open(files) {
        Ok(keys) => Some(Wake { keys: Arc::new(keys), namespaces, mutual: mutual?, peers }),
        Err(problems) => {
            problems.into_iter().for_each(|problem| note("wake token", problem));
            None
        }
    }
}

fn mutual(
    listen: Option<String>,
    allowed_sans: Vec<String>,
    beside: Beside,
) -> Result<Option<Mutual>, (&'static str, String)> {
    let Some(text) = listen else {
        let alone = "needs wake.listen, where callers show a certificate".to_owned();
        return if allowed_sans.is_empty() { Ok(None) } else { Err(("wake.allowedSans", alone)) };
    };
    let listen = address(&text).map_err(|problem| ("wake.listen", problem))?;
    if !beside.verified {
        let text = "needs tls with clientCaFile, which makes callers show a certificate";
        return Err(("wake.listen", text.to_owned()));
    }
    if allowed_sans.is_empty() {
        let text = "is missing beside listen: who else has a certificate of this authority is not \
                    to wake";
        return Err(("wake.allowedSans", text.to_owned()));
    }
    for (key, taken) in [("listen", beside.listen), ("httpListen", beside.http_listen)] {
        if overlap(listen, taken) {
            return Err(("wake.listen", format!("{listen} is taken by {key} {taken}")));
        }
    }
    Ok(Some(Mutual { listen, allowed_sans }))
}
