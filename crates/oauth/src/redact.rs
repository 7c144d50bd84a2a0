//! Cleans every text that a server controls before the package shows it.
//!
//! The redactor prefers to remove too much: it replaces the whole text if the text contains a
//! secret or appears to contain one. An operator can find a removed text in the server's log, but
//! would have to replace a leaked secret.

use std::fmt;

use zeroize::Zeroizing;

use super::client_auth::{base64, basic_credentials};
use super::secret::{ClientAssertion, ClientSecret, HeaderSecret, SubjectToken};

/// The replacement for a text or a value that the package must not show.
pub(super) const REDACTED: &str = "[redacted]";

/// The number of consecutive characters of a secret that count as a leak. A shorter secret counts
/// as a leak only as a whole.
const PIECE: usize = 8;

/// The redactor finds a secret of at most this many characters only as a whole word, because short
/// strings occur in every text.
const MAX_WORD: usize = 2;

/// The lower-case endings of the names of fields with secret values.
const FIELDS: [&str; 4] = ["secret", "assertion", "_token", "password"];

/// Keycloak's texts and the OAuth error codes on which the policy and the advice depend. They are
/// constants, so they reveal no secret, even if one of their words is a secret.
const KNOWN: &[&str] = &[
    "Realm does not exist",
    "access_denied",
    "invalid_client",
    "invalid_dpop_proof",
    "invalid_request",
    "invalid_scope",
    "missingNormalization",
    "server_error",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
    "use_dpop_nonce",
    "Bearer-only not allowed",
    "Client Certification missing for MTLS HoK Token Binding",
    "Client not enabled to retrieve service account",
    "DPoP HTTP URL mismatch",
    "DPoP HTTP method mismatch",
    "DPoP confirmation doesn't match DPoP proof",
    "DPoP header verification failure",
    "DPoP mandatory claims are missing",
    "DPoP proof has already been used",
    "DPoP proof is missing",
    "DPoP proof is not active",
    "DPoP verification failure: org.keycloak.exceptions.TokenSignatureInvalidException: Invalid \
     token signature",
    "Malformed HTTP URL in DPoP proof",
    "HTTPS required",
    "Invalid client or Invalid client credentials",
    "Invalid method used to get client secret. Client requires method 'client_secret_basic' to \
     obtain client secret from the request",
    "Invalid method used to get client secret. Client requires method 'client_secret_post' to \
     obtain client secret from the request",
    "Invalid signature algorithm",
    "Invalid token audience",
    "Multiple audiences not allowed",
    "Parameter client_assertion_type is missing",
    "Public client not allowed to retrieve service account",
    "Realm not enabled",
    "Token is not active",
    "Token not provided",
    "Token was issued in the future",
    "Unable to load public key",
];

/// The prefix that Keycloak up to version 25 writes before such texts.
const PREFIX: &str = "Client authentication with signed JWT failed: ";

/// Cleans text from a server that received these secrets.
#[derive(Default)]
pub struct Redactor {
    /// Secrets, each with its client; assertions and tokens; and the values of additional headers.
    secrets: Vec<(Option<String>, Zeroizing<String>)>,
}

impl Redactor {
    /// The length of the longest cleaned text, in characters.
    pub const MAX_CLEANED: usize = 300;

    /// The number of bytes of a text that the redactor examines. The limit bounds the work that a
    /// hostile server can cause, and exceeds the longest cleaned text plus a piece of a secret in
    /// its longest spelling.
    pub const WINDOW: usize = 2048;

    /// Creates a redactor for text from a server that received no secret.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Also covers this client and secret.
    #[must_use]
    pub fn and_secret(mut self, client_id: &str, secret: &ClientSecret) -> Self {
        let secret = Zeroizing::new(secret.expose().to_owned());
        self.secrets.push((Some(client_id.to_owned()), secret));
        self
    }

    /// Also covers this assertion.
    #[must_use]
    pub fn and_assertion(mut self, assertion: &ClientAssertion) -> Self {
        let assertion = Zeroizing::new(assertion.expose().to_owned());
        self.secrets.push((None, assertion));
        self
    }

    /// Also covers this token or assertion of a user.
    #[must_use]
    pub fn and_subject(mut self, subject: &SubjectToken) -> Self {
        let subject = Zeroizing::new(subject.expose().to_owned());
        self.secrets.push((None, subject));
        self
    }

