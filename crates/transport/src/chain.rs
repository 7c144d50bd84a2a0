//! The rules for certificate chains that Node's TLS applies and the TLS library's verifier omits.
//!
//! The verifier takes the name and key from a trusted certificate and ignores the rest of it, as
//! RFC 5280 §6.1.1 allows, and never reads `keyUsage`. OpenSSL also checks dates and extensions of
//! the trusted certificate, requires the chain to end in a self-signed one, and checks `keyUsage`
//! everywhere. Chains that break these rules are refused here too, but any valid path counts.

use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, BitStringRef, GeneralizedTime, UtcTime},
};
use rustls::{
    CertificateError, OtherError, RootCertStore,
    pki_types::{CertificateDer, TrustAnchor, UnixTime},
};
use webpki::VerifiedPath;

/// A rule that a chain breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChainFault {
    #[error(
        "the certificate of its trusted authority has expired: replace it in `ca`, `caFile` or \
         NODE_EXTRA_CA_CERTS"
    )]
    RootExpired,
    #[error(
        "the certificate of its trusted authority is not valid yet: check this machine's clock"
    )]
    RootNotYetValid,
    #[error(
        "the certificate of its trusted issuer is not marked as an authority: issue it with \
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
        "only an intermediate authority is trusted: add its self-signed root to `ca`, \
         `caFile` or NODE_EXTRA_CA_CERTS"
    )]
    NoRoot,
    #[error("the keyUsage of an authority's certificate does not include keyCertSign")]
    AuthorityMayNotSign,
    #[error("its keyUsage is not that of a server: add digitalSignature, or omit keyUsage")]
    NotForServers,
    #[error("it is not for servers: issue it with extendedKeyUsage serverAuth, without nsCertType")]
    ForOtherPurpose,
    #[error(
        "it is marked as an authority: issue it with basicConstraints CA:FALSE, or set \
         tokenFetch: true to send token requests with Node's TLS"
    )]
    AuthorityAsServer,
    #[error(
        "the chain has more than six intermediate certificates: send fewer, or set tokenFetch: \
         true to send token requests with Node's TLS"
    )]
    TooManyAuthorities,
    #[error(
        "it, or the certificate of an authority, has an RSA key of less than 2048 or more \
         than 8192 bits: issue it with another key, or set tokenFetch: true to send token requests with Node's TLS"
    )]
    KeyLength,
    #[error("a certificate in the chain cannot be parsed: issue another one")]
    Unreadable,
}

impl ChainFault {
    /// The fault inside an error of the TLS library.
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

/// The fields of a certificate that the verifier does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    fingerprint: [u8; 32],
    /// `SubjectPublicKeyInfo` without its header.
    pub(super) public_key: Vec<u8>,
    not_before: Duration,
    not_after: Duration,
    issuance: Issuance,
    has_version_1: bool,
    /// The first eight bits of `keyUsage`, with the first bit as the most significant.
    key_usage: Option<u8>,
    /// `basicConstraints`.
    authority: Option<Authority>,
    /// Whether `extendedKeyUsage` includes `serverAuth`; `None` without the extension.
    is_for_servers: Option<bool>,
    /// The first bits of Netscape's `nsCertType`, the first one highest.
    ns_cert_type: Option<u8>,
    /// Whether a critical extension is unknown to OpenSSL.
    has_unknown_extension: bool,
}

/// Who issued a certificate (RFC 5280 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Issuance {
    ByAnother,
    /// Issuer and subject are the same, but their keys differ.
    SelfIssued,
    /// Issuer and subject are the same, and no extension says that their keys differ.
    SelfSigned,
}

/// The identifiers of a certificate's key and of its issuer's key.
#[derive(Default)]
struct KeyIds {
    subject: Option<Vec<u8>>,
    issuer: Option<Vec<u8>>,
}

