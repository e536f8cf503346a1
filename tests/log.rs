//! A log that cannot be written is lost, and nothing else is.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prescale::clock::Clock;

const PATIENCE: Duration = Duration::from_secs(20);

/// A port that is free now.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn serve(http: SocketAddr, log: Stdio) -> Child {
    let listen = ["--listen", "127.0.0.1:0", "--http-listen", &http.to_string()];
    Command::new(env!("CARGO_BIN_EXE_prescale"))
        .args(["serve", "--log-level", "trace"])
        .args(listen)
        .env_clear()
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Whether it says that it is ready; each call logs.
fn is_ready(http: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(http) else { return false };
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.contains("200 OK")
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::system();
    while !holds() {
        assert!(clock.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// It serves, and a SIGTERM ends it in order.
fn check(what: &str, log: Stdio, then: impl FnOnce(&mut Child)) {
    let http = free();
    let mut child = serve(http, log);
    until(what, || is_ready(http));
    then(&mut child);
    (0..5).for_each(|_| assert!(is_ready(http), "{what}"));
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let mut ended = None;
    until(what, || {
        ended = child.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success(), "{what}: {ended:?}");
}

#[test]
fn a_log_that_cannot_be_written_ends_nothing() {
    check("a full disk", File::options().write(true).open("/dev/full").unwrap().into(), |_| {});
    check("a collector that went away", Stdio::piped(), |child| drop(child.stderr.take()));
}