    /// Also covers the value of this additional header.
    #[must_use]
    pub fn and_header(mut self, value: &HeaderSecret) -> Self {
        let value = Zeroizing::new(value.expose().to_owned());
        self.secrets.push((None, value));
        self
    }

    /// Returns `text` in printable ASCII, with at most 300 characters, or `[redacted]` if the text
    /// contains a secret or a part that looks like a secret.
    ///
    /// Detects eight consecutive characters of the secret, its Base64, its Basic credentials or the
    /// assertion. Each character may be raw, percent-encoded, form-encoded or JSON-escaped. Also
    /// detects text that looks like a JWT or a generated secret, and values of fields such as
    /// `client_secret`. Escapes characters beyond printable ASCII, for example as `\u{e9}`.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let known = text.strip_prefix(PREFIX).unwrap_or(text);
        let end = text.floor_char_boundary(Self::WINDOW);
        let window = text.get(..end).unwrap_or_default();
        let is_hidden = !KNOWN.contains(&known)
            && (has_jwt(window)
                || has_generated(window)
                || has_field(window)
                || self.knows(window));
        if is_hidden {
            REDACTED.to_owned()
        } else {
            escape(window)
        }
    }

    /// Whether `text` contains one of the secrets, in one of the spellings that [`Self::clean`]
    /// detects.
    pub(super) fn knows(&self, text: &str) -> bool {
        let forms = self.forms();
        let mut pieces: Vec<&[char]> = forms
            .iter()
            .flat_map(|form| form.windows(form.len().clamp(1, PIECE)))
            .collect();
        pieces.sort_unstable();
        (0..text.len()).any(|at| finds(&pieces, 0, text, at, at))
    }

    /// Returns the forms in which a server may repeat the secrets, without whitespace and Base64
    /// padding that the server may omit.
    fn forms(&self) -> Vec<Zeroizing<Vec<char>>> {
        let mut forms = Vec::new();
        let mut add = |text: &str| {
            let trimmed = text.trim().trim_end_matches('=');
            let text = if trimmed.is_empty() { text } else { trimmed };
            let mut form = Zeroizing::new(Vec::with_capacity(text.len()));
            form.extend(text.chars().map(folded));
            forms.push(form);
        };
        for (client_id, secret) in &self.secrets {
            add(secret);
            if let Some(client_id) = client_id {
                let pair = Zeroizing::new([client_id, ":", secret].concat());
                add(&base64(secret.as_bytes()));
                add(&base64(pair.as_bytes()));
                add(&basic_credentials(client_id, secret));
            }
        }
        forms
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redactor").field(&REDACTED).finish()
    }
}

/// The possible readings of a text's first character: literal and decoded, each with the number of
/// bytes that spell it.
type Readings = [Option<(char, usize)>; 2];

fn readings(text: &str) -> Readings {
    let plain = text.chars().next().map(|char| (char, char.len_utf8()));
    let encoded = match plain {
        Some(('+', _)) => Some((' ', 1)),
        Some(('%', _)) => percent_decoded(text),
        Some(('\\', _)) => unescaped(text),
        _ => None,
    };
    [plain, encoded].map(|reading| reading.map(|(char, length)| (folded(char), length)))
}

