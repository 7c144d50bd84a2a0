//! Creates and signs the assertions that authenticate a client (RFC 7521 §4.2, RFC 7523 §2.2).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::Unspecified;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;
use zeroize::Zeroizing;

use super::key::{SigningAlgorithm, SigningKey, authenticate};
use super::secret::{ClientAssertion, ClientSecret};

/// `client_assertion_type` of a JWT (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The lifetime of an assertion. Keycloak refuses an assertion that is older than a minute.
const LIFE: Duration = Duration::from_mins(1);

/// The key that signs an assertion.
#[derive(Clone, Copy, Debug)]
pub enum AssertionKey<'a> {
    /// The private key of the client, for `private_key_jwt`.
    Private(&'a SigningKey),
    /// The client secret, for `client_secret_jwt`.
    Shared(&'a ClientSecret),
}

/// The claims of an assertion.
#[derive(Clone, Copy, Debug)]
pub struct AssertionClaims<'a> {
    /// The value of `iss` and `sub`.
    pub client_id: &'a str,
    /// The value of `aud`: a single string, which every version of Keycloak accepts.
    pub audience: &'a str,
    /// The value of `iat`, since the Unix epoch.
    pub issued_at: Duration,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Payload<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
}

/// Creates and signs an assertion with a new `jti`.
///
/// # Errors
/// The key does not fit the algorithm, or the system provides no random numbers.
pub fn sign_assertion(
    key: AssertionKey<'_>,
    algorithm: SigningAlgorithm,
    key_id: Option<&str>,
    claims: &AssertionClaims<'_>,
) -> Result<ClientAssertion, SigningFault> {
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id)?;
    let header = Header {
        alg: algorithm.as_str(),
        typ: "JWT",
        kid: key_id,
    };
    let payload = Payload {
        iss: claims.client_id,
        sub: claims.client_id,
        aud: claims.audience,
        jti: &URL_SAFE_NO_PAD.encode(id),
        iat: claims.issued_at.as_secs(),
        exp: claims.issued_at.saturating_add(LIFE).as_secs(),
    };
    let mut assertion = Zeroizing::new(String::new());
    push_json(&mut assertion, &header)?;
    assertion.push('.');
    push_json(&mut assertion, &payload)?;
    let signature = match (key, algorithm.hmac()) {
        (AssertionKey::Private(key), None) => key.sign(algorithm, assertion.as_bytes())?,
        (AssertionKey::Shared(secret), Some(hmac)) => {
            authenticate(hmac, secret, assertion.as_bytes())
        }
        _ => return Err(SigningFault),
    };
    assertion.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
    ClientAssertion::from_zeroizing(assertion).ok_or(SigningFault)
}

pub(super) fn push_json(target: &mut String, value: &impl Serialize) -> Result<(), SigningFault> {
    let json = serde_json::to_vec(value).map_err(|_| SigningFault)?;
    URL_SAFE_NO_PAD.encode_string(json, target);
    Ok(())
}

/// The error of a function that could not sign an assertion or a proof, or create a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SigningFault;

impl From<Unspecified> for SigningFault {
    fn from(_: Unspecified) -> Self {
        Self
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use super::*;

    const CLAIMS: AssertionClaims<'_> = AssertionClaims {
        client_id: "spiffe://example.org/\"agent\"",
        audience: "https://sso.example/realms/r",
        issued_at: Duration::from_millis(1_700_000_000_999),
    };

    fn part(assertion: &str, index: usize) -> serde_json::Value {
        let part = assertion.split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn an_assertion_has_the_claims_that_rfc_7523_requires() {
        let secret = ClientSecret::new("s3cr+t".to_owned()).unwrap();
        let key = AssertionKey::Shared(&secret);
        let made = sign_assertion(key, SigningAlgorithm::Hs384, Some("k 1"), &CLAIMS).unwrap();
        let text = made.expose();
        let header = part(text, 0);
        assert_eq!(header, serde_json::json!({"alg": "HS384", "typ": "JWT", "kid": "k 1"}));
        let payload = part(text, 1);
        assert_eq!(payload["iss"], CLAIMS.client_id);
        assert_eq!(payload["sub"], CLAIMS.client_id);
        assert_eq!(payload["aud"], CLAIMS.audience);
        assert_eq!(payload["iat"], 1_700_000_000_u64);
        assert_eq!(payload["exp"], 1_700_000_060_u64);
        let signed = text.rsplit_once('.').unwrap().0;
        let code = authenticate(ring::hmac::HMAC_SHA384, &secret, signed.as_bytes());
        assert!(text.ends_with(&format!(".{}", URL_SAFE_NO_PAD.encode(code))));
    }

    #[test]
    fn each_assertion_has_a_new_id() {
        let secret = ClientSecret::new("s3cr+t".to_owned()).unwrap();
        let id = || {
            let key = AssertionKey::Shared(&secret);
            let made = sign_assertion(key, SigningAlgorithm::Hs256, None, &CLAIMS).unwrap();
            assert_eq!(part(made.expose(), 0), serde_json::json!({"alg": "HS256", "typ": "JWT"}));
            part(made.expose(), 1)["jti"].as_str().unwrap().to_owned()
        };
        assert_eq!(id().len(), 22);
        assert_ne!(id(), id());
    }

    #[test]
    fn a_secret_does_not_sign_with_an_algorithm_for_keys() {
        let secret = ClientSecret::new("s3cr+t".to_owned()).unwrap();
        for algorithm in SigningAlgorithm::OF_KEYS {
            let key = AssertionKey::Shared(&secret);
            assert!(sign_assertion(key, algorithm, None, &CLAIMS).is_err());
        }
    }
}
