//! Additional headers of token and discovery requests, such as headers that API gateways require.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::redact::Redactor;
use super::secret::HeaderSecret;

/// Reserved headers: they control authentication, the body or the connection.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "authorization",
    "connection",
    "cookie",
    "cookie2",
    "dpop",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "set-cookie",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];
const RESERVED_PREFIXES: [&str; 2] = ["content-", "proxy-"];

/// Headers whose values are addresses and schemes. These values are not secret, and a server's
/// texts often contain them.
const ADDRESSES: [&str; 7] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-server",
];

/// Why the parser refuses a header. `Display` is a clause about the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The name is not a token (RFC 9110 §5.1).
    #[error("is not the name of an HTTP header")]
    Name,
    /// The header controls authentication, the body or the connection.
    #[error("is reserved, because it controls authentication, the body or the connection")]
    Reserved,
    /// The record contains the same name in a different letter case.
    #[error("is given twice")]
    Twice,
}

/// The additional headers, with names in lower case.
#[derive(Clone, Debug, Default)]
pub struct ExtraHeaders(Arc<[(String, HeaderSecret)]>);

impl ExtraHeaders {
    /// Takes headers whose names [`ExtraHeaders::name`] has checked.
    #[must_use]
    pub fn new(headers: Vec<(String, HeaderSecret)>) -> Self {
        Self(headers.into())
    }

    /// Checks a name, and returns it in lower case.
    ///
    /// # Errors
    /// The name is invalid or reserved.
    pub fn name(given: &str) -> Result<String, HeaderFault> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if given.is_empty() || !given.bytes().all(is_token) {
            return Err(HeaderFault::Name);
        }
        let name = given.to_ascii_lowercase();
        let is_reserved = RESERVED.contains(&&*name)
            || RESERVED_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix));
        if is_reserved {
            Err(HeaderFault::Reserved)
        } else {
            Ok(name)
        }
    }

    /// Returns these headers and one more header, whose name is in lower case.
    #[must_use]
    pub fn and(&self, name: &str, value: HeaderSecret) -> Self {
        let copies = self.0.iter().filter_map(|(name, value)| {
            let value = HeaderSecret::new(value.expose().to_owned())?;
            Some((name.clone(), value))
        });
        Self(copies.chain([(name.to_owned(), value)]).collect())
    }

    /// Whether the user configured no additional headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the headers with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &HeaderSecret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Creates a redactor for text from a server that received these headers.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        self.iter()
            .filter(|(name, _)| !ADDRESSES.contains(name))
            .fold(Redactor::none(), |redactor, (_, value)| redactor.and_header(value))
    }
}

/// Reads the value of a header. Also overwrites the memory of an invalid value.
#[must_use]
pub fn header_value(value: Zeroizing<String>) -> Option<HeaderSecret> {
    HeaderSecret::from_zeroizing(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_that_the_manager_and_the_connection_do_not_need() {
        let lower = |name: &str| Ok(name.to_owned());
        for (given, expected) in [
            ("X-Api-Key", lower("x-api-key")),
            ("user-agent", lower("user-agent")),
            ("X-Forwarded-Host", lower("x-forwarded-host")),
            ("", Err(HeaderFault::Name)),
            ("a b", Err(HeaderFault::Name)),
            ("a\r\nb", Err(HeaderFault::Name)),
            ("é", Err(HeaderFault::Name)),
            ("AUTHORIZATION", Err(HeaderFault::Reserved)),
            ("Content-Type", Err(HeaderFault::Reserved)),
            ("Cookie", Err(HeaderFault::Reserved)),
            ("DPoP", Err(HeaderFault::Reserved)),
            ("Host", Err(HeaderFault::Reserved)),
            ("Proxy-Authorization", Err(HeaderFault::Reserved)),
            ("Transfer-Encoding", Err(HeaderFault::Reserved)),
            ("Accept-Encoding", Err(HeaderFault::Reserved)),
        ] {
            assert_eq!(ExtraHeaders::name(given), expected, "{given}");
        }
    }

    #[test]
    fn values_are_printable_ascii_without_leading_or_trailing_whitespace() {
        for (value, is_valid) in [
            ("key-1", true),
            ("a b\tc", true),
            ("", false),
            (" a", false),
            ("a ", false),
            ("a\r\nb", false),
            ("a\0", false),
            ("é", false),
        ] {
            let given = Zeroizing::new(value.to_owned());
            assert_eq!(header_value(given).is_some(), is_valid, "{value:?}");
        }
    }
}
