//! DPoP (RFC 9449): the key to which a server binds tokens, and the proofs that a sender possesses
//! this key.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Serialize;

use super::assertion::{SigningFault, push_json};
use super::endpoint::TokenEndpoint;
use super::jwk::PublicJwk;
use super::key::{SigningAlgorithm, SigningKey};

/// The maximum length of a nonce in a proof, in bytes.
const MAX_NONCE: usize = 2 * 1024;

/// The key to which a server binds tokens.
pub struct DpopKey {
    key: SigningKey,
    algorithm: SigningAlgorithm,
    /// The encoded JOSE header, which all proofs have in common.
    header: String,
    thumbprint: String,
}

/// The claims of a proof (RFC 9449 §4.2).
#[derive(Clone, Copy, Debug)]
pub struct ProofClaims<'a> {
    /// `htm`: the method of the request.
    pub method: &'a str,
    /// `htu`: the URL of the request without query and fragment.
    pub uri: &'a str,
    /// `iat`, since the Unix epoch.
    pub issued_at: Duration,
    /// `nonce`: the server's last nonce, if it sent one.
    pub nonce: Option<&'a str>,
    /// The token that the request presents. `ath` is its hash.
    pub access_token: Option<&'a str>,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
    jwk: &'a PublicJwk,
}

#[derive(Serialize)]
struct Payload<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}

impl DpopKey {
    /// Creates a key for ES256, the algorithm that most servers support.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn generate() -> Result<Self, SigningFault> {
        Self::new(SigningKey::generate()?)
    }

    /// Uses a key that the user provides.
    ///
    /// # Errors
    /// An error is a bug in this crate, because every public key has a JSON form.
    pub fn new(key: SigningKey) -> Result<Self, SigningFault> {
        let jwk = key.public_jwk();
        let algorithm = key.default_algorithm();
        let mut header = String::new();
        let members = Header {
            typ: "dpop+jwt",
            alg: algorithm.as_str(),
            jwk: &jwk,
        };
        push_json(&mut header, &members)?;
        Ok(Self {
            thumbprint: thumbprint(&jwk)?,
            key,
            algorithm,
            header,
        })
    }

    /// Returns the thumbprint of the public key (RFC 7638, SHA-256), which the server writes into
    /// the claim `cnf.jkt` of tokens.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Creates and signs a proof with a new `jti`. A server accepts a proof only once.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn sign_proof(&self, claims: &ProofClaims<'_>) -> Result<String, SigningFault> {
        let mut id = [0; 16];
        SystemRandom::new().fill(&mut id)?;
        let hash = |token: &str| URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes()));
        let payload = Payload {
            jti: &URL_SAFE_NO_PAD.encode(id),
            htm: claims.method,
            htu: claims.uri,
            iat: claims.issued_at.as_secs(),
            ath: claims.access_token.map(hash),
            nonce: claims.nonce,
        };
        let mut proof = self.header.clone();
        proof.push('.');
        push_json(&mut proof, &payload)?;
        let signature = self.key.sign(self.algorithm, proof.as_bytes())?;
        proof.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut proof);
        Ok(proof)
    }
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DpopKey").field(&self.thumbprint).finish()
    }
}

fn thumbprint(jwk: &PublicJwk) -> Result<String, SigningFault> {
    let json = serde_json::to_vec(jwk).map_err(|_| SigningFault)?;
    Ok(URL_SAFE_NO_PAD.encode(digest(&SHA256, &json)))
}

/// Returns `htu` for a request to this endpoint: its URL without the query. The parser has removed
/// a default port, which Keycloak does not accept in a proof.
#[must_use]
pub fn target_uri(endpoint: &TokenEndpoint) -> &str {
    endpoint.shown()
}

