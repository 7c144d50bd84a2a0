//! Does all of the package's I/O: sends one request over HTTP and returns one answer or one
//! classified failure, reads files, and looks up names.
//!
//! The crate knows nothing about attempts or deadlines: a caller drops the future when its deadline
//! passes. The crate does not interpret answers either. This module contains the trait and its
//! errors, which need no HTTP library. `http` is the only implementation over sockets, and `trust`
//! decides which certificates TLS accepts.

use std::{
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use oauth::{Answer, Redactor, TokenEndpoint, TokenRequest};

#[cfg(feature = "http")]
mod chain;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod connector;
mod delegated;
#[cfg(feature = "http")]
mod facts;
#[cfg(feature = "http")]
mod fault;
mod file;
#[cfg(feature = "http")]
mod http;
mod identity;
#[cfg(feature = "http")]
mod lookup;
#[cfg(feature = "http")]
mod origin;
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

#[cfg(feature = "http")]
pub use self::http::{AskForRoots, HttpTransport};
#[cfg(feature = "http")]
pub use client::USER_AGENT;
pub use delegated::{DelegatedAnswer, DelegatedRequest, PendingAnswer};
pub use file::{FileError, read_file};
pub use identity::{ClientIdentity, IdentityFault};
#[cfg(feature = "http")]
pub use origin::{MAX_REQUESTS_PER_ORIGIN, Origin, OriginPermit};
#[cfg(feature = "http")]
pub use proxy::{ProxySettings, ProxyVariable, ProxyVariables};
pub use proxy_url::{ProxyFault, ProxyUrl};
pub use single_flight::MAX_BLOCKING_THREADS;
#[cfg(feature = "http")]
pub use trust::{
    PemCertificates, PemFault, TrustSettings, node_roots_are_set, read_extra_ca_certs,
    set_node_roots,
};

/// The size limit of a body, in bytes. A token response has a few thousand bytes.
pub const MAX_BODY: usize = 1024 * 1024;

/// The stage of a request: the event for which the request is waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The transport reads a file of trusted certificates.
    WaitingForFile,
    /// Once its event loop is free, JavaScript hands over the certificates that Node trusts.
    WaitingForEventLoop,
    /// Once its event loop is free, JavaScript sends the request.
    WaitingToBeSent,
    /// The process is already sending the maximum number of requests to this origin.
    WaitingForFreeSlot,
    /// The transport opens a connection: look-up, TCP, tunnel, TLS.
    Connecting,
    /// The transport sends the request, or waits for the answer.
    WaitingForAnswer,
    /// The transport reads the body of an answer with this status.
    ReadingAnswer(u16),
}

/// The progress of a request. Clones share it, so a caller can read it after giving up the request.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Known>);

#[derive(Debug, Default)]
struct Known {
    /// The index of the stage or, from `STATUS` on, the status of the answer.
    stage: AtomicU32,
    proxy: OnceLock<String>,
}

impl Progress {
    const STAGES: [Stage; 6] = [
        Stage::WaitingForFreeSlot,
        Stage::WaitingForFile,
        Stage::WaitingForEventLoop,
        Stage::Connecting,
        Stage::WaitingForAnswer,
        Stage::WaitingToBeSent,
    ];
    const STATUS: u32 = 1 << 16;

    /// Returns the stage that the request entered last.
    #[must_use]
    pub fn stage(&self) -> Stage {
        let value = self.0.stage.load(Ordering::Relaxed);
        if let Some(status) = value.checked_sub(Self::STATUS) {
            return Stage::ReadingAnswer(u16::try_from(status).unwrap_or_default());
        }
        let index = usize::try_from(value).unwrap_or_default();
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
            Stage::WaitingToBeSent => 5,
            Stage::ReadingAnswer(status) => Self::STATUS.saturating_add(status.into()),
        };
        self.0.stage.store(index, Ordering::Relaxed);
    }

    /// Returns the proxy of the request without its password, if there is a proxy.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.0.proxy.get().map(String::as_str)
    }

    /// Records the proxy of the request.
    pub fn use_proxy(&self, shown: impl FnOnce() -> String) {
        self.0.proxy.get_or_init(shown);
    }
}

/// Sends token requests.
pub trait Transport: Send + Sync + 'static {
    /// The right to send requests to one endpoint, one at a time. The transport limits the number
    /// of passes.
    type Pass: Send + Sync;

    /// Waits until the caller may send a request to this endpoint, with this certificate if there
    /// is one. The transport reads its files, then waits until the limit on concurrent requests
    /// admits another one.
    fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> impl Future<Output = Result<Self::Pass, TransportError>> + Send;

    /// Sends one request to the endpoint of the pass and reads the whole answer, whatever the
    /// status. The caller enforces its deadline by dropping the future, which aborts the request.
    fn send(
        &self,
        pass: &mut Self::Pass,
        request: &TokenRequest,
        progress: &Progress,
    ) -> impl Future<Output = Result<Answer, TransportError>> + Send;
}

