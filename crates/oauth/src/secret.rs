//! The type of all secrets: dropping a secret overwrites its memory, `Debug` redacts the value, and
//! only `expose` returns it.

use std::fmt;
use std::marker::PhantomData;

use rustls_pki_types::PrivateKeyDer;
use zeroize::{Zeroize, Zeroizing};

use super::client_auth::ClientAuthentication;
use super::redact::REDACTED;

/// A secret of the kind `K`. Code that shares a secret keeps it in an `Arc`.
pub struct Secret<K, T: Zeroize = String> {
    value: Zeroizing<T>,
    kind: PhantomData<K>,
}

/// A client's secret (RFC 6749 §2.3.1): a non-empty string.
pub type ClientSecret = Secret<kind::ClientSecretKind>;

/// A `client_assertion`: a non-empty string that authenticates its sender.
pub type ClientAssertion = Secret<kind::ClientAssertionKind>;

/// A token or assertion of a user, which a request exchanges for an access token: a non-empty
/// string.
pub type SubjectToken = Secret<kind::SubjectTokenKind>;

/// A bearer token that an `Authorization` header can carry: visible ASCII characters (RFC 6750
/// §2.1; RFC 6749 appendix A.12 also allows a space).
pub type AccessToken = Secret<kind::AccessTokenKind>;

/// The value of an additional header, such as the key for an API gateway: printable ASCII
/// characters without leading or trailing whitespace (RFC 9110 §5.5).
pub type HeaderSecret = Secret<kind::HeaderSecretKind>;

/// A DER private key.
pub type PrivateKey = Secret<kind::PrivateKeyKind, PrivateKeyDer<'static>>;

/// A probable mistake in a secret or an assertion. `Display` is a clause without its subject and
/// does not reveal the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFlaw {
    /// A byte order mark (U+FEFF), which editors on Windows write.
    #[error("begins with a byte order mark; remove it")]
    ByteOrderMark,
    /// Whitespace or an invisible character at the beginning or at the end, such as a second
    /// newline.
    #[error("has leading or trailing whitespace; remove it")]
    WhiteSpace,
    /// A backslash and an `n` at the end.
    #[error("ends with a backslash and an n in place of a line break; remove these two characters")]
    EscapedLineBreak,
    /// The whole value is in quotation marks.
    #[error("is in quotation marks; remove them")]
    Quoted,
    /// `${NAME}`, `$(NAME)` or `{{ NAME }}`.
    #[error("is a placeholder; replace it with the value")]
    Placeholder,
    /// Percent-encoding, in a secret for `client_secret_basic`.
    #[error(
        "contains percent-encoding, which client_secret_basic encodes again; store the plain secret"
    )]
    PercentEncoded,
    /// Characters that the form encoding changes, in a secret for `client_secret_basic`.
    #[error(
        "has special characters, which client_secret_basic sends encoded (RFC 6749 §2.3.1) but \
         some servers do not decode; set clientAuthentication to client_secret_post"
    )]
    SentEncoded,
    /// The value is not a JSON Web Token.
    #[error("is not a JWT, which has three parts separated by dots")]
    NotJwt,
    /// The value is longer than servers accept.
    #[error("is longer than 2 KiB, which some servers refuse; use a shorter assertion")]
    TooLong,
}

/// The length in bytes beyond which the length of an assertion is the likely cause of a refusal.
const LONG_ASSERTION: usize = 2 * 1024;

impl SecretFlaw {
    /// Returns a flaw that both secrets and assertions can have.
    fn of(text: &str) -> Option<Self> {
        let is_invisible = |character: char| {
            character.is_whitespace()
                || matches!(character, '\0' | '\u{200b}'..='\u{200d}' | '\u{feff}')
        };
        let is_within = |start: &str, end: &str| {
            text.len() > start.len() && text.starts_with(start) && text.ends_with(end)
        };
        if text.starts_with('\u{feff}') {
            Some(Self::ByteOrderMark)
        } else if text.starts_with(is_invisible) || text.ends_with(is_invisible) {
            Some(Self::WhiteSpace)
        } else if is_within("\"", "\"") || is_within("'", "'") {
            Some(Self::Quoted)
        } else if is_within("${", "}") || is_within("$(", ")") || is_within("{{", "}}") {
            Some(Self::Placeholder)
        } else if text.ends_with("\\n") {
            Some(Self::EscapedLineBreak)
        } else {
            None
        }
    }
}

/// Whether `text` contains `%` and two hexadecimal digits.
fn is_percent_encoded(text: &str) -> bool {
    let mut rest = text.split('%').skip(1);
    rest.any(|rest| {
        let digits = rest.bytes().take(2);
        digits.clone().count() == 2 && digits.clone().all(|digit| digit.is_ascii_hexdigit())
    })
}

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

    /// See [`SubjectToken`](super::SubjectToken).
    #[derive(Clone, Copy, Debug)]
    pub enum SubjectTokenKind {}

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

impl Kind for kind::SubjectTokenKind {
    const NAME: &'static str = "SubjectToken";
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
    /// Takes `value`, and overwrites its memory even if it is invalid. Returns `None` if the value
    /// is invalid.
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

    /// Returns the secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Whether the secret is `value`.
    #[must_use]
    pub fn is(&self, value: &str) -> bool {
        *self.value == value
    }

    /// Whether both secrets have the same value. Distinguishes a rotated secret from an unchanged
    /// secret that the manager read again.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.is(&other.value)
    }
}

