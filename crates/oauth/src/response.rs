//! Interprets an answer of the token endpoint (RFC 6749 §5).
//!
//! Answers are untrusted: no content causes a panic, and the redactor cleans all texts. The reader
//! copies the token once, into memory that is overwritten when the token is dropped; all other
//! values borrow the body.

use std::fmt;
use std::mem;
use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::document::{decode, read_members, string};
use super::dpop::parse_nonce;
use super::error::{AnswerError, ProtocolFault};
use super::lifetime::{Lifetime, OwnClaims};
use super::redact::{REDACTED, Redactor};
use super::secret::{AccessToken, is_token_byte};

/// The maximum time in a header, in seconds, so that adding the time to the current time cannot
/// overflow. A longer time counts as this one.
const MAX_SECONDS: u64 = u32::MAX as u64;

/// The parts of an HTTP answer that this crate uses.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header, if it is usable.
    pub retry_after: Option<RetryAfter>,
    /// The `Age` header: the time for which a cache has held the answer (RFC 9111 §5.1).
    pub age: Duration,
    /// The `Content-Encoding` header, if the body is encoded.
    pub content_encoding: Option<ContentEncoding>,
    /// The `DPoP-Nonce` header, if it is usable (RFC 9449 §8).
    pub dpop_nonce: Option<String>,
    /// The whole body.
    pub body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Creates an answer. `header` returns the value of a header by its name in lower case.
    #[must_use]
    pub fn new<'a>(
        status: u16,
        header: impl Fn(&str) -> Option<&'a str>,
        body: Zeroizing<Vec<u8>>,
    ) -> Self {
        Self {
            status,
            retry_after: header("retry-after").and_then(RetryAfter::parse),
            age: header("age").and_then(parse_age).unwrap_or_default(),
            content_encoding: header("content-encoding").and_then(ContentEncoding::parse),
            dpop_nonce: header("dpop-nonce").and_then(parse_nonce),
            body,
        }
    }

    /// Whether the server refused the request only because its DPoP proof lacked the nonce that the
    /// answer provides.
    #[must_use]
    pub fn wants_nonce(&self) -> bool {
        self.dpop_nonce.is_some()
            && matches!(
                read_failure(self, &Redactor::none()),
                AnswerError::OAuth { error, .. } if error == "use_dpop_nonce"
            )
    }

    /// Returns the fault of a body: the encoding if the body is encoded and not JSON.
    pub(super) fn named_encoding(&self, fault: ProtocolFault) -> ProtocolFault {
        let encoding = self
            .content_encoding
            .filter(|_| fault == ProtocolFault::NotJson);
        encoding.map_or(fault, ProtocolFault::Encoded)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("retry_after", &self.retry_after)
            .field("age", &self.age)
            .field("content_encoding", &self.content_encoding)
            .field("dpop_nonce", &self.dpop_nonce)
            .field("body", &REDACTED)
            .finish()
    }
}

/// The encoding of a body (RFC 9110 §8.4). No request accepts any of these encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentEncoding {
    /// `gzip`.
    Gzip,
    /// `deflate`.
    Deflate,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
    /// Another encoding, or several encodings.
    Other,
}

impl ContentEncoding {
    /// Parses the value of the header. Returns `None` for `identity`.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        Some(match value.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => return None,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => Self::Other,
        })
    }
}

impl fmt::Display for ContentEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Other => "an unknown encoding",
        })
    }
}

/// The time at which the server accepts the next request (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this duration.
    After(Duration),
    /// At this time.
    At(SystemTime),
}

impl RetryAfter {
    /// Parses seconds or an HTTP date. Returns `None` for any other value.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let at = || httpdate::parse_http_date(value.trim_matches([' ', '\t'])).ok();
        parse_seconds(value)
            .map(Self::After)
            .or_else(|| at().map(Self::At))
    }

    /// Returns the time to wait, counted from `now`: zero for a date in the past.
    #[must_use]
    pub fn from(self, now: SystemTime) -> Duration {
        match self {
            Self::After(duration) => duration,
            Self::At(time) => time.duration_since(now).unwrap_or_default(),
        }
    }
}

