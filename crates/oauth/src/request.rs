//! The token request of the grant (RFC 6749 §4.4.2), as bytes that are ready to send.

use std::fmt;

use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::client_auth::{ClientAuthentication, basic_credentials, form_encoded_capacity};
use super::client_proof::ClientProof;
use super::endpoint::TokenEndpoint;
use super::headers::ExtraHeaders;
use super::redact::REDACTED;
use super::scope::Scope;
use super::secret::ClientSecret;

/// The form fields that belong to the grant. The `parameters` of a [`ClientCredentialsGrant`] must
/// not contain them: Keycloak refuses a request that contains a field twice.
pub const RESERVED_PARAMETERS: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
];

const BASIC: &str = "Basic ";

/// The grant to request, without the credential, which may change between two requests.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCredentialsGrant {
    /// The client's id.
    pub client_id: String,
    /// The client authentication method.
    pub authentication: ClientAuthentication,
    /// The requested scope. With `None`, the server applies its default scope.
    pub scope: Option<Scope>,
    /// Additional form fields, in this order. [`RESERVED_PARAMETERS`] must not contain their names.
    pub parameters: Vec<(String, String)>,
}

impl ClientCredentialsGrant {
    /// Creates the token request for `endpoint`.
    #[must_use]
    pub fn request(&self, endpoint: &TokenEndpoint, proof: &ClientProof) -> TokenRequest {
        let authorization = match proof {
            ClientProof::SecretBasic(secret) => Some(self.authorization(secret)),
            _ => None,
        };
        TokenRequest {
            endpoint: endpoint.clone(),
            authorization,
            headers: ExtraHeaders::default(),
            body: Some(self.body(proof)),
        }
    }

    fn authorization(&self, secret: &ClientSecret) -> Zeroizing<String> {
        let credentials = basic_credentials(&self.client_id, secret.expose());
        let capacity = BASIC.len().saturating_add(credentials.len());
        let mut value = Zeroizing::new(String::with_capacity(capacity));
        value.push_str(BASIC);
        value.push_str(&credentials);
        value
    }

    fn body(&self, proof: &ClientProof) -> Zeroizing<Vec<u8>> {
        let fields = self.fields(proof);
        let capacity = fields.iter().fold(0, |capacity: usize, (name, value)| {
            let separators = 2;
            capacity
                .saturating_add(form_encoded_capacity(name))
                .saturating_add(form_encoded_capacity(value))
                .saturating_add(separators)
        });
        let mut form = Serializer::new(String::with_capacity(capacity));
        Zeroizing::new(form.extend_pairs(fields).finish().into_bytes())
    }

    /// Returns the fields of the form. Every method except Basic sends the client id in the form.
    /// The client id is optional with an assertion (RFC 7521 §4.2), but a server needs it to report
    /// a faulty assertion.
    fn fields<'a>(&'a self, proof: &'a ClientProof) -> Vec<(&'a str, &'a str)> {
        let mut fields = vec![("grant_type", "client_credentials")];
        if !matches!(proof, ClientProof::SecretBasic(_)) {
            fields.push(("client_id", &self.client_id));
        }
        match proof {
            ClientProof::SecretPost(secret) => fields.push(("client_secret", secret.expose())),
            ClientProof::Assertion { kind, assertion } => fields.extend([
                ("client_assertion_type", &**kind),
                ("client_assertion", assertion.expose()),
            ]),
            ClientProof::SecretBasic(_) | ClientProof::Certificate => {}
        }
        if let Some(scope) = &self.scope {
            fields.push(("scope", scope.as_str()));
        }
        let parameters = self.parameters.iter();
        fields.extend(parameters.map(|(name, value)| (name.as_str(), value.as_str())));
        fields
    }
}

/// Shows the names of the additional form fields but not their values, which may be confidential.
impl fmt::Debug for ClientCredentialsGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("ClientCredentialsGrant")
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication)
            .field("scope", &self.scope)
            .field("parameters", &names)
            .finish()
    }
}

/// A `POST` of `application/x-www-form-urlencoded`, or a `GET` of a document.
#[derive(Clone)]
pub struct TokenRequest {
    /// The URL of the request.
    pub endpoint: TokenEndpoint,
    /// The `Authorization` header.
    pub authorization: Option<Zeroizing<String>>,
    /// Additional headers.
    pub headers: ExtraHeaders,
    /// The form; a request without a form is a `GET`.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("endpoint", &self.endpoint.as_str())
            .field("authorization", &self.authorization.as_ref().map(|_| REDACTED))
            .field("headers", &self.headers)
            .field("body", &REDACTED)
            .finish()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::sync::Arc;

    use url::form_urlencoded;

    use super::*;
    use crate::{ClientAssertion, JWT_BEARER};

    const CANARY: &str = "+%:/&=\"\\ é";

