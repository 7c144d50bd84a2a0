//! The two secrets of the grant, each behind a type of its own: overwritten when dropped, redacted
//! in `Debug`, with one way out.

use std::fmt;

use zeroize::Zeroizing;

use super::redact::REDACTED;

/// A client's secret (RFC 6749 §2.3.1): a non-empty string. Holders share it in an `Arc`.
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Takes over `value`, whose memory is overwritten in any case. `None` if it is empty.
    #[must_use]
    pub fn new(value: String) -> Option<Self> {
        let value = Zeroizing::new(value);
        (!value.is_empty()).then_some(Self(value))
    }

    /// The secret itself, for the request and for redaction.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both hold the same secret, to tell a rotated one from one that was read again.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        *self.0 == *other.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientSecret").field(&REDACTED).finish()
    }
}

/// A bearer token that can stand in an `Authorization` header.
pub struct AccessToken(Zeroizing<String>);

impl AccessToken {
    /// Takes over `value`, whose memory is overwritten in any case. `None` if it is empty or has
    /// anything but visible ASCII, which no header could carry unchanged (RFC 6749 appendix A.12
    /// allows a space as well, RFC 6750 §2.1 does not).
    #[must_use]
    pub fn new(value: String) -> Option<Self> {
        Self::from_zeroizing(Zeroizing::new(value))
    }

    pub(super) fn from_zeroizing(value: Zeroizing<String>) -> Option<Self> {
        let is_usable = !value.is_empty() && value.bytes().all(is_token_byte);
        is_usable.then_some(Self(value))
    }

    /// The token itself, for the caller who asked for it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is the token `value`.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        self.0.as_str() == value
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessToken").field(&REDACTED).finish()
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
    fn secret_is_any_non_empty_string() {
        for (name, value, is_secret) in [
            ("empty", "", false),
            ("one space", " ", true),
            ("plain", "s3cr3t", true),
            ("anything", "+%:/&=\"\\ é\0", true),
        ] {
            let secret = ClientSecret::new(value.to_owned());
            assert_eq!(secret.is_some(), is_secret, "{name}");
            if let Some(secret) = secret {
                assert_eq!(secret.expose(), value, "{name}");
            }
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
    fn debug_shows_neither() {
        let secret = ClientSecret::new("canary".to_owned()).unwrap();
        let token = AccessToken::new("canary".to_owned()).unwrap();
        assert_eq!(format!("{secret:?}"), "ClientSecret(\"[redacted]\")");
        assert_eq!(format!("{token:?}"), "AccessToken(\"[redacted]\")");
    }
}
