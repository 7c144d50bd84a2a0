//! The credential that authenticates a client in one request.

use std::sync::Arc;

use super::secret::{ClientAssertion, ClientSecret};

/// A client's credential for one request. Cheap to clone.
#[derive(Clone, Debug)]
pub enum ClientProof {
    /// `client_id` and `client_secret` in the form.
    SecretPost(Arc<ClientSecret>),
    /// `Authorization: Basic` with the client id and the secret, both form-encoded.
    SecretBasic(Arc<ClientSecret>),
    /// `client_assertion` in the form.
    Assertion {
        /// The value of `client_assertion_type`.
        kind: Arc<str>,
        /// The assertion.
        assertion: Arc<ClientAssertion>,
    },
    /// The certificate of the connection; the form contains only the client id.
    Certificate,
}
