//! Discovers the token endpoint: creates the request for an issuer's metadata document (`OpenID`
//! Connect Discovery 1.0 §4, RFC 8414), and reads the members that the manager needs.

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::document::{decode, read_members, string};
use super::endpoint::{EndpointFault, TokenEndpoint};
use super::error::{AnswerError, ProtocolFault};
use super::headers::ExtraHeaders;
use super::redact::Redactor;
use super::request::TokenRequest;
use super::response::{Answer, read_failure};

const WELL_KNOWN: &str = ".well-known/openid-configuration";

/// An issuer, such as the URL of a realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    url: TokenEndpoint,
    document: TokenEndpoint,
}

impl Issuer {
    /// Parses `value`. Ignores a trailing slash.
    ///
    /// # Errors
    /// The error says what kind of URL is expected, without repeating the given one.
    pub fn parse(value: &str) -> Result<Self, IssuerFault> {
        let url = TokenEndpoint::parse(value)?;
        if url.url().query().is_some() {
            return Err(IssuerFault::Query);
        }
        let base = url.as_str().trim_end_matches('/');
        if base.ends_with(WELL_KNOWN) {
            return Err(IssuerFault::Document);
        }
        let document = TokenEndpoint::parse(&format!("{base}/{WELL_KNOWN}"))?;
        Ok(Self { url, document })
    }

    /// Returns the configured URL, normalised.
    #[must_use]
    pub fn url(&self) -> &TokenEndpoint {
        &self.url
    }

    /// Creates the request for the document.
    #[must_use]
    pub fn request(&self) -> TokenRequest {
        TokenRequest {
            endpoint: self.document.clone(),
            authorization: None,
            headers: ExtraHeaders::default(),
            body: None,
        }
    }

    /// Whether a document whose issuer is `other` belongs to this issuer.
    fn is(&self, other: &str) -> bool {
        let bare = |url: &TokenEndpoint| url.as_str().trim_end_matches('/').to_owned();
        TokenEndpoint::parse(other).is_ok_and(|other| bare(&other) == bare(&self.url))
    }
}

/// Why a string is not an issuer. `Display` names the expected value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerFault {
    /// The URL breaks a rule that also applies to token endpoints.
    #[error(transparent)]
    Url(#[from] EndpointFault),
    /// The URL has a query.
    #[error("a URL without a query")]
    Query,
    /// The URL names the discovery document instead of the issuer.
    #[error("the URL of the issuer, without /.well-known/openid-configuration")]
    Document,
}

/// The members of a document that the manager needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer as the server spells it, which is the audience of assertions.
    pub issuer: String,
    /// The token endpoint.
    pub token_endpoint: TokenEndpoint,
    /// The token endpoint for clients with a certificate (RFC 8705 §5), if it differs from
    /// `token_endpoint`.
    pub mtls_token_endpoint: Option<TokenEndpoint>,
    /// The revocation endpoint (RFC 7009), if the document names a usable one.
    pub revocation_endpoint: Option<TokenEndpoint>,
    /// The supported client authentication methods. `None` if the document does not list them.
    pub methods: Option<Vec<String>>,
}

/// Why a document is unusable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiscoveryError {
    /// The answer contains no document.
    Answer(AnswerError),
    /// The document has a fault.
    Document {
        /// The HTTP status.
        status: u16,
        /// The fault.
        fault: DocumentFault,
    },
}

/// The fault of a document. A [`Redactor`] has cleaned any text in it that comes from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentFault {
    /// The document is not a JSON object.
    Unreadable(ProtocolFault),
    /// `issuer` names a different issuer.
    Issuer(String),
    /// `token_endpoint` is missing, or is not an http or https URL.
    NoTokenEndpoint,
    /// An https issuer names an http endpoint.
    PlainTokenEndpoint,
}

/// Reads the document of `issuer`.
///
/// # Errors
/// The answer contains no document, or the client must not use the document.
pub fn read_metadata(
    answer: &Answer,
    issuer: &Issuer,
    redactor: &Redactor,
) -> Result<Metadata, DiscoveryError> {
    let status = answer.status;
    match status {
        200..=299 => read(answer, issuer, redactor)
            .map_err(|fault| DiscoveryError::Document { status, fault }),
        300..=399 => Err(DiscoveryError::Answer(AnswerError::Protocol {
            status,
            fault: ProtocolFault::Redirect,
            error: None,
        })),
        _ => Err(DiscoveryError::Answer(read_failure(answer, redactor))),
    }
}

