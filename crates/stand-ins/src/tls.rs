//! Certificates made by the `openssl` command when a test runs, and a TLS server that shows them.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
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

use crate::sockets::{exchange, settle, soon, token_request};

/// A folder of the test, with the keys and certificates it makes.
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

    /// `openssl req -x509` as everybody uses it: self-signed, and marked as an authority.
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

    pub fn serve(&self, name: &str) -> TlsServer {
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
pub struct TlsServer {
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
                thread::spawn(move || answer_all(StreamOwned::new(tls, stream.unwrap()), number));
            }
        });
        Self { address }
    }

    pub fn request(&self) -> TokenRequest {
        token_request(&format!("https://{}/token", self.address))
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

/// Ends with the connection, however that ends: the client's view is what is tested.
fn answer_all(mut stream: StreamOwned<ServerConnection, TcpStream>, number: u32) {
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

pub fn tls_detail(result: Result<impl std::fmt::Debug, TransportError>) -> String {
    match result {
        Err(TransportError::Tls { detail, .. }) => detail,
        other => panic!("expected a TLS error, got {other:?}"),
    }
}