    fn client_proof(authentication: ClientAuthentication) -> ClientProof {
        let secret = Arc::new(ClientSecret::new(CANARY.to_owned()).unwrap());
        match authentication {
            ClientAuthentication::SecretPost => ClientProof::SecretPost(secret),
            ClientAuthentication::SecretBasic => ClientProof::SecretBasic(secret),
            ClientAuthentication::TlsClientAuth => ClientProof::Certificate,
            _ => ClientProof::Assertion {
                kind: JWT_BEARER.into(),
                assertion: Arc::new(ClientAssertion::new("a.b.c".to_owned()).unwrap()),
            },
        }
    }

    fn request(grant: &ClientCredentialsGrant) -> TokenRequest {
        let endpoint = TokenEndpoint::parse("https://sso.example/token").unwrap();
        grant.request(&endpoint, &client_proof(grant.authentication))
    }

    fn form(grant: &ClientCredentialsGrant) -> Zeroizing<Vec<u8>> {
        request(grant).body.unwrap()
    }

    fn grant(authentication: ClientAuthentication) -> ClientCredentialsGrant {
        ClientCredentialsGrant {
            client_id: "my client".to_owned(),
            authentication,
            scope: None,
            parameters: Vec::new(),
        }
    }

    #[test]
    fn form_has_the_fields_of_the_method_and_the_options() {
        use ClientAuthentication::{PrivateKeyJwt, SecretBasic, SecretPost, TlsClientAuth};
        let post = "grant_type=client_credentials&client_id=my+client\
                    &client_secret=%2B%25%3A%2F%26%3D%22%5C+%C3%A9";
        let basic = "grant_type=client_credentials";
        let extra = [("audience", "a&b"), ("x y", "é"), ("empty", "")];
        for (name, method, scope, parameters, expected) in [
            ("post", SecretPost, None, &[][..], post.to_owned()),
            ("basic", SecretBasic, None, &[], basic.to_owned()),
            ("post, scope", SecretPost, Some("a b"), &[], format!("{post}&scope=a+b")),
            (
                "assertion, scope",
                PrivateKeyJwt,
                Some("a"),
                &[],
                format!(
                    "{basic}&client_id=my+client&client_assertion_type=urn%3Aietf%3Aparams%3A\
                     oauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=a.b.c&scope=a"
                ),
            ),
            ("certificate", TlsClientAuth, None, &[], format!("{basic}&client_id=my+client")),
            ("basic, scope", SecretBasic, Some("a b"), &[], format!("{basic}&scope=a+b")),
            (
                "basic, parameters",
                SecretBasic,
                None,
                &extra,
                format!("{basic}&audience=a%26b&x+y=%C3%A9&empty="),
            ),
            (
                "post, all",
                SecretPost,
                Some("a"),
                &extra,
                format!("{post}&scope=a&audience=a%26b&x+y=%C3%A9&empty="),
            ),
        ] {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let request = request(&ClientCredentialsGrant {
                scope: scope.map(|scope| Scope::parse(scope).unwrap()),
                parameters: parameters.iter().map(owned).collect(),
                ..grant(method)
            });
            assert_eq!(str::from_utf8(request.body.as_ref().unwrap()).unwrap(), expected, "{name}");
            assert_eq!(request.authorization.is_some(), method == SecretBasic, "{name}");
            assert_eq!(request.endpoint.as_str(), "https://sso.example/token", "{name}");
        }
    }

    #[test]
    fn buffers_with_the_secret_never_move() {
        for method in ClientAuthentication::ALL {
            let request = request(&grant(method));
            let body = request.body.unwrap();
            let fields = form_urlencoded::parse(&body).into_owned();
            let capacity = fields.map(|(name, value)| 3 * (name.len() + value.len()) + 2);
            assert_eq!(body.capacity(), capacity.sum::<usize>());
            if let Some(value) = request.authorization {
                assert_eq!(value.capacity(), value.len());
            }
        }
    }

    #[test]
    fn reserved_parameters_cover_every_field_that_is_set() {
        for method in ClientAuthentication::ALL {
            let grant = ClientCredentialsGrant {
                scope: Scope::parse("a"),
                ..grant(method)
            };
            for (name, _) in form_urlencoded::parse(&form(&grant)) {
                assert!(RESERVED_PARAMETERS.contains(&&*name), "{name}");
            }
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let grant = ClientCredentialsGrant {
            parameters: vec![("pin".to_owned(), "1234".to_owned())],
            ..grant(ClientAuthentication::SecretBasic)
        };
        let text = format!("{grant:?} {:?}", request(&grant));
        assert!(text.contains("pin") && text.contains("my client"), "{text}");
        assert!(text.contains("authorization: Some(\"[redacted]\")"), "{text}");
        for hidden in ["1234", "bXkr", "%2B", "grant_type"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}
