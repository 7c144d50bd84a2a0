//! The faults of an answer. A [`Redactor`](super::Redactor) has cleaned any text in them that comes
//! from the server.

use super::response::ContentEncoding;

/// Whether the status alone shows that the same request may succeed later.
#[must_use]
pub const fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..=599)
}

/// Why an answer contains no usable token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The server refused with an error response (RFC 6749 §5.2).
    OAuth {
        /// The HTTP status.
        status: u16,
        /// The value of `error`.
        error: String,
        /// The value of `error_description`.
        description: Option<String>,
    },
    /// An HTTP error that is unrelated to the grant: a gateway's error page, a failing server, a
    /// path that does not exist.
    Http {
        /// The HTTP status.
        status: u16,
        /// The value of `error`, if the body is JSON and contains one.
        error: Option<String>,
        /// The value of `error_description`, if the body is JSON and contains one.
        description: Option<String>,
        /// Whether the body is JSON. A gateway's error page is not JSON.
        is_json: bool,
        /// The encoding of a body that is not JSON, although the request accepted no encoding.
        encoding: Option<ContentEncoding>,
    },
    /// An answer that is not a usable token response.
    Protocol {
        /// The HTTP status.
        status: u16,
        /// The fault.
        fault: ProtocolFault,
        /// The value of `error`, for [`ProtocolFault::ErrorInSuccess`], if it is a string.
        error: Option<String>,
    },
}

impl AnswerError {
    /// Returns the HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::OAuth { status, .. }
            | Self::Http { status, .. }
            | Self::Protocol { status, .. } => *status,
        }
    }

    /// Whether the same request may succeed later, according to the status or the code. A 403 or
    /// 404 without JSON comes from a gateway in front of the server. Such an answer is temporary if
    /// this endpoint has worked before.
    #[must_use]
    pub fn is_retryable(&self, has_worked: bool) -> bool {
        let is_passing = |code: &str| matches!(code, "temporarily_unavailable" | "server_error");
        match self {
            Self::OAuth { error, .. } => is_passing(error),
            Self::Http {
                status,
                error,
                is_json,
                ..
            } => {
                is_temporary(*status)
                    || error.as_deref().is_some_and(is_passing)
                    || matches!(status, 403 | 404) && !is_json && has_worked
            }
            Self::Protocol { .. } => false,
        }
    }

    /// Whether the server refused the client itself, so that another credential may help. Keycloak
    /// says `unauthorized_client` for a wrong secret and `invalid_client` for an unknown client. A
    /// 401 whose body is encoded probably contains one of these codes.
    #[must_use]
    pub fn is_client_refusal(&self) -> bool {
        match self {
            Self::OAuth { error, .. } => {
                matches!(error.as_str(), "invalid_client" | "unauthorized_client")
            }
            Self::Http {
                status, encoding, ..
            } => *status == 401 && encoding.is_some(),
            Self::Protocol { .. } => false,
        }
    }

    /// Whether the server or a gateway refused the request because the request or its headers were
    /// too large.
    #[must_use]
    pub const fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::Http {
                status: 413 | 414 | 431,
                ..
            }
        )
    }
}

/// Why a response is unusable. `Display` is a clause about the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolFault {
    /// The response has a 3xx status. Following the redirect would send the secret to a URL that
    /// the user did not configure.
    #[error("the response is a redirect, which the manager never follows")]
    Redirect,
    /// The body is encoded, although the request accepted no encoding.
    #[error("the response is compressed with {0}, which the manager did not request")]
    Encoded(ContentEncoding),
    /// The body is not JSON.
    #[error("the response is not valid JSON")]
    NotJson,
    /// The body is JSON but not an object.
    #[error("the response is not a JSON object")]
    NotAnObject,
    /// The response has a success status and an `error`.
    #[error("the response reports both success and an error")]
    ErrorInSuccess,
    /// `access_token` is missing, empty or not a string.
    #[error("the response has no access_token")]
    NoAccessToken,
    /// `access_token` contains a character that a header cannot carry.
    #[error("the access_token contains characters that a header cannot carry")]
    UnusableToken,
    /// `token_type` is present but neither `Bearer` nor `DPoP`.
    #[error("the token_type is neither Bearer nor DPoP")]
    TokenType,
    /// The request had a DPoP proof, but `token_type` is not `DPoP`.
    #[error("the server ignored the DPoP proof: the token_type is not DPoP")]
    NotBound,
    /// The request had no DPoP proof, but `token_type` is `DPoP`.
    #[error("the token_type is DPoP, but the request had no DPoP proof")]
    Bound,
}

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
            is_json: error.is_some(),
            encoding: None,
        }
    }

    fn encoded(status: u16) -> AnswerError {
        AnswerError::Http {
            status,
            error: None,
            description: None,
            is_json: false,
            encoding: Some(ContentEncoding::Gzip),
        }
    }

    fn protocol(status: u16, error: Option<&str>) -> AnswerError {
        AnswerError::Protocol {
            status,
            fault: ProtocolFault::ErrorInSuccess,
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn only_transient_failures_are_retryable() {
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
            (oauth(400, "temporarily_unavailable"), true),
            (oauth(401, "server_error"), true),
            (oauth(400, "Server_Error"), false),
            (http(404, Some("temporarily_unavailable")), true),
            (protocol(200, Some("temporarily_unavailable")), false),
            (protocol(200, Some("invalid_client")), false),
            (protocol(200, None), false),
            (protocol(503, None), false),
        ] {
            assert_eq!(error.is_retryable(false), is_retryable, "{error:?}");
        }
    }

    #[test]
    fn a_gateways_page_at_an_endpoint_that_has_worked_is_retryable() {
        for (error, is_retryable) in [
            (http(403, None), true),
            (http(404, None), true),
            (http(403, Some("forbidden")), false),
            (http(404, Some("Realm does not exist")), false),
            (http(400, None), false),
            (http(401, None), false),
            (http(405, None), false),
            (oauth(403, "access_denied"), false),
        ] {
            assert_eq!(error.is_retryable(true), is_retryable, "{error:?}");
        }
    }

    #[test]
    fn only_two_oauth_errors_and_an_encoded_401_reject_the_client() {
        for (error, is_client_refusal) in [
            (oauth(401, "invalid_client"), true),
            (oauth(400, "invalid_client"), true),
            (oauth(401, "unauthorized_client"), true),
            (oauth(401, "Unauthorized_Client"), false),
            (oauth(400, "invalid_scope"), false),
            (oauth(403, "access_denied"), false),
            (http(500, Some("invalid_client")), false),
            (http(401, None), false),
            (encoded(401), true),
            (encoded(400), false),
            (protocol(200, None), false),
        ] {
            assert_eq!(error.is_client_refusal(), is_client_refusal, "{error:?}");
        }
    }
}
