//! Reads the fields of a certificate that the TLS library's verifier does not expose. This module
//! never panics, and returns no fields for a malformed certificate. `chain` judges the fields.

use std::time::Duration;

use ::ring::digest::{SHA256, digest};
use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, BitStringRef, GeneralizedTime, UtcTime},
};
use rustls::pki_types::UnixTime;

/// The fields of a certificate that the verifier does not expose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) fingerprint: [u8; 32],
    /// The content of `SubjectPublicKeyInfo`, without its header.
    pub(super) public_key: Vec<u8>,
    pub(super) not_before: Duration,
    pub(super) not_after: Duration,
    pub(super) issuance: Issuance,
    pub(super) has_version_1: bool,
    /// The first eight bits of `keyUsage`, with the first bit as the most significant.
    pub(super) key_usage: Option<u8>,
    /// The content of `basicConstraints`.
    pub(super) authority: Option<Authority>,
    /// Whether `extendedKeyUsage` includes `serverAuth`. `None` if the certificate lacks the
    /// extension.
    pub(super) is_for_servers: Option<bool>,
    /// The first eight bits of Netscape's `nsCertType`, with the first bit as the most significant.
    pub(super) ns_cert_type: Option<u8>,
    /// Whether the certificate has a critical extension that OpenSSL does not know.
    pub(super) has_unknown_extension: bool,
}

/// The relation between a certificate and its issuer (RFC 5280 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Issuance {
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
pub(super) struct Authority {
    pub(super) is_one: bool,
    pub(super) path_length: Option<u64>,
}

pub(super) const DIGITAL_SIGNATURE: u8 = 0x80;
pub(super) const KEY_ENCIPHERMENT: u8 = 0x20;
pub(super) const KEY_AGREEMENT: u8 = 0x08;
pub(super) const KEY_CERT_SIGN: u8 = 0x04;

/// The object identifiers of RFC 5280 §4.2.1, in DER without the header.
const KEY_USAGE: &[u8] = &[0x55, 0x1D, 15];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 19];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 14];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 35];
/// Netscape's `nsCertType`, and its bit for servers.
const NS_CERT_TYPE: &[u8] = &[0x60, 0x86, 0x48, 1, 0x86, 0xF8, 0x42, 1, 1];
pub(super) const NS_SERVER: u8 = 0x40;
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
/// The lengths of an RSA modulus, in bytes, that the TLS library's cryptography accepts.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

impl Facts {
    /// Reads a certificate of any version. Returns `None` if the certificate is malformed.
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

    /// Whether the certificate contains this `SubjectPublicKeyInfo`, given without its header. A
    /// certificate may compress the point of an EC key (SEC 1 §2.3.3).
    pub(super) fn has_key(&self, public_key: &[u8]) -> bool {
        self.public_key == public_key
            || is_compressed(&self.public_key, public_key).unwrap_or_default()
    }

    pub(super) fn is_expired(&self, now: UnixTime) -> bool {
        self.not_after.as_secs() < now.as_secs()
    }

    pub(super) fn is_early(&self, now: UnixTime) -> bool {
        self.not_before.as_secs() > now.as_secs()
    }

    /// Whether the key is an RSA key of a length that the TLS library's cryptography refuses.
    pub(super) fn has_refused_key(&self) -> bool {
        self.modulus()
            .is_some_and(|length| !MODULUS.contains(&length))
    }

    /// Returns the length of the modulus of an RSA key, in bytes.
    fn modulus(&self) -> Option<usize> {
        let mut parts = Elements(SliceReader::new(&self.public_key).ok()?);
        let algorithm = elements_in(parts.next()??)?.next()??;
        let key = parts.next()??.decode_as::<BitStringRef<'_>>().ok()?;
        let modulus = elements(key.raw_bytes())?.next()??.value();
        let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
        (algorithm.value() == RSA).then_some(modulus.len())
    }

    /// Whether `keyUsage` is absent or allows one of these usages.
    pub(super) fn may(&self, usage: u8) -> bool {
        self.key_usage.is_none_or(|usages| usages & usage != 0)
    }
}

/// Whether `compressed` is a `SubjectPublicKeyInfo` with the compressed point of `whole`.
fn is_compressed(compressed: &[u8], whole: &[u8]) -> Option<bool> {
    let split = |key| {
        let mut parts = Elements(SliceReader::new(key).ok()?);
        let algorithm = parts.next()??;
        let point = parts.next()??.decode_as::<BitStringRef<'_>>().ok()?;
        Some((algorithm, point.raw_bytes()))
    };
    let ((algorithm, point), (whole_algorithm, whole_point)) = (split(compressed)?, split(whole)?);
    let (sign, x) = point.split_first()?;
    let (_, coordinates) = whole_point.split_first()?;
    let (whole_x, y) = coordinates.split_at_checked(x.len())?;
    let parity = y.last()? & 1;
    Some(algorithm == whole_algorithm && x == whole_x && *sign == (2 | parity))
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

/// Returns the elements of the value that `der` contains.
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

#[cfg(test)]
mod tests {
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    use super::*;

    /// A certificate from `openssl req -x509 -days 30`, with basicConstraints CA:TRUE.
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
        assert_eq!(facts.issuance, Issuance::SelfSigned);
        assert!(!facts.has_version_1 && !facts.has_refused_key());
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
}
