//! The certificate with which a client authenticates on a TLS connection, and its private key.

use std::fmt;
use std::hash::{Hash, Hasher};

use ::ring::digest::{Context, SHA256};
#[cfg(feature = "http")]
use der::{Decode as _, asn1::AnyRef};
#[cfg(feature = "http")]
use rustls::{crypto::ring, pki_types::UnixTime, sign::CertifiedKey};
use rustls_pki_types::CertificateDer;

#[cfg(feature = "http")]
use super::facts::Facts;
use oauth::{KeyFault, PemFlaw, PrivateKey, UnsupportedKey, certificates, private_key};

/// A certificate chain and the key of its first certificate. Two identities are equal if their
/// texts are equal.
pub struct ClientIdentity {
    pub(super) chain: Vec<CertificateDer<'static>>,
    #[cfg_attr(
        not(feature = "http"),
        expect(dead_code, reason = "without HTTP, no code presents the identity")
    )]
    pub(super) key: PrivateKey,
    source: [u8; 32],
}

impl ClientIdentity {
    /// Reads a PEM certificate and a PEM key. Does not check that the two belong together;
    /// [`ClientIdentity::check`] does, and so does opening a connection.
    ///
    /// # Errors
    /// The error says whether the certificate or the key is wrong, without repeating the text.
    pub fn parse(certificate: &str, key: &str) -> Result<Self, IdentityFault> {
        let chain = Self::parse_chain(certificate)?;
        let der = private_key(key).map_err(IdentityFault::Key)?;
        let mut hash = Context::new(&SHA256);
        for part in [certificate, "\0", key] {
            hash.update(part.as_bytes());
        }
        let mut source = [0; 32];
        for (byte, hashed) in source.iter_mut().zip(hash.finish().as_ref()) {
            *byte = *hashed;
        }
        Ok(Self {
            chain,
            key: der,
            source,
        })
    }

    fn parse_chain(certificate: &str) -> Result<Vec<CertificateDer<'static>>, IdentityFault> {
        let flaw = || PemFlaw::of(certificate).map(IdentityFault::Mangled);
        let chain = certificates(certificate)
            .map_err(|_| flaw().unwrap_or(IdentityFault::BrokenCertificate))?;
        if chain.is_empty() {
            return Err(flaw().unwrap_or(IdentityFault::NoCertificate));
        }
        #[cfg(feature = "http")]
        if chain.iter().any(|each| Facts::of(each).is_none()) {
            return Err(IdentityFault::BrokenCertificate);
        }
        Ok(chain)
    }

    /// Checks a certificate without its key.
    ///
    /// # Errors
    /// The error is the fault that [`ClientIdentity::parse`] would return.
    pub fn check_certificate(certificate: &str) -> Result<(), IdentityFault> {
        Self::parse_chain(certificate).map(drop)
    }

    /// Checks a key without its certificate.
    ///
    /// # Errors
    /// The error is the fault that [`ClientIdentity::parse`] would return.
    pub fn check_key(key: &str) -> Result<(), IdentityFault> {
        private_key(key).map(drop).map_err(IdentityFault::Key)
    }

    /// Checks nothing: without the feature `http`, the crate contains no TLS library that could
    /// check the identity.
    #[cfg(not(feature = "http"))]
    #[expect(
        clippy::missing_errors_doc,
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "the signature is the same as with TLS"
    )]
    pub fn check(&self) -> Result<(), IdentityFault> {
        Ok(())
    }
}

#[cfg(feature = "http")]
impl ClientIdentity {
    /// Checks that the certificate and the key belong together, and that TLS supports the kind of
    /// key.
    ///
    /// # Errors
    /// The error says whether the certificate or the key is wrong.
    pub fn check(&self) -> Result<(), IdentityFault> {
        self.certified().map(drop)
    }

    /// Returns the certificate and its key for the TLS library. Only the server verifies the
    /// certificate, so the library need not support all features of the certificate.
    pub(super) fn certified(&self) -> Result<CertifiedKey, IdentityFault> {
        let provider = ring::default_provider();
        let key = self.key.expose().clone_key();
        let key = provider.key_provider.load_private_key(key);
        let unusable = || IdentityFault::UnusableKey(UnsupportedKey::of(self.key.expose()));
        let key = key.map_err(|_| unusable())?;
        let facts = self.facts()?;
        if let Some(public_key) = key.public_key() {
            let public_key = AnyRef::from_der(&public_key).map_err(|_| unusable())?;
            if !facts.has_key(public_key.value()) {
                return Err(IdentityFault::Mismatch);
            }
        }
        Ok(CertifiedKey::new(self.chain.clone(), key))
    }

    /// Checks that the certificate is valid at `now`.
    pub(super) fn check_dates(&self, now: UnixTime) -> Result<(), IdentityFault> {
        let facts = self.facts()?;
        if facts.is_expired(now) {
            Err(IdentityFault::Expired)
        } else if facts.is_early(now) {
            Err(IdentityFault::NotYetValid)
        } else {
            Ok(())
        }
    }

    fn facts(&self) -> Result<Facts, IdentityFault> {
        let first = self.chain.first().ok_or(IdentityFault::NoCertificate)?;
        Facts::of(first).ok_or(IdentityFault::BrokenCertificate)
    }
}

impl PartialEq for ClientIdentity {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for ClientIdentity {}

impl Hash for ClientIdentity {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdentity({})", self.chain.len())
    }
}

/// Why two texts do not form an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityFault {
    /// The text contains no certificate.
    NoCertificate,
    /// The PEM text of the certificate has lost its line breaks, or is in quotation marks.
    Mangled(PemFlaw),
    /// The PEM text of a certificate is broken, or a certificate is malformed.
    BrokenCertificate,
    /// The certificate has expired.
    Expired,
    /// The certificate is not valid yet.
    NotYetValid,
    /// The text is not a usable private key.
    Key(KeyFault),
    /// TLS does not support this kind of key.
    UnusableKey(UnsupportedKey),
    /// The key belongs to another certificate.
    Mismatch,
}

impl IdentityFault {
    /// Returns the option at fault, and a description of the fault.
    #[must_use]
    pub fn describe(self) -> (&'static str, String) {
        let certificate = |what: &str| ("clientCertificate", what.to_owned());
        match self {
            Self::NoCertificate => certificate("it contains no PEM certificate"),
            Self::Mangled(flaw) => ("clientCertificate", flaw.to_string()),
            Self::BrokenCertificate => certificate("the certificate is cut off or malformed"),
            Self::Expired => certificate("the certificate has expired; renew it"),
            Self::NotYetValid => {
                certificate("the certificate is not valid yet; check this machine's clock")
            }
            Self::Key(fault) => ("clientKey", fault.to_string()),
            Self::UnusableKey(kind) => {
                let hint = match kind {
                    UnsupportedKey::Curve => {
                        "; if your key is a P-384 key that lacks its public half, run openssl pkey \
                         -in KEY -out NEW to add the public half"
                    }
                    _ => "",
                };
                let advice = "use a 2048-, 3072- or 4096-bit RSA key with exponent 65537, or a \
                              P-256, P-384 or Ed25519 key, or present the certificate in a \
                              tokenFetch function";
                ("clientKey", format!("{kind} by TLS: {advice}{hint}"))
            }
            Self::Mismatch => {
                ("clientKey", "the key does not belong to the certificate".to_owned())
            }
        }
    }
}
