//! The requests of derived managers, as JavaScript describes them.

use std::sync::Arc;

use napi::{Error, Result};
use napi_derive::napi;
use zeroize::Zeroizing;

use manager::derived::DerivedRequest;
use oauth::{ACCESS_TOKEN_TYPE, GrantType, Scope, SubjectToken, ValueSet};

/// The request of a derived manager, which JavaScript has checked. An absent field takes its value
/// from the options.
#[napi(object, object_to_js = false)]
pub struct RequestData {
    /// The user's token to exchange.
    pub subject_token: Option<String>,
    /// The type of the user's token.
    pub subject_token_type: Option<String>,
    /// The assertion of the JWT authorization grant.
    pub assertion: Option<String>,
    /// Whether a function provides the assertion for each request.
    pub calls_for_assertion: Option<bool>,
    /// The scopes, separated by spaces.
    pub scope: Option<String>,
    /// The audiences.
    pub audience: Option<Vec<String>>,
    /// The resources.
    pub requested_resource: Option<Vec<String>>,
    /// Additional form fields: alternating names and values.
    pub parameters: Option<Vec<String>>,
}

/// The place of a derived manager's published memory.
#[napi(object, object_from_js = false)]
pub struct DerivedData {
    /// The id of the manager.
    pub id: u32,
    /// The number of the chunk of memory.
    pub chunk: u32,
    /// The index in the chunk.
    pub index: u32,
}

impl RequestData {
    /// Converts the request. An error is a bug: JavaScript checks the same rules.
    pub(super) fn into_request(self) -> Result<DerivedRequest> {
        let subject = |text: String| {
            let mut text = Zeroizing::new(text);
            let subject = SubjectToken::new(std::mem::take(&mut *text));
            subject.map(Arc::new).ok_or_else(|| unchecked("subject"))
        };
        let calls = self.calls_for_assertion.unwrap_or_default();
        let grant_type = match (self.subject_token, self.assertion) {
            (Some(token), _) => GrantType::TokenExchange {
                subject_token: subject(token)?,
                subject_token_type: self
                    .subject_token_type
                    .as_deref()
                    .unwrap_or(ACCESS_TOKEN_TYPE)
                    .into(),
            },
            (None, Some(assertion)) => GrantType::JwtBearer {
                assertion: Some(subject(assertion)?),
            },
            (None, None) if calls => GrantType::JwtBearer { assertion: None },
            (None, None) => GrantType::ClientCredentials,
        };
        let set = |values: Option<Vec<String>>| {
            let set = |values| ValueSet::new(values).ok_or_else(|| unchecked("values"));
            values.map(set).transpose()
        };
        let scope = |scopes: String| Scope::parse(&scopes).ok_or_else(|| unchecked("scope"));
        let pairs = |texts: Vec<String>| {
            let (pairs, _) = texts.as_chunks::<2>();
            let pair = |[name, value]: &[String; 2]| (name.clone(), value.clone());
            pairs.iter().map(pair).collect()
        };
        Ok(DerivedRequest {
            grant_type,
            scope: self.scope.map(scope).transpose()?,
            audience: set(self.audience)?,
            resource: set(self.requested_resource)?,
            parameters: self.parameters.map(pairs),
        })
    }
}

fn unchecked(field: &str) -> Error {
    Error::from_reason(format!("JavaScript did not check {field}"))
}
