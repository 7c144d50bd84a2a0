//! The lifetime of a token, from `expires_in` (RFC 6749 §5.1) and from the token's own claims.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::document::{read_document, string};

/// A longer lifetime counts as this one.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// A shorter lifetime, unless it is zero or negative, counts as this one.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// In seconds. A JWT with a longer lifetime has `exp` in milliseconds, or a meaningless `iat`.
const CENTURY: f64 = 36_525.0 * 86_400.0;

/// The lifetime of a token, counted from when its request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A known lifetime, from one second to [`MAX_LIFETIME`].
    Granted(Duration),
    /// Neither the response nor the token gives a usable lifetime.
    Unknown,
}

impl Lifetime {
    /// The shorter of `expires_in` and, if the token is a JWT, its own lifetime: a server may be
    /// configured to announce more than it grants.
    pub(super) fn read(expires_in: Option<&RawValue>, token: &str) -> Self {
        let granted = expires_in.and_then(read_expires_in);
        let own = read_own_lifetime(token);
        let shorter = granted.into_iter().chain(own).min();
        shorter.map_or(Self::Unknown, Self::Granted)
    }
}

#[derive(Deserialize)]
struct JwtClaims<'a> {
    #[serde(borrow)]
    exp: Option<&'a RawValue>,
    #[serde(borrow)]
    iat: Option<&'a RawValue>,
}

/// A number or a numeric string. Anything else counts as absent, and so does a value that is not
/// positive: Keycloak's session limits can make it zero or negative for a valid token.
fn read_expires_in(value: &RawValue) -> Option<Duration> {
    read_number(value)
        .or_else(|| parse_number(&string(value)?))
        .and_then(to_lifetime)
}

/// A JWT's `exp - iat`. The token is opaque to the client (RFC 6749 §1.4), so only a signed JWT with
/// a plausible lifetime counts.
fn read_own_lifetime(token: &str) -> Option<Duration> {
    let mut segments = token.split('.');
    let (_, payload, _) = (segments.next()?, segments.next()?, segments.next()?);
    if segments.next().is_some() {
        return None;
    }
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&URL_SAFE, config);
    let capacity = base64::decoded_len_estimate(payload.len());
    let mut claims = Zeroizing::new(Vec::with_capacity(capacity));
    engine.decode_vec(payload, &mut claims).ok()?;
    let claims = read_document::<JwtClaims<'_>>(str::from_utf8(&claims).ok()?).ok()?;
    let seconds = read_number(claims.exp?)? - read_number(claims.iat?)?;
    to_lifetime(seconds).filter(|_| seconds <= CENTURY)
}

fn read_number(value: &RawValue) -> Option<f64> {
    // No other JSON value begins like this.
    let is_number = value
        .get()
        .starts_with(|c: char| c.is_ascii_digit() || c == '-');
    is_number.then(|| parse_number(value.get()))?
}

/// Overflows to infinity instead of failing.
fn parse_number(text: &str) -> Option<f64> {
    // Rust would also parse words such as `inf` and `nan`.
    let is_numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().all(is_numeric).then(|| text.parse().ok())?
}

