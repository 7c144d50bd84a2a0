//! The transport over TLS: the files that it reads, and which transports share connections.
//! `__test__/tls.test.js` and `trust-table.test.js` check which certificates it accepts.

use std::fs;

use stand_ins::sockets::{Server, exchange, soon, token_request};
use stand_ins::tls::{Certificates, tls_detail};
use tokio::join;
use transport::{HttpTransport, PemFault, TransportError, TrustSettings};

#[tokio::test]
async fn connections_are_shared_by_those_who_trust_the_same() {
    let certificates = Certificates::new("shared");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    let server = certificates.serve("server");
    let [first, equal] = [(); 2].map(|()| HttpTransport::new(certificates.extra("ca")));
    let by_file = HttpTransport::new(TrustSettings {
        file: Some(certificates.path("ca")),
        ..TrustSettings::default()
    });
    let unverified = HttpTransport::new(TrustSettings {
        skip_verify: true,
        ..TrustSettings::default()
    });
    for (transport, connection) in
        [(&first, "1"), (&equal, "1"), (&by_file, "2"), (&unverified, "3"), (&first, "1")]
    {
        assert_eq!(server.ask(transport).await.unwrap(), connection);
    }
}

#[tokio::test]
async fn unusable_trust_file_is_named_with_its_fault() {
    let certificates = Certificates::new("file");
    certificates.self_signed("server", "IP:127.0.0.1");
    let server = certificates.serve("server");
    let path = certificates.path("trusted");
    let transport = HttpTransport::new(TrustSettings {
        file: Some(path.clone()),
        ..TrustSettings::default()
    });
    for (content, fault) in [
        ("no PEM", PemFault::Empty),
        ("-----BEGIN CERTIFICATE-----\nMIIB", PemFault::NotPem { number: 1 }),
        (
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            PemFault::NotACertificate { number: 1 },
        ),
    ] {
        fs::write(&path, content).unwrap();
        let expected = TransportError::TrustFile {
            path: path.display().to_string(),
            detail: format!("is not usable: {fault}"),
        };
        assert_eq!(server.ask(&transport).await.unwrap_err(), expected);
    }
    fs::remove_file(&path).unwrap();
    let error = server.ask(&transport).await.unwrap_err();
    assert!(matches!(error, TransportError::TrustFile { .. }), "{error:?}");
}

#[tokio::test]
async fn trust_file_does_not_matter_without_verification() {
    let server = Server::start().await;
    let settings = TrustSettings {
        file: Some("/nonexistent/ca.pem".into()),
        ..TrustSettings::default()
    };
    let transport = HttpTransport::new(settings.clone());
    let request = server.request();
    let (answer, ()) = join!(soon(exchange(&transport, &request)), async {
        server.accept().await.serve("plain").await;
    });
    assert_eq!(&answer.unwrap().body[..], b"plain");

    let certificates = Certificates::new("unverified");
    certificates.self_signed("server", "IP:127.0.0.1");
    let settings = TrustSettings {
        skip_verify: true,
        ..settings
    };
    assert!(
        certificates
            .serve("server")
            .ask_with(settings)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn peer_that_does_not_complete_a_handshake_is_classified() {
    let server = Server::start().await;
    let request = token_request(&server.url().replacen("http", "https", 1));
    let transport = HttpTransport::new(TrustSettings::default());
    let (result, ()) = join!(soon(exchange(&transport, &request)), async {
        let mut peer = server.accept().await;
        peer.send("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    assert_eq!(tls_detail(result), "the server or proxy does not speak TLS");

    let (result, ()) = join!(soon(exchange(&transport, &request)), async {
        server.accept().await.reset();
    });
    assert!(matches!(result, Err(TransportError::Network { .. })), "{result:?}");
}
