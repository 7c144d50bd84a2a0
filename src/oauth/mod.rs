//! The client credentials grant (RFC 6749 §4.4) as pure types and functions: what is sent, what an
//! answer means, and what of it may be shown.
//!
//! Nothing here does I/O, reads a clock, waits or knows who asks; nothing panics, whatever a server
//! sends. [`ClientCredentialsGrant::request`] is the way out, [`read_answer`] the way in.

mod client_auth;
mod document;
mod endpoint;
mod error;
mod lifetime;
mod redact;
mod request;
mod response;
mod scope;
mod secret;

pub use client_auth::ClientAuthentication;
pub use endpoint::{EndpointFault, TokenEndpoint};
pub use error::{AnswerError, ProtocolFault};
pub use lifetime::{Lifetime, MAX_LIFETIME};
pub use redact::Redactor;
pub use request::{ClientCredentialsGrant, RESERVED_PARAMETERS, TokenRequest};
pub use response::{Answer, RetryAfter, TokenResponse, read_answer};
pub use scope::Scope;
pub use secret::{AccessToken, ClientSecret};
