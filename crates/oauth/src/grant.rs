//! A grant to request: its type with the fields of that type, and the fields that all types share.

use std::fmt;
use std::sync::Arc;

use super::client_auth::ClientAuthentication;
use super::scope::{MAX_PARAMETER, Scope};
use super::secret::SubjectToken;

/// The form fields that belong to the grant. The `parameters` of a [`Grant`] must not contain them:
/// Keycloak refuses a request that contains a field twice.
pub const RESERVED_PARAMETERS: &[&str] = &[
    "grant_type",
    "client_id",
    "client_secret",
    "scope",
    "client_assertion",
    "client_assertion_type",
    "subject_token",
    "subject_token_type",
    "requested_token_type",
    "assertion",
];

/// The token type of access tokens (RFC 8693 §3).
pub const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// `grant_type` of the client's own token (RFC 6749 §4.4.2).
const CLIENT_CREDENTIALS: &str = "client_credentials";
/// `grant_type` of the token exchange (RFC 8693 §2.1).
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// `grant_type` of the JWT authorization grant (RFC 7523 §2.1).
const JWT_AUTHORIZATION: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// The type of a grant, with the fields of that type.
#[derive(Clone)]
pub enum GrantType {
    /// The client's own token (RFC 6749 §4.4).
    ClientCredentials,
    /// A token for the user of another token (RFC 8693). The request always names both token types,
    /// because Keycloak's legacy token exchange would otherwise return a refresh token.
    TokenExchange {
        /// The token of the user.
        subject_token: Arc<SubjectToken>,
        /// The type of that token.
        subject_token_type: Arc<str>,
    },
    /// A token for the subject of a signed assertion (RFC 7523 §2.1).
    JwtBearer {
        /// The assertion; `None` if a function provides a new one for each request.
        assertion: Option<Arc<SubjectToken>>,
    },
}

impl GrantType {
    /// Returns the form field `grant_type`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::TokenExchange { .. } => TOKEN_EXCHANGE,
            Self::JwtBearer { .. } => JWT_AUTHORIZATION,
        }
    }

    /// Returns the token or assertion that the request exchanges.
    #[must_use]
    pub const fn subject(&self) -> Option<&Arc<SubjectToken>> {
        match self {
            Self::ClientCredentials => None,
            Self::TokenExchange { subject_token, .. } => Some(subject_token),
            Self::JwtBearer { assertion } => assertion.as_ref(),
        }
    }

    /// Whether a function provides the assertion.
    #[must_use]
    pub const fn wants_assertion(&self) -> bool {
        matches!(self, Self::JwtBearer { assertion: None })
    }

    /// Whether the request exchanges a user's token.
    #[must_use]
    pub const fn is_exchange(&self) -> bool {
        matches!(self, Self::TokenExchange { .. })
    }
}

impl PartialEq for GrantType {
    fn eq(&self, other: &Self) -> bool {
        let is_same_kind = std::mem::discriminant(self) == std::mem::discriminant(other);
        let is_same_subject = match (self.subject(), other.subject()) {
            (Some(one), Some(other)) => one.is_same_as(other),
            (one, other) => one.is_none() && other.is_none(),
        };
        is_same_kind && is_same_subject
    }
}

impl Eq for GrantType {}

/// The values of a field that a request may repeat, such as `audience`: sorted, without duplicates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueSet(Box<[String]>);

impl ValueSet {
    /// Sorts the values. Returns `None` if a value is empty or longer than Keycloak reads.
    #[must_use]
    pub fn new(mut values: Vec<String>) -> Option<Self> {
        values.sort_unstable();
        values.dedup();
        let is_usable = |value: &String| (1..=MAX_PARAMETER).contains(&value.len());
        values
            .iter()
            .all(is_usable)
            .then(|| Self(values.into_boxed_slice()))
    }

    /// Returns the values in order.
    #[must_use]
    pub fn values(&self) -> &[String] {
        &self.0
    }
}

/// The grant to request, without the credential, which may change between two requests.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// The client's id.
    pub client_id: String,
    /// The client authentication method.
    pub authentication: ClientAuthentication,
    /// The type of the grant.
    pub grant_type: GrantType,
    /// The requested scope. With `None`, the server applies its default scope.
    pub scope: Option<Scope>,
    /// The requested audiences (RFC 8693 §2.1).
    pub audience: ValueSet,
    /// The requested resources (RFC 8707 §2).
    pub resource: ValueSet,
    /// Additional form fields, in this order. Their names must not be among
    /// [`RESERVED_PARAMETERS`].
    pub parameters: Vec<(String, String)>,
}

impl Grant {
    /// Creates the client credentials grant without further fields.
    #[must_use]
    pub fn client_credentials(client_id: String, authentication: ClientAuthentication) -> Self {
        Self {
            client_id,
            authentication,
            grant_type: GrantType::ClientCredentials,
            scope: None,
            audience: ValueSet::default(),
            resource: ValueSet::default(),
            parameters: Vec::new(),
        }
    }

    /// Returns the fields of the form, apart from those that authenticate the client. The grant
    /// type comes first.
    #[must_use]
    pub fn fields(&self) -> Vec<(&str, &str)> {
        let mut fields = vec![("grant_type", self.grant_type.as_str())];
        match &self.grant_type {
            GrantType::ClientCredentials => {}
            GrantType::TokenExchange {
                subject_token,
                subject_token_type,
            } => fields.extend([
                ("subject_token", subject_token.expose()),
                ("subject_token_type", subject_token_type),
                ("requested_token_type", ACCESS_TOKEN_TYPE),
            ]),
            GrantType::JwtBearer { assertion } => {
                let assertion = assertion.iter();
                fields.extend(assertion.map(|assertion| ("assertion", assertion.expose())));
            }
        }
        if let Some(scope) = &self.scope {
            fields.push(("scope", scope.as_str()));
        }
        let audience = self.audience.values().iter();
        fields.extend(audience.map(|value| ("audience", value.as_str())));
        let resource = self.resource.values().iter();
        fields.extend(resource.map(|value| ("resource", value.as_str())));
        let parameters = self.parameters.iter();
        fields.extend(parameters.map(|(name, value)| (name.as_str(), value.as_str())));
        fields
    }
}

/// Shows the names of the additional form fields but not their values, which may be confidential.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .parameters
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        f.debug_struct("Grant")
            .field("client_id", &self.client_id)
            .field("authentication", &self.authentication)
            .field("scope", &self.scope)
            .field("audience", &self.audience)
            .field("resource", &self.resource)
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}
