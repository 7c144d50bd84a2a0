//! Cleaning of every text that a server controls, before anybody sees it.
//!
//! Biased towards removing too much: a lost word costs a look into the server's log, a shown
//! secret costs the secret. It knows the secret of one request, and what secrets look like.

use std::fmt;
use std::mem;
use std::ops::Range;

use zeroize::Zeroizing;

use super::assertion::ClientAssertion;
use super::client_auth::{base64, basic_credentials};
use super::secret::ClientSecret;

/// What stands where a secret was.
pub(super) const REDACTED: &str = "[redacted]";

/// Longest cleaned text, in characters.
const MAX_CLEANED: usize = 300;

/// How much of a text is looked at, in bytes. Bounds the work that a hostile server can cause.
const WINDOW: usize = 4096;

/// A match of at most this many characters counts only as a whole word: a secret of one letter
/// would otherwise turn every text into holes that spell it out.
const MAX_WORD: usize = 2;

/// The longest spelling of one character, `\ud83d\ude00` or `%F0%9F%98%80`, in bytes.
const MAX_SPELLING: usize = 12;

/// Fields whose value is hidden, whatever it is. Ours is found anyway; this finds those of others.
const KEYS: &[&str] = &[
    "client_secret",
    "client_assertion",
    "access_token",
    "refresh_token",
    "id_token",
    "subject_token",
    "actor_token",
    "assertion",
    "password",
];

const JWT_START: &str = "eyJ";
const MIN_JWT_REST: usize = 16;

/// Cleans texts of one server that was sent one proof.
pub struct Redactor {
    /// The secret, its Basic credentials without padding, and the assertion.
    shapes: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// For the answers to a request with this client and secret.
    #[must_use]
    pub fn new(client_id: &str, secret: &ClientSecret) -> Self {
        Self::none().and_secret(client_id, secret)
    }

    /// For the answers to a request of somebody who has this secret as well.
    #[must_use]
    pub fn and_secret(mut self, client_id: &str, secret: &ClientSecret) -> Self {
        let raw = secret.expose();
        // A server may trim before it repeats; what is inside the whitespace is found either way.
        let trimmed = match raw.trim() {
            "" => raw,
            trimmed => trimmed,
        };
        let capacity = client_id.len().saturating_add(raw.len()).saturating_add(1);
        let mut pair = Zeroizing::new(String::with_capacity(capacity));
        pair.push_str(client_id);
        pair.push(':');
        pair.push_str(raw);
        let encoded = basic_credentials(client_id, secret);
        let plain = base64(pair.as_bytes());
        self.shapes.push(Zeroizing::new(trimmed.to_owned()));
        for credentials in [encoded, plain] {
            let unpadded = credentials.trim_end_matches('=');
            self.shapes.push(Zeroizing::new(unpadded.to_owned()));
        }
        self
    }

    /// For the answers to a request that carried this assertion.
    #[must_use]
    pub fn and_assertion(mut self, assertion: &ClientAssertion) -> Self {
        let text = assertion.expose();
        let trimmed = match text.trim() {
            "" => text,
            trimmed => trimmed,
        };
        self.shapes.push(Zeroizing::new(trimmed.to_owned()));
        self
    }

    /// Without a secret of its own: for texts that no request of ours provoked.
    #[must_use]
    pub fn none() -> Self {
        Self { shapes: Vec::new() }
    }

    /// `text` in printable ASCII, in at most 300 characters, with everything replaced that is or
    /// looks like a secret.
    ///
    /// Replaced are: the secret and its Basic credentials, each character raw, percent-encoded,
    /// form-encoded or JSON-escaped; what looks like a JWT; what follows `client_secret=` and the
    /// like up to a delimiter, even where it is a harmless word. A match of one or two characters
    /// counts only as a whole word: in a longer word a secret that short stays visible. Other
    /// characters are escaped as `\u{e9}`.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let window = text
            .get(..text.floor_char_boundary(WINDOW))
            .unwrap_or_default();
        let scan = Scan {
            shapes: &self.shapes,
            text: window,
            is_cut: window.len() < text.len(),
        };
        scan.clean()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redactor").field(&REDACTED).finish()
    }
}

