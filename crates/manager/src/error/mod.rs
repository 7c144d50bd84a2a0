//! The error type of the package: a kind, a message, and details for programs.
//!
//! Every text in an error is safe to show, because `oauth` has cleaned all text from the server.
//! Only this module maps kinds to codes; a test compares the codes with `index.d.ts`.

use std::sync::Arc;
use std::time::Duration;

mod advice;
mod answer;
mod grant;
mod transport;

use crate::acquire::backoff::{CoolDownRange, LONG_COOL_DOWN, SHORT_COOL_DOWN};
use crate::config::Config;
pub(crate) use grant::{grant_advice, grant_warning};
use oauth::TokenEndpoint;

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The options are wrong. Not retryable.
    Config,
    /// An argument of a call is wrong. Not retryable.
    Request,
    /// The manager cannot read or use a credential or a certificate file. Not retryable.
    Credential,
    /// The server refused with an OAuth error. Retryable for `temporarily_unavailable` and
    /// `server_error`.
    OAuth,
    /// An HTTP error that is not an OAuth error response. Retryable for 408, 429 and 5xx. After a
    /// success, a 403 or 404 without JSON is also retryable.
    Http,
    /// A token response or a discovery document that is not usable. Not retryable.
    Protocol,
    /// A failed name look-up, or a connection that was refused, reset or cut short. Retryable.
    Network,
    /// The certificate or the TLS handshake failed. Not retryable.
    Tls,
    /// The acquisition took longer than its time limit. Retryable.
    Timeout,
    /// The manager was closed. Not retryable.
    Closed,
    /// A bug in this package. Not retryable.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Config,
        Self::Request,
        Self::Credential,
        Self::OAuth,
        Self::Http,
        Self::Protocol,
        Self::Network,
        Self::Tls,
        Self::Timeout,
        Self::Closed,
        Self::Internal,
    ];

    /// Returns the code that JavaScript sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Config => "ERR_KEYCLOAK_CONFIG",
            Self::Request => "ERR_KEYCLOAK_REQUEST",
            Self::Credential => "ERR_KEYCLOAK_CREDENTIAL",
            Self::OAuth => "ERR_KEYCLOAK_OAUTH",
            Self::Http => "ERR_KEYCLOAK_HTTP",
            Self::Protocol => "ERR_KEYCLOAK_PROTOCOL",
            Self::Network => "ERR_KEYCLOAK_NETWORK",
            Self::Tls => "ERR_KEYCLOAK_TLS",
            Self::Timeout => "ERR_KEYCLOAK_TIMEOUT",
            Self::Closed => "ERR_KEYCLOAK_CLOSED",
            Self::Internal => "ERR_KEYCLOAK_INTERNAL",
        }
    }

    /// Returns the cool-down after failures of this kind: long for OAuth, credential and TLS
    /// failures, which an operator has to fix; short for all others.
    #[must_use]
    pub const fn cool_down(self) -> CoolDownRange {
        match self {
            Self::OAuth | Self::Credential | Self::Tls => LONG_COOL_DOWN,
            _ => SHORT_COOL_DOWN,
        }
    }
}

/// The details of a failure.
#[derive(Clone, Debug)]
pub struct Details {
    /// The message: what happened, where it happened, and what to do about it.
    pub message: String,
    /// Whether the same acquisition may succeed later without any change on the client's side.
    pub retryable: bool,
    /// The code that Node gives to the system error.
    pub system_code: Option<&'static str>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// The response's `error`, cleaned.
    pub oauth_error: Option<String>,
    /// The response's `error_description`, cleaned.
    pub oauth_error_description: Option<String>,
    /// The wait that the server's `Retry-After` requests, counted from the failure.
    pub retry_after: Option<Duration>,
    /// The number of requests that the acquisition sent.
    pub attempts: Option<u32>,
    /// The URL of the token endpoint.
    pub token_endpoint: Option<String>,
    /// The id of the client.
    pub client_id: Option<String>,
    /// Whether the failure concerns only this request, not the client's other requests.
    pub is_of_request: bool,
}

