//! The error type of the package: a kind, a message for people, and details for programs.
//!
//! Every text in an error is safe to show: `oauth` has cleaned the texts of the server. This module
//! alone maps kinds to codes; a test compares `index.d.ts` with it.

use std::sync::Arc;
use std::time::Duration;

use super::acquire::backoff::{CoolDownRange, LONG_COOLDOWN, SHORT_COOLDOWN};
use super::config::{Config, Target};
use super::credential;
use oauth::{
    AnswerError, ClientAuthentication, DiscoveryError, DocumentFault, Issuer, TokenEndpoint,
};
use transport::{NetworkFault, Stage, TlsFault, TransportError};

/// The kind of failure, as far as a program can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Options are wrong. Not retryable.
    Config,
    /// An argument of a call is wrong. Not retryable.
    Request,
    /// A credential or a certificate file cannot be read or used. Not retryable.
    Credential,
    /// The server refused with an OAuth error. Retryable for `temporarily_unavailable` and
    /// `server_error`.
    OAuth,
    /// An HTTP error that is not an OAuth error response. Retryable for 408, 429 and 5xx.
    Http,
    /// An answer that is not a usable token response. Not retryable.
    Protocol,
    /// A failed name look-up, or a connection that was refused, reset or cut short. Retryable.
    Network,
    /// The certificate or the TLS handshake failed. Not retryable.
    Tls,
    /// The deadline passed. Retryable.
    Timeout,
    /// The manager was closed. Not retryable.
    Closed,
    /// A bug in this package. Not retryable.
    Internal,
}

impl ErrorKind {
    /// Every kind.
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

    /// The code that JavaScript sees.
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

    /// The cool-down after failures of this kind: long for failures that an operator has to fix,
    /// short for transient ones.
    #[must_use]
    pub const fn cooldown(self) -> CoolDownRange {
        match self {
            Self::OAuth | Self::Credential | Self::Tls => LONG_COOLDOWN,
            _ => SHORT_COOLDOWN,
        }
    }
}

