//! The lifetime of a token, from `expires_in` (RFC 6749 §5.1) and from the token's own claims.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::document::{read_members, string};

/// The maximum lifetime. A longer lifetime counts as this one.
pub const MAX_LIFETIME: Duration = Duration::from_hours(24);

/// The minimum lifetime. A shorter lifetime counts as this one, unless it is zero or negative.
const MIN_LIFETIME: Duration = Duration::from_secs(1);

/// The longest plausible lifetime of a JWT, in seconds. A JWT with a longer lifetime has `exp` in
/// milliseconds, or a meaningless `iat`.
const CENTURY: f64 = 36_525.0 * 86_400.0;

/// A token counts as expired if its `exp` is further in the past than this, even though the clock
/// may be wrong.
const DEAD_SINCE: Duration = Duration::from_hours(24);

/// The lifetime of a token, counted from the time of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// A known lifetime, from one second to [`MAX_LIFETIME`].
    Granted(Duration),
    /// Neither the response nor the token gives a lifetime.
    Unknown,
    /// The lifetime is over: the token has expired according to its own claims, or every lifetime
    /// from the server is zero or negative.
    Over,
    /// A cache held the answer for longer than the lifetime.
    Aged,
}

impl Lifetime {
    /// Returns the shorter of `expires_in` and the lifetime in the claims, because some servers
    /// announce a longer lifetime than they grant. Subtracts `age`, the time for which a cache has
    /// held the answer.
    pub(super) fn read(
        expires_in: Option<&RawValue>,
        claims: &OwnClaims,
        age: Duration,
        now: Duration,
    ) -> Self {
        let granted = expires_in.and_then(read_expires_in);
        if claims.are_dead(now) {
            return Self::Over;
        }
        let given = [granted, claims.lifetime()].into_iter().flatten();
        let shortest = given.clone().filter_map(to_lifetime).min();
        match shortest {
            Some(lifetime) if lifetime > age => {
                Self::Granted(lifetime.saturating_sub(age).max(MIN_LIFETIME))
            }
            Some(_) => Self::Aged,
            // Keycloak's session limits can make a lifetime zero or negative.
            None if given.clone().any(|seconds| seconds <= 0.0) => Self::Over,
            None => Self::Unknown,
        }
    }
}

/// `exp` and `iat` of a signed JWT, in seconds; `None` for a claim that is not a number. The token
/// is opaque to the client (RFC 6749 §1.4), so these claims count only if they are plausible.
#[derive(Default)]
pub(super) struct OwnClaims {
    exp: Option<f64>,
    iat: Option<f64>,
}

impl OwnClaims {
    /// Reads the claims of a token. Both are absent if the token is not a signed JWT.
    pub(super) fn read(token: &str) -> Self {
        Self::decode(token).unwrap_or_default()
    }

    fn decode(token: &str) -> Option<Self> {
        let claims = claims_of(token)?;
        let [exp, iat] = read_members(str::from_utf8(&claims).ok()?, ["exp", "iat"]).ok()?;
        Some(Self {
            exp: exp.and_then(read_number),
            iat: iat.and_then(read_number),
        })
    }

    /// Returns the time at which the token expires, since the Unix epoch.
    pub(super) fn expiry(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.exp?).ok()
    }

    /// Returns `exp - iat`, if the difference is plausible.
    fn lifetime(&self) -> Option<f64> {
        let seconds = self.exp? - self.iat?;
        (seconds <= CENTURY).then_some(seconds)
    }

    fn are_dead(&self, now: Duration) -> bool {
        let limit = now.saturating_sub(DEAD_SINCE).as_secs_f64();
        self.exp.is_some_and(|exp| exp < limit)
    }
}

/// Decodes the claims of a signed JWT.
fn claims_of(token: &str) -> Option<Zeroizing<Vec<u8>>> {
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
    Some(claims)
}

/// Returns the time at which a token expires according to its own claims, since the Unix epoch;
/// `None` if the token is not a JWT or has no valid `exp`.
#[must_use]
pub fn token_expiry(token: &str) -> Option<Duration> {
    OwnClaims::read(token).expiry()
}

