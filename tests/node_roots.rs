//! The certificates that Node hands over. They count for a whole process, hence one of its own.
#![cfg(feature = "http")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[expect(dead_code, reason = "a part of it is used here")]
mod support;
#[path = "support/tls.rs"]
mod tls;

use std::fs;

use keycloak_token_manager::transport::{
    Connection, HttpTransport, Transport, TransportError, TrustSettings, node_roots_are_set,
    set_node_roots,
};
use support::LIMIT;
use tls::{Certificates, tls_detail};

#[tokio::test]
async fn roots_of_node_are_trusted_and_unusable_ones_skipped() {
    let certificates = Certificates::new("node");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.self_signed("late", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    certificates.signed("other", "IP:127.0.0.1", "late");
    let server = certificates.serve("server");
    let transport = HttpTransport::new(certificates.extra("late"));
    let request = server.request();
    let pass = transport.admit(&request.endpoint, None).await.unwrap();
    let refused = transport
        .send(&pass, &request, Connection::Any, LIMIT)
        .await;
    assert_eq!(refused.unwrap_err(), TransportError::RootsNeeded, "Node may still trust it");
    assert!(!node_roots_are_set());

    let broken = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    set_node_roots(&format!("{broken}{}", fs::read_to_string(certificates.path("ca")).unwrap()));
    assert!(node_roots_are_set());
    assert!(server.ask_with(TrustSettings::default()).await.is_ok());
    assert!(server.ask_with(certificates.extra("late")).await.is_ok());

    set_node_roots(&fs::read_to_string(certificates.path("late")).unwrap());
    tls_detail(
        certificates
            .serve("other")
            .ask_with(TrustSettings::default())
            .await,
    );
}
