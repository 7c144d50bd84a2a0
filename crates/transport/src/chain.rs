//! The rules for certificate chains that Node's TLS applies and the TLS library's verifier omits.
//!
//! The verifier takes only the name and the key from a trusted certificate, as RFC 5280 §6.1.1
//! allows, and never reads `keyUsage`. OpenSSL also checks the dates and extensions of the trusted
//! certificate, requires the chain to end in a self-signed certificate, and checks `keyUsage` in
//! every certificate. This module applies these rules too. It accepts a chain if any of its paths
//! satisfies them.

use rustls::{
    CertificateError, OtherError, RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
};
use webpki::VerifiedPath;

use super::facts::{
    DIGITAL_SIGNATURE, Facts, Issuance, KEY_AGREEMENT, KEY_CERT_SIGN, KEY_ENCIPHERMENT, NS_SERVER,
};

/// A rule that a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChainFault {
    #[error(
        "the certificate of its trusted authority has expired; replace it in ca, caFile or \
         NODE_EXTRA_CA_CERTS"
    )]
    RootExpired,
    #[error(
        "the certificate of its trusted authority is not valid yet; check this machine's clock"
    )]
    RootNotYetValid,
    #[error(
        "the certificate of its trusted issuer is not marked as an authority; issue it with \
         basicConstraints CA:TRUE"
    )]
    RootNotAuthority,
    #[error("the certificate of its trusted authority is not for servers (extendedKeyUsage)")]
    RootForOtherPurpose,
    #[error("the chain has more intermediate certificates than its authority allows (pathlen)")]
    PathTooLong,
    #[error("the certificate of its trusted authority has an unknown critical extension")]
    RootExtension,
    #[error(
        "only an intermediate authority is trusted; add its self-signed root to ca, caFile or \
         NODE_EXTRA_CA_CERTS"
    )]
    NoRoot,
    #[error("the keyUsage of an authority's certificate does not include keyCertSign")]
    AuthorityMayNotSign,
    #[error("its keyUsage does not fit a server; add digitalSignature, or omit keyUsage")]
    NotForServers,
    #[error("it is not for servers; issue it with extendedKeyUsage serverAuth and no nsCertType")]
    ForOtherPurpose,
    #[error(
        "it is marked as an authority; issue it with basicConstraints CA:FALSE, or set tokenFetch: \
         true to send token requests with Node's TLS"
    )]
    AuthorityAsServer,
    #[error(
        "the chain has more than six intermediate certificates; send fewer, or set tokenFetch: \
         true to send token requests with Node's TLS"
    )]
    TooManyAuthorities,
    #[error(
        "a certificate in its chain has an RSA key of fewer than 2048 or more than 8192 bits; issue \
         that certificate with another key, or set tokenFetch: true to send token requests with \
         Node's TLS"
    )]
    KeyLength,
    #[error("a certificate in its chain is malformed; issue another one")]
    Unreadable,
}

impl ChainFault {
    /// Returns the fault inside an error of the TLS library.
    pub(super) fn within(error: &CertificateError) -> Option<Self> {
        match error {
            CertificateError::Other(OtherError(other)) => other.downcast_ref().copied(),
            _ => None,
        }
    }

    /// Whether other trusted certificates could make the chain valid.
    pub(super) const fn is_about_roots(self) -> bool {
        !matches!(
            self,
            Self::AuthorityMayNotSign
                | Self::NotForServers
                | Self::ForOtherPurpose
                | Self::AuthorityAsServer
                | Self::TooManyAuthorities
                | Self::KeyLength
                | Self::Unreadable
        )
    }
}

impl From<ChainFault> for rustls::Error {
    fn from(fault: ChainFault) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(std::sync::Arc::new(fault))))
    }
}
impl Facts {
    /// Checks the purposes of a server's certificate.
    fn check_server(&self) -> Result<(), ChainFault> {
        let usages = DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT;
        let is_for_others = self.is_for_servers == Some(false)
            || self
                .ns_cert_type
                .is_some_and(|types| types & NS_SERVER == 0);
        if is_for_others {
            Err(ChainFault::ForOtherPurpose)
        } else if self.may(usages) {
            Ok(())
        } else {
            Err(ChainFault::NotForServers)
        }
    }

    /// Checks a trusted root of a chain with this number of intermediate certificates.
    fn check_root(&self, intermediates: u64, now: UnixTime) -> Result<(), ChainFault> {
        let is_authority = match self.authority {
            Some(authority) => authority.is_one,
            None => self.has_version_1 || self.key_usage.is_some(),
        };
        let path_length = self.authority.and_then(|authority| authority.path_length);
        if !is_authority {
            Err(ChainFault::RootNotAuthority)
        } else if !self.may(KEY_CERT_SIGN) {
            Err(ChainFault::AuthorityMayNotSign)
        } else if self.is_for_servers == Some(false) {
            Err(ChainFault::RootForOtherPurpose)
        } else if path_length.is_some_and(|length| intermediates > length) {
            Err(ChainFault::PathTooLong)
        } else if self.has_unknown_extension {
            Err(ChainFault::RootExtension)
        } else if self.is_expired(now) {
            Err(ChainFault::RootExpired)
        } else if self.is_early(now) {
            Err(ChainFault::RootNotYetValid)
        } else {
            Ok(())
        }
    }
}