/// Parses the `Age` header. If the header has several values, the first one counts (RFC 9111 §5.1).
fn parse_age(value: &str) -> Option<Duration> {
    parse_seconds(value.split(',').next()?)
}

/// Parses a header that consists of a number of seconds.
fn parse_seconds(value: &str) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // The value consists of digits, so parsing fails only if the number is too large.
    is_number.then(|| Duration::from_secs(value.parse().unwrap_or(MAX_SECONDS).min(MAX_SECONDS)))
}

/// The type of a token, which decides how a request presents it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenType {
    /// A request presents only the token (RFC 6750).
    #[default]
    Bearer,
    /// A request presents the token with a proof that the sender possesses a key (RFC 9449 §7.1).
    Dpop,
}

impl TokenType {
    /// Returns the registered name, which is also the name of the scheme in `Authorization`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }

    /// Reads `token_type`. Its letter case does not matter.
    fn read(value: &RawValue) -> Option<Self> {
        let name = string(value)?;
        [Self::Bearer, Self::Dpop]
            .into_iter()
            .find(|known| name.eq_ignore_ascii_case(known.as_str()))
    }
}

/// A usable token response (RFC 6749 §5.1).
#[derive(Debug)]
pub struct TokenResponse {
    /// The token.
    pub token: AccessToken,
    /// `token_type`; `Bearer` if the server sent none.
    pub token_type: TokenType,
    /// The `scope` as the server sent it, without redaction. `None` if the server sent no `scope`,
    /// or a `scope` that is not a string.
    pub scope: Option<String>,
    /// The lifetime of the token.
    pub lifetime: Lifetime,
    /// The time at which the token expires according to its own claims, since the Unix epoch.
    pub expiry: Option<Duration>,
}

impl TokenResponse {
    /// Checks that the token has the requested type. `status` is the status of the answer.
    ///
    /// # Errors
    /// The request had a DPoP proof but the token is not bound to its key, or the request had no
    /// proof but the token is bound to a key.
    pub fn of_type(self, requested: TokenType, status: u16) -> Result<Self, AnswerError> {
        let fault = match (requested, self.token_type) {
            (TokenType::Dpop, TokenType::Bearer) => ProtocolFault::NotBound,
            (TokenType::Bearer, TokenType::Dpop) => ProtocolFault::Bound,
            _ => return Ok(self),
        };
        Err(AnswerError::Protocol {
            status,
            fault,
            error: None,
        })
    }
}

/// Reads an answer. `now` is the time since the Unix epoch.
///
/// # Errors
///
/// - [`AnswerError::OAuth`]: a 4xx whose body is a JSON object with a non-empty string `error`.
///   The exceptions are 404, 405, 408 and 429, which concern the path or the load, not the grant.
///   The charset does not matter, because only ASCII identifies the error.
/// - [`AnswerError::Protocol`]: a 3xx, or a 2xx without a usable token.
/// - [`AnswerError::Http`]: any other answer without a token.
pub fn read_answer(
    answer: &Answer,
    redactor: &Redactor,
    now: Duration,
) -> Result<TokenResponse, AnswerError> {
    let status = answer.status;
    match status {
        200..=299 => read_success(answer, now).map_err(|refusal| AnswerError::Protocol {
            status,
            fault: refusal.fault,
            error: refusal.error.map(|error| redactor.clean(&error)),
        }),
        300..=399 => Err(AnswerError::Protocol {
            status,
            fault: ProtocolFault::Redirect,
            error: None,
        }),
        _ => Err(read_failure(answer, redactor)),
    }
}

