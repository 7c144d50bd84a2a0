//! Certificates that the `openssl` command makes when a test runs, and a server that presents them.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
};

use oauth::TokenRequest;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use transport::{HttpTransport, PemCertificates, TransportError, TrustSettings};

use crate::sockets::{content_length, exchange, settle, soon, token_request};

/// A folder for the keys and certificates of one test.
pub struct Certificates(PathBuf);

impl Certificates {
    pub fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../target/tmp")
            .join(test);
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

    /// Makes a certificate as `openssl req -x509` does: self-signed, and marked as an authority.
    pub fn self_signed(&self, name: &str, alternative: &str) -> PathBuf {
        self.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 \
             -keyout {name}.key -out {name}.pem -subj /CN={name} \
             -addext subjectAltName={alternative}"
        ));
        self.path(name)
    }

    pub fn signed(&self, name: &str, alternative: &str, authority: &str) {
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    pub fn extra(&self, name: &str) -> TrustSettings {
        let pem = PemCertificates::parse(&fs::read(self.path(name)).unwrap()).unwrap();
        TrustSettings {
            extra: Some(Arc::new(pem)),
            ..TrustSettings::default()
        }
    }

    /// Returns the configuration of a server that presents this certificate.
    pub fn server_config(&self, name: &str) -> Arc<ServerConfig> {
        let chain = vec![CertificateDer::from_pem_file(self.path(name)).unwrap()];
        let key = PrivateKeyDer::from_pem_file(self.0.join(format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    /// Starts a TLS server that answers with the number of the connection, counted from 1.
    pub fn serve(&self, name: &str) -> ThreadedServer {
        ThreadedServer::start(Some(self.server_config(name)), true, |number| number.to_string())
    }
}

/// A token endpoint on its own threads, over http or https.
pub struct ThreadedServer {
    url: String,
}

impl ThreadedServer {
    /// Starts the server. `body` receives the number of a connection, and returns the body of every
    /// answer on that connection. A thread that dies closes its connection, and the next request
    /// fails.
    pub fn start(
        tls: Option<Arc<ServerConfig>>,
        keeps_connections: bool,
        body: impl Fn(u32) -> String + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let connection = if keeps_connections {
            "keep-alive"
        } else {
            "close"
        };
        thread::spawn(move || {
            for (number, stream) in (1..).zip(listener.incoming()) {
                let (mut stream, body, tls) = (stream.unwrap(), body(number), tls.clone());
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nConnection: {connection}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                thread::spawn(move || match tls {
                    None => answer_all(&mut stream, &answer, keeps_connections),
                    Some(config) => {
                        let tls = ServerConnection::new(config).unwrap();
                        let mut stream = StreamOwned::new(tls, stream);
                        answer_all(&mut stream, &answer, keeps_connections);
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                });
            }
        });
        Self {
            url: format!("{scheme}://{address}/realms/r/protocol/openid-connect/token"),
        }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn request(&self) -> TokenRequest {
        token_request(&self.url)
    }

    pub async fn ask(&self, transport: &HttpTransport) -> Result<String, TransportError> {
        let request = self.request();
        let answer = soon(exchange(transport, &request)).await?;
        settle().await;
        Ok(String::from_utf8(answer.body.to_vec()).unwrap())
    }

    pub async fn ask_with(&self, settings: TrustSettings) -> Result<String, TransportError> {
        self.ask(&HttpTransport::new(settings)).await
    }
}

/// Answers requests until the connection ends. Ignores connection errors, because the tests check
/// the client's results.
fn answer_all(stream: &mut (impl Read + Write), answer: &str, keeps_connection: bool) {
    while read_request(stream).is_some() && stream.write_all(answer.as_bytes()).is_ok() {
        if !keeps_connection {
            return;
        }
    }
}

/// Reads a request. Returns `None` at the end of the connection.
fn read_request(stream: &mut impl Read) -> Option<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
    }
    let mut body = vec![0; content_length(&String::from_utf8(head).unwrap())];
    stream.read_exact(&mut body).ok()
}

pub fn tls_detail(result: Result<impl std::fmt::Debug, TransportError>) -> String {
    match result {
        Err(TransportError::Tls { detail, .. }) => detail,
        other => panic!("expected a TLS error, got {other:?}"),
    }
}