/// The trusted certificates. A trusted certificate that is not self-signed may be part of a chain,
/// but not its end.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    anchors: RootCertStore,
    /// The facts about each anchor, in the order of `anchors`.
    facts: Vec<Facts>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// The error for a certificate that is malformed or cannot be a trust anchor.
#[derive(Debug)]
pub(super) struct NotACertificate;

impl Roots {
    pub(super) fn empty() -> Self {
        Self {
            anchors: RootCertStore::empty(),
            facts: Vec::new(),
            intermediates: Vec::new(),
        }
    }

    pub(super) fn add(
        &mut self,
        certificate: &CertificateDer<'static>,
    ) -> Result<(), NotACertificate> {
        let facts = Facts::of(certificate).ok_or(NotACertificate)?;
        let anchor = webpki::anchor_from_trusted_cert(certificate);
        let anchor = anchor.map_err(|_| NotACertificate)?.to_owned();
        if facts.issuance == Issuance::SelfSigned {
            self.anchors.roots.push(anchor);
            self.facts.push(facts);
        } else {
            self.intermediates.push(certificate.clone());
        }
        Ok(())
    }

    pub(super) const fn anchors(&self) -> &RootCertStore {
        &self.anchors
    }

    /// Returns the trusted certificates that are not self-signed.
    pub(super) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    /// Whether this self-signed certificate is trusted.
    fn contains(&self, certificate: &Facts) -> bool {
        let mut all = self.facts.iter();
        all.any(|known| known.fingerprint == certificate.fingerprint)
    }

    /// Whether a key in the chain or the key of a trusted certificate is too short or too long.
    pub(super) fn have_refused_key<'a>(
        &self,
        mut chain: impl Iterator<Item = &'a CertificateDer<'a>>,
    ) -> bool {
        let is_short =
            |der: &CertificateDer<'_>| Facts::of(der).is_some_and(|it| it.has_refused_key());
        chain.any(is_short) || self.facts.iter().any(Facts::has_refused_key)
    }

    /// Checks a server's certificate that the verifier accepts; [`Roots::check_path`] checks the
    /// rest of the chain. Returns whether the certificate itself is trusted.
    pub(super) fn check_server(&self, certificate: &[u8]) -> Result<bool, ChainFault> {
        let facts = Facts::of(certificate).ok_or(ChainFault::Unreadable)?;
        facts.check_server()?;
        Ok(facts.issuance == Issuance::SelfSigned && self.contains(&facts))
    }

    /// Like [`Roots::check_server`], but for a certificate that is marked as an authority. The
    /// certificate must also be self-signed.
    pub(super) fn check_authority_as_server(&self, certificate: &[u8]) -> Result<bool, ChainFault> {
        let is_trusted = self.check_server(certificate)?;
        match Facts::of(certificate) {
            Some(facts) if facts.issuance != Issuance::SelfSigned => {
                Err(ChainFault::AuthorityAsServer)
            }
            _ => Ok(is_trusted),
        }
    }

    /// Checks the authorities of a chain that the verifier accepts.
    pub(super) fn check_path(
        &self,
        path: &VerifiedPath<'_>,
        now: UnixTime,
    ) -> Result<(), ChainFault> {
        let mut intermediates: u64 = 0;
        for certificate in path.intermediate_certificates() {
            let facts = Facts::of(&certificate.der());
            let facts = facts.ok_or(ChainFault::Unreadable)?;
            if !facts.may(KEY_CERT_SIGN) {
                return Err(ChainFault::AuthorityMayNotSign);
            }
            if facts.issuance == Issuance::ByAnother {
                intermediates = intermediates.saturating_add(1);
            }
        }
        // An authority may have several trusted certificates with the same name and key. Like
        // OpenSSL, this function uses the first of them that is valid at this time.
        let is_valid = |facts: &&Facts| !facts.is_expired(now) && !facts.is_early(now);
        let mut all = self.facts_of(path.anchor());
        let first = self.facts_of(path.anchor()).find(is_valid);
        let facts = first.or_else(|| all.next()).ok_or(ChainFault::NoRoot)?;
        facts.check_root(intermediates, now)
    }

    fn facts_of(&self, anchor: &TrustAnchor<'_>) -> impl Iterator<Item = &Facts> {
        let all = self.anchors.roots.iter().zip(&self.facts);
        all.filter(move |(known, _)| *known == anchor)
            .map(|(_, facts)| facts)
    }
}