/// Why a request has no usable answer.
///
/// A detail is a short text without URLs, secrets or control characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// A reused connection ended before the head of an answer was complete. The transport has
    /// discarded all idle connections, so the next request uses a new connection. The error says
    /// nothing about the state of the server: create the request again and send it once more,
    /// without counting an attempt.
    #[error("the connection was lost")]
    ConnectionReplaced,
    /// The server was unreachable, or did not answer completely. Retryable.
    #[error("{detail}")]
    Network {
        /// The kind of fault.
        fault: NetworkFault,
        /// The fault as text.
        detail: String,
    },
    /// The certificate or the TLS handshake failed. Not retryable.
    #[error("{detail}")]
    Tls {
        /// The kind of fault.
        fault: TlsFault,
        /// The fault as text, with advice if there is any.
        detail: String,
    },
    /// The body is larger than [`MAX_BODY`]. Not retryable.
    #[error("the response is larger than 1 MiB")]
    BodyTooLarge {
        /// The status of the answer.
        status: u16,
    },
    /// The answer cannot be a token response, whatever its body is. Not retryable.
    #[error("{detail}")]
    Unusable {
        /// The status of the answer, if it has one.
        status: Option<u16>,
        /// Why the answer is unusable.
        detail: String,
    },
    /// The file with trusted certificates is unreadable or is not PEM. Not retryable.
    #[error("\"{path}\" {detail}")]
    TrustFile {
        /// The path of the file, as configured.
        path: String,
        /// The fault. In a message, the text follows the name of the file.
        detail: String,
    },
    /// The client's certificate or its key is unusable. Not retryable.
    #[error("{}", .0.describe().1)]
    Identity(IdentityFault),
    /// A bug in this crate. Not retryable.
    #[error("internal error")]
    Internal,
}

impl TransportError {
    /// Cleans the texts that may contain words from the server: the server chooses the names in its
    /// certificate.
    #[must_use]
    pub fn cleaned(mut self, redactor: &Redactor) -> Self {
        if let Self::Network { detail, .. }
        | Self::Tls { detail, .. }
        | Self::Unusable { detail, .. } = &mut self
        {
            *detail = redactor.clean(detail);
        }
        self
    }
}

impl TransportError {
    /// Whether the transport could not open a connection to the server. An unknown failure of a
    /// `tokenFetch` function counts as well, because the function does not say what failed.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        match self {
            Self::Network { fault, .. } => matches!(
                fault,
                NetworkFault::Dns
                    | NetworkFault::DnsUnavailable
                    | NetworkFault::Refused
                    | NetworkFault::TimedOut
                    | NetworkFault::ConnectTimeout
                    | NetworkFault::Connect(_)
                    | NetworkFault::Proxy
                    | NetworkFault::Fetch(_)
            ),
            Self::Tls { .. } => true,
            _ => false,
        }
    }

    /// Whether another attempt with the same settings would fail in the same way.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Network {
                fault: NetworkFault::ProxySetting,
                ..
            }
        )
    }
}

/// The kind of a TLS failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsFault {
    /// No trusted authority signed the server's certificate.
    UnknownIssuer,
    /// The server ended the handshake with an alert.
    Refused,
    /// The certificate or the handshake has another fault.
    Other,
}

/// The kind of a network failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NetworkFault {
    /// The host name did not resolve.
    Dns,
    /// The name server did not answer.
    DnsUnavailable,
    /// The connection was refused.
    Refused,
    /// The connection was reset before the head of an answer was complete.
    Reset,
    /// The server or the kernel no longer accepts data.
    BrokenPipe,
    /// The kernel gave up waiting for the other side.
    TimedOut,
    /// The connection ended in the middle of an answer, or before an answer.
    CutShort,
    /// The time limit for opening a connection passed.
    ConnectTimeout,
    /// The connection failed for another reason before it was open, with the code of the system
    /// error if there is one.
    Connect(Option<&'static str>),
    /// A proxy refused the request.
    Proxy,
    /// The proxy in the settings is unusable. Another attempt would also fail.
    ProxySetting,
    /// The `tokenFetch` function failed for another reason, with the code of the system error if
    /// there is one.
    Fetch(Option<&'static str>),
    /// Another fault, such as an answer that is not HTTP.
    Other,
}

impl NetworkFault {
    /// Returns the code that Node gives to this system error.
    #[must_use]
    pub const fn system_code(self) -> Option<&'static str> {
        match self {
            Self::Dns => Some("ENOTFOUND"),
            Self::DnsUnavailable => Some("EAI_AGAIN"),
            Self::Refused => Some("ECONNREFUSED"),
            Self::Reset | Self::CutShort => Some("ECONNRESET"),
            Self::BrokenPipe => Some("EPIPE"),
            Self::TimedOut | Self::ConnectTimeout => Some("ETIMEDOUT"),
            Self::Connect(code) | Self::Fetch(code) => code,
            Self::Proxy | Self::ProxySetting | Self::Other => None,
        }
    }
}