impl KeyIds {
    fn may_be_the_same(&self) -> bool {
        self.subject.is_none() || self.issuer.is_none() || self.subject == self.issuer
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Authority {
    is_one: bool,
    path_length: Option<u64>,
}

const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x08;
const KEY_CERT_SIGN: u8 = 0x04;

/// Object identifiers of RFC 5280 §4.2.1, in DER without the header.
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 19];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 14];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 35];
/// Netscape's `nsCertType`, and its bit for servers.
const NS_CERT_TYPE: &[u8] = &[0x60, 0x86, 0x48, 1, 0x86, 0xF8, 0x42, 1, 1];
const NS_SERVER: u8 = 0x40;
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 37];
const SERVER_AUTH: &[u8] = &[0x2B, 6, 1, 5, 5, 7, 3, 1];

/// The other extensions that OpenSSL 3 knows: subjectAltName, nameConstraints,
/// cRLDistributionPoints, certificatePolicies, policyMappings, policyConstraints, inhibitAnyPolicy,
/// the resources of RFC 3779 and OCSP's noCheck.
const KNOWN_EXTENSIONS: [&[u8]; 10] = [
    &[0x55, 0x1D, 17],
    &[0x55, 0x1D, 30],
    &[0x55, 0x1D, 31],
    &[0x55, 0x1D, 32],
    &[0x55, 0x1D, 33],
    &[0x55, 0x1D, 36],
    &[0x55, 0x1D, 54],
    &[0x2B, 6, 1, 5, 5, 7, 1, 7],
    &[0x2B, 6, 1, 5, 5, 7, 1, 8],
    &[0x2B, 6, 1, 5, 5, 7, 48, 1, 5],
];

/// `rsaEncryption` of RFC 8017.
const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
/// The lengths of a modulus that the TLS library's cryptography accepts, in bytes.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