pub(super) fn read_failure(answer: &Answer, redactor: &Redactor) -> AnswerError {
    let status = answer.status;
    let mut copy = Zeroizing::default();
    let document = decode(&answer.body, &mut copy);
    let members = read_members(document, ["error", "error_description"]);
    let is_json = !matches!(members, Err(ProtocolFault::NotJson));
    let [error, description] = members.unwrap_or_default();
    let text = |member: Option<&RawValue>| {
        let text = member.and_then(string).filter(|text| !text.is_empty())?;
        Some(redactor.clean(&text))
    };
    let error = text(error);
    let description = text(description);
    let is_about_the_grant =
        matches!(status, 400..=499) && !matches!(status, 404 | 405 | 408 | 429);
    match error {
        Some(error) if is_about_the_grant => AnswerError::OAuth {
            status,
            error,
            description,
        },
        error => AnswerError::Http {
            status,
            error,
            description,
            is_json,
            // `tokenFetch` may have decoded the body without removing the header.
            encoding: answer
                .content_encoding
                .filter(|_| !is_json && str::from_utf8(&answer.body).is_err()),
        },
    }
}

struct AnswerRefusal {
    fault: ProtocolFault,
    error: Option<Zeroizing<String>>,
}

impl From<ProtocolFault> for AnswerRefusal {
    fn from(fault: ProtocolFault) -> Self {
        Self { fault, error: None }
    }
}

fn read_success(answer: &Answer, now: Duration) -> Result<TokenResponse, AnswerRefusal> {
    let mut copy = Zeroizing::default();
    let document = decode(&answer.body, &mut copy);
    // Each member stays source text, so that a malformed member does not invalidate the document.
    let names = ["access_token", "token_type", "expires_in", "scope", "error"];
    let [access_token, token_type, expires_in, scope, error] =
        read_members(document, names).map_err(|fault| answer.named_encoding(fault))?;
    if let Some(error) = error.filter(|error| error.get() != "\"\"") {
        return Err(AnswerRefusal {
            fault: ProtocolFault::ErrorInSuccess,
            error: string(error),
        });
    }
    let token = access_token.ok_or(ProtocolFault::NoAccessToken)?;
    let token = read_token(token)?;
    let token_type = token_type.map_or(Some(TokenType::default()), TokenType::read);
    let token_type = token_type.ok_or(ProtocolFault::TokenType)?;
    let scope = scope.and_then(string);
    let claims = OwnClaims::read(token.expose());
    Ok(TokenResponse {
        scope: scope.map(|mut scope| mem::take(&mut *scope)),
        lifetime: Lifetime::read(expires_in, &claims, answer.age, now),
        expiry: claims.expiry(),
        token,
        token_type,
    })
}

fn read_token(value: &RawValue) -> Result<AccessToken, ProtocolFault> {
    let inner = value
        .get()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let inner = inner
        .filter(|inner| !inner.is_empty())
        .ok_or(ProtocolFault::NoAccessToken)?;
    unescape_token(inner)
        .and_then(AccessToken::from_zeroizing)
        .ok_or(ProtocolFault::UnusableToken)
}

