//! How the client proves itself (RFC 6749 §2.3.1), and the encodings that this needs.
//!
//! Whatever holds the secret here is sized before it is filled, so that it never moves and leaves a
//! copy behind, and is overwritten when dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::byte_serialize;
use zeroize::{Zeroize as _, Zeroizing};

use super::secret::ClientSecret;

/// A client authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the form.
    SecretPost,
    /// `Authorization: Basic`, both parts form-encoded first.
    SecretBasic,
    /// An assertion, signed with the secret.
    SecretJwt,
    /// An assertion, signed with a private key.
    PrivateKeyJwt,
    /// A certificate of the TLS connection (RFC 8705 §2.1).
    TlsClientAuth,
    /// An assertion that somebody else signed and keeps fresh in a file.
    AssertionFile,
}

impl ClientAuthentication {
    /// Every method.
    pub const ALL: [Self; 6] = [
        Self::SecretPost,
        Self::SecretBasic,
        Self::SecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::AssertionFile,
    ];

    /// The registered name (RFC 7591 §2), but for the last, which has none.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretPost => "client_secret_post",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::AssertionFile => "client_assertion_file",
        }
    }

    /// The method of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// The credentials of the Basic scheme, without its name.
pub(super) fn basic_credentials(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    base64(form_encoded_pair(client_id, secret).as_bytes())
}

fn form_encoded_pair(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    let capacity = form_encoded_len(client_id)
        .saturating_add(1)
        .saturating_add(form_encoded_len(secret.expose()));
    let mut pair = Zeroizing::new(String::with_capacity(capacity));
    push_form_encoded(&mut pair, client_id);
    pair.push(':');
    push_form_encoded(&mut pair, secret.expose());
    pair
}

/// As the `base64` crate does it, but without its buffers, which nobody overwrites.
pub(super) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    let capacity = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    let mut quad = [0; 4];
    for chunk in bytes.chunks(3) {
        let written = STANDARD.encode_slice(chunk, &mut quad).unwrap_or_default();
        for &byte in quad.iter().take(written) {
            text.push(char::from(byte));
        }
    }
    quad.zeroize();
    text
}

pub(super) fn push_form_encoded(target: &mut String, value: &str) {
    for part in byte_serialize(value.as_bytes()) {
        target.push_str(part);
    }
}

pub(super) fn form_encoded_len(value: &str) -> usize {
    byte_serialize(value.as_bytes())
        .fold(0, |length: usize, part| length.saturating_add(part.len()))
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_registered_ones() {
        for method in ClientAuthentication::ALL {
            assert_eq!(ClientAuthentication::parse(method.as_str()), Some(method));
        }
        for name in ["CLIENT_SECRET_POST", "none", ""] {
            assert_eq!(ClientAuthentication::parse(name), None, "{name}");
        }
    }

    #[test]
    fn both_parts_of_basic_are_form_encoded_first() {
        for (name, client_id, secret, pair) in [
            ("plain", "client", "secret", "client:secret"),
            ("unreserved", "a-b._c*1", "a-b._c*1", "a-b._c*1:a-b._c*1"),
            ("colon in the id", "a:b", "s", "a%3Ab:s"),
            ("space and plus", "a b", "c+d", "a+b:c%2Bd"),
            ("percent", "%", "%41", "%25:%2541"),
            ("tilde", "~", "~", "%7E:%7E"),
            ("not ASCII", "é", "€😀", "%C3%A9:%E2%82%AC%F0%9F%98%80"),
            ("delimiters", "c", "+%:/&=\"\\ é", "c:%2B%25%3A%2F%26%3D%22%5C+%C3%A9"),
        ] {
            let secret = ClientSecret::new(secret.to_owned()).unwrap();
            let encoded = form_encoded_pair(client_id, &secret);
            assert_eq!(encoded.as_str(), pair, "{name}");
            assert_eq!(encoded.capacity(), encoded.len(), "{name}");
            let credentials = basic_credentials(client_id, &secret);
            let decoded = STANDARD.decode(credentials.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(decoded).unwrap(), pair, "{name}");
        }
    }

    #[test]
    fn base64_is_that_of_the_crate_and_never_moves() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let part = &bytes[..length];
            let text = base64(part);
            assert_eq!(*text, STANDARD.encode(part), "{length}");
            assert_eq!(text.capacity(), text.len(), "{length}");
        }
    }

    #[test]
    fn form_encoding_is_as_long_as_foreseen() {
        for value in ["", "plain", "a b+c", "+%:/&=\"\\ é", "€😀\0\n"] {
            let mut encoded = String::new();
            push_form_encoded(&mut encoded, value);
            assert_eq!(form_encoded_len(value), encoded.len(), "{value:?}");
        }
    }
}