impl Facts {
    /// Reads a certificate of any version. `None` if the certificate is malformed.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let mut fields = elements(certificate)?;
        let mut fields = elements_in(fields.next()??)?;
        let version = fields.next()??;
        // A version 1 certificate has no version field and begins with the serial number.
        let has_version_1 = version.tag() == Tag::Integer;
        if !has_version_1 {
            fields.next()??;
        }
        fields.next()??;
        let issuer = fields.next()??;
        let mut validity = elements_in(fields.next()??)?;
        let (not_before, not_after) = (validity.next()??, validity.next()??);
        let subject = fields.next()??;
        let public_key = fields.next()??;
        let mut facts = Self {
            fingerprint: fingerprint(certificate),
            public_key: public_key.value().to_vec(),
            not_before: time(not_before)?,
            not_after: time(not_after)?,
            issuance: Issuance::ByAnother,
            has_version_1,
            key_usage: None,
            authority: None,
            is_for_servers: None,
            ns_cert_type: None,
            has_unknown_extension: false,
        };
        let mut key_ids = KeyIds::default();
        // The remaining fields are the unique identifiers and, with tag 3, the extensions.
        for field in fields {
            let field = field?;
            if !field.tag().is_context_specific() || field.tag().number().value() != 3 {
                continue;
            }
            let list = AnyRef::from_der(field.value()).ok()?;
            for extension in elements_in(list)? {
                facts.read_extension(extension?, &mut key_ids)?;
            }
        }
        if issuer == subject {
            facts.issuance = if key_ids.may_be_the_same() {
                Issuance::SelfSigned
            } else {
                Issuance::SelfIssued
            };
        }
        Some(facts)
    }

    fn read_extension(&mut self, extension: AnyRef<'_>, key_ids: &mut KeyIds) -> Option<()> {
        let mut parts = elements_in(extension)?;
        let name = parts.next()??.value();
        let mut value = parts.next()??;
        let mut is_critical = false;
        if value.tag() == Tag::Boolean {
            is_critical = value.value() != [0];
            value = parts.next()??;
        }
        let value = value.value();
        match name {
            KEY_USAGE => {
                let bits = BitStringRef::from_der(value).ok()?;
                self.key_usage = Some(bits.raw_bytes().first().copied().unwrap_or_default());
            }
            BASIC_CONSTRAINTS => {
                let mut authority = Authority {
                    is_one: false,
                    path_length: None,
                };
                for part in elements(value)? {
                    let part = part?;
                    match part.tag() {
                        Tag::Boolean => authority.is_one = part.value() != [0],
                        _ => authority.path_length = Some(part.decode_as().ok()?),
                    }
                }
                self.authority = Some(authority);
            }
            EXTENDED_KEY_USAGE => {
                let mut purposes = elements(value)?;
                let is_server = |purpose: Option<AnyRef<'_>>| {
                    purpose.is_some_and(|purpose| purpose.value() == SERVER_AUTH)
                };
                self.is_for_servers = Some(purposes.any(is_server));
            }
            NS_CERT_TYPE => {
                let bits = BitStringRef::from_der(value).ok()?;
                self.ns_cert_type = Some(bits.raw_bytes().first().copied().unwrap_or_default());
            }
            SUBJECT_KEY_ID => {
                key_ids.subject = Some(AnyRef::from_der(value).ok()?.value().to_vec());
                self.has_unknown_extension |= is_critical;
            }
            AUTHORITY_KEY_ID => {
                for part in elements(value)? {
                    let part = part?;
                    if part.tag().is_context_specific() && part.tag().number().value() == 0 {
                        key_ids.issuer = Some(part.value().to_vec());
                    }
                }
                self.has_unknown_extension |= is_critical;
            }
            name => self.has_unknown_extension |= is_critical && !KNOWN_EXTENSIONS.contains(&name),
        }
        Some(())
    }

    pub(super) fn is_expired(&self, now: UnixTime) -> bool {
        self.not_after.as_secs() < now.as_secs()
    }

    pub(super) fn is_early(&self, now: UnixTime) -> bool {
        self.not_before.as_secs() > now.as_secs()
    }

    /// Whether the key is RSA and of a length that the TLS library's cryptography refuses.
    pub(super) fn has_refused_key(&self) -> bool {
        self.modulus()
            .is_some_and(|length| !MODULUS.contains(&length))
    }

    /// The length of the modulus of an RSA key, in bytes.
    fn modulus(&self) -> Option<usize> {
        let mut parts = Elements(SliceReader::new(&self.public_key).ok()?);
        let algorithm = elements_in(parts.next()??)?.next()??;
        let key = parts.next()??.decode_as::<BitStringRef<'_>>().ok()?;
        let modulus = elements(key.raw_bytes())?.next()??.value();
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        (algorithm.value() == RSA).then_some(modulus.len())
    }

    fn may(&self, usage: u8) -> bool {
        self.key_usage.is_none_or(|usages| usages & usage != 0)
    }

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

    /// Checks a trusted root above this many intermediate certificates.
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

/// Iterates over the elements of a DER value; yields `None` for a malformed element.
struct Elements<'a>(SliceReader<'a>);

impl<'a> Iterator for Elements<'a> {
    type Item = Option<AnyRef<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_finished() || self.0.is_failed() {
            return None;
        }
        Some(AnyRef::decode(&mut self.0).ok())
    }
}

/// The elements of the value that `der` contains.
fn elements(der: &[u8]) -> Option<Elements<'_>> {
    elements_in(AnyRef::from_der(der).ok()?)
}

fn elements_in(value: AnyRef<'_>) -> Option<Elements<'_>> {
    SliceReader::new(value.value()).ok().map(Elements)
}

fn time(value: AnyRef<'_>) -> Option<Duration> {
    if value.tag() == Tag::UtcTime {
        let time: UtcTime = value.decode_as().ok()?;
        Some(time.to_unix_duration())
    } else {
        let time: GeneralizedTime = value.decode_as().ok()?;
        Some(time.to_unix_duration())
    }
}

fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    let hash = digest(&SHA256, certificate);
    for (byte, hashed) in fingerprint.iter_mut().zip(hash.as_ref()) {
        *byte = *hashed;
    }
    fingerprint
}