fn read(answer: &Answer, issuer: &Issuer, redactor: &Redactor) -> Result<Metadata, DocumentFault> {
    let mut copy = Zeroizing::default();
    let document = decode(&answer.body, &mut copy);
    let names = [
        "issuer",
        "token_endpoint",
        "revocation_endpoint",
        "mtls_endpoint_aliases",
        "token_endpoint_auth_methods_supported",
    ];
    let [issuer_member, token_endpoint, revocation_endpoint, aliases, methods] =
        read_members(document, names)
            .map_err(|fault| DocumentFault::Unreadable(answer.named_encoding(fault)))?;
    let text = |member: Option<&RawValue>| member.and_then(string).map(|text| text.to_string());
    let found = text(issuer_member).unwrap_or_default();
    if !issuer.is(&found) {
        return Err(DocumentFault::Issuer(redactor.clean(&found)));
    }
    let endpoint = |member: Option<&RawValue>| {
        let endpoint = text(member).and_then(|text| TokenEndpoint::parse(&text).ok());
        match endpoint {
            None => Err(DocumentFault::NoTokenEndpoint),
            Some(plain) if issuer.url.is_https() && !plain.is_https() => {
                Err(DocumentFault::PlainTokenEndpoint)
            }
            // A server may repeat a secret that it learnt from an earlier request.
            Some(endpoint) => Ok(endpoint.hidden_by(redactor, &issuer.url)),
        }
    };
    let aliases = aliases.and_then(|aliases| read_members(aliases.get(), ["token_endpoint"]).ok());
    let alias = aliases.and_then(|[alias]| alias);
    Ok(Metadata {
        token_endpoint: endpoint(token_endpoint)?,
        mtls_token_endpoint: match alias.map(|alias| endpoint(Some(alias))) {
            // The fault affects only clients with a certificate, which then use `token_endpoint`.
            None | Some(Err(DocumentFault::NoTokenEndpoint)) => None,
            Some(alias) => Some(alias?),
        },
        revocation_endpoint: endpoint(revocation_endpoint).ok(),
        methods: methods.and_then(|methods| serde_json::from_str(methods.get()).ok()),
        issuer: found,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ContentEncoding;

    const REALM: &str = "https://sso.example/realms/r";

    fn metadata(issuer: &str, status: u16, body: &str) -> Result<Metadata, DiscoveryError> {
        let answer = Answer {
            status,
            retry_after: None,
            age: Duration::ZERO,
            content_encoding: None,
            dpop_nonce: None,
            body: Zeroizing::new(body.as_bytes().to_vec()),
        };
        read_metadata(&answer, &Issuer::parse(issuer).unwrap(), &Redactor::none())
    }

    #[test]
    fn the_document_is_requested_below_the_issuer() {
        for (issuer, document) in [
            (REALM, "https://sso.example/realms/r/.well-known/openid-configuration"),
            (
                "https://sso.example/realms/r/",
                "https://sso.example/realms/r/.well-known/openid-configuration",
            ),
            (" http://h/r ", "http://h/r/.well-known/openid-configuration"),
            ("http://h:8080", "http://h:8080/.well-known/openid-configuration"),
            ("http://h//x", "http://h//x/.well-known/openid-configuration"),
        ] {
            let request = Issuer::parse(issuer).unwrap().request();
            assert_eq!(request.endpoint.as_str(), document);
            assert!(request.body.is_none() && request.authorization.is_none(), "{issuer}");
        }
    }

    #[test]
    fn an_issuer_is_a_url_that_ends_with_its_path() {
        for (name, issuer, fault) in [
            ("relative", "/realms/r", IssuerFault::Url(EndpointFault::NotAbsolute)),
            ("a query", "https://h/?a", IssuerFault::Query),
            ("a document", "https://h/.well-known/openid-configuration/", IssuerFault::Document),
            ("a fragment", "https://h/#a", IssuerFault::Url(EndpointFault::Fragment)),
            ("a user", "https://u@h/", IssuerFault::Url(EndpointFault::Userinfo)),
        ] {
            assert_eq!(Issuer::parse(issuer).unwrap_err(), fault, "{name}");
        }
    }

    #[test]
    fn a_document_of_this_issuer_names_the_endpoints() {
        let body = r#"{"issuer":"https://sso.example/realms/r",
            "token_endpoint":"https://inner.example/t",
            "mtls_endpoint_aliases":{"token_endpoint":"https://mtls.example/t"},
            "revocation_endpoint":"https://inner.example/r",
            "token_endpoint_auth_methods_supported":["private_key_jwt"],"other":[1]}"#;
        let found = metadata(&format!("{REALM}/"), 200, body).unwrap();
        assert_eq!(found.issuer, REALM);
        assert_eq!(found.token_endpoint.as_str(), "https://inner.example/t");
        assert_eq!(found.mtls_token_endpoint.unwrap().as_str(), "https://mtls.example/t");
        assert_eq!(found.revocation_endpoint.unwrap().as_str(), "https://inner.example/r");
        assert_eq!(found.methods.unwrap(), ["private_key_jwt"]);

        let body = r#"{"issuer":"x","issuer":"HTTPS://SSO.example:443/realms/r/",
            "token_endpoint":"/t","token_endpoint":"https://h/t","token_endpoint_auth_methods_supported":"none"}"#;
        let found = metadata(REALM, 200, body).unwrap();
        assert_eq!((found.methods, found.mtls_token_endpoint), (None, None));

        let body = r#"{"issuer":"https://sso.example/realms/r","token_endpoint":"https://h/t",
            "mtls_endpoint_aliases":{"token_endpoint":""}}"#;
        let found = metadata(REALM, 200, body).unwrap();
        assert_eq!(found.mtls_token_endpoint, None, "an unusable alias");
    }

    #[test]
    fn a_document_that_must_not_be_trusted_is_refused() {
        let of = |issuer: &str, others: &str| format!(r#"{{"issuer":"{issuer}"{others}}}"#);
        let endpoint = r#","token_endpoint":"https://h/t""#;
        let alias = r#","mtls_endpoint_aliases":{"token_endpoint":"http://h/t"}"#;
        let other = "https://sso.example/realms/other";
        for (name, body, fault) in [
            ("another issuer", of(other, endpoint), DocumentFault::Issuer(other.to_owned())),
            ("no issuer", "{}".to_owned(), DocumentFault::Issuer(String::new())),
            ("no endpoint", of(REALM, ""), DocumentFault::NoTokenEndpoint),
            (
                "an endpoint without a host",
                of(REALM, r#","token_endpoint":"/token""#),
                DocumentFault::NoTokenEndpoint,
            ),
            (
                "a downgrade",
                of(REALM, r#","token_endpoint":"http://h/t""#),
                DocumentFault::PlainTokenEndpoint,
            ),
            (
                "a downgrade of the alias",
                of(REALM, &format!("{endpoint}{alias}")),
                DocumentFault::PlainTokenEndpoint,
            ),
            ("a page", "<html>".to_owned(), DocumentFault::Unreadable(ProtocolFault::NotJson)),
        ] {
            let error = metadata(REALM, 200, &body).unwrap_err();
            assert_eq!(error, DiscoveryError::Document { status: 200, fault }, "{name}");
        }
        let gzip = Answer::new(
            200,
            |name| (name == "content-encoding").then_some("gzip"),
            Zeroizing::new(b"\x1f\x8b".to_vec()),
        );
        let error = read_metadata(&gzip, &Issuer::parse(REALM).unwrap(), &Redactor::none());
        let fault = DocumentFault::Unreadable(ProtocolFault::Encoded(ContentEncoding::Gzip));
        assert_eq!(error.unwrap_err(), DiscoveryError::Document { status: 200, fault });

        let missing = metadata(REALM, 404, r#"{"error":"Realm does not exist"}"#).unwrap_err();
        let DiscoveryError::Answer(AnswerError::Http {
            status: 404, error, ..
        }) = missing
        else {
            panic!("{missing:?}");
        };
        assert_eq!(error.unwrap(), "Realm does not exist");
    }
}
