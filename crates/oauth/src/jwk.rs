//! JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2): reads private keys and writes public keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use zeroize::Zeroizing;

use super::key::{JwkAlgorithm, KeyFault, KeyPair, SigningAlgorithm};
use super::unsupported_key::UnsupportedKey;

/// A Base64url member. Dropping it overwrites its memory. The parser also accepts padding and the
/// standard alphabet, because some programs write keys this way.
#[derive(Default)]
struct Octets(Zeroizing<Vec<u8>>);

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = Zeroizing::new(String::deserialize(deserializer)?.into_bytes());
        for byte in text.iter_mut() {
            *byte = match *byte {
                b'+' => b'-',
                b'/' => b'_',
                other => other,
            };
        }
        while text.last() == Some(&b'=') {
            text.pop();
        }
        URL_SAFE_NO_PAD
            .decode(&*text)
            .map(|octets| Self(Zeroizing::new(octets)))
            .map_err(|_| serde::de::Error::custom("not Base64url"))
    }
}

impl Octets {
    /// Returns the number without leading zeros, which RFC 7518 §2 forbids but some programs write.
    fn number(&self) -> &[u8] {
        let zeros = self.0.iter().take_while(|octet| **octet == 0).count();
        self.0.get(zeros..).unwrap_or_default()
    }

    /// Returns the number padded with zeros to `length` octets, or only zeros if it is too long.
    fn coordinate(&self, length: usize) -> Zeroizing<Vec<u8>> {
        let mut octets = Zeroizing::new(vec![0; length]);
        let number = self.number();
        if let Some(start) = octets.len().checked_sub(number.len())
            && let Some(place) = octets.get_mut(start..)
        {
            place.copy_from_slice(number);
        }
        octets
    }
}

impl AsRef<[u8]> for Octets {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A JSON Web Key. A member that this type of key lacks is empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Jwk {
    kty: String,
    crv: String,
    kid: Option<String>,
    alg: Option<String>,
    keys: Option<IgnoredAny>,
    n: Octets,
    e: Octets,
    d: Octets,
    p: Octets,
    q: Octets,
    dp: Octets,
    dq: Octets,
    qi: Octets,
    x: Octets,
    y: Octets,
}

impl Jwk {
    pub(super) fn read(
        text: &str,
    ) -> Result<(KeyPair, Option<String>, Option<JwkAlgorithm>), KeyFault> {
        let jwk: Self = serde_json::from_str(text).map_err(|_| KeyFault::BrokenJwk)?;
        if jwk.keys.is_some() {
            return Err(KeyFault::KeySet);
        }
        let is_asymmetric = ["RSA", "EC", "OKP"].contains(&jwk.kty.as_str());
        if is_asymmetric && jwk.d.0.is_empty() {
            return Err(KeyFault::Public);
        }
        let pair = match (jwk.kty.as_str(), jwk.crv.as_str()) {
            ("RSA", _) => RsaKeyPair::from_components(&KeyPairComponents {
                public_key: PublicKeyComponents {
                    n: jwk.n.number(),
                    e: jwk.e.number(),
                },
                d: jwk.d.number(),
                p: jwk.p.number(),
                q: jwk.q.number(),
                dP: jwk.dp.number(),
                dQ: jwk.dq.number(),
                qInv: jwk.qi.number(),
            })
            .map(KeyPair::rsa)
            .map_err(|_| UnsupportedKey::of_rsa(jwk.n.number(), jwk.e.number()))
            .map_err(|kind| KeyFault::Unsupported(kind.unwrap_or(UnsupportedKey::Other))),
            ("EC", "P-256") => jwk
                .ec(&ECDSA_P256_SHA256_FIXED_SIGNING, 32)
                .map(KeyPair::P256),
            ("EC", "P-384") => jwk
                .ec(&ECDSA_P384_SHA384_FIXED_SIGNING, 48)
                .map(KeyPair::P384),
            ("OKP", "Ed25519") => {
                let (seed, public) = (jwk.d.as_ref(), jwk.x.as_ref());
                Ed25519KeyPair::from_seed_and_public_key(seed, public)
                    .map(KeyPair::Ed)
                    .map_err(|_| KeyFault::BrokenJwk)
            }
            ("EC", _) => Err(KeyFault::Unsupported(UnsupportedKey::Curve)),
            _ => Err(KeyFault::Unsupported(UnsupportedKey::Other)),
        };
        let pair = pair?;
        let algorithm = jwk.alg.filter(|alg| !alg.is_empty()).map(|alg| {
            let mut fitting = SigningAlgorithm::OF_KEYS
                .into_iter()
                .filter(|one| pair.fits(*one));
            fitting
                .find(|one| one.as_str() == alg)
                .map_or(JwkAlgorithm::Foreign, JwkAlgorithm::Fitting)
        });
        Ok((pair, jwk.kid, algorithm))
    }

    /// Reads a key on a curve whose coordinates have this number of octets.
    fn ec(
        &self,
        curve: &'static EcdsaSigningAlgorithm,
        octets: usize,
    ) -> Result<EcdsaKeyPair, KeyFault> {
        const UNCOMPRESSED: &[u8] = &[4];
        let (x, y) = (self.x.coordinate(octets), self.y.coordinate(octets));
        let point = [UNCOMPRESSED, &x, &y].concat();
        let (d, random) = (self.d.coordinate(octets), SystemRandom::new());
        EcdsaKeyPair::from_private_key_and_public_key(curve, &d, &point, &random)
            .map_err(|_| KeyFault::BrokenJwk)
    }
}

/// The public half of a key. The serialised members are the ones that RFC 7638 §3.2 and RFC 8037
/// §2 require, in the order that a thumbprint needs.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum PublicJwk {
    Rsa {
        e: String,
        kty: &'static str,
        n: String,
    },
    Ec {
        crv: &'static str,
        kty: &'static str,
        x: String,
        y: String,
    },
    Okp {
        crv: &'static str,
        kty: &'static str,
        x: String,
    },
}

impl PublicJwk {
    pub(super) fn of(pair: &KeyPair) -> Self {
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        // An uncompressed point consists of an octet and two coordinates of equal length.
        let ec = |crv, pair: &EcdsaKeyPair| {
            let point = pair.public_key().as_ref().get(1..).unwrap_or_default();
            let (x, y) = point.split_at(point.len() / 2);
            Self::Ec {
                crv,
                kty: "EC",
                x: encode(x),
                y: encode(y),
            }
        };
        match pair {
            KeyPair::Rsa(pair) => {
                let PublicKeyComponents { n, e } =
                    PublicKeyComponents::<Vec<u8>>::from(pair.public());
                Self::Rsa {
                    e: encode(&e),
                    kty: "RSA",
                    n: encode(&n),
                }
            }
            KeyPair::P256(pair) => ec("P-256", pair),
            KeyPair::P384(pair) => ec("P-384", pair),
            KeyPair::Ed(pair) => Self::Okp {
                crv: "Ed25519",
                kty: "OKP",
                x: encode(pair.public_key().as_ref()),
            },
        }
    }
}
