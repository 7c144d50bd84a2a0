//! The transport over TLS, with certificates made by `openssl` when the tests run: whom it
//! believes, what it says when it does not, and which settings share connections.
#![cfg(feature = "http")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

#[expect(dead_code, reason = "a part of it is used here")]
mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

use keycloak_token_manager::transport::{
    Connection, HttpTransport, PemCertificates, PemFault, Transport, TransportError, TrustSettings,
    node_roots_are_set, set_node_roots,
};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use support::{LIMIT, Server, settle, soon, token_request};
use tokio::join;

/// A folder of the test, with the keys and certificates it makes.
struct Certificates(PathBuf);

impl Certificates {
    fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("these tests need the openssl command");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `openssl req -x509` as everybody uses it: self-signed, and marked as an authority.
    fn self_signed(&self, name: &str, alternative: &str) -> PathBuf {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
             -keyout {name}.key -out {name}.pem -subj /CN={name} \
             -addext subjectAltName={alternative}"
        ));
        self.path(name)
    }

    fn signed(&self, name: &str, alternative: &str, authority: &str) {
        fs::write(self.0.join("extensions"), format!("subjectAltName={alternative}")).unwrap();
        self.openssl(&format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
             -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key -CAcreateserial \
             -days 30 -out {name}.pem -extfile extensions"
        ));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    fn extra(&self, name: &str) -> TrustSettings {
        let pem = PemCertificates::parse(&fs::read(self.path(name)).unwrap()).unwrap();
        TrustSettings {
            extra: Some(Arc::new(pem)),
            ..TrustSettings::default()
        }
    }

    fn serve(&self, name: &str) -> TlsServer {
        let chain = vec![CertificateDer::from_pem_file(self.path(name)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.0.join(format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        TlsServer::start(config)
    }
}

/// Answers every request with the number of its connection, counted from 1.
struct TlsServer {
    address: SocketAddr,
}

impl TlsServer {
    fn start(config: ServerConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(config);
        // A thread that dies drops the listener, and the test's next request is refused.
        thread::spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming()) {
                let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
                thread::spawn(move || serve(StreamOwned::new(tls, stream.unwrap()), number));
            }
        });
        Self { address }
    }

    async fn ask(&self, transport: &HttpTransport) -> Result<String, TransportError> {
        let request = token_request(&format!("https://{}/token", self.address));
        let answer = soon(transport.send(&request, Connection::Any, LIMIT)).await?;
        settle().await;
        Ok(String::from_utf8(answer.body.to_vec()).unwrap())
    }

    async fn ask_with(&self, settings: TrustSettings) -> Result<String, TransportError> {
        self.ask(&HttpTransport::new(settings)).await
    }
}

