//! The private key that signs assertions and DPoP proofs, as PEM or as a JSON Web Key (RFC 7517),
//! and its algorithms from RFC 7518 and RFC 8037. The `ring` crate does all cryptography.

use std::fmt;

use p256::pkcs8::EncodePrivateKey as _;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use ring::{error::Unspecified, hmac};
use rustls_pki_types::PrivateKeyDer;
use zeroize::Zeroizing;

use super::jwk::{Jwk, PublicJwk};
use super::pem::{PemFlaw, private_key};
use super::redact::REDACTED;
use super::secret::{ClientSecret, PrivateKey};
use super::unsupported_key::UnsupportedKey;

/// The algorithm that signs an assertion or a proof (RFC 7518 §3, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// RSA, PSS, SHA-256.
    Ps256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// ECDSA on P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC, SHA-256.
    Hs256,
    /// HMAC, SHA-384.
    Hs384,
    /// HMAC, SHA-512.
    Hs512,
}

impl SigningAlgorithm {
    /// The algorithms of private keys.
    pub const OF_KEYS: [Self; 5] =
        [Self::Rs256, Self::Ps256, Self::Es256, Self::Es384, Self::EdDsa];
    /// The algorithms of shared secrets.
    pub const OF_SECRETS: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// Returns the registered name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// Returns the HMAC algorithm, if this algorithm uses HMAC.
    pub(super) const fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hs256 => Some(hmac::HMAC_SHA256),
            Self::Hs384 => Some(hmac::HMAC_SHA384),
            Self::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }
}

/// A private key.
pub struct SigningKey {
    pair: KeyPair,
    key_id: Option<String>,
    /// The `alg` of the JSON Web Key, if it has one.
    algorithm: Option<JwkAlgorithm>,
    /// A hash of the text. It distinguishes a replaced key from an unchanged key that the manager
    /// read again.
    source: [u8; 32],
}

/// The `alg` of a JSON Web Key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JwkAlgorithm {
    /// An algorithm with which the key can sign.
    Fitting(SigningAlgorithm),
    /// An algorithm that this crate does not support, or that does not fit the key.
    Foreign,
}

pub(super) enum KeyPair {
    Rsa(Box<RsaKeyPair>),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

/// Why a text is not a private key that can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The text contains no private key.
    #[error("it contains no PEM private key and is not a JSON Web Key")]
    Missing,
    /// The text is a public key or a certificate.
    #[error("it contains a public key or a certificate instead of a private key")]
    Public,
    /// A pass phrase protects the key.
    #[error("it is encrypted: decrypt it first, for example with openssl pkey -in KEY -out PLAIN")]
    Encrypted,
    /// The key has OpenSSH's own format.
    #[error(
        "it is an OpenSSH key: convert it to PEM, for example with ssh-keygen -p -m PKCS8 -f KEY"
    )]
    OpenSsh,
    /// The PEM text has lost its line breaks, or is in quotation marks.
    #[error("{0}")]
    Mangled(PemFlaw),
    /// The PEM text is cut off, or its content is not Base64.
    #[error("the PEM is cut off or malformed")]
    BrokenPem,
    /// A JSON Web Key lacks members, or its members are not numbers in Base64url.
    #[error("the JSON Web Key is malformed or lacks private members")]
    BrokenJwk,
    /// The text is a set of JSON Web Keys (RFC 7517 §5).
    #[error("it is a set of JSON Web Keys: use one key from the set")]
    KeySet,
    /// The key cannot sign with any supported algorithm, or is malformed.
    #[error(
        "{0}: use a 2048-, 3072- or 4096-bit RSA key with exponent 65537, a P-256 key, a P-384 key \
         as PKCS #8 or JWK, or an Ed25519 key"
    )]
    Unsupported(UnsupportedKey),
}

