//! What HTTP shows to whom: every path without the token, under other names, with other methods; and
//! no secret on any of them.

use std::fs;

use crate::CANARIES;
use crate::http::{Reply, Server};
use crate::program::{Program, metadata};

const TOKEN: &str = "canary-httptoken-0123456789";

/// Paths, whether they ask for the token, and whether they are answered under a stranger's name.
const PATHS: [(&str, bool, bool); 14] = [
    ("/healthz", false, true),
    ("/readyz", false, true),
    ("/metrics", false, false),
    ("/", true, false),
    ("/scalers/team-a/llama", true, false),
    ("/scalers/team-a/llama?format=file", true, false),
    ("/scalers/team-a/nobody", true, false),
    ("/api/v1/scalers", true, false),
    ("/api/v1/scalers?namespace=team-a&limit=1", true, false),
    ("/api/v1/scalers/team-a/llama", true, false),
    ("/api/v1/scalers/team-a/nobody", true, false),
    ("/api/v1/scalers?limit=x", true, false),
    ("//", false, false),
    ("/no/such/path", false, false),
];

/// The status and the whole answer.
fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap()
}

/// The program with every kind of secret that it may have, and a scaler that KEDA asked for.
async fn served(prometheus: &Server) -> (Program, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (bearer, password) =
        (write("bearer", "canary-token"), write("password", "canary-password"));
    let token = write("http", TOKEN);
    let config = format!(
        "datasources:\n  default: {{url: \"{url}\", bearerTokenFile: {bearer}, \
         headers: {{X-Scope-OrgID: canary-header}}}}\n  \
         other: {{url: \"{url}\", basicAuth: {{username: u, passwordFile: {password}}}}}\n\
         httpTokenFile: {token}\nhttpHosts: [prescale.example.com]\n",
        url = prometheus.url(),
    );
    let program = Program::start(&config, "json").await;
    let pairs = [
        ("modelFromEnv", "canary-model"),
        ("activationQueryFromEnv", "sum(up{x=\"canary-query\"})"),
    ];
    for datasource in ["default", "other"] {
        let pairs: Vec<_> = pairs.into_iter().chain([("datasource", datasource)]).collect();
        program.ask(metadata("team-a", "llama", &pairs)).await.unwrap_err();
    }
    (program, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn t24_no_path_shows_a_scaler_without_the_token_or_a_secret_with_it() {
    let prometheus = Server::start(|_| Reply::Answer(500, vec![], b"canary-body".to_vec())).await;
    let (program, _dir) = served(&prometheus).await;
    let own = program.http().to_owned();
    let right = format!("Authorization: Bearer {TOKEN}");
    let wrong = format!("Authorization: Bearer {}", TOKEN.replace('9', "8"));
    let (mut shown, mut asked) = (0, 0);
    for (path, guarded, for_strangers) in PATHS {
        for method in
            ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
        {
            let hosts = [
                own.as_str(),
                "localhost",
                "prescale.example.com",
                "evil.example.com",
                "127.0.0.1.evil.com",
            ];
            for (host, header) in
                hosts.iter().flat_map(|host| ["X: y", &wrong, &right].map(|header| (host, header)))
            {
                let answer = program.send(method, path, &[&format!("Host: {host}"), header]).await;
                let (code, place) =
                    (status(&answer), format!("{method} {path} {host} {header}: {answer}"));
                asked += 1;
                let stranger = host.contains("evil") && !for_strangers;
                let reads = matches!(method, "GET" | "HEAD");
                if stranger {
                    // Some are no requests at all: nobody looks at whom they are for.
                    assert!(matches!(code, 403 | 400), "{place}");
                } else if guarded && header != right {
                    assert!(matches!(code, 401 | 400 | 405), "{place}");
                } else if !reads {
                    assert!(matches!(code, 400 | 404 | 405), "no method changes anything: {place}");
                }
                if answer.contains("team-a") && !path.contains("nobody") {
                    shown += 1;
                    assert!(
                        reads && !stranger && (header == right || path == "/metrics"),
                        "{place}"
                    );
                }
                let found = CANARIES.iter().find(|canary| answer.contains(*canary));
                assert_eq!(found, None, "{place}");
                assert!(!answer.contains(TOKEN) && !answer.contains("dTpjYW5hcnk"), "{place}");
            }
        }
    }
    assert!(shown >= 20, "{shown} of {asked} answers show the scaler to who may see it");
    let log = program.log().join("\n");
    assert!(!log.contains(TOKEN) && CANARIES.iter().all(|canary| !log.contains(canary)), "{log}");
}