/// Returns the audiences in the claim `aud` of a JWT: an empty list if the claim is absent, `None`
/// if the token is not a JWT.
#[must_use]
pub fn token_audience(token: &str) -> Option<Vec<String>> {
    let claims = claims_of(token)?;
    let [aud] = read_members(str::from_utf8(&claims).ok()?, ["aud"]).ok()?;
    let Some(aud) = aud else {
        return Some(Vec::new());
    };
    let one = || string(aud).map(|aud| vec![aud.to_string()]);
    serde_json::from_str(aud.get()).ok().or_else(one)
}

/// Reads a number or a numeric string. Any other value counts as absent.
fn read_expires_in(value: &RawValue) -> Option<f64> {
    read_number(value).or_else(|| parse_number(&string(value)?))
}

fn read_number(value: &RawValue) -> Option<f64> {
    // No other JSON value begins with one of these characters.
    let is_number = value
        .get()
        .starts_with(|c: char| c.is_ascii_digit() || c == '-');
    is_number.then(|| parse_number(value.get()))?
}

/// Parses a number. A number that is too large becomes infinity.
fn parse_number(text: &str) -> Option<f64> {
    // Rust's parser would also accept words such as `inf` and `nan`.
    let is_numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    text.bytes().all(is_numeric).then(|| text.parse().ok())?
}

