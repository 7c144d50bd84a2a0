//! The advice in error messages about the server's answer.

use crate::config::{Config, Target};
use oauth::{ClientAuthentication, ProtocolFault};

/// Returns the advice for an OAuth error, or `None` for an unknown one. Keycloak uses the codes
/// differently from RFC 6749: a wrong secret is `unauthorized_client`, an unknown client is
/// `invalid_client`, and both have status 401.
pub(super) fn oauth_advice(
    error: &str,
    description: Option<&str>,
    config: &Config,
) -> Option<String> {
    let client = config.grant.client_id.escape_default();
    let option = config.target.option();
    let credential = name_of_credential(config.grant.authentication);
    let says = |text: &str| description.is_some_and(|d| d.contains(text));
    Some(match error {
        "unauthorized_client" if says("service account") && says("Public client") => format!(
            "client \"{client}\" is public; turn on \"Client authentication\" and \"Service \
             accounts roles\""
        ),
        "unauthorized_client" if says("service account") => {
            format!(
                "the service account of client \"{client}\" is off; turn on \"Service accounts \
                 roles\""
            )
        }
        "unauthorized_client" if says("Invalid method") => format!(
            "client \"{client}\" requires another authentication method for its secret; \
             set clientAuthentication"
        ),
        // Older versions of Keycloak wrap these texts in a longer sentence.
        "invalid_client" | "unauthorized_client" if says("issued in the future") => {
            "this machine's clock is ahead of the server's; correct this machine's clock".to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("Token is not active") => {
            "the assertion has expired or is not valid yet; correct this machine's clock, or renew \
             the assertion"
                .to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("audience") => {
            "the server does not accept the assertion's audience; set assertionAudience to the \
             issuer in the server's discovery document"
                .to_owned()
        }
        "invalid_client" | "unauthorized_client" if says("signature algorithm") => format!(
            "client \"{client}\" requires another signature algorithm; set signingAlgorithm"
        ),
        "invalid_client" | "unauthorized_client" if says("public key") => format!(
            "the server has no public key of client \"{client}\" that verifies the assertion; \
             register the key, or set keyId to its kid"
        ),
        "unauthorized_client" => {
            format!("{credential} of client \"{client}\" is wrong, or the service account is off")
        }
        "invalid_client" if says("Bearer-only") => {
            format!(
                "client \"{client}\" is bearer-only and cannot obtain tokens; \
                 use another client"
            )
        }
        "invalid_client" if says("client_assertion") => format!(
            "client \"{client}\" must authenticate with a signed JWT; \
             set clientAuthentication"
        ),
        "invalid_client" => format!(
            "client \"{client}\" is unknown or disabled in this realm, {credential} is wrong, or the \
             client requires another authentication method"
        ),
        "invalid_scope" => {
            format!(
                "a requested scope is unknown or not assigned to client \"{client}\"; \
                 correct the scope option"
            )
        }
        "access_denied" if says("Realm not enabled") => {
            "the realm is disabled; enable it in Keycloak".to_owned()
        }
        "invalid_request" if says("HTTPS required") => {
            "the realm requires https from this address; use the https URL".to_owned()
        }
        "invalid_request" if says("disabled") => {
            format!("the service account user of client \"{client}\" is disabled; enable that user")
        }
        "invalid_request" if says("DPoP") => dpop_advice(description.unwrap_or_default(), config),
        "invalid_dpop_proof" => dpop_advice(description.unwrap_or_default(), config),
        "use_dpop_nonce" if config.dpop.is_none() => dpop_advice(PROOF_MISSING, config),
        "use_dpop_nonce" => {
            "the server demands a nonce in the DPoP proof, but sent no nonce or refused the one \
             that it had sent; check that all gateways forward the header DPoP-Nonce, and that all \
             replicas of the server accept the same nonces"
                .to_owned()
        }
        "invalid_request" if says("MTLS") => format!(
            "client \"{client}\" requires certificate-bound tokens; set clientCertificate and \
             clientKey, or turn off that requirement"
        ),
        "missingNormalization" | "invalidCharacter" => format!(
            "the path of the URL contains a double slash, a dot segment, an unnecessary escape or \
             a semicolon; correct {option}"
        ),
        "temporarily_unavailable" | "server_error" => UNAVAILABLE.to_owned(),
        "invalid_request" if says("Token not provided") => wrong_url(config),
        "unsupported_grant_type" => {
            format!("the server does not support the client credentials grant; check {option}")
        }
        // Keycloak's other endpoints return a sentence where OAuth defines a code.
        prose if prose.contains(' ') => wrong_url(config),
        _ => return None,
    })
}

/// Returns the advice for an unknown refusal. A discovery request carries no credential.
pub(super) fn unknown_refusal(is_discovery: bool, config: &Config) -> String {
    if is_discovery {
        return "the server, or a gateway in front of it, refused the discovery request; check the \
                logs of both, or set tokenEndpoint instead of issuer"
            .to_owned();
    }
    let client = config.grant.client_id.escape_default();
    format!(
        "the server refused client \"{client}\"; to find the reason, check Keycloak's events and \
         the realm's client policies"
    )
}

/// Keycloak's text for a request without a DPoP proof.
const PROOF_MISSING: &str = "DPoP proof is missing";

/// Returns the advice for a refused DPoP proof. Keycloak says `invalid_request` where RFC 9449 §5
/// defines `invalid_dpop_proof`.
fn dpop_advice(description: &str, config: &Config) -> String {
    let client = config.grant.client_id.escape_default();
    let says = |text: &str| description.contains(text);
    if says(PROOF_MISSING) && config.dpop.is_none() {
        return format!("client \"{client}\" requires DPoP-bound tokens; set dpop: true");
    }
    let advice = if says(PROOF_MISSING) {
        "the header DPoP did not reach the server; make the gateways and proxies in front of it \
         forward the header"
    } else if says("URL") {
        "a proxy changes the host, port, scheme or path of the request, so the URL that the server \
         sees is not the one that the manager called; make the proxy send X-Forwarded-Host, -Proto \
         and -Port, and start Keycloak with --proxy-headers=xforwarded"
    } else if says("method mismatch") {
        "a proxy changes the method of the request; make the proxy forward the POST unchanged"
    } else if says("not active") {
        "this machine's clock is more than 24 s behind the server's, or more than 15 s ahead of \
         it; synchronise both clocks"
    } else if says("already been used") {
        "the request reached the server twice; make sure that no proxy in front of it repeats a \
         POST"
    } else if says("algorithm") {
        "the server does not accept the algorithm of the key; set dpopKey to a key of another \
         kind, or omit dpopKey to use ES256"
    } else if says("confirmation") {
        "the token in the request is bound to another key; use that key"
    } else if says("header verification") || says("verification failure") {
        "the header DPoP arrived altered or twice; check the gateways and proxies in front of the \
         server"
    } else {
        "the server does not accept the DPoP proof; check both clocks, and check that no proxy \
         changes the request's URL or its header DPoP"
    };
    advice.to_owned()
}

/// Returns the advice for a token of the wrong type.
pub(super) fn token_type_advice(fault: ProtocolFault, config: &Config) -> Option<String> {
    let client = config.grant.client_id.escape_default();
    match fault {
        ProtocolFault::NotBound => Some(format!(
            "in Keycloak, turn on \"Require DPoP bound tokens\" (dpop.bound.access.tokens) for \
             client \"{client}\". Versions before 26.4 and servers without the feature dpop do not \
             bind the client's own tokens; for such a server, remove the option dpop"
        )),
        ProtocolFault::Bound => Some(format!(
            "set dpop: true, or turn off \"Require DPoP bound tokens\" (dpop.bound.access.tokens) \
             for client \"{client}\" in Keycloak"
        )),
        _ => None,
    }
}

const UNAVAILABLE: &str =
    "the server, or a gateway in front of it, is unavailable; check the logs of both";

/// Returns the advice for a URL that is not a token endpoint. With `issuer`, the token endpoint
/// comes from the discovery document.
fn wrong_url(config: &Config) -> String {
    match config.target {
        Target::Endpoint(_) => "this URL is not a token endpoint; a Keycloak token endpoint is \
             {base}/realms/{realm}/protocol/openid-connect/token"
            .to_owned(),
        Target::Issuer(_) => {
            "the issuer's discovery document names this URL as the token endpoint, but the URL is \
             not a token endpoint; check Keycloak's hostname settings"
                .to_owned()
        }
    }
}

/// Returns the name that messages use for the client's credential.
fn name_of_credential(method: ClientAuthentication) -> &'static str {
    match method {
        ClientAuthentication::SecretPost
        | ClientAuthentication::SecretBasic
        | ClientAuthentication::SecretJwt => "the secret",
        ClientAuthentication::PrivateKeyJwt => "the key",
        ClientAuthentication::TlsClientAuth => "the certificate",
        ClientAuthentication::AssertionFile => "the assertion",
    }
}

/// Returns the advice for an HTTP error. `is_discovery` says whether the request was for the
/// discovery document.
pub(super) fn http_advice(
    status: u16,
    error: Option<&str>,
    is_retryable: bool,
    is_discovery: bool,
    config: &Config,
) -> String {
    let option = config.target.option();
    match (status, error) {
        (404, Some("Realm does not exist")) => {
            format!("the realm in the URL does not exist (yet); check {option}")
        }
        (403 | 404, _) if is_retryable => {
            "a gateway in front of the server refused the request, although it accepted earlier \
             requests; check the gateway's log"
                .to_owned()
        }
        (404 | 405, _) if is_discovery => {
            "this URL is not an issuer; a Keycloak issuer is {base}/realms/{realm}".to_owned()
        }
        (404 | 405, _) => wrong_url(config),
        (413 | 414 | 431, _) => {
            "the request is too large for the server, or for a gateway in front of it".to_owned()
        }
        (500, Some("unknown_error")) if config.dpop.is_some() => {
            "with DPoP, Keycloak gives this response if this machine's clock is exactly 25 s \
             behind the server's; compare the clocks, and if they agree, check the server's log"
                .to_owned()
        }
        (408 | 429 | 500..=599, _) => UNAVAILABLE.to_owned(),
        _ => format!("the response is not from an OAuth server; check {option}"),
    }
}