impl SigningKey {
    /// Reads a PEM key (PKCS #8, PKCS #1, SEC 1) or a JSON Web Key.
    ///
    /// # Errors
    /// The error names the fault of the text, without repeating the text.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        let json = text.trim_start_matches('\u{feff}').trim_start();
        let (pair, key_id, algorithm) = if json.starts_with('{') {
            Jwk::read(json)?
        } else {
            (KeyPair::from_der(&private_key(text)?)?, None, None)
        };
        let mut source = [0; 32];
        for (byte, hashed) in source
            .iter_mut()
            .zip(digest(&SHA256, text.as_bytes()).as_ref())
        {
            *byte = *hashed;
        }
        Ok(Self {
            pair,
            key_id,
            algorithm,
            source,
        })
    }

    /// Creates a P-256 key.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub(super) fn generate() -> Result<Self, Unspecified> {
        let random = SystemRandom::new();
        let mut source = [0; 32];
        random.fill(&mut source)?;
        let der = loop {
            let mut number = Zeroizing::new([0; 32]);
            random.fill(&mut *number)?;
            // About one number in 2^32 is not below the curve's order.
            if let Ok(secret) = p256::SecretKey::from_slice(&*number) {
                break secret.to_pkcs8_der().map_err(|_| Unspecified)?;
            }
        };
        let curve = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(curve, der.as_bytes(), &random);
        Ok(Self {
            pair: KeyPair::P256(pair.map_err(|_| Unspecified)?),
            key_id: None,
            algorithm: None,
            source,
        })
    }

    /// Returns the public half of the key.
    pub(super) fn public_jwk(&self) -> PublicJwk {
        PublicJwk::of(&self.pair)
    }

    /// Returns the `kid` of the JSON Web Key.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// Returns the algorithm that signs unless the user configures another algorithm.
    #[must_use]
    pub const fn default_algorithm(&self) -> SigningAlgorithm {
        match (self.algorithm, &self.pair) {
            (Some(JwkAlgorithm::Fitting(algorithm)), _) => algorithm,
            (_, KeyPair::Rsa(_)) => SigningAlgorithm::Rs256,
            (_, KeyPair::P256(_)) => SigningAlgorithm::Es256,
            (_, KeyPair::P384(_)) => SigningAlgorithm::Es384,
            (_, KeyPair::Ed(_)) => SigningAlgorithm::EdDsa,
        }
    }

    /// Returns the names of the algorithms with which the key can sign.
    #[must_use]
    pub fn algorithms(&self) -> String {
        let fitting = SigningAlgorithm::OF_KEYS
            .into_iter()
            .filter(|algorithm| self.fits(*algorithm))
            .map(SigningAlgorithm::as_str);
        fitting.collect::<Vec<_>>().join(" or ")
    }

    /// Returns the fault of a JSON Web Key whose `alg` is not one of [`SigningKey::algorithms`].
    /// The key is usable if the user configures one of these algorithms.
    #[must_use]
    pub fn algorithm_fault(&self) -> Option<String> {
        (self.algorithm == Some(JwkAlgorithm::Foreign)).then(|| {
            format!(
                "its alg member names an algorithm that the manager does not support for this key; \
                 correct alg, or set signingAlgorithm to {}",
                self.algorithms()
            )
        })
    }

    /// Whether the key can sign with this algorithm.
    #[must_use]
    pub const fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        self.pair.fits(algorithm)
    }

    /// Whether both keys come from the same text.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.source == other.source
    }

    /// Signs a message. The signature has the form that RFC 7515 requires.
    pub(super) fn sign(
        &self,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Unspecified> {
        let random = SystemRandom::new();
        match (&self.pair, algorithm) {
            (KeyPair::Rsa(pair), SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256) => {
                let padding = match algorithm {
                    SigningAlgorithm::Ps256 => &RSA_PSS_SHA256 as &dyn ring::signature::RsaEncoding,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(padding, &random, message, &mut signature)?;
                Ok(signature)
            }
            (KeyPair::P256(pair), SigningAlgorithm::Es256)
            | (KeyPair::P384(pair), SigningAlgorithm::Es384) => pair
                .sign(&random, message)
                .map(|made| made.as_ref().to_vec()),
            (KeyPair::Ed(pair), SigningAlgorithm::EdDsa) => {
                Ok(pair.sign(message).as_ref().to_vec())
            }
            _ => Err(Unspecified),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&REDACTED).finish()
    }
}

/// Computes the HMAC of a message with a shared secret.
pub(super) fn authenticate(
    algorithm: hmac::Algorithm,
    secret: &ClientSecret,
    message: &[u8],
) -> Vec<u8> {
    let key = hmac::Key::new(algorithm, secret.expose().as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

impl KeyPair {
    pub(super) const fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        matches!(
            (self, algorithm),
            (Self::Rsa(_), SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256)
                | (Self::P256(_), SigningAlgorithm::Es256)
                | (Self::P384(_), SigningAlgorithm::Es384)
                | (Self::Ed(_), SigningAlgorithm::EdDsa)
        )
    }

    fn from_der(key: &PrivateKey) -> Result<Self, KeyFault> {
        let pair = match key.expose() {
            PrivateKeyDer::Pkcs1(der) => {
                let pair = RsaKeyPair::from_der(der.secret_pkcs1_der());
                pair.ok().map(Self::rsa)
            }
            PrivateKeyDer::Pkcs8(der) => {
                let der = der.secret_pkcs8_der();
                let random = SystemRandom::new();
                let ec = |curve| EcdsaKeyPair::from_pkcs8(curve, der, &random).ok();
                let ed = || Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok();
                let rsa = RsaKeyPair::from_pkcs8(der).ok().map(Self::rsa);
                rsa.or_else(|| ec(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Self::P256))
                    .or_else(|| ec(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Self::P384))
                    .or_else(|| ed().map(Self::Ed))
            }
            _ => None,
        };
        pair.ok_or_else(|| KeyFault::Unsupported(UnsupportedKey::of(key.expose())))
    }

    pub(super) fn rsa(pair: RsaKeyPair) -> Self {
        Self::Rsa(Box::new(pair))
    }
}

#[cfg(test)]
#[cfg(not(miri))]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use ring::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, KeyPair as _,
        RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

    use super::*;

    const KEYS: &str = include_str!("../tests/keys.json");

    fn key(name: &str) -> String {
        let keys: serde_json::Value = serde_json::from_str(KEYS).unwrap();
        keys.get(name).unwrap().as_str().unwrap().to_owned()
    }

    fn public(key: &SigningKey) -> Vec<u8> {
        match &key.pair {
            KeyPair::Rsa(pair) => pair.public_key().as_ref().to_vec(),
            KeyPair::P256(pair) | KeyPair::P384(pair) => pair.public_key().as_ref().to_vec(),
            KeyPair::Ed(pair) => pair.public_key().as_ref().to_vec(),
        }
    }

    #[test]
    fn the_public_key_verifies_signatures_of_each_form_of_a_key() {
        use SigningAlgorithm::{EdDsa, Es256, Es384, Ps256, Rs256};
        for (form, algorithms) in [
            ("rsa-pkcs8", &[Rs256, Ps256][..]),
            ("rsa-pkcs1", &[Rs256, Ps256]),
            ("rsa-jwk", &[Rs256, Ps256]),
            ("ec-pkcs8", &[Es256]),
            ("ec-pkcs8-without-public", &[Es256]),
            ("ec-sec1", &[Es256]),
            ("ec-sec1-with-parameters", &[Es256]),
            ("ec-sec1-without-public", &[Es256]),
            ("ec-sec1-bare", &[Es256]),
            ("ec-jwk", &[Es256]),
            ("ec-p384", &[Es384]),
            ("ec-p384-jwk", &[Es384]),
            ("ed25519-pkcs8", &[EdDsa]),
            ("ed25519-jwk", &[EdDsa]),
        ] {
            let key = SigningKey::parse(&key(form)).unwrap();
            assert_eq!(Some(&key.default_algorithm()), algorithms.first(), "{form}");
            let expected_id = form.ends_with("-jwk").then_some("the-key");
            assert_eq!(key.key_id(), expected_id, "{form}");
            for algorithm in SigningAlgorithm::OF_KEYS {
                assert_eq!(key.fits(algorithm), algorithms.contains(&algorithm), "{form}");
                let signed = key.sign(algorithm, b"message");
                assert_eq!(signed.is_ok(), key.fits(algorithm), "{form}");
                let Ok(signature) = signed else { continue };
                let verification: &dyn VerificationAlgorithm = match algorithm {
                    Rs256 => &RSA_PKCS1_2048_8192_SHA256,
                    Ps256 => &RSA_PSS_2048_8192_SHA256,
                    Es256 => &ECDSA_P256_SHA256_FIXED,
                    Es384 => &ECDSA_P384_SHA384_FIXED,
                    _ => &ED25519,
                };
                let public = UnparsedPublicKey::new(verification, public(&key));
                public.verify(b"message", &signature).unwrap();
                public.verify(b"another", &signature).unwrap_err();
            }
            for algorithm in SigningAlgorithm::OF_SECRETS {
                assert!(key.sign(algorithm, b"message").is_err(), "{form}");
            }
        }
    }

    #[test]
    fn a_jwk_may_have_leading_zeros_padding_and_the_standard_alphabet() {
        for (form, members) in
            [("rsa-jwk", &["n", "e", "d", "p", "q"][..]), ("ec-jwk", &["d", "x", "y"])]
        {
            let mut jwk: BTreeMap<String, String> = serde_json::from_str(&key(form)).unwrap();
            for member in members {
                let text = jwk.get_mut(*member).unwrap();
                let number = URL_SAFE_NO_PAD.decode(&*text).unwrap();
                *text = STANDARD.encode([&[0, 0][..], &number].concat());
            }
            let jwk = serde_json::to_string(&jwk).unwrap();
            let odd = SigningKey::parse(&jwk).unwrap();
            let usual = SigningKey::parse(&key(form)).unwrap();
            assert_eq!(public(&odd), public(&usual), "{form}");
        }
    }

    #[test]
    fn the_alg_of_a_jwk_is_the_default_or_a_fault() {
        for (alg, expected) in [
            ("PS256", Some(SigningAlgorithm::Ps256)),
            ("RS256", Some(SigningAlgorithm::Rs256)),
            ("ES256", None),
            ("HS256", None),
            ("RS512", None),
            ("RSA-OAEP", None),
            ("", Some(SigningAlgorithm::Rs256)),
        ] {
            let jwk = key("rsa-jwk").replacen('{', &format!(r#"{{"alg":"{alg}","#), 1);
            let read = SigningKey::parse(&jwk).unwrap();
            let usable = read.algorithm_fault().is_none();
            assert_eq!(usable.then(|| read.default_algorithm()), expected, "{alg}");
            assert!(read.fits(SigningAlgorithm::Rs256), "{alg}");
        }
    }

    const BROKEN: &str = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";

    #[test]
    fn text_around_a_key_and_its_lines_is_ignored() {
        let pem = key("ec-pkcs8");
        for (name, text) in [
            ("empty lines before it", format!("\n \n{pem}")),
            ("indented", format!("  {}", pem.replace('\n', "\n  "))),
            ("tabs", format!("\t{}", pem.replace('\n', "\n\t"))),
            ("trailing", pem.replace('\n', " \n")),
            ("carriage returns", pem.replace('\n', "\r\n")),
            ("text before it", format!("Bag Attributes\n  friendlyName: a\n{pem}")),
            ("a byte order mark", format!("\u{feff}{pem}")),
            ("a certificate before it", format!("{}\n{pem}", key("certificate"))),
            ("a certificate after it", format!("{pem}{}", key("certificate"))),
            ("text after it", format!("{pem}the end\n")),
            ("half a block after it", format!("{pem}-----BEGIN PRIVATE KEY-----\nAA")),
            ("an encrypted key after it", format!("{pem}{}", key("rsa-encrypted"))),
            ("a broken certificate before it", format!("{BROKEN}{pem}")),
            (
                "a broken key before it",
                format!("{}{pem}", BROKEN.replace("CERTIFICATE", "PRIVATE KEY")),
            ),
            ("the label of EC keys", pem.replace("PRIVATE KEY", "EC PRIVATE KEY")),
        ] {
            let read = SigningKey::parse(&text).unwrap();
            assert_eq!(public(&read), public(&SigningKey::parse(&pem).unwrap()), "{name}");
        }
    }

    #[test]
    fn a_completed_key_has_its_own_public_half() {
        let public = |form: &str| public(&SigningKey::parse(&key(form)).unwrap());
        let forms =
            ["ec-pkcs8-without-public", "ec-sec1-without-public", "ec-sec1-bare", "ec-sec1"];
        for form in forms {
            assert_eq!(public(form), public("ec-pkcs8"), "{form}");
        }
        let der = private_key(&key("rsa-pkcs1")).unwrap();
        assert!(matches!(der.expose(), PrivateKeyDer::Pkcs1(_)), "other keys stay as they are");
        let der = private_key(&key("ec-p384")).unwrap();
        assert!(matches!(der.expose(), PrivateKeyDer::Pkcs8(_)), "other curves stay as they are");
    }

    #[test]
    fn an_unusable_key_is_described_and_not_shown() {
        let cut = |text: String| text.split_at(text.len() / 2).0.to_owned();
        let jwk = key("ec-jwk");
        let unsupported = KeyFault::Unsupported;
        for (name, text, fault) in [
            ("nothing", String::new(), KeyFault::Missing),
            ("a secret", "s3cr+t".to_owned(), KeyFault::Missing),
            ("a public key", key("ec-public"), KeyFault::Public),
            ("a certificate", key("certificate"), KeyFault::Public),
            ("encrypted PKCS #8", key("rsa-encrypted"), KeyFault::Encrypted),
            ("encrypted PKCS #1", key("rsa-encrypted-traditional"), KeyFault::Encrypted),
            (
                "an encrypted key before another",
                key("rsa-encrypted") + &key("ec-pkcs8"),
                KeyFault::Encrypted,
            ),
            ("cut off", cut(key("rsa-pkcs8")), KeyFault::BrokenPem),
            ("another curve", key("ec-p521"), unsupported(UnsupportedKey::Curve)),
            (
                "escaped line breaks",
                key("rsa-pkcs8").replace('\n', "\\n"),
                KeyFault::Mangled(PemFlaw::EscapedLineBreaks),
            ),
            (
                "OpenSSH",
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n"
                    .to_owned(),
                KeyFault::OpenSsh,
            ),
            ("RSA of 1024 bits", key("rsa-1024"), unsupported(UnsupportedKey::RsaSize)),
            ("RSA of 2560 bits", key("rsa-2560"), unsupported(UnsupportedKey::RsaSize)),
            ("cut off JSON", cut(jwk.clone()), KeyFault::BrokenJwk),
            ("a public JWK", jwk.replace("\"d\"", "\"D\""), KeyFault::Public),
            ("a JWK without a member", jwk.replace("\"x\"", "\"X\""), KeyFault::BrokenJwk),
            ("an empty JWK", "{}".to_owned(), unsupported(UnsupportedKey::Other)),
            ("a set of keys", format!("{{\"keys\":[{jwk}]}}"), KeyFault::KeySet),
        ] {
            let error = SigningKey::parse(&text).unwrap_err();
            assert_eq!(error, fault, "{name}");
        }
    }

    #[test]
    fn a_key_is_the_same_if_its_text_is() {
        let parse = |form: &str| SigningKey::parse(&key(form)).unwrap();
        assert!(parse("ec-jwk").is_same_as(&parse("ec-jwk")));
        assert!(!parse("ec-jwk").is_same_as(&parse("ed25519-jwk")));
        assert_eq!(format!("{:?}", parse("ec-jwk")), "SigningKey(\"[redacted]\")");
    }
}