/// Parses a `DPoP-Nonce` header (RFC 9449 §8.1): visible characters except `"` and `\`.
pub(super) fn parse_nonce(value: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    let is_valid = !value.is_empty() && value.len() <= MAX_NONCE && value.bytes().all(is_allowed);
    is_valid.then(|| value.to_owned())
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        RsaPublicKeyComponents, UnparsedPublicKey,
    };
    use serde_json::{Value, json};

    use super::*;

    const KEYS: &str = include_str!("../tests/keys.json");
    const CLAIMS: ProofClaims<'_> = ProofClaims {
        method: "POST",
        uri: "https://sso.example/realms/r/token",
        issued_at: Duration::from_millis(1_700_000_000_999),
        nonce: None,
        access_token: None,
    };

    fn decoded(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    /// Verifies the signature of a proof with the key in its header. Returns the header and the
    /// claims.
    fn verified(proof: &str) -> (Value, Value) {
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let (header, payload) = signed.split_once('.').unwrap();
        let header: Value = serde_json::from_slice(&decoded(header)).unwrap();
        let member = |name: &str| decoded(header["jwk"][name].as_str().unwrap());
        let (message, signature) = (signed.as_bytes(), decoded(signature));
        let point = || [&[4], &member("x")[..], &member("y")].concat();
        let outcome = match header["alg"].as_str().unwrap() {
            "RS256" => RsaPublicKeyComponents {
                n: member("n"),
                e: member("e"),
            }
            .verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature),
            "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point())
                .verify(message, &signature),
            "ES384" => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point())
                .verify(message, &signature),
            _ => UnparsedPublicKey::new(&ED25519, member("x")).verify(message, &signature),
        };
        outcome.unwrap();
        (header, serde_json::from_slice(&decoded(payload)).unwrap())
    }

    #[test]
    fn the_public_key_in_a_proof_verifies_it_and_is_all_that_it_shows_of_the_key() {
        let keys: Value = serde_json::from_str(KEYS).unwrap();
        let given = |form: &str| {
            let text = keys[form].as_str().unwrap();
            DpopKey::new(SigningKey::parse(text).unwrap()).unwrap()
        };
        for (key, algorithm, members) in [
            (DpopKey::generate().unwrap(), "ES256", &["crv", "kty", "x", "y"][..]),
            (given("ec-sec1"), "ES256", &["crv", "kty", "x", "y"]),
            (given("ec-jwk"), "ES256", &["crv", "kty", "x", "y"]),
            (given("ec-p384"), "ES384", &["crv", "kty", "x", "y"]),
            (given("rsa-pkcs8"), "RS256", &["e", "kty", "n"]),
            (given("ed25519-jwk"), "EdDSA", &["crv", "kty", "x"]),
        ] {
            let (header, _) = verified(&key.sign_proof(&CLAIMS).unwrap());
            assert_eq!(header["typ"], "dpop+jwt", "{algorithm}");
            assert_eq!(header["alg"], algorithm);
            let shown = header["jwk"].as_object().unwrap().keys();
            assert_eq!(shown.collect::<Vec<_>>(), members, "{algorithm}");
            assert_eq!(format!("{key:?}"), format!("DpopKey(\"{}\")", key.thumbprint()));
        }
    }

    #[test]
    fn a_proof_has_the_claims_that_rfc_9449_requires_and_a_new_id() {
        let key = DpopKey::generate().unwrap();
        let claims = |claims| verified(&key.sign_proof(&claims).unwrap()).1;
        let mut plain = claims(CLAIMS);
        let id = plain["jti"].take();
        assert_eq!(id.as_str().unwrap().len(), 22);
        assert_ne!(claims(CLAIMS)["jti"], id);
        let expected = json!({
            "jti": null, "htm": "POST", "htu": CLAIMS.uri, "iat": 1_700_000_000,
        });
        assert_eq!(plain, expected);
        // The token and its hash come from RFC 9449 §7.1.
        let full = claims(ProofClaims {
            nonce: Some("eyJ7S_zG"),
            access_token: Some("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"),
            ..CLAIMS
        });
        assert_eq!(full["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(full["nonce"], "eyJ7S_zG");
    }

    #[test]
    fn thumbprints_are_the_ones_of_the_rfcs() {
        let rsa = PublicJwk::Rsa {
            e: "AQAB".to_owned(),
            kty: "RSA",
            n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS\
                oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65\
                YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyr\
                dkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK\
                nqDKgw"
                .to_owned(),
        };
        let ec = PublicJwk::Ec {
            crv: "P-256",
            kty: "EC",
            x: "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs".to_owned(),
            y: "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA".to_owned(),
        };
        for (name, jwk, expected) in [
            ("RFC 7638 §3.1", rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            ("RFC 9449 §6.1", ec, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
        ] {
            assert_eq!(thumbprint(&jwk).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn a_nonce_consists_of_visible_characters_without_quotation_marks() {
        let long = "n".repeat(MAX_NONCE);
        for (value, is_valid) in [
            ("eyJ7S_zG.eyJH0-Z.HX4w-7v", true),
            ("!#[]^~", true),
            (long.as_str(), true),
            (&format!("{long}n"), false),
            ("", false),
            ("a b", false),
            ("a\"", false),
            ("a\\", false),
            ("é", false),
        ] {
            assert_eq!(parse_nonce(value).is_some(), is_valid, "{value}");
        }
    }

    #[test]
    fn htu_is_the_url_without_query_and_default_port() {
        for (url, expected) in [
            ("https://sso.example/t", "https://sso.example/t"),
            ("HTTPS://SSO.example:443/t?a=b", "https://sso.example/t"),
            ("http://sso.example:80/a%20b/", "http://sso.example/a%20b/"),
            ("http://sso.example:8080/", "http://sso.example:8080/"),
        ] {
            let endpoint = TokenEndpoint::parse(url).unwrap();
            assert_eq!(target_uri(&endpoint), expected, "{url}");
        }
    }
}