struct Scan<'a> {
    shapes: &'a [Zeroizing<String>],
    text: &'a str,
    /// Whether `text` is only the beginning, so that a secret may run over its end.
    is_cut: bool,
}

impl Scan<'_> {
    fn clean(&self) -> String {
        let mut cleaned = Cleaned::default();
        let mut value = 0..0;
        let mut at = 0;
        while let Some(char) = self.rest(at).chars().next() {
            if value.end <= at {
                value = self.keyed_value(at).unwrap_or(value);
            }
            let keyed = value.contains(&at).then_some(value.end);
            let ends = [keyed, self.jwt_end(at), self.secret_end(at)];
            let is_room = if let Some(end) = ends.into_iter().flatten().max() {
                at = self.widen(at, end);
                cleaned.push(REDACTED)
            } else {
                at = at.saturating_add(char.len_utf8());
                cleaned.push_char(char)
            };
            if !is_room {
                return cleaned.truncated();
            }
        }
        if self.is_cut {
            cleaned.truncated()
        } else {
            cleaned.text
        }
    }

    fn rest(&self, at: usize) -> &str {
        self.text.get(at..).unwrap_or_default()
    }

    /// What begins inside of what is replaced is replaced to its own end. Of a field that begins
    /// there nothing would be left to tell that a value follows.
    fn widen(&self, from: usize, end: usize) -> usize {
        let mut end = end;
        let mut at = from;
        while at < end {
            let keyed = self.keyed_value(at).map(|value| value.end);
            let ends = [keyed, self.jwt_end(at), self.secret_end(at)];
            end = ends.into_iter().flatten().fold(end, usize::max);
            let char = self.rest(at).chars().next();
            at = at.saturating_add(char.map_or(1, char::len_utf8));
        }
        end
    }

    fn secret_end(&self, at: usize) -> Option<usize> {
        let ends = self
            .shapes
            .iter()
            .filter_map(|shape| self.shape_end(shape, at));
        ends.max().filter(|&end| self.is_long_or_word(at, end))
    }

    /// Where the longest spelling of `shape` that begins at `from` ends. Several ends are followed
    /// at once: `\\` may be one backslash or two.
    fn shape_end(&self, shape: &str, from: usize) -> Option<usize> {
        // At most places this is all there is to do.
        let first = shape.chars().next()?;
        if spellings(first, self.rest(from)) == [None; 4] {
            return None;
        }
        let mut ends = vec![from];
        let mut next = Vec::new();
        for char in shape.chars() {
            for &at in &ends {
                if at > from && self.is_cut_off(at) {
                    return Some(self.text.len());
                }
                for length in spellings(char, self.rest(at)).into_iter().flatten() {
                    let end = at.saturating_add(length);
                    if !next.contains(&end) {
                        next.push(end);
                    }
                }
            }
            if next.is_empty() {
                return None;
            }
            mem::swap(&mut ends, &mut next);
            next.clear();
        }
        ends.into_iter().max()
    }

    fn is_cut_off(&self, at: usize) -> bool {
        let rest = self.rest(at);
        let is_part = rest.len() < MAX_SPELLING && rest.starts_with(['%', '\\']);
        self.is_cut && (rest.is_empty() || is_part)
    }

    fn is_long_or_word(&self, at: usize, end: usize) -> bool {
        let matched = self.text.get(at..end).unwrap_or_default();
        let before = self.text.get(..at).unwrap_or_default().chars().next_back();
        let after = self.rest(end).chars().next();
        let is_word = |char: Option<char>| char.is_some_and(|c| c.is_alphanumeric() || c == '_');
        matched.chars().count() > MAX_WORD || !(is_word(before) || is_word(after))
    }

    fn jwt_end(&self, at: usize) -> Option<usize> {
        let rest = self.rest(at).strip_prefix(JWT_START)?;
        // Percent-encoded dots belong to it.
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/=%".contains(c);
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let end = at.saturating_add(JWT_START.len()).saturating_add(length);
        let is_cut_off = self.is_cut && end == self.text.len();
        (length >= MIN_JWT_REST || is_cut_off).then_some(end)
    }

    /// The value of the sensitive field whose name begins at `at`.
    fn keyed_value(&self, at: usize) -> Option<Range<usize>> {
        let rest = self.rest(at);
        let initial = rest.bytes().next()?.to_ascii_lowercase();
        let key = KEYS.iter().find(|key| {
            key.as_bytes().first() == Some(&initial)
                && rest
                    .get(..key.len())
                    .is_some_and(|name| name.eq_ignore_ascii_case(key))
        })?;
        let is_filling = |c: char| c.is_whitespace() || matches!(c, '\\' | '"' | '\'');
        let after = rest.get(key.len()..)?.trim_start_matches(is_filling);
        let value = ["=", ":", "%3D", "%3d"]
            .iter()
            .find_map(|sign| after.strip_prefix(*sign))?;
        let opening = value.trim_start();
        let value = opening.trim_start_matches('\\');
        // In JSON inside of JSON every quote is escaped; elsewhere an escaped one closes nothing.
        let is_escaped = value.len() < opening.len();
        let (value, length) = match value.chars().next()? {
            quote @ ('"' | '\'') => {
                let value = value.strip_prefix(quote)?;
                let is_open = |at| value.get(..at).is_some_and(|before| before.ends_with('\\'));
                let mut quotes = value.match_indices(quote).map(|(at, _)| at);
                (value, quotes.find(|&at| is_escaped || !is_open(at)))
            }
            _ => (value, value.find(|c: char| c.is_whitespace() || "&,;\"'<>()[]{}".contains(c))),
        };
        let start = self.text.len().saturating_sub(value.len());
        Some(start..start.saturating_add(length.unwrap_or(value.len())))
    }
}

