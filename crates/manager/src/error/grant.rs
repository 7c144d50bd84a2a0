//! The advice about a refused grant, and about a token that lacks part of the requested grant.

use oauth::{AnswerError, Grant, GrantType, TokenResponse, token_audience};

/// Returns the advice for a refusal that concerns the requested grant; `None` if the refusal
/// concerns the client or has no specific advice.
pub(crate) fn grant_advice(grant: &Grant, error: &AnswerError) -> Option<String> {
    let AnswerError::OAuth {
        status,
        error,
        description,
    } = error
    else {
        return None;
    };
    if *status == 401 {
        return None;
    }
    let says = |text: &str| {
        let description = description.as_deref().unwrap_or_default();
        description.contains(text)
    };
    let client = grant.client_id.escape_default();
    match &grant.grant_type {
        GrantType::ClientCredentials => {
            let is_repeated =
                grant.audience.values().len() > 1 || grant.resource.values().len() > 1;
            (is_repeated && says("duplicated parameter")).then(|| {
                "the server accepts only one audience and one requestedResource in this request; \
                 for several audiences in Keycloak, request scopes with audience mappers"
                    .to_owned()
            })
        }
        GrantType::TokenExchange { .. } => exchange_advice(error, says, &client.to_string()),
        GrantType::JwtBearer { .. } => assertion_advice(error, says, &client.to_string()),
    }
}

fn exchange_advice(error: &str, says: impl Fn(&str) -> bool, client: &str) -> Option<String> {
    Some(match error {
        "invalid_request" if says("not enabled for the requested client") => format!(
            "token exchange is off for client \"{client}\"; turn on \"Standard token exchange\" \
             (attribute standard.token.exchange.enabled)"
        ),
        "unsupported_grant_type" => {
            "the server does not offer token exchange; use Keycloak 26.2 or newer with the feature \
             token-exchange-standard"
                .to_owned()
        }
        "access_denied" if says("token audience") => format!(
            "the aud claim of the user's token does not contain client \"{client}\"; add an \
             audience mapper for \"{client}\" to the client that the user signs in to. A \
             lightweight access token has no aud claim"
        ),
        "access_denied" => format!(
            "client \"{client}\" may not exchange this token; check the client's permissions in \
             Keycloak"
        ),
        "invalid_request" | "invalid_token" if says("Invalid token") => {
            "the server refuses the user's token: the token has expired or was revoked, the user's \
             session has ended, or the token comes from another realm or names another issuer URL; \
             ask the user to sign in again"
                .to_owned()
        }
        "invalid_request" if says("access tokens only") => {
            "subjectTokenType must be the type of an access token; pass the user's access token, \
             not the ID token or the refresh token"
                .to_owned()
        }
        "invalid_request" if says("Requested audience not available") => format!(
            "no scope or role of client \"{client}\" adds the requested audience to a token for this \
             user; assign a client scope with an audience mapper to the client, and also request \
             the scope if it is optional"
        ),
        "invalid_request" if says("is not supported for standard token exchange") => {
            "Keycloak does not read this field in a standard token exchange; remove it from \
             parameters"
                .to_owned()
        }
        "invalid_request" if says("Sender-constrained") => {
            "the user's token is bound to a key or certificate of another client, so this client \
             cannot exchange it"
                .to_owned()
        }
        "invalid_request" if says("longer than allowed") => {
            "the user's token is longer than the server accepts; Keycloak accepts at most 20,000 \
             characters"
                .to_owned()
        }
        "invalid_client" if says("Audience not found") => {
            "the requested audience is not the id of a client in this realm; for an audience that \
             is a URL, request the scope that adds it"
                .to_owned()
        }
        "invalid_client" if says("Client disabled") => {
            "the client that the option audience names is disabled; enable it in Keycloak"
                .to_owned()
        }
        "invalid_client" if says("Public client") => format!(
            "client \"{client}\" is public and cannot exchange tokens; turn on \"Client \
             authentication\""
        ),
        "invalid_scope" if says("Missing consents") => format!(
            "the user has not consented to client \"{client}\"; turn off \"Consent required\" for the \
             client, or have the user consent"
        ),
        "invalid_scope" if says("initial access token") => {
            "a client policy of the realm forbids scopes that the user's token does not have; \
             request fewer scopes"
                .to_owned()
        }
        _ => return None,
    })
}

fn assertion_advice(error: &str, says: impl Fn(&str) -> bool, client: &str) -> Option<String> {
    Some(match error {
        "unsupported_grant_type" => {
            "the server does not offer the JWT authorization grant; use Keycloak 26.6 or newer"
                .to_owned()
        }
        "invalid_grant" if says("not supported for the requested client") => format!(
            "the JWT authorization grant is off for client \"{client}\"; turn it on, and allow the \
             identity provider that issued the assertion"
        ),
        "invalid_grant" if says("Token reuse detected") => {
            "the assertion was used before; pass a function that returns a new assertion for each \
             acquisition"
                .to_owned()
        }
        "invalid_grant" if says("User not found") => {
            "no user of the realm is linked to the assertion's subject; link the user to the \
             identity provider"
                .to_owned()
        }
        "invalid_grant" => {
            "the server refused the assertion; check its issuer, audience, lifetime and signature"
                .to_owned()
        }
        _ => return None,
    })
}