/// Replaces every non-ASCII character with one placeholder, because the server's charset may lose
/// such characters.
fn folded(char: char) -> char {
    Some(char)
        .filter(char::is_ascii)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn percent_decoded(text: &str) -> Option<(char, usize)> {
    let mut bytes = Vec::new();
    for encoded in text.as_bytes().chunks_exact(3).take(4) {
        let hex = str::from_utf8(encoded).ok()?.strip_prefix('%')?;
        bytes.push(u8::from_str_radix(hex, 16).ok()?);
        if let Ok(decoded) = str::from_utf8(&bytes) {
            return Some((decoded.chars().next()?, bytes.len().saturating_mul(3)));
        }
    }
    None
}

/// Decodes JSON escapes, and the escapes of languages that also escape other punctuation.
fn unescaped(text: &str) -> Option<(char, usize)> {
    if let Some(char) = text.chars().nth(1).filter(char::is_ascii_punctuation) {
        return Some((char, 2));
    }
    [2, 6, 12].into_iter().find_map(|length| {
        let json = format!("\"{}\"", text.get(..length)?);
        Some((serde_json::from_str(&json).ok()?, length))
    })
}

/// Whether the text continues to match one of `pieces`. The pieces are sorted, and their first
/// `count` characters match `text` from `start` to `at`.
fn finds(pieces: &[&[char]], count: usize, text: &str, start: usize, at: usize) -> bool {
    match pieces.split_first() {
        None => false,
        Some((piece, longer)) if piece.len() == count => {
            count > MAX_WORD || is_word(text, start, at) || finds(longer, count, text, start, at)
        }
        Some(_) => {
            let readings = text.get(at..).map(readings).unwrap_or_default();
            readings.into_iter().flatten().any(|(char, length)| {
                let from = pieces.partition_point(|piece| piece.get(count) < Some(&char));
                let to = pieces.partition_point(|piece| piece.get(count) <= Some(&char));
                let pieces = pieces.get(from..to).unwrap_or_default();
                finds(pieces, count.saturating_add(1), text, start, at.saturating_add(length))
            })
        }
    }
}

fn is_word(text: &str, start: usize, end: usize) -> bool {
    let is_part = |char: char| char.is_alphanumeric() || char == '_';
    let (before, after) = (text.get(..start), text.get(end..));
    !before.is_some_and(|text| text.ends_with(is_part))
        && !after.is_some_and(|text| text.starts_with(is_part))
}

fn has_jwt(text: &str) -> bool {
    const MIN_LENGTH: usize = 19;
    // A server may percent-encode dots.
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=%".contains(byte);
    text.match_indices("eyJ").any(|(at, _)| {
        let bytes = text.bytes().skip(at);
        bytes.take(MIN_LENGTH).filter(is_part).count() == MIN_LENGTH
    })
}

/// Whether the text contains twenty consecutive letters and digits in a mix that occurs in no
/// language or host name.
fn has_generated(text: &str) -> bool {
    const MIN_LENGTH: usize = 20;
    let mut runs = text.split(|char: char| !char.is_ascii_alphanumeric());
    runs.any(|run| {
        let has = |is: fn(&u8) -> bool| run.as_bytes().iter().any(is);
        run.len() >= MIN_LENGTH
            && has(u8::is_ascii_digit)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_uppercase)
    })
}

/// Whether the text contains the name of a secret field followed by a value, in a form, in JSON or
/// in nested JSON.
fn has_field(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let is_filling = |char: char| char.is_whitespace() || "\\\"'".contains(char);
    FIELDS.iter().any(|name| {
        text.split(name).skip(1).any(|rest| {
            let sign = rest.trim_start_matches(is_filling);
            sign.starts_with(['=', ':']) || sign.starts_with("%3d")
        })
    })
}

