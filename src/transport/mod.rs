//! The only I/O of the crate: one token request over HTTP, one answer or one classified failure.
//!
//! It knows neither retries nor deadlines: a caller drops the future when its time is over. It does
//! not look into an answer either. The trait and its errors are here and need no HTTP library;
//! `http` is the one implementation over sockets, `trust` says which certificates TLS accepts.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use crate::oauth::{Answer, Redactor, TokenEndpoint, TokenRequest};

#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod connector;
#[cfg(feature = "http")]
mod fault;
mod file;
#[cfg(feature = "http")]
mod http;
mod identity;
#[cfg(feature = "http")]
mod lookup;
#[cfg(feature = "http")]
mod proxy;
mod proxy_url;
#[cfg(feature = "http")]
mod share;
mod single_flight;
#[cfg(feature = "http")]
mod tls;
#[cfg(feature = "http")]
mod trust;
#[cfg(feature = "http")]
mod verify;

pub use file::{FileError, read_file};
#[cfg(feature = "http")]
pub use http::{AskForRoots, HttpTransport, MAX_REQUESTS_PER_ORIGIN};
pub use identity::{ClientIdentity, IdentityFault};
#[cfg(feature = "http")]
pub use proxy::{ProxySettings, ProxyVariables};
pub use proxy_url::{ProxyFault, ProxyUrl};
pub use single_flight::MAX_BLOCKING_THREADS;
#[cfg(feature = "http")]
pub use trust::{
    PemCertificates, PemFault, TrustSettings, node_roots_are_set, set_extra_ca_certs,
    set_node_roots,
};

/// The largest body that is read, in bytes. A token response has a few thousand.
pub const MAX_BODY: usize = 1024 * 1024;

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A file with certificates to trust is read.
    WaitingForFile,
    /// JavaScript hands over the certificates that Node trusts when its event loop runs.
    WaitingForEventLoop,
    /// As many requests as are allowed are under way to this origin.
    WaitingForFreeSlot,
    /// A connection is made: look-up, TCP, tunnel, TLS.
    Connecting,
    /// The request was sent, or is being sent.
    WaitingForAnswer,
}

/// How far a request came. Clones share it, so that it can be read after the request was given up.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU8>);

impl Progress {
    const STAGES: [Stage; 5] = [
        Stage::WaitingForFreeSlot,
        Stage::WaitingForFile,
        Stage::WaitingForEventLoop,
        Stage::Connecting,
        Stage::WaitingForAnswer,
    ];

    /// The stage entered last.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let index = usize::from(self.0.load(Ordering::Relaxed));
        let stage = Self::STAGES.get(index);
        stage.copied().unwrap_or(Stage::WaitingForFreeSlot)
    }

    /// Enters a stage.
    pub fn enter(&self, stage: Stage) {
        let index = match stage {
            Stage::WaitingForFreeSlot => 0,
            Stage::WaitingForFile => 1,
            Stage::WaitingForEventLoop => 2,
            Stage::Connecting => 3,
            Stage::WaitingForAnswer => 4,
        };
        self.0.store(index, Ordering::Relaxed);
    }
}

/// Sends token requests.
pub trait Transport: Send + Sync + 'static {
    /// The right to send requests to one endpoint, one at a time. Their number is bounded.
    type Pass: Send + Sync;

    /// Waits until a request may be sent to this endpoint, with this certificate if there is one:
    /// files are read, and a slot is free.
    fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Pass, TransportError>> + Send;

    /// Sends one request to the endpoint of the pass and reads the whole answer, whatever its
    /// status. The caller bounds the time by dropping the future; a request under way is then cut.
    fn send(
        &self,
        pass: &mut Self::Pass,
        request: &TokenRequest,
        progress: &Progress,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;
}

/// Why there is no answer.
///
/// Details are short texts without URLs, secrets or control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// A kept connection ended before the head of an answer was complete. All kept connections were
    /// given up, so the next request goes over a new one. It says nothing about the server: make
    /// the request anew and send it once more; this is not an attempt.
    #[error("the connection was lost")]
    ConnectionReplaced,
    /// The server could not be reached, or did not answer completely. Retryable.
    #[error("{detail}")]
    Network {
        /// What went wrong.
        fault: NetworkFault,
        /// The same in words.
        detail: String,
    },
    /// The certificate or the handshake. Not retryable.
    #[error("{detail}")]
    Tls {
        /// What went wrong.
        fault: TlsFault,
        /// The same in words, and what helps if that is known.
        detail: String,
    },
    /// The body is larger than [`MAX_BODY`]. Not retryable.
    #[error("the answer is larger than 1 MiB")]
    BodyTooLarge {
        /// The status of the answer.
        status: u16,
    },
    /// The file with certificates to trust cannot be read or is not PEM. Not retryable.
    #[error("\"{path}\" {detail}")]
    TrustFile {
        /// The file as configured.
        path: String,
        /// What is wrong with it. Follows its name in a sentence.
        detail: String,
    },
    /// The certificate of the client, or its key, cannot be used. Not retryable.
    #[error("{}", .0.describe().1)]
    Identity(IdentityFault),
    /// A bug in this crate. Not retryable.
    #[error("internal error")]
    Internal,
}

impl TransportError {
    /// The same, with the text that the server has a part in cleaned: it writes its certificate.
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
    /// No trusted authority signed the server's certificate.
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
    /// A proxy refused, or cannot be used.
    Proxy,
    /// Anything else, such as no route or an answer that is not HTTP.
    Other,
}