/// Converts seconds to a duration within the limits. Returns `None` for a number that is not
/// positive, including NaN, which is the difference of two infinities.
fn to_lifetime(seconds: f64) -> Option<Duration> {
    if seconds > 0.0 {
        let seconds = seconds.clamp(MIN_LIFETIME.as_secs_f64(), MAX_LIFETIME.as_secs_f64());
        Duration::try_from_secs_f64(seconds).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE as PADDED, URL_SAFE_NO_PAD};

    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn read(token: &str, expires_in: &str) -> Lifetime {
        read_at(NOW, token, expires_in, 0)
    }

    fn read_at(now: Duration, token: &str, expires_in: &str, age: u64) -> Lifetime {
        let expires_in = serde_json::from_str(expires_in).unwrap();
        Lifetime::read(expires_in, &OwnClaims::read(token), Duration::from_secs(age), now)
    }

    fn granted(seconds: f64) -> Lifetime {
        Lifetime::Granted(Duration::from_secs_f64(seconds))
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn expires_in_is_a_number_or_a_numeric_string() {
        const DAY: f64 = 86_400.0;
        for (expires_in, seconds) in [
            ("300", 300.0),
            ("300.0", 300.0),
            ("0.25", 1.0),
            ("1e-9", 1.0),
            ("1.25", 1.25),
            ("3e2", 300.0),
            ("3E+2", 300.0),
            ("\"300\"", 300.0),
            ("\"299.5\"", 299.5),
            ("\"+300\"", 300.0),
            ("\"3e2\"", 300.0),
            ("\"00300\"", 300.0),
            ("\"30\\u0030\"", 300.0),
            ("86400", DAY),
            ("86400.001", DAY),
            ("86401", DAY),
            ("18446744073709551616", DAY),
            ("1e400", DAY),
            ("\"1e400\"", DAY),
            ("9999999999999999999999999999999999999999", DAY),
        ] {
            assert_eq!(read("t", expires_in), granted(seconds), "{expires_in}");
        }
        for expires_in in ["0", "-0", "1e-400", "-1", "-103", "-3880247296", "-1e400", "\"-5\""] {
            assert_eq!(read("t", expires_in), Lifetime::Over, "{expires_in}");
        }
        for expires_in in [
            "null",
            "true",
            "[300]",
            "{\"a\":300}",
            "\"\"",
            "\" 300\"",
            "\"300s\"",
            "\"inf\"",
            "\"NaN\"",
            "\"0x10\"",
            "\"1_000\"",
            "\"1,5\"",
            "\"٣\"",
            "\"e\"",
            "\"1e\"",
            "\"--1\"",
            "\".\"",
            "\"\\ud800\"",
        ] {
            assert_eq!(read("t", expires_in), Lifetime::Unknown, "{expires_in}");
        }
        assert_eq!(MAX_LIFETIME, Duration::from_secs_f64(DAY));
    }

    #[test]
    fn a_token_that_expired_more_than_a_day_ago_is_over() {
        let exp = 1_800_000_000;
        let token = jwt(&format!(r#"{{"exp":{exp},"iat":{}}}"#, exp - 300));
        for (name, now, expected) in [
            ("alive", exp - 10, granted(300.0)),
            ("a clock that is ahead", exp + 86_400, granted(300.0)),
            ("dead", exp + 86_401, Lifetime::Over),
        ] {
            let lifetime = read_at(Duration::from_secs(now), &token, "3600", 0);
            assert_eq!(lifetime, expected, "{name}");
        }
    }

    #[test]
    fn the_time_in_a_cache_shortens_the_lifetime() {
        for (age, expected) in [
            (0, granted(300.0)),
            (100, granted(200.0)),
            (299, granted(1.0)),
            (300, Lifetime::Aged),
            (u64::from(u32::MAX), Lifetime::Aged),
        ] {
            assert_eq!(read_at(NOW, "t", "300", age), expected, "{age}");
        }
        assert_eq!(read_at(NOW, "t", "null", 5), Lifetime::Unknown);
    }

    #[test]
    fn own_lifetime_of_the_token_counts_if_shorter_or_alone() {
        let deep = format!(r#"{{"exp":2,"iat":1,"x":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
        for (name, claims, expires_in, expected) in [
            ("alone", r#"{"exp":1300,"iat":1000}"#, "null", granted(300.0)),
            ("alone, floats", r#"{"exp":1300.5,"iat":1e3}"#, "null", granted(300.5)),
            ("beside nonsense", r#"{"exp":1300,"iat":1000}"#, "\"soon\"", granted(300.0)),
            ("shorter", r#"{"exp":1300,"iat":1000}"#, "400", granted(300.0)),
            ("longer", r#"{"exp":1300,"iat":1000}"#, "200", granted(200.0)),
            ("over a day", r#"{"exp":1e9,"iat":0}"#, "null", granted(86_400.0)),
            ("under a second", r#"{"exp":1000.5,"iat":1000}"#, "300", granted(1.0)),
            ("overflow", r#"{"exp":1e400,"iat":0}"#, "null", Lifetime::Unknown),
            ("nothing", r#"{"exp":5,"iat":5}"#, "300", granted(300.0)),
            ("nothing, alone", r#"{"exp":5,"iat":5}"#, "null", Lifetime::Over),
            ("backwards", r#"{"exp":5,"iat":1e400}"#, "300", granted(300.0)),
            ("iat in milliseconds", r#"{"exp":1700000300,"iat":1.7e12}"#, "3600", granted(3600.0)),
            (
                "exp in milliseconds",
                r#"{"exp":1.7e12,"iat":1700000000}"#,
                "null",
                Lifetime::Unknown,
            ),
            ("beside a dead one", r#"{"exp":1300,"iat":1000}"#, "-103", granted(300.0)),
            ("undefined", r#"{"exp":1e400,"iat":1e400}"#, "300", granted(300.0)),
            ("undefined, alone", r#"{"exp":1e400,"iat":1e400}"#, "null", Lifetime::Unknown),
            ("no iat", r#"{"exp":1300}"#, "null", Lifetime::Unknown),
            ("no exp", r#"{"iat":1000}"#, "null", Lifetime::Unknown),
            ("null", r#"{"exp":null,"iat":null}"#, "null", Lifetime::Unknown),
            ("strings", r#"{"exp":"1300","iat":"1000"}"#, "null", Lifetime::Unknown),
            ("exp twice", r#"{"exp":1,"exp":1300,"iat":1000}"#, "null", granted(300.0)),
            ("array", "[1300,1000]", "null", Lifetime::Unknown),
            ("not JSON", "exp", "null", Lifetime::Unknown),
            ("empty", "", "null", Lifetime::Unknown),
            ("deep", &deep, "null", granted(1.0)),
        ] {
            assert_eq!(read(&jwt(claims), expires_in), expected, "{name}");
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
        // The last character of this text carries bits that belong to no byte.
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
            let expected = if is_read {
                granted(300.0)
            } else {
                Lifetime::Unknown
            };
            assert_eq!(read(&token, "null"), expected, "{name}");
        }
    }
}