/// Returns the warning about a token that lacks a requested scope or audience.
pub(crate) fn grant_warning(grant: &Grant, response: &TokenResponse) -> Option<String> {
    if let (Some(scope), Some(granted)) = (&grant.scope, &response.scope)
        && let Some(missing) = scope.missing_in(granted)
    {
        return Some(format!(
            "the server did not grant the requested scope \"{missing}\"; assign it to client \
             \"{}\" as an optional or default scope",
            grant.client_id.escape_default()
        ));
    }
    let audience = grant.audience.values();
    if audience.is_empty() {
        return None;
    }
    let granted = token_audience(response.token.expose())?;
    let missing = audience.iter().find(|value| !granted.contains(*value))?;
    let missing = missing.escape_default();
    Some(format!(
        "the token's aud lacks the requested audience \"{missing}\"; Keycloak ignores the option \
         audience for the client's own tokens, so request a scope with an audience mapper instead"
    ))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oauth::{
        ACCESS_TOKEN_TYPE, Answer, ClientAuthentication, Redactor, Scope, SubjectToken, ValueSet,
        read_answer,
    };
    use std::time::Duration;
    use zeroize::Zeroizing;

    use super::*;

    fn grant(grant_type: GrantType) -> Grant {
        Grant {
            grant_type,
            ..Grant::client_credentials("portal".to_owned(), ClientAuthentication::SecretPost)
        }
    }

    #[test]
    fn each_refusal_of_an_exchange_has_its_advice() {
        let subject_token = Arc::new(SubjectToken::new("s".to_owned()).unwrap());
        let exchange = grant(GrantType::TokenExchange {
            subject_token,
            subject_token_type: ACCESS_TOKEN_TYPE.into(),
        });
        for (status, error, description, expected) in [
            (
                400,
                "invalid_request",
                "Standard token exchange is not enabled for the requested client",
                "turn on \"Standard token exchange\"",
            ),
            (400, "unsupported_grant_type", "Unsupported grant_type", "26.2"),
            (403, "access_denied", "Client is not within the token audience", "audience mapper"),
            (400, "invalid_request", "Invalid token", "sign in again"),
            (400, "invalid_token", "Invalid token", "sign in again"),
            (
                400,
                "invalid_request",
                "Parameter 'subject_token' supports access tokens only",
                "not the ID token",
            ),
            (400, "invalid_client", "Audience not found", "not the id of a client"),
            (400, "invalid_client", "Client disabled", "enable it"),
            (
                400,
                "invalid_request",
                "Requested audience not available: api3, api2",
                "adds the requested audience",
            ),
            (
                400,
                "invalid_scope",
                "Missing consents for Token Exchange in client requester-consent",
                "has not consented",
            ),
            (400, "invalid_client", "Public client is not allowed to exchange token", "public"),
            (
                400,
                "invalid_request",
                "Sender-constrained token exchange rejected as the token was not issued for the \
                 requesting client",
                "bound to a key or certificate",
            ),
            (
                400,
                "invalid_request",
                "The size of OIDC parameter 'subject_token' is longer than allowed.",
                "20,000",
            ),
        ] {
            let refusal = AnswerError::OAuth {
                status,
                error: error.to_owned(),
                description: Some(description.to_owned()),
            };
            let advice = grant_advice(&exchange, &refusal).unwrap_or_default();
            assert!(advice.contains(expected), "{description}: {advice}");
            let own = grant(GrantType::ClientCredentials);
            assert_eq!(grant_advice(&own, &refusal), None, "{description}");
        }
        let wrong_secret = AnswerError::OAuth {
            status: 401,
            error: "invalid_client".to_owned(),
            description: Some("Audience not found".to_owned()),
        };
        assert_eq!(grant_advice(&exchange, &wrong_secret), None, "about the client");
    }

    #[test]
    fn a_token_without_the_requested_scope_or_audience_causes_a_warning() {
        // {"aud":"api"} and {"aud":["api","account"]}
        let (one, two) = ("e30.eyJhdWQiOiJhcGkifQ.s", "e30.eyJhdWQiOlsiYXBpIiwiYWNjb3VudCJdfQ.s");
        for (name, scope, audience, token, granted, expected) in [
            ("nothing requested", None, None, one, "", None),
            ("granted", Some("a"), Some("api"), one, "b a", None),
            ("granted among others", None, Some("account"), two, "", None),
            ("another scope", Some("a b"), None, one, "a c", Some("scope \"b\"")),
            ("another audience", None, Some("other"), two, "", Some("\"other\"")),
            ("no JWT", None, Some("other"), "opaque", "", None),
            ("no aud", None, Some("other"), "e30.e30.s", "", Some("\"other\"")),
        ] {
            let body = format!("{{\"access_token\":\"{token}\",\"scope\":\"{granted}\"}}");
            let answer = Answer::new(200, |_| None, Zeroizing::new(body.into_bytes()));
            let response = read_answer(&answer, &Redactor::none(), Duration::ZERO).unwrap();
            let requested = Grant {
                scope: scope.and_then(Scope::parse),
                audience: ValueSet::new(audience.map(str::to_owned).into_iter().collect()).unwrap(),
                ..grant(GrantType::ClientCredentials)
            };
            let warning = grant_warning(&requested, &response);
            assert_eq!(warning.is_some(), expected.is_some(), "{name}: {warning:?}");
            let warning = warning.unwrap_or_default();
            assert!(warning.contains(expected.unwrap_or_default()), "{name}: {warning}");
        }
    }
}