/// The details of a failure.
#[derive(Clone, Debug)]
pub struct Details {
    /// What happened, where, and what to do.
    pub message: String,
    /// Whether the same acquisition may succeed later without a change on the client's side.
    pub retryable: bool,
    /// HTTP status.
    pub status: Option<u16>,
    /// `error` of the answer, cleaned.
    pub oauth_error: Option<String>,
    /// `error_description` of the answer, cleaned.
    pub oauth_error_description: Option<String>,
    /// The server's `Retry-After`, counted from the failure.
    pub retry_after: Option<Duration>,
    /// The number of requests sent in the acquisition.
    pub attempts: Option<u32>,
    /// The URL of the token endpoint.
    pub token_endpoint: Option<String>,
    /// The id of the client.
    pub client_id: Option<String>,
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
                status: None,
                oauth_error: None,
                oauth_error_description: None,
                retry_after: None,
                attempts: None,
                token_endpoint: None,
                client_id: None,
            }),
        }
    }

    /// The manager was closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the token manager was closed")
    }

    /// A bug in this package.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(ErrorKind::Internal, "internal error in keycloak-token-manager; please report it")
    }

    /// The operating system refused a thread or a file descriptor that a request needs.
    #[must_use]
    pub fn no_engine(config: &Config) -> Self {
        Self::new(
            ErrorKind::Network,
            "no request was sent: the process has reached its limit of threads or file \
             descriptors; raise the limit",
        )
        .in_acquisition(config, config.target.endpoint(), 0, None)
    }

    /// A credential that cannot be obtained or used.
    #[must_use]
    pub fn credential(what: &str) -> Self {
        Self::new(ErrorKind::Credential, what)
    }

    /// The deadline passed at this stage of a request.
    #[must_use]
    pub fn timeout(
        config: &Config,
        endpoint: Option<&TokenEndpoint>,
        request: &str,
        stage: Stage,
    ) -> Self {
        let endpoint = endpoint.unwrap_or(config.target.url()).shown();
        let limit = config.request_timeout.as_millis();
        let (stage, advice) = match stage {
            Stage::WaitingForFile => (
                "reading a file of trusted certificates",
                "check the storage of caFile and of NODE_EXTRA_CA_CERTS",
            ),
            Stage::WaitingForEventLoop => (
                "waiting for the event loop to hand over the certificates that Node trusts",
                "find what blocks the event loop",
            ),
            Stage::WaitingForFreeSlot => (
                "waiting for other requests to this server to finish",
                "check that Keycloak answers there",
            ),
            Stage::Connecting => ("connecting", "check that Keycloak can be reached there"),
            Stage::WaitingForAnswer => {
                ("waiting for the answer", "check that Keycloak answers there")
            }
        };
        Self::new(
            ErrorKind::Timeout,
            format!(
                "no token from {endpoint} within {limit} ms ({request}{stage}); {advice}, or raise \
                 requestTimeoutMs"
            ),
        )
    }

    /// A response of the server without a usable token.
    #[must_use]
    pub fn from_answer(error: AnswerError, config: &Config, endpoint: &TokenEndpoint) -> Self {
        Self::of_answer("token request", error, config, endpoint)
    }

    /// The issuer's discovery document is missing or unusable.
    #[must_use]
    pub fn from_discovery(error: DiscoveryError, issuer: &Issuer, config: &Config) -> Self {
        let request = issuer.request();
        let (status, fault) = match error {
            DiscoveryError::Answer(error) => {
                return Self::of_answer("discovery", error, config, &request.endpoint);
            }
            DiscoveryError::Document { status, fault } => (status, fault),
        };
        let configured = issuer.url().shown();
        let problem = match fault {
            DocumentFault::Unreadable(fault) => {
                format!("{fault}; check that issuer is the URL of a realm")
            }
            DocumentFault::Issuer(named) if named.is_empty() => {
                "the document has no issuer; check that issuer is the URL of a realm".to_owned()
            }
            DocumentFault::Issuer(named) => format!(
                "the document belongs to \"{named}\", not to \"{configured}\"; if Keycloak has \
                 another public hostname, set issuer to it, or set tokenEndpoint instead of issuer"
            ),
            DocumentFault::NoTokenEndpoint => {
                "the document has no token_endpoint that is an http or https URL; \
                 set tokenEndpoint instead of issuer"
                    .to_owned()
            }
            DocumentFault::PlainTokenEndpoint => {
                "the issuer uses https, but the token_endpoint in its document uses http; \
                 correct the hostname settings of Keycloak"
                    .to_owned()
            }
        };
        let place = request.endpoint.shown();
        let mut made = Self::new(
            ErrorKind::Protocol,
            format!("discovery failed with status {status} at {place}: {problem}"),
        );
        Arc::make_mut(&mut made.details).status = Some(status);
        made
    }

    fn of_answer(
        what: &str,
        error: AnswerError,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        let retryable = error.is_retryable();
        let endpoint = endpoint.shown();
        let (kind, status, code, description, advice) = match error {
            AnswerError::OAuth {
                status,
                error,
                description,
            } => {
                let advice = oauth_advice(&error, description.as_deref(), config);
                (ErrorKind::OAuth, status, Some(error), description, advice)
            }
            AnswerError::Http {
                status,
                error,
                description,
            } => {
                let advice = http_advice(status, error.as_deref(), config);
                (ErrorKind::Http, status, error, description, advice)
            }
            AnswerError::Protocol {
                status,
                fault,
                error,
            } => {
                let option = config.target.option();
                let advice = format!("{fault}; check that {option} is the right URL");
                (ErrorKind::Protocol, status, error, None, advice)
            }
        };
        let mut message = format!("{what} failed with status {status}");
        if let Some(code) = &code {
            message.push(' ');
            message.push_str(code);
        }
        message.push_str(" at ");
        message.push_str(endpoint);
        message.push_str(": ");
        message.push_str(&advice);
        if let Some(description) = &description {
            message.push_str(" (the server says: ");
            message.push_str(description);
            message.push(')');
        }
        let mut made = Self::new(kind, message);
        let details = Arc::make_mut(&mut made.details);
        details.retryable = retryable;
        details.status = Some(status);
        details.oauth_error = code;
        details.oauth_error_description = description;
        made
    }

    /// A missing or incomplete answer. A lost kept connection is an error only if its replacement
    /// was lost too.
    #[must_use]
    pub fn from_transport(
        what: &str,
        error: TransportError,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        let endpoint = endpoint.shown();
        match error {
            TransportError::Network { fault, detail } => {
                let has_ended = matches!(fault, NetworkFault::CutShort | NetworkFault::Reset);
                let hint = certificate_hint(config, has_ended);
                Self::new(
                    ErrorKind::Network,
                    format!("{what} to {endpoint} failed: {detail}{hint}"),
                )
            }
            TransportError::Tls { fault, detail } => {
                let hint = certificate_hint(config, fault == TlsFault::Refused);
                Self::new(
                    ErrorKind::Tls,
                    format!("no secure connection to {endpoint}: {detail}{hint}"),
                )
            }
            TransportError::BodyTooLarge { status } => {
                let mut made = Self::new(
                    ErrorKind::Protocol,
                    format!(
                        "{what} failed with status {status} at {endpoint}: the answer is larger \
                         than 1 MiB and cannot be a token response; check the URL"
                    ),
                );
                Arc::make_mut(&mut made.details).status = Some(status);
                made
            }
            TransportError::TrustFile { path, detail } => {
                Self::credential(&format!("caFile \"{path}\" {detail}"))
            }
            TransportError::Identity(fault) => {
                let (option, detail) = fault.describe();
                credential::unusable(&config.credential.name_of(option), &detail)
            }
            TransportError::ConnectionReplaced => Self::new(
                ErrorKind::Network,
                format!("{what} to {endpoint} failed: the connection was lost"),
            ),
            TransportError::Internal => Self::internal(),
        }
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

    /// The kind of failure.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The details of the failure.
    #[must_use]
    pub fn details(&self) -> &Details {
        &self.details
    }
}

