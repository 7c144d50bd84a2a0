//! Failures that the server's answer reports.

use std::sync::Arc;

use super::advice::{http_advice, oauth_advice, token_type_advice, unknown_refusal};
use super::{Error, ErrorKind};
use crate::config::Config;
use oauth::{AnswerError, DiscoveryError, DocumentFault, Issuer, ProtocolFault, TokenEndpoint};

/// The name that error messages use for a request for the discovery document.
const DISCOVERY: &str = "discovery";

impl Error {
    /// Returns the error for an answer without a usable token. `has_worked` says whether the
    /// endpoint has returned a token before.
    #[must_use]
    pub fn from_answer(
        error: AnswerError,
        has_worked: bool,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        Self::of_answer("the token request", error, has_worked, None, config, endpoint)
    }

    /// Returns the error for a refusal of the requested grant.
    pub(crate) fn from_refusal(
        error: AnswerError,
        advice: String,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        Self::of_answer("the token request", error, true, Some(advice), config, endpoint)
    }

    /// Returns the error for a discovery document that is missing or unusable. `has_worked` says
    /// whether the server has returned a token before.
    #[must_use]
    pub fn from_discovery(
        error: DiscoveryError,
        has_worked: bool,
        issuer: &Issuer,
        config: &Config,
    ) -> Self {
        let request = issuer.request();
        let (status, fault) = match error {
            DiscoveryError::Answer(error) => {
                return Self::of_answer(
                    DISCOVERY,
                    error,
                    has_worked,
                    None,
                    config,
                    &request.endpoint,
                );
            }
            DiscoveryError::Document { status, fault } => (status, fault),
        };
        let configured = issuer.url().shown();
        let problem = match fault {
            DocumentFault::Unreadable(fault) => {
                format!("{fault}; check that the option issuer is the URL of a realm")
            }
            DocumentFault::Issuer(named) if named.is_empty() => {
                "the discovery document has no \"issuer\" member; \
                 check that the option issuer is the URL of a realm"
                    .to_owned()
            }
            DocumentFault::Issuer(named) => format!(
                "the discovery document belongs to the issuer \"{named}\", not to \
                 \"{configured}\"; if Keycloak's public hostname differs from the configured one, \
                 set issuer to \"{named}\", or set tokenEndpoint instead"
            ),
            DocumentFault::NoTokenEndpoint => {
                "the discovery document has no token_endpoint that is an http or https URL; set \
                 tokenEndpoint instead of issuer"
                    .to_owned()
            }
            DocumentFault::PlainTokenEndpoint => {
                "the issuer uses https, but the token_endpoint in its discovery document uses \
                 http; correct Keycloak's hostname settings"
                    .to_owned()
            }
        };
        let url = request.endpoint.shown();
        let mut made = Self::new(
            ErrorKind::Protocol,
            format!("discovery failed with status {status} at {url}: {problem}"),
        );
        Arc::make_mut(&mut made.details).status = Some(status);
        made
    }

    fn of_answer(
        what: &str,
        error: AnswerError,
        has_worked: bool,
        advice: Option<String>,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        let retryable = error.is_retryable(has_worked);
        let endpoint = endpoint.shown();
        let (kind, status, code, description, advice) = match error {
            AnswerError::OAuth {
                status,
                error,
                description,
            } => {
                let advice = advice
                    .or_else(|| oauth_advice(&error, description.as_deref(), config))
                    .unwrap_or_else(|| unknown_refusal(what == DISCOVERY, config));
                (ErrorKind::OAuth, status, Some(error), description, advice)
            }
            AnswerError::Http {
                status,
                error,
                description,
                encoding,
                ..
            } => {
                let advice = if let Some(encoding) = encoding {
                    format!(
                        "{}; turn off compression for token responses",
                        ProtocolFault::Encoded(encoding)
                    )
                } else {
                    let is_discovery = what == DISCOVERY;
                    http_advice(status, error.as_deref(), retryable, is_discovery, config)
                };
                (ErrorKind::Http, status, error, description, advice)
            }
            AnswerError::Protocol {
                status,
                fault,
                error,
            } => {
                let option = config.target.option();
                let advice = token_type_advice(fault, config)
                    .unwrap_or_else(|| format!("check that {option} is the right URL"));
                let advice = format!("{fault}; {advice}");
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
}
