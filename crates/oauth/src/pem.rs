//! Reads certificates and keys from PEM text (RFC 7468), even if its lines are indented. Diagnoses
//! PEM text that has lost its line breaks or is in quotation marks.

use p256::pkcs8::der::asn1::AnyRef;
use p256::pkcs8::der::{Decode as _, Reader as _, SliceReader};
use p256::pkcs8::{EncodePrivateKey as _, PrivateKeyInfoRef};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::key::KeyFault;
use super::secret::PrivateKey;

const BYTE_ORDER_MARK: char = '\u{feff}';

const BEGIN: &str = "-----BEGIN ";

/// Why a PEM text no longer contains a readable block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemFlaw {
    /// The line breaks are escape sequences, as in environment variables and in JSON that was
    /// encoded twice.
    #[error("its line breaks are written as a backslash and an n: use real line breaks")]
    EscapedLineBreaks,
    /// The text has no line breaks, as after folding in YAML.
    #[error("its line breaks are missing: put the BEGIN and END markers on lines of their own")]
    NoLineBreaks,
    /// The text is in quotation marks, as in shell scripts.
    #[error("it is in quotation marks: remove them")]
    Quoted,
}

impl PemFlaw {
    /// Diagnoses a text without a readable block. Returns `None` if no known mistake explains the
    /// fault.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(BYTE_ORDER_MARK).trim();
        if !text.contains(BEGIN) {
            return None;
        }
        let begins_quoted = text.starts_with(['"', '\'', '`']);
        let begin_lines = text.lines().filter(|line| line.trim().starts_with(BEGIN));
        let has_own_line = begin_lines
            .clone()
            .any(|line| line.trim().ends_with("-----"))
            && !begin_lines.clone().any(|line| line.contains("-----END "));
        if text.contains("-----\\n") || text.contains("-----\\r\\n") {
            Some(Self::EscapedLineBreaks)
        } else if begins_quoted {
            Some(Self::Quoted)
        } else if !has_own_line {
            Some(Self::NoLineBreaks)
        } else {
            None
        }
    }
}

/// Reads the certificates of a PEM text. Skips other blocks. Like OpenSSL, also skips data after a
/// certificate in its block, such as the trust settings of a `TRUSTED CERTIFICATE`.
///
/// # Errors
/// Returns the number of readable certificates before the first malformed block.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, usize> {
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(normalized_pem(pem).as_bytes()) {
        let certificate = certificate.map_err(|_| certificates.len())?;
        let end = end_of_element(&certificate);
        let whole = end.and_then(|end| certificate.get(..end));
        let cut = whole.map(|whole| CertificateDer::from(whole.to_vec()));
        certificates.push(cut.unwrap_or(certificate));
    }
    Ok(certificates)
}

/// Returns the length of the first DER element.
fn end_of_element(der: &[u8]) -> Option<usize> {
    let mut reader = SliceReader::new(der).ok()?;
    AnyRef::decode(&mut reader).ok()?;
    usize::try_from(u32::from(reader.position())).ok()
}

/// Returns the first private key of a PEM text.
///
/// # Errors
/// Returns the fault of the text or of the key.
pub fn private_key(pem: &str) -> Result<PrivateKey, KeyFault> {
    const ENCRYPTED: [&str; 2] = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let normalized = normalized_pem(pem);
    for block in key_blocks(&normalized) {
        if ENCRYPTED.iter().any(|mark| block.contains(mark)) {
            return Err(KeyFault::Encrypted);
        }
        // OpenSSL also skips a block that it cannot decode.
        if let Ok(key) = PrivateKeyDer::from_pem_slice(block.as_bytes()) {
            return Ok(with_public_half(with_its_form(PrivateKey::from_der(key))));
        }
    }
    Err(if pem.contains("BEGIN OPENSSH PRIVATE KEY") {
        KeyFault::OpenSsh
    } else if let Some(flaw) = PemFlaw::of(pem) {
        KeyFault::Mangled(flaw)
    } else if pem.contains(KEY_LABEL) {
        KeyFault::BrokenPem
    } else if pem.contains("-----BEGIN") {
        KeyFault::Public
    } else {
        KeyFault::Missing
    })
}

/// The end of the line that begins a block with a private key.
const KEY_LABEL: &str = "PRIVATE KEY-----";

/// Returns the blocks of a PEM text that contain private keys.
fn key_blocks(pem: &str) -> impl Iterator<Item = &str> {
    pem.match_indices("-----BEGIN ").filter_map(|(start, _)| {
        let rest = pem.get(start..)?;
        let first = rest.lines().next().filter(|line| line.ends_with(KEY_LABEL));
        let end = rest
            .find("-----END ")
            .and_then(|end| end.checked_add(rest.get(end..)?.find('\n')?));
        first.map(|_| end.and_then(|end| rest.get(..=end)).unwrap_or(rest))
    })
}

