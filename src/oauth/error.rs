//! What can be wrong with an answer. Every text of the server in here was cleaned by a
//! [`Redactor`](super::Redactor).

use std::fmt;

/// Why an answer gives no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The server refused with an error response (RFC 6749 §5.2). Not retryable.
    OAuth {
        /// HTTP status.
        status: u16,
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// An HTTP error that says nothing about the grant: a gateway's page, a server in trouble, a
    /// path that does not exist. Retryable for 408, 429 and 5xx.
    Http {
        /// HTTP status.
        status: u16,
        /// `error`, if the body is JSON and has one.
        error: Option<String>,
        /// `error_description`, likewise.
        description: Option<String>,
    },
    /// An answer that is not a usable token response. Not retryable.
    Protocol {
        /// HTTP status.
        status: u16,
        /// What is wrong with it.
        fault: ProtocolFault,
        /// `error`, for [`ProtocolFault::ErrorInSuccess`], if it is a string.
        error: Option<String>,
    },
}

impl AnswerError {
    /// HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::OAuth { status, .. }
            | Self::Http { status, .. }
            | Self::Protocol { status, .. } => *status,
        }
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Http {
                status: 408 | 429 | 500..=599,
                ..
            }
        )
    }

    /// Whether the server refused the client itself, so that another secret may help. Keycloak
    /// says `unauthorized_client` for a wrong secret and `invalid_client` for an unknown client.
    #[must_use]
    pub fn is_client_refusal(&self) -> bool {
        let Self::OAuth { error, .. } = self else {
            return false;
        };
        matches!(error.as_str(), "invalid_client" | "unauthorized_client")
    }
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status())?;
        let (error, description) = match self {
            Self::OAuth {
                error, description, ..
            } => (Some(error), description.as_ref()),
            Self::Http {
                error, description, ..
            } => (error.as_ref(), description.as_ref()),
            Self::Protocol { fault, error, .. } => {
                write!(f, ", {fault}")?;
                (error.as_ref(), None)
            }
        };
        if let Some(error) = error {
            write!(f, ", {error}")?;
        }
        if let Some(description) = description {
            write!(f, ": {description}")?;
        }
        Ok(())
    }
}

impl std::error::Error for AnswerError {}

/// What makes an answer unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolFault {
    /// A 3xx. Followed, it would carry the secret to a place that nobody configured.
    Redirect,
    /// The body is not UTF-8.
    NotUtf8,
    /// The body is not JSON, or names a member that matters twice.
    NotJson,
    /// The body is JSON, but not an object.
    NotAnObject,
    /// The body is nested deeper than any token response.
    TooDeep,
    /// A success with an `error`.
    ErrorInSuccess,
    /// `access_token` is missing, empty or not a string.
    NoAccessToken,
    /// `access_token` has a character that cannot stand in a header.
    UnusableToken,
    /// `token_type` is there and not `Bearer`.
    TokenType,
}

impl fmt::Display for ProtocolFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Redirect => "the answer is a redirect, which is never followed",
            Self::NotUtf8 => "the answer is not valid UTF-8",
            Self::NotJson => "the answer is not valid JSON",
            Self::NotAnObject => "the answer is not a JSON object",
            Self::TooDeep => "the answer is nested too deeply",
            Self::ErrorInSuccess => "the answer reports success and an error",
            Self::NoAccessToken => "the answer has no access_token",
            Self::UnusableToken => "the access_token has characters that cannot stand in a header",
            Self::TokenType => "the token_type is not Bearer",
        })
    }
}

impl std::error::Error for ProtocolFault {}

#[cfg(test)]
mod tests {
    use super::*;

    fn oauth(status: u16, error: &str) -> AnswerError {
        AnswerError::OAuth {
            status,
            error: error.to_owned(),
            description: None,
        }
    }

    fn http(status: u16, error: Option<&str>) -> AnswerError {
        AnswerError::Http {
            status,
            error: error.map(str::to_owned),
            description: None,
        }
    }

    fn protocol(status: u16) -> AnswerError {
        AnswerError::Protocol {
            status,
            fault: ProtocolFault::NotJson,
            error: None,
        }
    }

    #[test]
    fn only_passing_trouble_is_retryable() {
        for (error, is_retryable) in [
            (http(400, None), false),
            (http(403, None), false),
            (http(404, Some("Realm does not exist")), false),
            (http(405, None), false),
            (http(407, None), false),
            (http(408, None), true),
            (http(409, None), false),
            (http(428, None), false),
            (http(429, None), true),
            (http(430, None), false),
            (http(499, None), false),
            (http(500, Some("unknown_error")), true),
            (http(503, None), true),
            (http(599, None), true),
            (http(600, None), false),
            (http(101, None), false),
            (oauth(400, "invalid_request"), false),
            (oauth(401, "unauthorized_client"), false),
            (oauth(429, "slow_down"), false),
            (protocol(200), false),
            (protocol(503), false),
        ] {
            assert_eq!(error.is_retryable(), is_retryable, "{error}");
        }
    }

    #[test]
    fn only_two_oauth_errors_refuse_the_client() {
        for (error, is_client_refusal) in [
            (oauth(401, "invalid_client"), true),
            (oauth(400, "invalid_client"), true),
            (oauth(401, "unauthorized_client"), true),
            (oauth(401, "Unauthorized_Client"), false),
            (oauth(400, "invalid_scope"), false),
            (oauth(403, "access_denied"), false),
            (http(500, Some("invalid_client")), false),
            (protocol(200), false),
        ] {
            assert_eq!(error.is_client_refusal(), is_client_refusal, "{error}");
        }
    }

    #[test]
    fn text_keeps_the_status() {
        let described = AnswerError::OAuth {
            status: 401,
            error: "unauthorized_client".to_owned(),
            description: Some("Invalid client".to_owned()),
        };
        for (error, text) in [
            (described, "status 401, unauthorized_client: Invalid client"),
            (http(502, None), "status 502"),
            (http(404, Some("Realm does not exist")), "status 404, Realm does not exist"),
            (protocol(200), "status 200, the answer is not valid JSON"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
