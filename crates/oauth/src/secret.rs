//! The type of all secrets: dropping one overwrites its memory, `Debug` redacts it, and `expose` is
//! the only way to read it.

use std::fmt;
use std::marker::PhantomData;

use rustls_pki_types::PrivateKeyDer;
use zeroize::{Zeroize, Zeroizing};

use super::redact::REDACTED;

/// A secret of the kind `K`. Holders share it in an `Arc`.
pub struct Secret<K, T: Zeroize = String> {
    value: Zeroizing<T>,
    kind: PhantomData<K>,
}

/// A client's secret (RFC 6749 §2.3.1): a non-empty string.
pub type ClientSecret = Secret<kind::ClientSecretKind>;

/// A `client_assertion`: a non-empty string that authenticates its sender.
pub type ClientAssertion = Secret<kind::ClientAssertionKind>;

/// A bearer token that an `Authorization` header can carry: visible ASCII (RFC 6750 §2.1; RFC 6749
/// appendix A.12 also allows a space).
pub type AccessToken = Secret<kind::AccessTokenKind>;

/// The value of an additional header, which may be the key for an API gateway: visible ASCII, with
/// blanks inside (RFC 9110 §5.5).
pub type HeaderSecret = Secret<kind::HeaderSecretKind>;

/// A private key in DER.
pub type PrivateKey = Secret<kind::PrivateKeyKind, PrivateKeyDer<'static>>;

/// A kind of secret.
pub trait Kind {
    /// The name that `Debug` shows.
    const NAME: &'static str;

    /// Whether `value` can be a secret of this kind.
    fn is_valid(value: &str) -> bool {
        !value.is_empty()
    }
}

/// The kinds of secrets.
pub(super) mod kind {
    /// See [`ClientSecret`](super::ClientSecret).
    #[derive(Clone, Copy, Debug)]
    pub enum ClientSecretKind {}

    /// See [`ClientAssertion`](super::ClientAssertion).
    #[derive(Clone, Copy, Debug)]
    pub enum ClientAssertionKind {}

    /// See [`AccessToken`](super::AccessToken).
    #[derive(Clone, Copy, Debug)]
    pub enum AccessTokenKind {}

    /// See [`HeaderSecret`](super::HeaderSecret).
    #[derive(Clone, Copy, Debug)]
    pub enum HeaderSecretKind {}

    /// See [`PrivateKey`](super::PrivateKey).
    #[derive(Clone, Copy, Debug)]
    pub enum PrivateKeyKind {}
}

impl Kind for kind::ClientSecretKind {
    const NAME: &'static str = "ClientSecret";
}

impl Kind for kind::ClientAssertionKind {
    const NAME: &'static str = "ClientAssertion";
}

impl Kind for kind::AccessTokenKind {
    const NAME: &'static str = "AccessToken";

    fn is_valid(value: &str) -> bool {
        !value.is_empty() && value.bytes().all(is_token_byte)
    }
}

impl Kind for kind::HeaderSecretKind {
    const NAME: &'static str = "HeaderSecret";

    fn is_valid(value: &str) -> bool {
        let is_inner = |byte: u8| is_token_byte(byte) || matches!(byte, b' ' | b'\t');
        !value.is_empty() && value.trim_matches([' ', '\t']) == value && value.bytes().all(is_inner)
    }
}

impl Kind for kind::PrivateKeyKind {
    const NAME: &'static str = "PrivateKey";
}

impl<K: Kind> Secret<K> {
    /// Takes `value`, whose memory is overwritten in any case. `None` if it is not valid.
    #[must_use]
    pub fn new(value: String) -> Option<Self> {
        Self::from_zeroizing(Zeroizing::new(value))
    }

    pub(super) fn from_zeroizing(value: Zeroizing<String>) -> Option<Self> {
        K::is_valid(&value).then_some(Self {
            value,
            kind: PhantomData,
        })
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Whether the secret is `value`.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        *self.value == value
    }

    /// Whether both have the same value, to tell a rotated secret from one that was read again.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.is(&other.value)
    }
}

impl PrivateKey {
    pub(super) fn from_der(key: PrivateKeyDer<'static>) -> Self {
        Self {
            value: Zeroizing::new(key),
            kind: PhantomData,
        }
    }

    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &PrivateKeyDer<'static> {
        &self.value
    }
}

impl<K: Kind, T: Zeroize> fmt::Debug for Secret<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(K::NAME).field(&REDACTED).finish()
    }
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7E)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_secret_or_an_assertion_is_any_non_empty_string() {
        for (name, value, is_valid) in [
            ("empty", "", false),
            ("one space", " ", true),
            ("plain", "s3cr3t", true),
            ("anything", "+%:/&=\"\\ é\0", true),
        ] {
            let secret = ClientSecret::new(value.to_owned());
            let assertion = ClientAssertion::new(value.to_owned());
            let exposed = is_valid.then_some(value);
            assert_eq!(secret.as_ref().map(ClientSecret::expose), exposed, "{name}");
            assert_eq!(assertion.as_ref().map(ClientAssertion::expose), exposed, "{name}");
        }
    }

    #[test]
    fn secrets_are_the_same_if_their_values_are() {
        let secret = |value: &str| ClientSecret::new(value.to_owned()).unwrap();
        assert!(secret("one").is_same_as(&secret("one")));
        assert!(!secret("one").is_same_as(&secret("One")));
        assert!(!secret("one").is_same_as(&secret("one ")));
    }

    #[test]
    fn token_is_visible_ascii() {
        for (name, value, is_token) in [
            ("empty", "", false),
            ("lowest and highest", "!~", true),
            ("JWT", "eyJhbGciOiJub25lIn0.e30.", true),
            ("space", "a b", false),
            ("line feed", "a\nb", false),
            ("delete", "a\u{7f}", false),
            ("nul", "\0", false),
            ("not ASCII", "é", false),
        ] {
            let token = AccessToken::new(value.to_owned());
            assert_eq!(token.is_some(), is_token, "{name}");
            if let Some(token) = token {
                assert_eq!(token.expose(), value, "{name}");
                assert!(token.is(value), "{name}");
                assert!(!token.is(&format!("{value}x")), "{name}");
            }
        }
    }

    #[test]
    fn debug_names_the_kind_and_shows_no_value() {
        let canary = || "canary".to_owned();
        let key = PrivateKey::from_der(PrivateKeyDer::Pkcs8(b"canary".to_vec().into()));
        for (shown, name) in [
            (format!("{:?}", ClientSecret::new(canary()).unwrap()), "ClientSecret"),
            (format!("{:?}", ClientAssertion::new(canary()).unwrap()), "ClientAssertion"),
            (format!("{:?}", AccessToken::new(canary()).unwrap()), "AccessToken"),
            (format!("{key:?}"), "PrivateKey"),
        ] {
            assert_eq!(shown, format!("{name}(\"[redacted]\")"));
        }
    }
}
