//! The client credentials grant (RFC 6749 §4.4), the token exchange (RFC 8693) and the JWT
//! authorization grant (RFC 7523) as types and pure functions: requests, responses, discovery,
//! client authentication, and the redaction of text from the server.
//!
//! This crate does no I/O, reads no clock and never waits, and no server input makes it panic.
//! [`Grant::request`] creates a request, and [`read_answer`] reads the answer.

mod assertion;
mod client_auth;
mod client_proof;
mod discovery;
mod document;
mod dpop;
mod endpoint;
mod error;
mod grant;
mod headers;
mod jwk;
mod key;
mod lifetime;
mod pem;
mod redact;
mod request;
mod response;
mod scope;
mod secret;
mod trace_parent;
mod unsupported_key;

pub use assertion::{AssertionClaims, AssertionKey, JWT_BEARER, SigningFault, sign_assertion};
pub use client_auth::ClientAuthentication;
pub use client_proof::ClientProof;
pub use discovery::{DiscoveryError, DocumentFault, Issuer, IssuerFault, Metadata, read_metadata};
pub use document::is_json_object;
pub use dpop::{DpopKey, ProofClaims, target_uri};
pub use endpoint::is_host;
pub use endpoint::{EndpointFault, TokenEndpoint};
pub use error::{AnswerError, ProtocolFault, is_temporary};
pub use grant::{ACCESS_TOKEN_TYPE, Grant, GrantType, RESERVED_PARAMETERS, ValueSet};
pub use headers::{ExtraHeaders, HeaderFault, header_value};
pub use key::{KeyFault, SigningAlgorithm, SigningKey};
pub use lifetime::{Lifetime, MAX_LIFETIME, token_audience, token_expiry};
pub use pem::{PemFlaw, certificates, private_key};
pub use redact::Redactor;
pub use request::{TokenRequest, revocation_request};
pub use response::{Answer, ContentEncoding, RetryAfter, TokenResponse, TokenType, read_answer};
pub use scope::{MAX_PARAMETER, Scope};
pub use secret::PrivateKey;
pub use secret::{
    AccessToken, ClientAssertion, ClientSecret, HeaderSecret, Secret, SecretFlaw, SubjectToken,
};
pub use trace_parent::{TRACE_PARENT, TraceParent};
pub use unsupported_key::UnsupportedKey;