/// A server that rejects a client certificate may send an alert or just close the connection.
fn certificate_hint(config: &Config, is_likely: bool) -> &'static str {
    if is_likely && config.grant.authentication == ClientAuthentication::TlsClientAuth {
        "; the server may have rejected the client certificate"
    } else {
        ""
    }
}

/// The advice for an OAuth error. Keycloak uses the codes differently from RFC 6749: a wrong secret
/// is `unauthorized_client`, an unknown client is `invalid_client`, and both have status 401.
fn oauth_advice(error: &str, description: Option<&str>, config: &Config) -> String {
    let client = config.grant.client_id.escape_default();
    let option = config.target.option();
    let proof = name_of_proof(config.grant.authentication);
    let says = |text: &str| description.is_some_and(|d| d.contains(text));
    match error {
        "unauthorized_client" if says("service account") && says("Public client") => format!(
            "client \"{client}\" is public; turn on its client authentication and service account \
             roles"
        ),
        "unauthorized_client" if says("service account") => {
            format!(
                "the service account of client \"{client}\" is off; turn on service account roles"
            )
        }
        "unauthorized_client" if says("Invalid method") => format!(
            "client \"{client}\" requires another authentication method for its secret; \
             set clientAuthentication"
        ),
        // Older servers wrap these texts in a longer sentence.
        "invalid_client" | "unauthorized_client" if says("issued in the future") => {
            "the clock of this machine is ahead of the server's; correct it".to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("Token is not active") => {
            "the assertion has expired or is not valid yet; correct the clock of this machine, or \
             renew the assertion"
                .to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("audience") => {
            "the server does not accept the audience of the assertion; set assertionAudience to \
             the issuer in the server's discovery document"
                .to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("signature algorithm") => format!(
            "client \"{client}\" requires another signature algorithm; set signingAlgorithm"
        ),
        "invalid_client" | "unauthorized_client" if says("public key") => format!(
            "the server has no public key of client \"{client}\" that verifies the assertion; \
             register the key, or set keyId to its kid"
        ),
        "unauthorized_client" => {
            format!("{proof} of client \"{client}\" is wrong or its service account is off")
        }
        "invalid_client" if says("Bearer-only") => {
            format!(
                "client \"{client}\" is bearer-only and cannot obtain tokens; \
                 use another client"
            )
        }
        "invalid_client" if says("client_assertion") => format!(
            "client \"{client}\" must authenticate with a signed JWT; \
             set clientAuthentication"
        ),
        "invalid_client" => format!(
            "client \"{client}\" is unknown or disabled in this realm, {proof} is wrong, or the \
             client requires another authentication method"
        ),
        "invalid_scope" => {
            format!(
                "a requested scope is unknown or not assigned to client \"{client}\"; \
                 correct scope"
            )
        }
        "access_denied" if says("Realm not enabled") => {
            "the realm is disabled; enable it in Keycloak".to_owned()
        }
        "invalid_request" if says("HTTPS required") => {
            "the realm requires https from this address; use its https URL".to_owned()
        }
        "invalid_request" if says("disabled") => {
            format!("the service account user of client \"{client}\" is disabled; enable it")
        }
        "invalid_request" if says("DPoP") => format!(
            "client \"{client}\" requires DPoP-bound tokens, which this package does not support; \
             turn off that requirement for the client"
        ),
        "invalid_request" if says("MTLS") => format!(
            "client \"{client}\" requires certificate-bound tokens; set clientCertificate and \
             clientKey, or turn off that requirement"
        ),
        "missingNormalization" | "invalidCharacter" => format!(
            "the path of the URL contains a double slash, a dot segment, an unnecessary escape or \
             a semicolon; correct {option}"
        ),
        "invalid_request" if says("Token not provided") => not_the_place(config),
        "unsupported_grant_type" => {
            format!("the server does not support the client credentials grant; check {option}")
        }
        // Keycloak's other endpoints return a sentence where OAuth defines a code.
        prose if prose.contains(' ') => not_the_place(config),
        _ => format!(
            "the server refused client \"{client}\"; see Keycloak's events and the client policies \
             of the realm for the reason"
        ),
    }
}

fn not_the_place(config: &Config) -> String {
    match config.target {
        Target::Endpoint(_) => "this URL is not a token endpoint; Keycloak's is \
             {base}/realms/{realm}/protocol/openid-connect/token"
            .to_owned(),
        Target::Issuer(_) => {
            "this URL is not the issuer of a realm; Keycloak's is {base}/realms/{realm}".to_owned()
        }
    }
}

/// The name of the client's credential in messages.
fn name_of_proof(method: ClientAuthentication) -> &'static str {
    match method {
        ClientAuthentication::SecretPost
        | ClientAuthentication::SecretBasic
        | ClientAuthentication::SecretJwt => "the secret",
        ClientAuthentication::PrivateKeyJwt => "the key",
        ClientAuthentication::TlsClientAuth => "the certificate",
        ClientAuthentication::AssertionFile => "the assertion",
    }
}

fn http_advice(status: u16, error: Option<&str>, config: &Config) -> String {
    let option = config.target.option();
    match (status, error) {
        (404, Some("Realm does not exist")) => {
            format!("the realm in the URL does not exist (yet); check {option}")
        }
        (404 | 405, _) => not_the_place(config),
        (408 | 429 | 500..=599, _) => {
            "the server, or a gateway in front of it, is unavailable; see its status and log"
                .to_owned()
        }
        _ => format!("the answer is not from an OAuth server; check {option}"),
    }
}
