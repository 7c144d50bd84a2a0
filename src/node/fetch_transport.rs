//! The transport that sends requests through JavaScript (`tokenFetch`), and the choice between this
//! transport and HTTP.
//!
//! The transport passes a request to JavaScript as one event, and JavaScript returns the result as
//! one value. If the acquisition abandons the request, another event tells JavaScript to abort it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use zeroize::Zeroizing;

use super::values::RequestOutcome;
use manager::{Event, EventSink};
use oauth::{Answer, TokenEndpoint, TokenRequest};
use transport::{
    ClientIdentity, DelegatedRequest, HttpTransport, NetworkFault, Origin, OriginPermit, Progress,
    TlsFault, Transport, TransportError,
};

/// The longest error message that the addon reads from JavaScript, in bytes. The addon omits a
/// longer message instead of truncating it, because the redactor could not recognise part of a
/// secret.
const MAX_TEXT: usize = 64 * 1024;

/// The id of the last request in the process.
static LAST_ID: AtomicU32 = AtomicU32::new(0);

/// The transport of a manager.
pub(super) enum AddonTransport {
    /// Sends requests natively.
    Http(HttpTransport),
    /// Sends requests through JavaScript.
    Fetch(FetchTransport),
}

/// A permit to send requests with one of the transports.
pub(super) enum Pass {
    Http(<HttpTransport as Transport>::Pass),
    Fetch { _permit: OriginPermit },
}

impl Transport for AddonTransport {
    type Pass = Pass;

    async fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<Pass, TransportError> {
        Ok(match self {
            Self::Http(http) => Pass::Http(http.admit(endpoint, identity, progress).await?),
            Self::Fetch(_) => Pass::Fetch {
                _permit: Origin::of(endpoint).admit(progress).await?,
            },
        })
    }

    async fn send(
        &self,
        pass: &mut Pass,
        request: &TokenRequest,
        progress: &Progress,
    ) -> Result<Answer, TransportError> {
        match (self, pass) {
            (Self::Http(http), Pass::Http(pass)) => http.send(pass, request, progress).await,
            (Self::Fetch(fetch), Pass::Fetch { .. }) => fetch.send(request, progress).await,
            _ => Err(TransportError::Internal),
        }
    }
}

/// Sends requests through the `tokenFetch` function.
pub(super) struct FetchTransport {
    events: Arc<dyn EventSink>,
}

impl FetchTransport {
    pub(super) fn new(events: Arc<dyn EventSink>) -> Self {
        Self { events }
    }

    async fn send(
        &self,
        request: &TokenRequest,
        progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed);
        let (delegated, answer) = DelegatedRequest::new(id, request.clone(), progress);
        let mut abort = AbortOnDrop {
            events: &self.events,
            id: Some(id),
        };
        self.events.push(Event::RequestWanted(delegated));
        let result = answer.await;
        abort.id = None;
        // The addon dropped the request, because its function belongs to an earlier configuration.
        result.unwrap_or_else(|_| {
            Err(TransportError::Network {
                fault: NetworkFault::Other,
                detail: "the configuration changed before the manager called tokenFetch".to_owned(),
            })
        })
    }
}

/// Tells JavaScript to abort the request if the acquisition drops its future.
struct AbortOnDrop<'a> {
    events: &'a Arc<dyn EventSink>,
    id: Option<u32>,
}

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.events.push(Event::RequestAbandoned(id));
        }
    }
}

/// Converts an outcome that JavaScript reports.
pub(super) fn result_of(outcome: RequestOutcome) -> Result<Answer, TransportError> {
    match outcome {
        RequestOutcome::Answered {
            status,
            headers,
            body,
        } => {
            let header = |name: &str| headers.get(name).map(String::as_str);
            Ok(Answer::new(status, header, Zeroizing::new(body.to_vec())))
        }
        RequestOutcome::TooLarge { status } => Err(TransportError::BodyTooLarge { status }),
        RequestOutcome::Unusable { status, detail } => {
            Err(TransportError::Unusable { status, detail })
        }
        RequestOutcome::Failed { code, detail } => Err(failure(code.as_deref(), &detail)),
    }
}

