//! Says why the `ring` crate refuses a private key that other programs accept.

use p256::pkcs8::der::asn1::{AnyRef, UintRef};
use p256::pkcs8::der::{Decode as _, SliceReader, Tag, Tagged as _};
use p256::pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use rustls_pki_types::PrivateKeyDer;

/// The object identifiers of RFC 8017 and RFC 5480.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");

/// Why a key is not supported. `Display` is a clause about the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedKey {
    /// The modulus does not have 2048, 3072 or 4096 bits: `ring` requires at least 2048 and at most
    /// 4096, and two primes whose sizes are multiples of 512 bits.
    #[error("an RSA key of this size is not supported")]
    RsaSize,
    /// The public exponent is less than 65537 or has more than 33 bits.
    #[error("an RSA key with this public exponent is not supported")]
    RsaExponent,
    /// The key is an RSASSA-PSS key.
    #[error("an RSA key that is restricted to PSS is not supported")]
    RsaPss,
    /// The key is on a curve other than P-256 and P-384, or is a P-384 key that has SEC 1 form or
    /// lacks its public half.
    #[error("an EC key on this curve, or in this form, is not supported")]
    Curve,
    /// The key describes its curve by explicit parameters instead of a name.
    #[error(
        "an EC key that lists the parameters of its curve instead of the curve's name is not \
         supported"
    )]
    CurveParameters,
    /// The key has another type, or is malformed.
    #[error("the key is malformed or not supported")]
    Other,
}

impl UnsupportedKey {
    /// Diagnoses a key that `ring` refused.
    #[must_use]
    pub fn of(key: &PrivateKeyDer<'_>) -> Self {
        Self::diagnosed(key).unwrap_or(Self::Other)
    }

    fn diagnosed(key: &PrivateKeyDer<'_>) -> Option<Self> {
        match key {
            PrivateKeyDer::Pkcs1(der) => Self::of_pkcs1(der.secret_pkcs1_der()),
            PrivateKeyDer::Pkcs8(der) => {
                let key = PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok()?;
                match key.algorithm.oid {
                    RSA => Self::of_pkcs1(key.private_key.as_bytes()),
                    RSA_PSS => Some(Self::RsaPss),
                    EC => Self::of_curve(key.algorithm.parameters?),
                    _ => None,
                }
            }
            PrivateKeyDer::Sec1(der) => {
                let key = AnyRef::from_der(der.secret_sec1_der()).ok()?;
                let mut members = SliceReader::new(key.value()).ok()?;
                // The version and the private key precede the curve.
                let member = |()| AnyRef::decode(&mut members).ok();
                let [_, _, curve] = [(), (), ()].map(member);
                Self::of_curve(AnyRef::from_der(curve?.value()).ok()?)
            }
            _ => None,
        }
    }

    fn of_pkcs1(der: &[u8]) -> Option<Self> {
        let key = AnyRef::from_der(der).ok()?;
        let mut members = SliceReader::new(key.value()).ok()?;
        let number = |()| UintRef::decode(&mut members).ok();
        let [_, modulus, exponent] = [(), (), ()].map(number);
        Self::of_rsa(modulus?.as_bytes(), exponent?.as_bytes())
    }

    /// Diagnoses an RSA key by its modulus and its public exponent, without leading zeros.
    pub(super) fn of_rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let is_full = modulus
            .first()
            .is_some_and(|first| first.leading_zeros() == 0);
        let is_size = is_full && matches!(modulus.len(), 256 | 384 | 512);
        let is_exponent =
            matches!(exponent, [_, _, _] | [_, _, _, _] | [1, _, _, _, _]) && exponent != [1, 0, 0];
        if !is_size {
            Some(Self::RsaSize)
        } else if !is_exponent {
            Some(Self::RsaExponent)
        } else {
            None
        }
    }

    fn of_curve(parameters: AnyRef<'_>) -> Option<Self> {
        match parameters.tag() {
            Tag::ObjectIdentifier => {
                let is_supported = parameters.decode_as() == Ok(P_256);
                Some(Self::Curve).filter(|_| !is_supported)
            }
            _ => Some(Self::CurveParameters),
        }
    }
}