/// Escapes a text to ASCII, in which each byte is one character. Truncates only between escaped
/// characters.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut kept = 0;
    for char in text.chars() {
        if escaped.len() < Redactor::MAX_CLEANED {
            kept = escaped.len();
        }
        match char {
            ' '..='~' => escaped.push(char),
            _ => escaped.extend(char.escape_unicode()),
        }
        if escaped.len() > Redactor::MAX_CLEANED {
            escaped.truncate(kept);
            escaped.push('…');
            break;
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: &str = "my client";

    fn redactor(secret: &str) -> Redactor {
        let secret = ClientSecret::new(secret.to_owned()).unwrap();
        Redactor::none().and_secret(CLIENT, &secret)
    }

    #[test]
    fn an_assertion_hides_the_text() {
        let assertion = ClientAssertion::new(" abcdefghijkl.mn\n".to_owned()).unwrap();
        let redactor = Redactor::none().and_assertion(&assertion);
        for (text, is_hidden) in
            [("an abcdefghijkl.mn", true), ("an efghijkl of it", true), ("an efghijk of it", false)]
        {
            assert_eq!(redactor.clean(text) == REDACTED, is_hidden, "{text}");
        }
    }

    #[test]
    fn a_short_secret_is_found_whole_and_a_very_short_one_as_a_word() {
        for (secret, text, is_hidden) in [
            ("a", "a client is a client", true),
            ("a", "'a'", true),
            ("a", "banana_a a_b", false),
            ("a", "%61 bc", true),
            ("ab", "cab abc", false),
            ("ab", "cab ab", true),
            ("é", "été", false),
            ("é", "é", true),
            ("abc", "xabcx", true),
            ("abc", "xab cx", false),
            (" abc\n", "abc", true),
            (" ", "a b", false),
            ("1234567", "123456", false),
            ("pässwörd", "p\u{fffd}ssw\u{fffd}rd", true),
        ] {
            assert_eq!(redactor(secret).clean(text) == REDACTED, is_hidden, "{secret} in {text}");
        }
    }

    #[test]
    fn a_text_with_an_apparent_secret_is_hidden() {
        for (name, text, is_hidden) in [
            ("JWT", "token eyJhbGciOiJSUzI1NiJ9.e30.c2ln is bad", true),
            ("JWT, dots encoded", "eyJhbGciOiJSUzI1%2Ee30%2Ec2ln, bad", true),
            ("JWT of 16 more", "eyJ0123456789abcdef", true),
            ("JWT of 15 more", "eyJ0123456789abcde", false),
            ("generated", "got 0a1b2c3d4e5f6g7h8i9J", true),
            ("generated, too short", "got 0a1b2c3d4e5f6g7h8iJ", false),
            ("name of a host", "a1b2c3d4e5f6a1b2c3d4e5f6.elb.example", false),
            ("UUID", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", false),
            ("form", "client_secret=abc&x=1", true),
            ("upper case", "CLIENT_SECRET=abc", true),
            ("encoded sign", "client_secret%3Dabc d", true),
            ("colon and space", "access_token: abc def", true),
            ("JSON", "{\"id_token\":\"a b\",\"x\":1}", true),
            ("JSON in JSON", "{\\\"password\\\": \\\"a b\\\"}", true),
            ("single quotes", "'refresh_token' = 'a b' c", true),
            ("second field", "password is missing, password=a", true),
            ("assertion", "assertion=abc", true),
            ("assertion type", "client_assertion_type=urn:x", false),
            ("only mentioned", "Missing client_secret here", false),
        ] {
            assert_eq!(Redactor::none().clean(text) == REDACTED, is_hidden, "{name}");
        }
    }

    #[test]
    fn known_texts_stay_whatever_the_secret_is() {
        for secret in ["client", "secret", "invalid_client", "Invalid client", "account", "token"] {
            let redactor = redactor(secret);
            for known in KNOWN {
                assert_eq!(redactor.clean(known), **known, "{secret}");
                let prefixed = format!("{PREFIX}{known}");
                assert_eq!(redactor.clean(&prefixed), prefixed, "{secret}");
            }
            let other = format!("the {secret} of portal");
            assert_eq!(redactor.clean(&other), REDACTED, "{secret}");
        }
    }

    #[test]
    fn harmless_text_stays_readable() {
        for text in [
            "",
            "Invalid scopes: a b",
            "User 'service-account-portal' disabled",
            "For more on this error consult the server log.",
            "100% \\ ~ {} %zz \\u00",
        ] {
            assert_eq!(redactor("s3cr3t").clean(text), text);
        }
    }

    #[test]
    fn everything_but_printable_ascii_is_escaped() {
        for (name, text, expected) in [
            ("line feed", "a\nb", "a\\u{a}b"),
            ("escape sequence", "\u{1b}[31m", "\\u{1b}[31m"),
            ("nul and delete", "\0\u{7f}", "\\u{0}\\u{7f}"),
            ("letter", "é", "\\u{e9}"),
            ("right-to-left override", "\u{202e}", "\\u{202e}"),
            ("beyond the first plane", "😀", "\\u{1f600}"),
        ] {
            assert_eq!(Redactor::none().clean(text), expected, "{name}");
        }
    }

    #[test]
    fn text_ends_at_300_characters_and_between_two_of_them() {
        let x = |count: usize| "x".repeat(count);
        for (name, text, expected) in [
            ("fits", x(300), x(300)),
            ("one too many", x(301), x(299) + "…"),
            ("far too many", x(2_000_000), x(299) + "…"),
            ("escape fits", x(294) + "é", x(294) + "\\u{e9}"),
            ("escape does not fit", x(295) + "é", x(295) + "…"),
            ("escape ends where the ellipsis must be", x(294) + "éx", x(294) + "…"),
            ("secret over the end", x(298) + "s3cr3t", REDACTED.to_owned()),
            ("secret behind the end", x(Redactor::WINDOW) + "s3cr3t", x(299) + "…"),
        ] {
            assert_eq!(redactor("s3cr3t").clean(&text), expected, "{name}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", redactor("canary")), "Redactor(\"[redacted]\")");
    }
}