/// Unescapes the content of a JSON string. Returns `None` for a character that no token may
/// contain. Does not use `serde_json`, which would leave a copy of the token in freed memory.
fn unescape_token(inner: &str) -> Option<Zeroizing<String>> {
    // Unescaping never lengthens the text.
    let mut token = Zeroizing::new(String::with_capacity(inner.len()));
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        token.push_str(plain);
        let (letter, after) = escape.split_at_checked(1)?;
        let (byte, after) = match letter {
            "u" => {
                let (hex, after) = after.split_at_checked(4)?;
                (u8::from_str_radix(hex, 16).ok()?, after)
            }
            _ => (letter.bytes().next()?, after),
        };
        let is_itself = matches!(letter, "u" | "\"" | "\\" | "/");
        if !is_itself || !is_token_byte(byte) {
            return None;
        }
        token.push(char::from(byte));
        rest = after;
    }
    token.push_str(rest);
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClientSecret;

    const NOW: Duration = Duration::from_secs(1_000);

    fn answer(status: u16, body: impl AsRef<[u8]>) -> Answer {
        Answer {
            status,
            retry_after: None,
            age: Duration::ZERO,
            content_encoding: None,
            dpop_nonce: None,
            body: Zeroizing::new(body.as_ref().to_vec()),
        }
    }

    fn read(status: u16, body: impl AsRef<[u8]>) -> Result<TokenResponse, AnswerError> {
        read_answer(&answer(status, body), &Redactor::none(), NOW)
    }

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn a_known_code_is_kept_even_if_the_secret_is_part_of_it() {
        let secret = ClientSecret::new("client".to_owned()).unwrap();
        let redactor = Redactor::none().and_secret("portal", &secret);
        let body = r#"{"error":"unauthorized_client","error_description":"client"}"#;
        let error = read_answer(&answer(401, body), &redactor, NOW).unwrap_err();
        assert!(error.is_client_refusal());
        assert!(matches!(
            error,
            AnswerError::OAuth { error, description: Some(description), .. }
                if error == "unauthorized_client" && !description.contains("client")
        ));
    }

    #[test]
    fn usable_token_responses() {
        let deep = format!(r#"{{"x":{},"access_token":"t"}}"#, nested(400_000));
        let brackets = format!(r#"{{"access_token":"t","x":"\"{}"}}"#, "[{".repeat(1000));
        for (name, body, token, scope) in [
            ("token alone", r#"{"access_token":"t"}"#, "t", None),
            ("blank around it", " \t\r\n{\"access_token\" : \"t\"}\n", "t", None),
            ("every legal end", r#"{"access_token":"!~"}"#, "!~", None),
            ("escaped token", r#"{"access_token":"a\u0062\/\"\\\u007E"}"#, "ab/\"\\~", None),
            ("escaped name", r#"{"access\u005ftoken":"t"}"#, "t", None),
            ("lower-case type", r#"{"access_token":"t","token_type":"bearer"}"#, "t", None),
            ("upper-case type", r#"{"access_token":"t","token_type":"BEARER"}"#, "t", None),
            ("escaped type", r#"{"access_token":"t","token_type":"\u0042earer"}"#, "t", None),
            ("null type", r#"{"access_token":"t","token_type":null}"#, "t", None),
            ("null error", r#"{"access_token":"t","error":null}"#, "t", None),
            ("empty error", r#"{"access_token":"t","error":""}"#, "t", None),
            ("byte order mark", "\u{feff}{\"access_token\":\"t\"}", "t", None),
            ("scope", r#"{"access_token":"t","scope":"a b"}"#, "t", Some("a b")),
            ("empty scope", r#"{"access_token":"t","scope":""}"#, "t", Some("")),
            ("escaped scope", r#"{"access_token":"t","scope":"a\u0020b"}"#, "t", Some("a b")),
            ("null scope", r#"{"access_token":"t","scope":null}"#, "t", None),
            ("scope list", r#"{"access_token":"t","scope":["a"]}"#, "t", None),
            ("half a surrogate in scope", r#"{"access_token":"t","scope":"\ud800"}"#, "t", None),
            ("unknown members", r#"{"x":{"error":1},"access_token":"t","y":[1e999]}"#, "t", None),
            ("unknown member twice", r#"{"x":1,"x":2,"access_token":"t"}"#, "t", None),
            ("two tokens", r#"{"access_token":"a","access_token":"t"}"#, "t", None),
            ("two, one null", r#"{"access_token":null,"access_token":"t"}"#, "t", None),
            ("one escaped", r#"{"access_token":"a","\u0061ccess_token":"t"}"#, "t", None),
            (
                "two types",
                r#"{"access_token":"t","token_type":1,"token_type":"Bearer"}"#,
                "t",
                None,
            ),
            ("two scopes", r#"{"access_token":"t","scope":"a","scope":"a b"}"#, "t", Some("a b")),
            ("two errors", r#"{"access_token":"t","error":"x","error":""}"#, "t", None),
            ("deep", &deep, "t", None),
            ("brackets in a string", &brackets, "t", None),
        ] {
            for status in [200, 201, 299] {
                let response =
                    read(status, body).unwrap_or_else(|error| panic!("{name}: {error:?}"));
                assert_eq!(response.token.expose(), token, "{name}");
                assert_eq!(response.scope.as_deref(), scope, "{name}");
                assert_eq!(response.lifetime, Lifetime::Unknown, "{name}");
            }
        }
    }

    #[test]
    fn the_type_of_a_token_is_the_requested_one() {
        use TokenType::{Bearer, Dpop};
        for (token_type, requested, fault) in [
            (r#""Bearer""#, Bearer, None),
            (r#""Bearer""#, Dpop, Some(ProtocolFault::NotBound)),
            ("null", Dpop, Some(ProtocolFault::NotBound)),
            (r#""DPoP""#, Dpop, None),
            (r#""dpop""#, Dpop, None),
            (r#""DPoP""#, Bearer, Some(ProtocolFault::Bound)),
        ] {
            let body = format!(r#"{{"access_token":"t","token_type":{token_type}}}"#);
            let outcome = read(200, body).unwrap().of_type(requested, 200);
            let found = outcome.err().map(|error| match error {
                AnswerError::Protocol { fault, .. } => fault,
                other => panic!("{token_type}: {other:?}"),
            });
            assert_eq!(found, fault, "{token_type}, {requested:?}");
        }
    }

    #[test]
    fn a_server_wants_a_nonce_if_it_says_so_and_provides_one() {
        let wanted = r#"{"error":"use_dpop_nonce"}"#;
        for (status, body, nonce, expected) in [
            (400, wanted, Some("n-1"), true),
            (401, wanted, Some("n-1"), true),
            (400, wanted, None, false),
            (400, wanted, Some("not a nonce"), false),
            (400, r#"{"error":"invalid_grant"}"#, Some("n-1"), false),
            (200, r#"{"access_token":"t"}"#, Some("n-1"), false),
        ] {
            let header = |name: &str| nonce.filter(|_| name == "dpop-nonce");
            let body = Zeroizing::new(body.as_bytes().to_vec());
            let answer = Answer::new(status, header, body);
            assert_eq!(answer.wants_nonce(), expected, "{status} {nonce:?}");
        }
    }

    #[test]
    fn unusable_token_responses() {
        use ProtocolFault as Fault;
        let outside = format!("{{\\{}", nested(64));
        let open = "[".repeat(1_000_000);
        let objects = r#"{"x":"#.repeat(100_000);
        for (name, body, fault) in [
            ("empty", &b""[..], Fault::NotJson),
            ("blank", b" ", Fault::NotJson),
            ("page", b"<html></html>", Fault::NotJson),
            ("cut short", br#"{"access_token":"t""#, Fault::NotJson),
            ("more after it", br#"{"access_token":"t"}x"#, Fault::NotJson),
            ("two documents", br#"{"access_token":"t"}{}"#, Fault::NotJson),
            ("two byte order marks", "\u{feff}\u{feff}{}".as_bytes(), Fault::NotJson),
            ("invalid byte outside", b"\xFF{\"access_token\":\"t\"}", Fault::NotJson),
            ("control character", b"{\"access_token\":\"a\nb\"}", Fault::NotJson),
            ("bad escape", br#"{"access_token":"\x"}"#, Fault::NotJson),
            ("sign in an escape", br#"{"access_token":"\u+041"}"#, Fault::NotJson),
            ("NaN", br#"{"access_token":"t","expires_in":NaN}"#, Fault::NotJson),
            ("array", br#"["t","Bearer",300,"a",null]"#, Fault::NotAnObject),
            ("string", br#""t""#, Fault::NotAnObject),
            ("number", b"1e999", Fault::NotAnObject),
            ("null", b"null", Fault::NotAnObject),
            ("invalid byte", b"{\"access_token\":\"\xFF\"}", Fault::UnusableToken),
            ("encoded surrogate", b"{\"access_token\":\"\xED\xA0\x80\"}", Fault::UnusableToken),
            (
                "a token, then null",
                br#"{"access_token":"t","access_token":null}"#,
                Fault::NoAccessToken,
            ),
            ("deep, not JSON", outside.as_bytes(), Fault::NotJson),
            ("arrays without end", open.as_bytes(), Fault::NotJson),
            ("objects without end", objects.as_bytes(), Fault::NotJson),
            ("error", br#"{"access_token":"t","error":"x"}"#, Fault::ErrorInSuccess),
            ("error alone", br#"{"error":"invalid_client"}"#, Fault::ErrorInSuccess),
            ("blank error", br#"{"access_token":"t","error":" "}"#, Fault::ErrorInSuccess),
            ("error of another type", br#"{"access_token":"t","error":0}"#, Fault::ErrorInSuccess),
            ("no member", b"{}", Fault::NoAccessToken),
            ("null token", br#"{"access_token":null}"#, Fault::NoAccessToken),
            ("empty token", br#"{"access_token":""}"#, Fault::NoAccessToken),
            ("number as token", br#"{"access_token":1}"#, Fault::NoAccessToken),
            ("object as token", br#"{"access_token":{"a":"b"}}"#, Fault::NoAccessToken),
            ("other case of the name", br#"{"Access_Token":"t"}"#, Fault::NoAccessToken),
            ("space in the token", br#"{"access_token":"a b"}"#, Fault::UnusableToken),
            ("letter beyond ASCII", "{\"access_token\":\"é\"}".as_bytes(), Fault::UnusableToken),
            ("escaped line feed", br#"{"access_token":"a\nb"}"#, Fault::UnusableToken),
            ("escaped nul", br#"{"access_token":"\u0000"}"#, Fault::UnusableToken),
            ("escaped delete", br#"{"access_token":"\u007f"}"#, Fault::UnusableToken),
            ("beyond a byte", br#"{"access_token":"\u0141"}"#, Fault::UnusableToken),
            ("half a surrogate", br#"{"access_token":"\ud800"}"#, Fault::UnusableToken),
            ("surrogates", br#"{"access_token":"\ud83d\ude00"}"#, Fault::UnusableToken),
            ("other type", br#"{"access_token":"t","token_type":"N_A"}"#, Fault::TokenType),
            ("empty type", br#"{"access_token":"t","token_type":""}"#, Fault::TokenType),
            ("padded type", br#"{"access_token":"t","token_type":"Bearer "}"#, Fault::TokenType),
            ("type not a string", br#"{"access_token":"t","token_type":1}"#, Fault::TokenType),
            ("type list", br#"{"access_token":"t","token_type":["Bearer"]}"#, Fault::TokenType),
        ] {
            let error = read(200, body).unwrap_err();
            let AnswerError::Protocol {
                status: 200,
                fault: found,
                ..
            } = error
            else {
                panic!("{name}: {error:?}");
            };
            assert_eq!(found, fault, "{name}");
            assert!(!error.is_retryable(true) && !error.is_client_refusal(), "{name}");
        }
    }

    #[test]
    fn answers_without_success() {
        let oauth = |status, error: &str, description: Option<&str>| AnswerError::OAuth {
            status,
            error: error.to_owned(),
            description: description.map(str::to_owned),
        };
        let http = |status, error: Option<&str>, description: Option<&str>| AnswerError::Http {
            status,
            error: error.map(str::to_owned),
            description: description.map(str::to_owned),
            is_json: true,
            encoding: None,
        };
        let page = |status| AnswerError::Http {
            status,
            error: None,
            description: None,
            is_json: false,
            encoding: None,
        };
        let redirect = |status| AnswerError::Protocol {
            status,
            fault: ProtocolFault::Redirect,
            error: None,
        };
        let both = r#"{"error":"e","error_description":"d"}"#;
        let token = r#"{"access_token":"t"}"#;
        let deep = format!(r#"{{"error":"e","x":{}}}"#, nested(64));
        for (name, status, body, expected) in [
            ("refusal", 400, both, oauth(400, "e", Some("d"))),
            ("refusal, 401", 401, both, oauth(401, "e", Some("d"))),
            ("refusal, 403", 403, both, oauth(403, "e", Some("d"))),
            ("refusal, 499", 499, both, oauth(499, "e", Some("d"))),
            ("no description", 401, r#"{"error":"e"}"#, oauth(401, "e", None)),
            (
                "description not a string",
                401,
                r#"{"error":"e","error_description":1}"#,
                oauth(401, "e", None),
            ),
            ("not found", 404, both, http(404, Some("e"), Some("d"))),
            (
                "realm missing",
                404,
                r#"{"error":"Realm does not exist"}"#,
                http(404, Some("Realm does not exist"), None),
            ),
            ("wrong method", 405, both, http(405, Some("e"), Some("d"))),
            ("timeout", 408, both, http(408, Some("e"), Some("d"))),
            ("too many", 429, both, http(429, Some("e"), Some("d"))),
            ("server error", 500, both, http(500, Some("e"), Some("d"))),
            ("page", 502, "<html>", page(502)),
            ("starting", 503, "Bootstrap in progress.", page(503)),
            ("page with 400", 400, "<html>", page(400)),
            ("empty", 401, "", page(401)),
            ("array", 401, r#"["e","d"]"#, http(401, None, None)),
            ("no error", 401, r#"{"error_description":"d"}"#, http(401, None, Some("d"))),
            ("null error", 401, r#"{"error":null}"#, http(401, None, None)),
            ("empty error", 401, r#"{"error":""}"#, http(401, None, None)),
            ("error not a string", 401, r#"{"error":{"code":1}}"#, http(401, None, None)),
            ("half a surrogate", 401, r#"{"error":"\ud800"}"#, http(401, None, None)),
            ("two errors", 401, r#"{"error":"a","error":"b"}"#, oauth(401, "b", None)),
            ("deep", 401, &deep, oauth(401, "e", None)),
            ("token with 400", 400, token, http(400, None, None)),
            ("token with 500", 500, token, http(500, None, None)),
            ("below 200", 101, both, http(101, Some("e"), Some("d"))),
            ("nonsense status", 999, both, http(999, Some("e"), Some("d"))),
            ("redirect", 302, token, redirect(302)),
            ("redirect, 300", 300, both, redirect(300)),
            ("not modified", 304, "", redirect(304)),
            ("redirect, 399", 399, both, redirect(399)),
        ] {
            assert_eq!(read(status, body).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn a_refusal_is_recognised_in_any_charset() {
        for (name, body, description) in [
            (
                "Latin-1",
                &b"{\"error\":\"invalid_client\",\"error_description\":\"cl\xE9\"}"[..],
                "cl\\u{fffd}",
            ),
            (
                "Latin-1 elsewhere",
                b"{\"x\":\"\xE9\",\"error\":\"invalid_client\",\"error_description\":\"d\"}",
                "d",
            ),
            (
                "byte order mark",
                b"\xEF\xBB\xBF{\"error\":\"invalid_client\",\"error_description\":\"d\"}",
                "d",
            ),
            (
                "cut in a character",
                b"{\"error\":\"invalid_client\",\"error_description\":\"\xE2\x82\"}",
                "\\u{fffd}",
            ),
        ] {
            let error = read(401, body).unwrap_err();
            assert!(error.is_client_refusal(), "{name}: {error:?}");
            let AnswerError::OAuth {
                description: Some(found),
                ..
            } = error
            else {
                panic!("{name}: {error:?}");
            };
            assert_eq!(found, description, "{name}");
        }
    }

    #[test]
    fn an_encoded_body_is_named() {
        let gzip = b"\x1f\x8b\x08\x00";
        for (header, fault) in [
            ("gzip", ProtocolFault::Encoded(ContentEncoding::Gzip)),
            (" X-GZIP ", ProtocolFault::Encoded(ContentEncoding::Gzip)),
            ("deflate", ProtocolFault::Encoded(ContentEncoding::Deflate)),
            ("br", ProtocolFault::Encoded(ContentEncoding::Brotli)),
            ("zstd", ProtocolFault::Encoded(ContentEncoding::Zstd)),
            ("gzip, br", ProtocolFault::Encoded(ContentEncoding::Other)),
            ("identity", ProtocolFault::NotJson),
            ("", ProtocolFault::NotJson),
        ] {
            let encoded = |body: &[u8]| Answer {
                content_encoding: ContentEncoding::parse(header),
                ..answer(200, body)
            };
            let error = read_answer(&encoded(gzip), &Redactor::none(), NOW).unwrap_err();
            let expected = AnswerError::Protocol {
                status: 200,
                fault,
                error: None,
            };
            assert_eq!(error, expected, "{header}");
            // A gateway that decoded the body may have kept the header.
            let plain = encoded(br#"{"access_token":"t"}"#);
            assert!(read_answer(&plain, &Redactor::none(), NOW).is_ok(), "{header}");
        }
        let message = ProtocolFault::Encoded(ContentEncoding::Gzip).to_string();
        assert!(message.ends_with("gzip, which the manager did not request"), "{message}");
    }

    #[test]
    fn a_success_may_have_bytes_that_are_not_utf_8() {
        let response = read(200, b"{\"access_token\":\"t\",\"x\":\"\xC3\"}").unwrap();
        assert!(response.token.is("t"));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let at = |seconds| RetryAfter::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        let after = |seconds| RetryAfter::After(Duration::from_secs(seconds));
        for (value, expected) in [
            ("0", Some(after(0))),
            ("1", Some(after(1))),
            (" 120\t", Some(after(120))),
            ("007", Some(after(7))),
            ("4294967296", Some(after(4_294_967_295))),
            ("99999999999999999999999", Some(after(4_294_967_295))),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(at(784_111_777))),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(at(784_111_777))),
            ("Sun Nov  6 08:49:37 1994", Some(at(784_111_777))),
            ("", None),
            (" ", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("1e3", None),
            ("1 2", None),
            ("soon", None),
            ("٣", None),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
        ] {
            assert_eq!(RetryAfter::parse(value), expected, "{value:?}");
        }
    }

    #[test]
    fn retry_after_counts_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let at = |seconds| RetryAfter::At(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (name, retry_after, seconds) in [
            ("seconds", RetryAfter::After(Duration::from_secs(7)), 7),
            ("future", at(1007), 7),
            ("now", at(1000), 0),
            ("past", at(5), 0),
        ] {
            assert_eq!(retry_after.from(now), Duration::from_secs(seconds), "{name}");
        }
    }

    #[test]
    fn debug_shows_neither_body_nor_token() {
        let answer = answer(200, r#"{"access_token":"canary"}"#);
        let response = read_answer(&answer, &Redactor::none(), NOW).unwrap();
        let text = format!("{answer:?} {response:?}");
        assert!(text.contains("200") && text.contains("[redacted]"), "{text}");
        assert!(!text.contains("canary"), "{text}");
        // A list of bytes would also reveal the secret.
        assert!(!text.contains("99, 97"), "{text}");
    }

    #[test]
    fn token_is_unescaped_without_moving() {
        for inner in ["plain", r"a\u0062\/c", r"\\\\\\"] {
            let token = unescape_token(inner).unwrap();
            assert_eq!(token.capacity(), inner.len(), "{inner}");
        }
    }
}
