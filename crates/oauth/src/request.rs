//! The token request of a grant (RFC 6749 §4.4.2), as bytes that are ready to send.

use std::fmt;

use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use super::client_auth::{basic_credentials, form_encoded_capacity};
use super::client_proof::ClientProof;
use super::endpoint::TokenEndpoint;
use super::grant::Grant;
use super::headers::ExtraHeaders;
use super::redact::REDACTED;
use super::secret::{AccessToken, ClientSecret};

const BASIC: &str = "Basic ";

impl Grant {
    /// Creates the token request for `endpoint`.
    #[must_use]
    pub fn request(&self, endpoint: &TokenEndpoint, proof: &ClientProof) -> TokenRequest {
        form_request(endpoint, &self.client_id, proof, self.fields())
    }
}

/// Creates the request to revoke an access token at `endpoint` (RFC 7009 §2.1).
#[must_use]
pub fn revocation_request(
    endpoint: &TokenEndpoint,
    client_id: &str,
    proof: &ClientProof,
    token: &AccessToken,
) -> TokenRequest {
    let fields = vec![("token", token.expose()), ("token_type_hint", "access_token")];
    form_request(endpoint, client_id, proof, fields)
}

/// Creates a form with these fields. The fields that authenticate the client follow the first one.
/// Every method but Basic sends the client id in the form. The client id is optional with an
/// assertion (RFC 7521 §4.2), but a server needs it to report a faulty assertion.
fn form_request<'a>(
    endpoint: &TokenEndpoint,
    client_id: &'a str,
    proof: &'a ClientProof,
    mut fields: Vec<(&'a str, &'a str)>,
) -> TokenRequest {
    let mut authorization = None;
    // The first field shows the purpose of the form, so it stays first.
    let mut client = Vec::with_capacity(3);
    if let ClientProof::SecretBasic(secret) = proof {
        authorization = Some(basic_authorization(client_id, secret));
    } else {
        client.push(("client_id", client_id));
    }
    match proof {
        ClientProof::SecretPost(secret) => client.push(("client_secret", secret.expose())),
        ClientProof::Assertion { kind, assertion } => client
            .extend([("client_assertion_type", &**kind), ("client_assertion", assertion.expose())]),
        ClientProof::SecretBasic(_) | ClientProof::Certificate => {}
    }
    let first = fields.len().min(1);
    fields.splice(first..first, client);
    TokenRequest {
        endpoint: endpoint.clone(),
        authorization,
        headers: ExtraHeaders::default(),
        body: Some(form(&fields)),
    }
}

fn basic_authorization(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    let credentials = basic_credentials(client_id, secret.expose());
    let capacity = BASIC.len().saturating_add(credentials.len());
    let mut value = Zeroizing::new(String::with_capacity(capacity));
    value.push_str(BASIC);
    value.push_str(&credentials);
    value
}

fn form(fields: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
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
mod tests {
    use std::sync::Arc;

    use url::form_urlencoded;

    use super::super::grant::ACCESS_TOKEN_TYPE;
    use super::*;
    use crate::{
        ClientAssertion, ClientAuthentication, GrantType, JWT_BEARER, RESERVED_PARAMETERS, Scope,
        SubjectToken, ValueSet,
    };

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

    fn request(grant: &Grant) -> TokenRequest {
        let endpoint = TokenEndpoint::parse("https://sso.example/token").unwrap();
        grant.request(&endpoint, &client_proof(grant.authentication))
    }

    fn form(grant: &Grant) -> Zeroizing<Vec<u8>> {
        request(grant).body.unwrap()
    }

    fn grant(authentication: ClientAuthentication) -> Grant {
        Grant::client_credentials("my client".to_owned(), authentication)
    }

    fn values(values: &[&str]) -> ValueSet {
        ValueSet::new(values.iter().map(ToString::to_string).collect()).unwrap()
    }

    fn exchange() -> GrantType {
        GrantType::TokenExchange {
            subject_token: Arc::new(SubjectToken::new("s.u.b".to_owned()).unwrap()),
            subject_token_type: ACCESS_TOKEN_TYPE.into(),
        }
    }

    #[test]
    fn form_has_the_fields_of_the_grant_type() {
        let token_type = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";
        let granted = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A";
        let assertion = Arc::new(SubjectToken::new("a.s.s".to_owned()).unwrap());
        for (name, grant_type, audience, resource, expected) in [
            (
                "client credentials for two audiences and a resource",
                GrantType::ClientCredentials,
                &["b", "a", "b"][..],
                &["urn:x"][..],
                "grant_type=client_credentials&scope=s&audience=a&audience=b&resource=urn%3Ax"
                    .to_owned(),
            ),
            (
                "token exchange",
                exchange(),
                &["api"],
                &[],
                format!(
                    "grant_type={granted}token-exchange&subject_token=s.u.b\
                     &subject_token_type={token_type}&requested_token_type={token_type}\
                     &scope=s&audience=api"
                ),
            ),
            (
                "JWT authorization grant",
                GrantType::JwtBearer {
                    assertion: Some(assertion),
                },
                &[],
                &[],
                format!("grant_type={granted}jwt-bearer&assertion=a.s.s&scope=s"),
            ),
        ] {
            let form = form(&Grant {
                grant_type,
                scope: Scope::parse("s"),
                audience: values(audience),
                resource: values(resource),
                ..grant(ClientAuthentication::SecretBasic)
            });
            assert_eq!(str::from_utf8(&form).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_revocation_authenticates_the_client_like_a_token_request() {
        let endpoint = TokenEndpoint::parse("https://sso.example/revoke").unwrap();
        let token = AccessToken::new("t.o.k".to_owned()).unwrap();
        for (method, expected) in [
            (
                ClientAuthentication::SecretPost,
                "token=t.o.k&client_id=me&client_secret=%2B%25%3A%2F%26%3D%22%5C+%C3%A9\
                 &token_type_hint=access_token",
            ),
            (ClientAuthentication::SecretBasic, "token=t.o.k&token_type_hint=access_token"),
        ] {
            let request = revocation_request(&endpoint, "me", &client_proof(method), &token);
            assert_eq!(str::from_utf8(&request.body.unwrap()).unwrap(), expected, "{method:?}");
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
            let request = request(&Grant {
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
        let assertion = || Arc::new(SubjectToken::new("a.s.s".to_owned()).unwrap());
        let kinds = [
            exchange(),
            GrantType::JwtBearer {
                assertion: Some(assertion()),
            },
        ];
        for (method, grant_type) in ClientAuthentication::ALL
            .into_iter()
            .zip(kinds.iter().cycle())
        {
            let grant = Grant {
                grant_type: grant_type.clone(),
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
        let grant = Grant {
            grant_type: exchange(),
            parameters: vec![("pin".to_owned(), "1234".to_owned())],
            ..grant(ClientAuthentication::SecretBasic)
        };
        let text = format!("{grant:?} {:?}", request(&grant));
        assert!(text.contains("pin") && text.contains("my client"), "{text}");
        assert!(text.contains("authorization: Some(\"[redacted]\")"), "{text}");
        for hidden in ["1234", "bXkr", "%2B", "s.u.b", "token-exchange"] {
            assert!(!text.contains(hidden), "{text}");
        }
    }
}