/// Ends with the connection, however that ends: the client's view is what is tested.
fn serve(mut stream: StreamOwned<ServerConnection, TcpStream>, number: u32) {
    let mut seen = Vec::new();
    let mut byte = [0];
    while stream.read_exact(&mut byte).is_ok() {
        seen.extend(byte);
        if seen.ends_with(b"grant_type=client_credentials") {
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}");
            if stream.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

fn tls_detail(result: Result<String, TransportError>) -> String {
    match result {
        Err(TransportError::Tls { detail }) => detail,
        other => panic!("expected a TLS error, got {other:?}"),
    }
}

fn skip_verify() -> TrustSettings {
    TrustSettings {
        skip_verify: true,
        ..TrustSettings::default()
    }
}

#[tokio::test]
async fn authority_given_in_settings_is_trusted_and_no_other() {
    let certificates = Certificates::new("authority");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.self_signed("other", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1,DNS:localhost", "ca");
    let server = certificates.serve("server");

    let detail = tls_detail(server.ask_with(TrustSettings::default()).await);
    assert!(detail.starts_with("certificate not trusted: unknown issuer"), "{detail}");
    assert!(detail.contains("`caFile`"), "{detail}");
    tls_detail(server.ask_with(certificates.extra("other")).await);
    assert!(server.ask_with(certificates.extra("ca")).await.is_ok());
    assert!(server.ask_with(skip_verify()).await.is_ok());
}

#[tokio::test]
async fn certificate_for_another_name_is_refused() {
    let certificates = Certificates::new("name");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.signed("server", "DNS:sso.example", "ca");
    let server = certificates.serve("server");
    assert_eq!(
        tls_detail(server.ask_with(certificates.extra("ca")).await),
        "certificate is for \"sso.example\", not \"127.0.0.1\""
    );
    assert!(server.ask_with(skip_verify()).await.is_ok());
}

#[tokio::test]
async fn self_signed_certificate_is_trusted_when_it_is_given_itself() {
    let certificates = Certificates::new("self-signed");
    certificates.self_signed("right", "IP:127.0.0.1");
    certificates.self_signed("wrong", "DNS:sso.example");
    assert!(
        certificates
            .serve("right")
            .ask_with(certificates.extra("right"))
            .await
            .is_ok()
    );
    assert_eq!(
        tls_detail(
            certificates
                .serve("wrong")
                .ask_with(certificates.extra("wrong"))
                .await
        ),
        "certificate is for \"sso.example\", not \"127.0.0.1\""
    );
    tls_detail(
        certificates
            .serve("right")
            .ask_with(certificates.extra("wrong"))
            .await,
    );
}

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
    let unverified = HttpTransport::new(skip_verify());
    for (transport, connection) in
        [(&first, "1"), (&equal, "1"), (&by_file, "2"), (&unverified, "3"), (&first, "1")]
    {
        assert_eq!(server.ask(transport).await.unwrap(), connection);
    }
}

#[tokio::test]
async fn trust_file_is_read_for_every_request() {
    let certificates = Certificates::new("file");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.self_signed("other", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    let server = certificates.serve("server");
    let path = certificates.path("trusted");
    let transport = HttpTransport::new(TrustSettings {
        file: Some(path.clone()),
        ..TrustSettings::default()
    });

    fs::copy(certificates.path("other"), &path).unwrap();
    tls_detail(server.ask(&transport).await);
    fs::copy(certificates.path("ca"), &path).unwrap();
    assert!(server.ask(&transport).await.is_ok());
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
            detail: fault.to_string(),
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
    let (answer, ()) = join!(soon(transport.send(&request, Connection::Any, LIMIT)), async {
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
async fn roots_of_node_are_trusted_and_unusable_ones_skipped() {
    let certificates = Certificates::new("node");
    certificates.self_signed("ca", "DNS:ca.example");
    certificates.self_signed("late", "DNS:ca.example");
    certificates.signed("server", "IP:127.0.0.1", "ca");
    certificates.signed("other", "IP:127.0.0.1", "late");
    let server = certificates.serve("server");
    tls_detail(server.ask_with(TrustSettings::default()).await);
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

#[tokio::test]
async fn peer_that_does_not_speak_tls_is_named_so() {
    let server = Server::start().await;
    let request = token_request(&server.url().replacen("http", "https", 1));
    let transport = HttpTransport::new(TrustSettings::default());
    let (result, ()) = join!(soon(transport.send(&request, Connection::Any, LIMIT)), async {
        server
            .accept()
            .await
            .send("HTTP/1.1 400 Bad Request\r\n\r\n")
            .await;
    });
    assert_eq!(
        result.unwrap_err(),
        TransportError::Tls {
            detail: "the peer does not speak TLS".into()
        }
    );
}

#[tokio::test]
async fn handshake_that_is_cut_is_a_network_fault() {
    let server = Server::start().await;
    let request = token_request(&server.url().replacen("http", "https", 1));
    let transport = HttpTransport::new(TrustSettings::default());
    let (result, ()) = join!(soon(transport.send(&request, Connection::Any, LIMIT)), async {
        server.accept().await.reset();
    });
    assert!(matches!(result, Err(TransportError::Network { .. })), "{result:?}");
}
