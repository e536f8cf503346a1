//! Names against a table, and against a name server of our own that answers as told.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::engine::observation::FaultKind;
use crate::source::config::ScrapePolicy;
use crate::source::resolve::{Resolver, candidates};

#[test]
fn a_host_stands_for_these_names_in_this_order() {
    let local = Some("svc.corp.internal");
    let rows: &[(&str, Option<&str>, &[&str])] = &[
        ("vllm", local, &["vllm.prod.svc.corp.internal."]),
        ("vllm", None, &["vllm.prod.svc.cluster.local.", "vllm.prod.svc."]),
        ("vllm.dev", local, &["vllm.dev.svc.corp.internal.", "vllm.dev."]),
        ("vllm.dev.svc", None, &["vllm.dev.svc.cluster.local.", "vllm.dev.svc."]),
        ("gpu.example.com", local, &["gpu.example.com."]),
        ("a.b.svc.cluster.local", local, &["a.b.svc.cluster.local."]),
        ("vllm.", local, &["vllm."]),
    ];
    for (host, cluster, expected) in rows {
        assert_eq!(candidates(host, "prod", *cluster), *expected, "{host}");
    }
}

fn table(rows: &[(&str, &[&str])]) -> ScrapePolicy {
    let names = rows
        .iter()
        .map(|(name, addresses)| {
            ((*name).to_owned(), addresses.iter().map(|text| text.parse().unwrap()).collect())
        })
        .collect();
    ScrapePolicy { allow_loopback: false, names: Some(Arc::new(Mutex::new(names))) }
}

#[tokio::test]
async fn every_address_is_vetted() {
    let policy = table(&[
        ("vllm", &["10.0.0.8", "10.0.0.7", "10.0.0.7"]),
        ("full.prod.svc.cluster.local", &["10.0.0.9"]),
        ("mixed", &["10.0.0.7", "127.0.0.1"]),
        ("mapped", &["::ffff:10.0.0.7"]),
        ("none", &[]),
    ]);
    let resolver = Resolver::new(&policy, Duration::from_secs(1));
    let rows: &[(&str, Result<&[&str], FaultKind>)] = &[
        ("vllm", Ok(&["10.0.0.7", "10.0.0.8"])),
        ("full", Ok(&["10.0.0.9"])),
        ("mapped", Ok(&["10.0.0.7"])),
        ("none", Ok(&[])),
        ("absent", Ok(&[])),
        ("mixed", Err(FaultKind::AddressRefused)),
        ("10.1.2.3", Ok(&["10.1.2.3"])),
        ("[fd00::7]", Ok(&["fd00::7"])),
        ("169.254.169.254", Err(FaultKind::AddressRefused)),
        ("[::ffff:127.0.0.1]", Err(FaultKind::AddressRefused)),
        // Spellings that system resolvers take for 127.0.0.1 are only names here.
        ("2130706433", Ok(&[])),
        ("127.1", Ok(&[])),
    ];
    for (host, expected) in rows {
        let expected = expected.map(|texts| {
            texts.iter().map(|text| text.parse::<IpAddr>().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(resolver.addresses(host, "prod").await, expected, "{host}");
    }
}

#[tokio::test]
async fn an_answer_that_changes_to_loopback_is_refused() {
    let policy = table(&[("rebind", &["93.184.216.34"])]);
    let resolver = Resolver::new(&policy, Duration::from_secs(1));
    assert!(resolver.addresses("rebind", "prod").await.is_ok());
    let names = policy.names.unwrap();
    names.lock().unwrap().insert("rebind".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    assert_eq!(resolver.addresses("rebind", "prod").await, Err(FaultKind::AddressRefused));
}

/// Answers every question with `code` and, for A questions, these addresses; never with code 255.
async fn name_server(code: u8, addresses: &'static [[u8; 4]]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1500];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
            if code != 255 {
                let _ = socket.send_to(&answer(&buffer[..length], code, addresses), peer).await;
            }
        }
    });
    at
}

fn answer(query: &[u8], code: u8, addresses: &[[u8; 4]]) -> Vec<u8> {
    let labels = query[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &query[12..12 + labels + 5];
    let is_a = question[question.len() - 3] == 1;
    let addresses = if is_a { addresses } else { &[] };
    let mut reply = vec![query[0], query[1], 0x81, 0x80 | code, 0, 1];
    reply.extend([0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    reply.extend(question);
    for address in addresses {
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4]);
        reply.extend(address);
    }
    reply
}

#[tokio::test]
async fn no_such_name_is_known_and_a_failing_server_is_not() {
    type Row = (u8, &'static [[u8; 4]], Result<usize, FaultKind>);
    let rows: &[Row] = &[
        (0, &[[10, 0, 0, 7], [10, 0, 0, 8]], Ok(2)),
        (0, &[], Ok(0)),
        (3, &[], Ok(0)),
        (2, &[], Err(FaultKind::Dns)),
        (5, &[], Err(FaultKind::Dns)),
        (255, &[], Err(FaultKind::Dns)),
        (0, &[[10, 0, 0, 7], [127, 0, 0, 1]], Err(FaultKind::AddressRefused)),
    ];
    for (code, addresses, expected) in rows {
        let server = name_server(*code, addresses).await;
        let resolver = Resolver::at(server, &ScrapePolicy::default(), Duration::from_millis(400));
        let got = resolver.addresses("vllm", "prod").await.map(|found| found.len());
        assert_eq!(got, *expected, "code {code} {addresses:?}");
    }
}