impl ClientSecret {
    /// Returns the likely cause if the server refuses this secret with `method`.
    #[must_use]
    pub fn flaw(&self, method: ClientAuthentication) -> Option<SecretFlaw> {
        let secret = self.expose();
        let is_changed = |byte: u8| !byte.is_ascii_alphanumeric() && !b"*-._".contains(&byte);
        SecretFlaw::of(secret).or_else(|| {
            if method != ClientAuthentication::SecretBasic {
                None
            } else if is_percent_encoded(secret) {
                Some(SecretFlaw::PercentEncoded)
            } else {
                secret
                    .bytes()
                    .any(is_changed)
                    .then_some(SecretFlaw::SentEncoded)
            }
        })
    }
}

impl ClientAssertion {
    /// Returns the likely cause if the server refuses this assertion.
    #[must_use]
    pub fn flaw(&self) -> Option<SecretFlaw> {
        let assertion = self.expose();
        SecretFlaw::of(assertion).or_else(|| {
            let is_jwt = assertion.split('.').count() == 3 && assertion.bytes().all(is_token_byte);
            (!is_jwt).then_some(SecretFlaw::NotJwt)
        })
    }

    /// Returns the likely cause if a gateway refuses a request with this assertion as too large.
    #[must_use]
    pub fn excess(&self) -> Option<SecretFlaw> {
        (self.expose().len() > LONG_ASSERTION).then_some(SecretFlaw::TooLong)
    }
}

impl PrivateKey {
    pub(super) fn from_der(key: PrivateKeyDer<'static>) -> Self {
        Self {
            value: Zeroizing::new(key),
            kind: PhantomData,
        }
    }

    /// Returns the key itself.
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
    fn the_flaw_of_a_secret_is_its_likely_mistake_and_depends_on_the_method() {
        use ClientAuthentication::{SecretBasic, SecretJwt, SecretPost};
        use SecretFlaw::{
            ByteOrderMark, EscapedLineBreak, PercentEncoded, Placeholder, Quoted, SentEncoded,
            WhiteSpace,
        };
        for (name, value, flaw, with_basic) in [
            ("plain", "aB3-._*", None, None),
            ("mark", "\u{feff}s", Some(ByteOrderMark), Some(ByteOrderMark)),
            ("mark alone", "\u{feff}", Some(ByteOrderMark), Some(ByteOrderMark)),
            ("space before", " s", Some(WhiteSpace), Some(WhiteSpace)),
            ("tab after", "s\t", Some(WhiteSpace), Some(WhiteSpace)),
            ("newline after", "s\n", Some(WhiteSpace), Some(WhiteSpace)),
            ("no-break space after", "s\u{a0}", Some(WhiteSpace), Some(WhiteSpace)),
            ("zero-width space after", "s\u{200b}", Some(WhiteSpace), Some(WhiteSpace)),
            ("nul after", "s\0", Some(WhiteSpace), Some(WhiteSpace)),
            ("escaped newline after", "s\\n", Some(EscapedLineBreak), Some(EscapedLineBreak)),
            ("quoted", "\"s\"", Some(Quoted), Some(Quoted)),
            ("apostrophes", "'s'", Some(Quoted), Some(Quoted)),
            ("one apostrophe", "'", None, Some(SentEncoded)),
            ("variable", "${SECRET}", Some(Placeholder), Some(Placeholder)),
            ("template", "{{ secret }}", Some(Placeholder), Some(Placeholder)),
            ("percent-encoded", "a%2Fb", None, Some(PercentEncoded)),
            ("percent sign", "100%", None, Some(SentEncoded)),
            ("plus", "a+b", None, Some(SentEncoded)),
            ("inner space", "a b", None, Some(SentEncoded)),
            ("not ASCII", "é", None, Some(SentEncoded)),
        ] {
            let secret = ClientSecret::new(value.to_owned()).unwrap();
            assert_eq!(secret.flaw(SecretPost), flaw, "{name}");
            assert_eq!(secret.flaw(SecretJwt), flaw, "{name}");
            assert_eq!(secret.flaw(SecretBasic), with_basic, "{name}");
        }
    }

    #[test]
    fn the_flaw_of_an_assertion_is_its_likely_mistake() {
        let long = format!("a.{}.c", "b".repeat(LONG_ASSERTION));
        let longest = format!("a.{}.c", "b".repeat(LONG_ASSERTION - 4));
        for (name, value, excess) in
            [("2 KiB", &longest, None), ("over 2 KiB", &long, Some(SecretFlaw::TooLong))]
        {
            let assertion = ClientAssertion::new(value.clone()).unwrap();
            assert_eq!((assertion.flaw(), assertion.excess()), (None, excess), "{name}");
        }
        for (name, value, flaw) in [
            ("JWT", "a.b.c", None),
            ("mark", "\u{feff}a.b.c", Some(SecretFlaw::ByteOrderMark)),
            ("quoted", "\"a.b.c\"", Some(SecretFlaw::Quoted)),
            ("with its scheme", "Bearer a.b.c", Some(SecretFlaw::NotJwt)),
            ("in two lines", "a.b.\nc", Some(SecretFlaw::NotJwt)),
            ("opaque", "s3cr3t", Some(SecretFlaw::NotJwt)),
            ("encrypted", "a.b.c.d.e", Some(SecretFlaw::NotJwt)),
        ] {
            let assertion = ClientAssertion::new(value.to_owned()).unwrap();
            assert_eq!(assertion.flaw(), flaw, "{name}");
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
