//! The methods of client authentication (RFC 6749 §2.3), and the encodings that Basic needs.
//!
//! A buffer for a secret has its full size from the start, so that the buffer never moves and
//! leaves no copy behind. Dropping the buffer overwrites its memory.

use std::mem;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

/// A client authentication method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_id` and `client_secret` in the form.
    SecretPost,
    /// `Authorization: Basic` with the client id and the secret, both form-encoded.
    SecretBasic,
    /// An assertion that the client signs with the secret.
    SecretJwt,
    /// An assertion that the client signs with a private key.
    PrivateKeyJwt,
    /// The client's certificate on the TLS connection (RFC 8705 §2.1).
    TlsClientAuth,
    /// An assertion that another program signs and renews in a file.
    AssertionFile,
}

impl ClientAuthentication {
    /// All methods.
    pub const ALL: [Self; 6] = [
        Self::SecretPost,
        Self::SecretBasic,
        Self::SecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::AssertionFile,
    ];

    /// Returns the registered name (RFC 7591 §2). The last method has no registered name, so this
    /// package defines one.
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

    /// Returns the method with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// Returns the credentials of the Basic scheme, without the name of the scheme.
pub(super) fn basic_credentials(client_id: &str, secret: &str) -> Zeroizing<String> {
    base64(form_encoded_pair(client_id, secret).as_bytes())
}

fn form_encoded_pair(client_id: &str, secret: &str) -> Zeroizing<String> {
    let capacity = form_encoded_capacity(client_id).saturating_add(1);
    let capacity = capacity.saturating_add(form_encoded_capacity(secret));
    let mut pair = Zeroizing::new(String::with_capacity(capacity));
    pair.extend(byte_serialize(client_id.as_bytes()));
    pair.push(':');
    pair.extend(byte_serialize(secret.as_bytes()));
    pair
}

/// Returns the largest possible size of the form-encoded `value`: `%XX` for each byte.
pub(super) fn form_encoded_capacity(value: &str) -> usize {
    value.len().saturating_mul(3)
}

/// Encodes bytes into a single buffer, because the other functions of the `base64` crate leave
/// copies behind.
pub(super) fn base64(bytes: &[u8]) -> Zeroizing<String> {
    let length = base64::encoded_len(bytes.len(), true).unwrap_or_default();
    let mut text = Zeroizing::new(vec![0; length]);
    let written = STANDARD.encode_slice(bytes, &mut text).unwrap_or_default();
    text.truncate(written);
    Zeroizing::new(String::from_utf8(mem::take(&mut *text)).unwrap_or_default())
}

#[cfg(test)]
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
            let encoded = form_encoded_pair(client_id, secret);
            assert_eq!(encoded.as_str(), pair, "{name}");
            let capacity = form_encoded_capacity(client_id) + 1 + 3 * secret.len();
            assert_eq!(encoded.capacity(), capacity, "{name}");
            let credentials = basic_credentials(client_id, secret);
            let decoded = STANDARD.decode(credentials.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(decoded).unwrap(), pair, "{name}");
        }
    }

    #[test]
    fn base64_agrees_with_the_crate_and_never_moves() {
        let bytes: Vec<u8> = (0..=255).collect();
        for length in 0..=bytes.len() {
            let part = &bytes[..length];
            let text = base64(part);
            assert_eq!(*text, STANDARD.encode(part), "{length}");
            assert_eq!(text.capacity(), text.len(), "{length}");
        }
    }
}