/// How long each way to write `char` is that `text` begins with.
fn spellings(char: char, text: &str) -> [Option<usize>; 4] {
    let is_plus = char == ' ' && text.starts_with('+');
    let literal = (text.starts_with(char) || is_plus).then_some(char.len_utf8());
    [literal, percent_encoded(char, text), escaped(char, text), escaped_as_units(char, text)]
}

fn percent_encoded(char: char, text: &str) -> Option<usize> {
    let mut rest = text;
    for &byte in char.encode_utf8(&mut [0; 4]).as_bytes() {
        rest = strip_hex(rest.strip_prefix('%')?, 2, u32::from(byte))?;
    }
    Some(text.len().saturating_sub(rest.len()))
}

fn escaped(char: char, text: &str) -> Option<usize> {
    let letter = match char {
        '\u{8}' => 'b',
        '\u{c}' => 'f',
        '\n' => 'n',
        '\r' => 'r',
        '\t' => 't',
        _ if char.is_ascii_punctuation() => char,
        _ => return None,
    };
    text.strip_prefix('\\')?.starts_with(letter).then_some(2)
}

fn escaped_as_units(char: char, text: &str) -> Option<usize> {
    let mut rest = text;
    for &unit in char.encode_utf16(&mut [0; 2]).iter() {
        rest = strip_hex(rest.strip_prefix("\\u")?, 4, u32::from(unit))?;
    }
    Some(text.len().saturating_sub(rest.len()))
}

fn strip_hex(text: &str, digits: usize, expected: u32) -> Option<&str> {
    let (hex, rest) = text.split_at_checked(digits)?;
    let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && u32::from_str_radix(hex, 16) == Ok(expected)).then_some(rest)
}

/// ASCII only, so that bytes are characters.
#[derive(Default)]
struct Cleaned {
    text: String,
    /// How much of it stays if there is more than fits: whole pieces, and room for the `…`.
    kept: usize,
}

impl Cleaned {
    /// Whether there was room.
    fn push(&mut self, piece: &str) -> bool {
        self.text.push_str(piece);
        if self.text.len() < MAX_CLEANED {
            self.kept = self.text.len();
        }
        self.text.len() <= MAX_CLEANED
    }

    fn push_char(&mut self, char: char) -> bool {
        if matches!(char, ' '..='~') {
            self.push(char.encode_utf8(&mut [0; 4]))
        } else {
            self.push(&char.escape_unicode().to_string())
        }
    }

