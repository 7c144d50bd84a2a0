//! The only I/O of the crate: one token request over HTTP, one answer or one classified failure.
//!
//! It knows neither retries nor deadlines: whoever calls drops the future when its time is over.
//! It does not look into an answer either. The trait and its errors stand here and need no HTTP
//! library; `http` is the one implementation over sockets, `trust` says whom TLS believes.

use std::{future::Future, sync::Arc, time::Duration};

use crate::oauth::{Answer, Redactor, TokenEndpoint, TokenRequest};

#[cfg(feature = "http")]
mod dial;
#[cfg(feature = "http")]
mod fault;
#[cfg(feature = "http")]
mod http;
mod identity;
#[cfg(feature = "http")]
mod idle;
mod joined;
#[cfg(feature = "http")]
mod lookup;
#[cfg(feature = "http")]
mod pool;
#[cfg(feature = "http")]
mod proxy;
mod proxy_url;
#[cfg(feature = "http")]
mod share;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "http")]
mod trust;
#[cfg(feature = "http")]
mod verify;
#[cfg(feature = "http")]
mod wire;

#[cfg(feature = "http")]
pub use http::HttpTransport;
pub use identity::{ClientIdentity, IdentityFault};
pub(crate) use joined::Joined;
pub use joined::Room;
#[cfg(feature = "http")]
pub use pool::MAX_REQUESTS_PER_ORIGIN;
#[cfg(feature = "http")]
pub use proxy::{ProxySettings, ProxyVariables};
pub use proxy_url::{ProxyFault, ProxyUrl};
#[cfg(feature = "http")]
pub use trust::{PemCertificates, PemFault, TrustSettings, node_roots_are_set, set_node_roots};

/// The largest body that is read, in bytes. A token response has a few thousand.
pub const MAX_BODY: usize = 1024 * 1024;

/// Which connection a request may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// A connection of the pool, or a new one.
    Any,
    /// Only a connection dialled for this request. Never ends in
    /// [`TransportError::ReusedConnection`].
    New,
}

/// Sends token requests.
pub trait Transport: Send + Sync + 'static {
    /// The right to send requests to one endpoint, one at a time. There is a bound on them.
    type Pass: Send + Sync;

    /// Waits until requests may be sent to this endpoint, with this certificate if there is one:
    /// files are read, and there is room.
    fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
    ) -> impl Future<Output = Result<Self::Pass, TransportError>> + Send;

    /// Sends one request and reads the whole answer, whatever its status.
    ///
    /// `silence` is how long a reused connection may stay silent before it is given up. The caller
    /// bounds the whole by dropping the future; a request that was under way is then cut.
    fn send(
        &self,
        pass: &Self::Pass,
        request: &TokenRequest,
        connection: Connection,
        silence: Duration,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;

    /// Waits until the certificates that [`TransportError::RootsNeeded`] asks for are there.
    fn roots(&self) -> impl Future<Output = ()> + Send;
}

/// Why there is no answer.
///
/// Details are short texts without URLs, secrets or control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// A reused connection died or stayed silent before the answer was complete. It says nothing
    /// about the server: send again at once with [`Connection::New`]; this is not an attempt.
    ReusedConnection,
    /// The server's certificate is not signed by the authorities named to us, and those that Node
    /// itself trusts were not handed over yet. Ask for them, wait for [`Transport::roots`], and be
    /// admitted again; this is not an attempt.
    RootsNeeded,
    /// The server could not be reached, or did not answer completely. Retryable.
    Network {
        /// What went wrong.
        fault: NetworkFault,
        /// The same in words.
        detail: String,
    },
    /// The certificate or the handshake. Not retryable.
    Tls {
        /// What went wrong.
        fault: TlsFault,
        /// The same in words, and what helps if that is known.
        detail: String,
    },
    /// The body is larger than [`MAX_BODY`]. Not retryable.
    BodyTooLarge {
        /// The status of the answer.
        status: u16,
    },
    /// The file with certificates to trust cannot be read or is not PEM. Not retryable.
    TrustFile {
        /// The file as configured.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The certificate of the client, or its key, cannot be used. Not retryable.
    Identity(IdentityFault),
    /// A bug in this crate. Not retryable.
    Internal,
}

impl TransportError {
    /// The same, with what the server had a part in cleaned: it writes its certificate.
    #[must_use]
    pub fn cleaned(mut self, redactor: &Redactor) -> Self {
        if let Self::Network { detail, .. } | Self::Tls { detail, .. } = &mut self {
            *detail = redactor.clean(detail);
        }
        self
    }
}

/// How TLS failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// The server's certificate is signed by nobody who is trusted.
    UnknownIssuer,
    /// The server ended the handshake with an alert.
    Refused,
    /// Anything else about the certificate or the handshake.
    Other,
}

/// How the network failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFault {
    /// The host name could not be resolved.
    Dns,
    /// Nothing listens there.
    Refused,
    /// The connection was reset before a complete head of an answer came.
    Reset,
    /// The connection ended in the middle of an answer, or before one.
    CutShort,
    /// No connection within five seconds.
    ConnectTimeout,
    /// Anything else, such as no route or an answer that is not HTTP.
    Other,
}