/// The trusted certificates. Those that are not self-signed complete chains but cannot end them.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    anchors: RootCertStore,
    /// The facts about each anchor, in the same order.
    facts: Vec<Facts>,
    intermediates: Vec<CertificateDer<'static>>,
}

/// The certificate cannot be parsed, or cannot be a trust anchor.
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

    /// The trusted certificates that are not self-signed.
    pub(super) fn intermediates(&self) -> &[CertificateDer<'static>] {
        &self.intermediates
    }

    /// Whether this self-signed certificate is trusted.
    fn contains(&self, certificate: &Facts) -> bool {
        let mut all = self.facts.iter();
        all.any(|known| known.fingerprint == certificate.fingerprint)
    }

    /// Whether a key in the chain, or the key of a trusted certificate, is too short.
    pub(super) fn have_refused_key<'a>(
        &self,
        mut chain: impl Iterator<Item = &'a CertificateDer<'a>>,
    ) -> bool {
        let is_short =
            |der: &CertificateDer<'_>| Facts::of(der).is_some_and(|it| it.has_refused_key());
        chain.any(is_short) || self.facts.iter().any(Facts::has_refused_key)
    }

    /// Checks a certificate that the verifier accepts as a server's, together with
    /// [`Roots::check_path`]. Returns whether the certificate itself is trusted.
    pub(super) fn check_server(&self, certificate: &[u8]) -> Result<bool, ChainFault> {
        let facts = Facts::of(certificate).ok_or(ChainFault::Unreadable)?;
        facts.check_server()?;
        Ok(facts.issuance == Issuance::SelfSigned && self.contains(&facts))
    }

    /// Like [`Roots::check_server`], for a self-signed certificate that is marked as an authority.
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
        // OpenSSL, take the first one that is valid at this time.
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

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use rustls::pki_types::pem::PemObject;

    use super::*;

    /// Made by `openssl req -x509 -days 30`, with basicConstraints CA:TRUE.
    const SELF_SIGNED: &[u8] = include_bytes!("../tests/self-signed.pem");

    fn der() -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(SELF_SIGNED).unwrap()
    }

    #[test]
    fn facts_are_read_from_a_certificate() {
        let facts = Facts::of(&der()).unwrap();
        let authority = Authority {
            is_one: true,
            path_length: None,
        };
        assert!(facts.is_self_issued && !facts.has_version_1 && !facts.has_refused_key());
        assert_eq!(facts.authority, Some(authority));
        assert_eq!((facts.key_usage, facts.is_for_servers), (None, None));
        let days = facts.not_after.saturating_sub(facts.not_before).as_secs() / 86_400;
        assert_eq!(days, 30);
    }

    #[test]
    fn a_malformed_certificate_yields_no_facts_or_different_ones_and_never_panics() {
        let whole = der();
        for length in 0..whole.len() {
            assert_eq!(Facts::of(&whole[..length]), None, "cut off after {length} bytes");
        }
        for index in 0..whole.len() {
            for value in [0x00, 0x02, 0x03, 0x30, 0x7F, 0x80, 0x84, 0xFF] {
                let mut changed = whole.to_vec();
                changed[index] = value;
                let is_whole = changed == whole.as_ref();
                let facts = Facts::of(&changed);
                assert_eq!(facts == Facts::of(&whole), is_whole, "byte {index} is {value}");
            }
        }
    }

    #[test]
    fn only_an_identical_certificate_counts_as_trusted() {
        let certificate = der();
        let mut roots = Roots::empty();
        assert_eq!(roots.check_server(&certificate), Ok(false));
        roots.add(&certificate).unwrap();
        assert_eq!(roots.check_server(&certificate), Ok(true));
        assert_eq!(roots.check_server(&certificate[1..]), Err(ChainFault::Unreadable));
        assert!(roots.add(&CertificateDer::from(vec![0x30, 0])).is_err());
    }
}