/// Classifies a thrown error by its code. A known code gets a text from this package. The manager
/// redacts any other text before showing it.
fn failure(code: Option<&str>, text: &str) -> TransportError {
    let text = if text.len() > MAX_TEXT {
        "an error whose message is too long to show"
    } else {
        text
    };
    let Some(code) = code else {
        return TransportError::Network {
            fault: NetworkFault::Fetch(None),
            detail: text.to_owned(),
        };
    };
    if is_tls(code) {
        let fault = match code {
            "DEPTH_ZERO_SELF_SIGNED_CERT"
            | "SELF_SIGNED_CERT_IN_CHAIN"
            | "UNABLE_TO_GET_ISSUER_CERT"
            | "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"
            | "UNABLE_TO_VERIFY_LEAF_SIGNATURE" => TlsFault::UnknownIssuer,
            _ => TlsFault::Other,
        };
        let detail =
            format!("{text} ({code}); the tokenFetch function decides which certificates to trust");
        return TransportError::Tls { fault, detail };
    }
    match known(code) {
        Some((fault, detail)) => TransportError::Network {
            fault,
            detail: detail.to_owned(),
        },
        None => match SYSTEM_CODES.iter().find(|known| **known == code) {
            Some(code) => TransportError::Network {
                fault: NetworkFault::Fetch(Some(code)),
                detail: text.to_owned(),
            },
            None => TransportError::Network {
                fault: NetworkFault::Fetch(None),
                detail: format!("{text} ({code})"),
            },
        },
    }
}

/// Whether the code comes from Node's TLS or from OpenSSL's certificate checks.
fn is_tls(code: &str) -> bool {
    let prefixes = ["CERT_", "CRL_", "ERR_SSL_", "ERR_TLS_", "UNABLE_TO_"];
    prefixes.iter().any(|prefix| code.starts_with(prefix))
        || matches!(
            code,
            "DEPTH_ZERO_SELF_SIGNED_CERT"
                | "SELF_SIGNED_CERT_IN_CHAIN"
                | "HOSTNAME_MISMATCH"
                | "INVALID_CA"
                | "INVALID_PURPOSE"
                | "PATH_LENGTH_EXCEEDED"
                | "EPROTO"
        )
}

/// Returns the fault for a known code, with a text from this package.
fn known(code: &str) -> Option<(NetworkFault, &'static str)> {
    Some(match code {
        "ECONNREFUSED" => (NetworkFault::Refused, "the connection was refused"),
        "ECONNRESET" | "ECONNABORTED" => (NetworkFault::Reset, "the connection was reset"),
        "EPIPE" => (NetworkFault::BrokenPipe, "the connection was closed"),
        "UND_ERR_SOCKET" | "UND_ERR_RES_CONTENT_LENGTH_MISMATCH" | "ERR_STREAM_PREMATURE_CLOSE" => {
            (NetworkFault::CutShort, "the connection ended before the response was complete")
        }
        "ETIMEDOUT" | "UND_ERR_HEADERS_TIMEOUT" | "UND_ERR_BODY_TIMEOUT" => {
            (NetworkFault::TimedOut, "the connection timed out")
        }
        "UND_ERR_CONNECT_TIMEOUT" => {
            (NetworkFault::ConnectTimeout, "tokenFetch opened no connection in time")
        }
        "ENOTFOUND" => (NetworkFault::Dns, "could not resolve the host name"),
        "EAI_AGAIN" => (NetworkFault::DnsUnavailable, "the name server did not answer"),
        _ => return None,
    })
}

/// Further system errors, which messages identify by their codes.
const SYSTEM_CODES: [&str; 11] = [
    "EACCES",
    "EADDRNOTAVAIL",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EMFILE",
    "ENETDOWN",
    "ENETUNREACH",
    "ENFILE",
    "ENOBUFS",
    "ENOTCONN",
    "EPERM",
];