    fn truncated(mut self) -> String {
        self.text.truncate(self.kept);
        self.text.push('…');
        self.text
    }
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "tests"
)]
mod tests {
    use url::form_urlencoded::byte_serialize;

    use super::*;

    /// Every encoding of it leaves `Xq` readable.
    const CANARY: &str = "Xq+Xq%Xq:Xq/Xq&Xq=Xq\"Xq\\Xq XqéXq😀Xq";
    const CLIENT: &str = "my client";

    fn redactor(secret: &str) -> Redactor {
        Redactor::new(CLIENT, &ClientSecret::new(secret.to_owned()).unwrap())
    }

    fn percent_encode(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
        let encode = |byte| match byte {
            _ if is_plain(byte) => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(encode).collect()
    }

    fn lower_hex(encoded: &str) -> String {
        let mut parts = encoded.split('%');
        let mut lower = parts.next().unwrap().to_owned();
        for part in parts {
            let (hex, rest) = part.split_at(2);
            lower.push('%');
            lower.push_str(&hex.to_lowercase());
            lower.push_str(rest);
        }
        lower
    }

    fn encodings(secret: &str) -> Vec<(&'static str, String)> {
        let form: String = byte_serialize(secret.as_bytes()).collect();
        let component = percent_encode(secret, |byte| {
            byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte)
        });
        let letters_only = percent_encode(secret, |byte| byte.is_ascii_alphanumeric());
        let json = serde_json::to_string(secret).unwrap();
        let json = json[1..json.len() - 1].to_owned();
        let unit = |unit: u16| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        };
        let units: String = secret.encode_utf16().map(unit).collect();
        vec![
            ("raw", secret.to_owned()),
            ("form, lower case", lower_hex(&form)),
            ("form with %20", form.replace('+', "%20")),
            ("form with %20, lower case", lower_hex(&form.replace('+', "%20"))),
            ("form", form),
            ("URI component", component),
            ("every other byte percent-encoded", letters_only),
            ("JSON with \\/", json.replace('/', "\\/")),
            ("JSON", json),
            (
                "JSON code units, upper case",
                units
                    .to_uppercase()
                    .replace("\\U", "\\u")
                    .replace("XQ", "Xq"),
            ),
            ("JSON code units", units),
        ]
    }

    /// A small generator, the same every time.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, limit: usize) -> usize {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from(self.0 >> 33).unwrap() % limit
        }

        fn text(&mut self) -> String {
            let pieces = [
                "a",
                "Z",
                "7",
                " ",
                "+",
                "%",
                "%2",
                "\\",
                "\\\\",
                "\\u00",
                "\"",
                "'",
                ":",
                "/",
                "&",
                "=",
                "é",
                "\n",
                "\0",
                "😀",
                "client_secret=",
                "password: ",
                "eyJ",
                "eyJhbGciOiJSUzI1NiJ9.",
                "Invalid client ",
            ];
            let limit = [1, 8, 60, 400][self.below(4)];
            let count = self.below(limit);
            (0..count)
                .map(|_| pieces[self.below(pieces.len())])
                .collect()
        }
    }

    #[test]
    fn secret_is_found_in_every_encoding_and_any_surroundings() {
        let redactor = redactor(CANARY);
        let mut numbers = Numbers(1);
        for (name, encoded) in encodings(CANARY) {
            assert!(encoded.contains("Xq"), "{name}");
            assert_eq!(redactor.clean(&format!("<{encoded}>")), "<[redacted]>", "{name}");
            for _ in 0..300 {
                let text = format!("{}{encoded}{}", numbers.text(), numbers.text());
                let cleaned = redactor.clean(&text);
                assert!(!cleaned.contains("Xq"), "{name}: {text:?} gives {cleaned:?}");
                assert!(cleaned.chars().count() <= MAX_CLEANED, "{name}: {text:?}");
                let printable = cleaned.strip_suffix('…').unwrap_or(&cleaned);
                assert!(printable.bytes().all(|b| matches!(b, b' '..=b'~')), "{name}: {text:?}");
            }
        }
    }

    #[test]
    fn basic_credentials_are_found_with_and_without_form_encoding() {
        for secret in ["s", "se", "sec", "secr", CANARY] {
            let redactor = redactor(secret);
            let sent = basic_credentials(CLIENT, &ClientSecret::new(secret.to_owned()).unwrap());
            let plain = base64(format!("{CLIENT}:{secret}").as_bytes());
            for credentials in [sent, plain] {
                let unpadded = credentials.trim_end_matches('=');
                let percent = percent_encode(&credentials, |byte| byte.is_ascii_alphanumeric());
                for shape in [credentials.as_str(), unpadded, &percent] {
                    let cleaned = redactor.clean(&format!("got Basic {shape} from you"));
                    let start = "got Basic [redacted]";
                    assert!(cleaned.starts_with(start), "{secret}: {cleaned}");
                    assert!(cleaned.len() < start.len() + " from you".len() + 7, "{cleaned}");
                }
            }
        }
    }

    #[test]
    fn short_secret_is_found_as_a_whole_word_only() {
        for (secret, text, expected) in [
            ("a", "a client is a client", "[redacted] client is [redacted] client"),
            ("a", "'a'", "'[redacted]'"),
            ("a", "banana_a a_b", "banana_a a_b"),
            ("a", "%61bc", "[redacted]bc"),
            ("ab", "ab cab abc ab", "[redacted] cab abc [redacted]"),
            ("ab", "secret=ab&x", "secret=[redacted]&x"),
            ("é", "é été", "[redacted] \\u{e9}t\\u{e9}"),
            ("abc", "xabcx", "x[redacted]x"),
            (" ", "a b", "a b"),
        ] {
            assert_eq!(redactor(secret).clean(text), expected, "{secret} in {text}");
        }
    }

    #[test]
    fn overlapping_secrets_leave_nothing_behind() {
        for (name, secret, text, expected) in [
            ("twice", "Xq1", "Xq1Xq1", "[redacted][redacted]"),
            ("sharing an end", "XqaXq", "XqaXqaXq", "[redacted]"),
            ("whitespace around it, trimmed by the server", " Xq1\n", "<Xq1>", "<[redacted]>"),
            ("whitespace around it", " Xq1\n", "< Xq1\n>", "< [redacted]\\u{a}>"),
            ("a field begins in it", "Xqpass", "Xqpassword=Xq b", "[redacted] b"),
            ("a JWT begins in it", "Xqe", "XqeyJ0123456789abcdef b", "[redacted] b"),
            ("begins in a JWT", "XXXX Xq", "eyJ0123456789abcdefXXXX Xq!", "[redacted]!"),
            (
                "holds a delimiter",
                "Xq&Xq",
                "client_secret=Xq&Xq&a=b",
                "client_secret=[redacted]&a=b",
            ),
            ("begins like the field", "=Xq", "client_secret==Xq b", "client_secret=[redacted] b"),
            ("backslashes, one or two", "\\\\Xq", "\\\\Xq \\\\\\\\Xq", "[redacted] [redacted]"),
            ("backslash at the end", "Xq\\", "Xq\\\\ Xq\\", "[redacted] [redacted]"),
            ("mixed encodings", "X +é", "X%20%2B\\u00E9", "[redacted]"),
        ] {
            assert_eq!(redactor(secret).clean(text), expected, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_removed_without_knowing_it() {
        for (name, text, expected) in [
            ("JWT", "token eyJhbGciOiJSUzI1NiJ9.e30.c2ln is bad", "token [redacted] is bad"),
            ("JWT, dots encoded", "eyJhbGciOiJSUzI1%2Ee30%2Ec2ln, bad", "[redacted], bad"),
            ("JWT of 16 more", "eyJ0123456789abcdef", "[redacted]"),
            ("JWT of 15 more", "eyJ0123456789abcde", "eyJ0123456789abcde"),
            ("form", "client_secret=abc&x=1", "client_secret=[redacted]&x=1"),
            ("upper case", "CLIENT_SECRET=abc", "CLIENT_SECRET=[redacted]"),
            ("encoded sign", "client_secret%3Dabc d", "client_secret%3D[redacted] d"),
            ("colon and space", "access_token: abc def", "access_token: [redacted] def"),
            ("JSON", "{\"id_token\":\"a b\",\"x\":1}", "{\"id_token\":\"[redacted]\",\"x\":1}"),
            (
                "JSON in JSON",
                "{\\\"password\\\": \\\"a b\\\"}",
                "{\\\"password\\\": \\\"[redacted]\"}",
            ),
            ("single quotes", "password='a b' c", "password='[redacted]' c"),
            ("escaped quote", r#"password="a\"b" c"#, r#"password="[redacted]" c"#),
            ("quote left open", "password=\"a b", "password=\"[redacted]"),
            ("assertion", "client_assertion=abc", "client_assertion=[redacted]"),
            ("assertion type", "client_assertion_type=urn:x", "client_assertion_type=urn:x"),
            ("no value", "client_secret=&x=1", "client_secret=&x=1"),
            ("nothing after the sign", "client_secret=", "client_secret="),
            ("only mentioned", "Missing client_secret here", "Missing client_secret here"),
            ("field in a value", "client_secret=aid_token = \"Xq\"", "client_secret=[redacted]\""),
            ("field in a JWT", "eyJ0123456789abcdefpassword=a*b c", "[redacted] c"),
            ("two fields", "password=a&password=b", "password=[redacted]&password=[redacted]"),
        ] {
            assert_eq!(Redactor::none().clean(text), expected, "{name}");
        }
    }

    #[test]
    fn harmless_text_stays_readable() {
        let redactor = redactor("s3cr3t");
        for text in [
            "",
            "unauthorized_client",
            "Invalid client or Invalid client credentials",
            "Invalid method used to get client secret. Client requires method \
             'client_secret_basic' to obtain client secret from the request",
            "Parameter client_assertion_type is missing",
            "Invalid scopes: a b",
            "100% \\ ~ {}",
        ] {
            assert_eq!(redactor.clean(text), text);
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
    fn text_ends_at_300_characters_and_between_two_pieces() {
        let x = |count: usize| "x".repeat(count);
        for (name, text, expected) in [
            ("fits", x(300), x(300)),
            ("one too many", x(301), x(299) + "…"),
            ("far too many", x(2_000_000), x(299) + "…"),
            ("escape fits", x(294) + "é", x(294) + "\\u{e9}"),
            ("escape does not fit", x(295) + "é", x(295) + "…"),
            ("escape ends where the ellipsis must be", x(294) + "éx", x(294) + "…"),
            ("secret fits", x(290) + "s3cr3t", x(290) + REDACTED),
            ("secret does not fit", x(291) + "s3cr3t", x(291) + "…"),
            ("secret at the end", x(298) + "s3cr3t", x(298) + "…"),
        ] {
            assert_eq!(redactor("s3cr3t").clean(&text), expected, "{name}");
        }
    }

    #[test]
    fn secret_across_the_end_of_what_is_looked_at_is_found() {
        let secret = "Xq %XqéXq";
        for (name, encoded) in encodings(secret) {
            for inside in 1..=encoded.len() {
                let gap = 2;
                let jwt = format!("eyJ{}", "0".repeat(WINDOW - 3 - gap - inside));
                let text = format!("{jwt} <{encoded}> and more");
                let cleaned = redactor(secret).clean(&text);
                let expected = "[redacted] <[redacted]…";
                // Two bytes of it count only as a word, which they are here.
                assert_eq!(cleaned.replace(">…", "…"), expected, "{name}, {inside}");
            }
        }
    }

    #[test]
    fn jwt_across_the_end_of_what_is_looked_at_is_found() {
        for inside in [3, 4, 18, 19] {
            let jwt = format!("eyJ{}", "0".repeat(WINDOW - 4 - inside));
            let cleaned = Redactor::none().clean(&format!("{jwt} {jwt}"));
            assert_eq!(cleaned, "[redacted] [redacted]…", "{inside}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", redactor("canary")), "Redactor(\"[redacted]\")");
    }
}