/// `None` unless positive, and for NaN, which is the difference of two infinities.
fn to_lifetime(seconds: f64) -> Option<Duration> {
    if seconds > 0.0 {
        let seconds = seconds.clamp(MIN_LIFETIME.as_secs_f64(), MAX_LIFETIME.as_secs_f64());
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        None
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    fn read(token: &str, expires_in: &str) -> Lifetime {
        Lifetime::read(serde_json::from_str(expires_in).unwrap(), token)
    }

    fn lifetime(seconds: Option<f64>) -> Lifetime {
        let seconds = seconds.map(Duration::from_secs_f64);
        seconds.map_or(Lifetime::Unknown, Lifetime::Granted)
    }

    #[test]
    fn expires_in_is_a_number_or_a_numeric_string() {
        const DAY: Option<f64> = Some(86_400.0);
        for (expires_in, seconds) in [
            ("300", Some(300.0)),
            ("300.0", Some(300.0)),
            ("0.25", Some(1.0)),
            ("1e-9", Some(1.0)),
            ("1.25", Some(1.25)),
            ("3e2", Some(300.0)),
            ("3E+2", Some(300.0)),
            ("\"300\"", Some(300.0)),
            ("\"299.5\"", Some(299.5)),
            ("\"+300\"", Some(300.0)),
            ("\"3e2\"", Some(300.0)),
            ("\"00300\"", Some(300.0)),
            ("\"30\\u0030\"", Some(300.0)),
            ("86400", DAY),
            ("86400.001", DAY),
            ("86401", DAY),
            ("18446744073709551616", DAY),
            ("1e400", DAY),
            ("\"1e400\"", DAY),
            ("9999999999999999999999999999999999999999", DAY),
            ("0", None),
            ("-0", None),
            ("1e-400", None),
            ("-1", None),
            ("-103", None),
            ("-3880247296", None),
            ("-1e400", None),
            ("\"-5\"", None),
            ("null", None),
            ("true", None),
            ("[300]", None),
            ("{\"a\":300}", None),
            ("\"\"", None),
            ("\" 300\"", None),
            ("\"300s\"", None),
            ("\"inf\"", None),
            ("\"NaN\"", None),
            ("\"0x10\"", None),
            ("\"1_000\"", None),
            ("\"1,5\"", None),
            ("\"٣\"", None),
            ("\"e\"", None),
            ("\"1e\"", None),
            ("\"--1\"", None),
            ("\".\"", None),
            ("\"\\ud800\"", None),
        ] {
            assert_eq!(read("t", expires_in), lifetime(seconds), "{expires_in}");
        }
        assert_eq!(Some(MAX_LIFETIME), DAY.map(Duration::from_secs_f64));
    }

    #[test]
    fn own_lifetime_of_the_token_counts_if_shorter_or_alone() {
        let deep = format!(r#"{{"exp":2,"iat":1,"x":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
        for (name, claims, expires_in, seconds) in [
            ("alone", r#"{"exp":1300,"iat":1000}"#, "null", Some(300.0)),
            ("alone, floats", r#"{"exp":1300.5,"iat":1e3}"#, "null", Some(300.5)),
            ("beside nonsense", r#"{"exp":1300,"iat":1000}"#, "\"soon\"", Some(300.0)),
            ("shorter", r#"{"exp":1300,"iat":1000}"#, "400", Some(300.0)),
            ("longer", r#"{"exp":1300,"iat":1000}"#, "200", Some(200.0)),
            ("over a day", r#"{"exp":1e9,"iat":0}"#, "null", Some(86_400.0)),
            ("under a second", r#"{"exp":1000.5,"iat":1000}"#, "300", Some(1.0)),
            ("overflow", r#"{"exp":1e400,"iat":0}"#, "null", None),
            ("nothing", r#"{"exp":5,"iat":5}"#, "300", Some(300.0)),
            ("nothing, alone", r#"{"exp":5,"iat":5}"#, "null", None),
            ("backwards", r#"{"exp":5,"iat":1e400}"#, "300", Some(300.0)),
            ("iat in milliseconds", r#"{"exp":1700000300,"iat":1.7e12}"#, "3600", Some(3600.0)),
            ("exp in milliseconds", r#"{"exp":1.7e12,"iat":1700000000}"#, "null", None),
            ("beside a dead one", r#"{"exp":1300,"iat":1000}"#, "-103", Some(300.0)),
            ("undefined", r#"{"exp":1e400,"iat":1e400}"#, "300", Some(300.0)),
            ("undefined, alone", r#"{"exp":1e400,"iat":1e400}"#, "null", None),
            ("no iat", r#"{"exp":1300}"#, "null", None),
            ("no exp", r#"{"iat":1000}"#, "null", None),
            ("null", r#"{"exp":null,"iat":null}"#, "null", None),
            ("strings", r#"{"exp":"1300","iat":"1000"}"#, "null", None),
            ("exp twice", r#"{"exp":1300,"exp":1300,"iat":1000}"#, "null", None),
            ("array", "[1300,1000]", "null", None),
            ("not JSON", "exp", "null", None),
            ("empty", "", "null", None),
            ("too deep", &deep, "null", None),
        ] {
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
            assert_eq!(read(&token, expires_in), lifetime(seconds), "{name}");
        }
    }

    #[test]
    fn payload_is_the_middle_of_three_segments_in_base64url() {
        let claims = r#"{"exp":1300,"iat":1000,"x":"??>>~~"}"#;
        let payload = URL_SAFE_NO_PAD.encode(claims);
        let standard = STANDARD_NO_PAD.encode(claims);
        assert_ne!(payload, standard);
        let padded = PADDED.encode(claims.to_owned() + " ");
        assert!(padded.ends_with('='));
        // The last character of this one carries bits that belong to no byte.
        let exact = URL_SAFE_NO_PAD.encode(r#"{"exp":1300,"iat":1000}"#);
        let sloppy = format!("{}1", exact.strip_suffix('0').unwrap());
        let invalid = URL_SAFE_NO_PAD.encode(b"{\"exp\":1300,\"iat\":1000,\"x\":\"\xFF\"}");
        for (name, token, is_read) in [
            ("plain", format!("h.{payload}.s"), true),
            ("padded", format!("h.{padded}.s"), true),
            ("bits left over", format!("h.{sloppy}.s"), true),
            ("unsigned", format!("h.{payload}."), true),
            ("other alphabet", format!("h.{standard}.s"), false),
            ("not base64", "h.!!!.s".to_owned(), false),
            ("one character", "h.e.s".to_owned(), false),
            ("not UTF-8", format!("h.{invalid}.s"), false),
            ("two segments", format!("h.{payload}"), false),
            ("four segments", format!("h.{payload}.s.t"), false),
            ("encrypted", format!("h.{payload}.a.b.c"), false),
            ("opaque", payload.clone(), false),
            ("dots", "...".to_owned(), false),
        ] {
            let seconds = is_read.then_some(300.0);
            assert_eq!(read(&token, "null"), lifetime(seconds), "{name}");
        }
    }
}