/// A failure, shared by all callers that waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", .details.message)]
pub struct Error {
    kind: ErrorKind,
    details: Arc<Details>,
}

impl Error {
    /// Creates a failure without further details.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, ErrorKind::Network | ErrorKind::Timeout);
        Self {
            kind,
            details: Arc::new(Details {
                message: message.into(),
                retryable,
                system_code: None,
                status: None,
                oauth_error: None,
                oauth_error_description: None,
                retry_after: None,
                attempts: None,
                token_endpoint: None,
                client_id: None,
                is_of_request: false,
            }),
        }
    }

    /// Returns the error for a manager that was closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the token manager is closed")
    }

    /// Returns the error for a bug in this package.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorKind::Internal, "internal error in keycloak-token-manager; please report it")
    }

    /// Returns the error for a credential that the manager cannot obtain or use.
    #[must_use]
    pub fn credential(what: &str) -> Self {
        Self::new(ErrorKind::Credential, what)
    }

    /// Returns the error for an assertion function that provided no usable assertion.
    #[must_use]
    pub fn assertion(what: &str) -> Self {
        let mut made = Self::credential(what);
        Arc::make_mut(&mut made.details).is_of_request = true;
        made
    }

    /// Whether every request of the client would fail in the same way: the server is unreachable or
    /// overloaded, or it refuses the client. Keycloak refuses the client with status 401. An
    /// `invalid_client` with status 400 concerns the requested audience.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        let details = self.details();
        match self.kind {
            ErrorKind::Network | ErrorKind::Tls => true,
            // A status means that a response had begun before the timeout.
            ErrorKind::Timeout => details.status.is_none(),
            ErrorKind::Credential => !details.is_of_request,
            ErrorKind::Http => matches!(details.status, Some(408 | 429 | 502..=504)),
            ErrorKind::OAuth => {
                let code = details.oauth_error.as_deref();
                details.status == Some(401)
                    && matches!(code, Some("invalid_client" | "unauthorized_client"))
            }
            _ => false,
        }
    }

    /// Whether the server refused an exchange because the subject token has become invalid.
    /// Keycloak returns the same text whatever the reason.
    #[must_use]
    pub fn is_end_of_subject(&self) -> bool {
        let details = self.details();
        let code = details.oauth_error.as_deref();
        let description = details.oauth_error_description.as_deref();
        self.kind == ErrorKind::OAuth
            && matches!(code, Some("invalid_request" | "invalid_token"))
            && description == Some("Invalid token")
    }

    /// Whether both errors are the same failure.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.details, &other.details)
    }

    /// Returns the error for a token exchange that the manager did not send because the server has
    /// just refused too many others.
    #[must_use]
    pub fn too_many_refusals() -> Self {
        let mut error = Self::new(
            ErrorKind::OAuth,
            "the server refused ten token exchanges within a second, so the manager did not send \
             this one; check that onBehalfOf receives access tokens that the realm issued",
        );
        Arc::make_mut(&mut error.details).retryable = true;
        error
    }

    /// Adds the likely cause of a refusal: `fact` is a clause about the credential.
    #[must_use]
    pub fn with_likely_cause(mut self, fact: &str) -> Self {
        let message = &mut Arc::make_mut(&mut self.details).message;
        message.push_str("; likely cause: ");
        message.push_str(fact);
        self
    }

    /// Adds the details that the acquisition knows.
    #[must_use]
    pub fn in_acquisition(
        mut self,
        config: &Config,
        endpoint: Option<&TokenEndpoint>,
        attempts: u32,
        retry_after: Option<Duration>,
    ) -> Self {
        let details = Arc::make_mut(&mut self.details);
        details.attempts = Some(attempts);
        details.retry_after = retry_after;
        details.token_endpoint = endpoint.map(|endpoint| endpoint.shown().to_owned());
        details.client_id = Some(config.grant.client_id.clone());
        self
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the details of the failure.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }
}