/// Corrects the form of a PKCS #8 key whose label names an RSA or EC key: like OpenSSL, this
/// function ignores the label.
fn with_its_form(key: PrivateKey) -> PrivateKey {
    let der = key.expose().secret_der();
    if PrivateKeyInfoRef::try_from(der).is_err() {
        return key;
    }
    PrivateKey::from_der(PrivateKeyDer::Pkcs8(der.to_vec().into()))
}

/// Converts a P-256 key to PKCS #8 and adds its public half, which `ring` requires but RFC 5915
/// makes optional. Returns any other key unchanged.
fn with_public_half(key: PrivateKey) -> PrivateKey {
    p256::SecretKey::from_der(key.expose().secret_der())
        .ok()
        .and_then(|secret| secret.to_pkcs8_der().ok())
        .map_or(key, |der| {
            PrivateKey::from_der(PrivateKeyDer::Pkcs8(der.as_bytes().to_vec().into()))
        })
}

/// Returns a copy of the text without whitespace around its lines, without a byte order mark, and
/// with the label that RFC 7468 gives to certificates. Dropping the copy overwrites its memory.
pub(super) fn normalized_pem(pem: &str) -> Zeroizing<String> {
    let mut normalized = Zeroizing::new(String::with_capacity(pem.len().saturating_add(1)));
    for line in pem.trim_start_matches(BYTE_ORDER_MARK).lines() {
        normalized.push_str(match line.trim() {
            "-----BEGIN X509 CERTIFICATE-----" | "-----BEGIN TRUSTED CERTIFICATE-----" => {
                "-----BEGIN CERTIFICATE-----"
            }
            "-----END X509 CERTIFICATE-----" | "-----END TRUSTED CERTIFICATE-----" => {
                "-----END CERTIFICATE-----"
            }
            line => line,
        });
        normalized.push('\n');
    }
    normalized
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_mangled_text_is_diagnosed_and_other_texts_are_not() {
        for (name, text, flaw) in [
            ("as it should be", PEM.to_owned(), None),
            ("indented", PEM.replace('\n', "\n  "), None),
            ("with carriage returns", PEM.replace('\n', "\r\n"), None),
            ("with text before it", format!("Bag \\n \"Attributes\"\n{PEM}"), None),
            ("no PEM", "s3cr\\nt".to_owned(), None),
            ("nothing", String::new(), None),
            ("escaped", PEM.replace('\n', "\\n"), Some(PemFlaw::EscapedLineBreaks)),
            ("escaped CRLF", PEM.replace('\n', "\\r\\n"), Some(PemFlaw::EscapedLineBreaks)),
            (
                "escaped and quoted",
                format!("\"{}\"", PEM.replace('\n', "\\n")),
                Some(PemFlaw::EscapedLineBreaks),
            ),
            ("spaces", PEM.replace('\n', " "), Some(PemFlaw::NoLineBreaks)),
            ("joined", PEM.replace('\n', ""), Some(PemFlaw::NoLineBreaks)),
            ("quoted", format!("\"{PEM}\""), Some(PemFlaw::Quoted)),
            ("quoted by apostrophes", format!("'{PEM}'"), Some(PemFlaw::Quoted)),
            ("quoted after a mark", format!("\u{feff}\"{PEM}\""), Some(PemFlaw::Quoted)),
        ] {
            assert_eq!(PemFlaw::of(&text), flaw, "{name}");
        }
    }

    #[test]
    fn data_after_a_certificate_is_cut_off() {
        // An element of two bytes, then the trust settings.
        for (name, base64, der) in [
            ("alone", "MAIFAA==", &[0x30, 2, 5, 0][..]),
            ("followed by settings", "MAIFADAA", &[0x30, 2, 5, 0]),
            ("malformed", "MAMFAA==", &[0x30, 3, 5, 0]),
        ] {
            let label = "TRUSTED CERTIFICATE-----";
            let pem = format!("-----BEGIN {label}\n{base64}\n-----END {label}\n");
            let found = certificates(&pem).unwrap_or_default();
            assert_eq!(found, [CertificateDer::from(der)], "{name}");
        }
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(broken), Err(0));
    }

    #[test]
    fn only_whitespace_around_lines_and_the_old_label_of_certificates_change() {
        for (name, text) in [
            ("plain", "-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----"),
            ("blanks", " -----BEGIN CERTIFICATE----- \n\tA B\r\n  -----END CERTIFICATE-----\n"),
            ("mark", "\u{feff}-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----\n"),
            ("old name", "-----BEGIN X509 CERTIFICATE-----\nA B\n-----END X509 CERTIFICATE-----\n"),
        ] {
            let expected = "-----BEGIN CERTIFICATE-----\nA B\n-----END CERTIFICATE-----\n";
            let normalized = normalized_pem(text);
            assert_eq!(normalized.as_str(), expected, "{name}");
            assert_eq!(normalized.capacity(), text.len() + 1, "{name}: the copy never moves");
        }
    }
}
