//! The token endpoint (RFC 6749 §3.2): a URL that the parser has checked.

use std::fmt;
use std::sync::Arc;

use url::{Host, ParseError, Url};

use super::redact::{REDACTED, Redactor};

/// An absolute http or https URL without userinfo or fragment. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    url: Arc<Url>,
    /// Whether the URL contains a secret, so that messages must not show it.
    is_hidden: bool,
}

impl TokenEndpoint {
    /// Parses `value` by the WHATWG URL standard, as Node's `URL` does.
    ///
    /// # Errors
    ///
    /// The error says what kind of URL is expected, without repeating the given one.
    pub fn parse(value: &str) -> Result<Self, EndpointFault> {
        let url = Url::parse(value).map_err(|error| match error {
            ParseError::EmptyHost
            | ParseError::IdnaError
            | ParseError::InvalidIpv4Address
            | ParseError::InvalidIpv6Address
            | ParseError::InvalidDomainCharacter
            | ParseError::InvalidPort => EndpointFault::NoHost,
            _ => EndpointFault::NotAbsolute,
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(EndpointFault::NotHttp);
        }
        if !url.host_str().is_some_and(is_host) {
            return Err(EndpointFault::NoHost);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointFault::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointFault::Fragment);
        }
        Ok(Self {
            url: Arc::new(url),
            is_hidden: false,
        })
    }

    /// Hides the URL in messages if it contains a secret after the prefix `known`. The user
    /// configured that prefix, so it may appear.
    #[must_use]
    pub(super) fn hidden_by(mut self, redactor: &Redactor, known: &Self) -> Self {
        let text = self.as_str();
        let base = known.as_str().trim_end_matches('/');
        self.is_hidden = redactor.knows(text.strip_prefix(base).unwrap_or(text));
        self
    }

    /// Returns the parsed URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the normalised URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the URL for messages, without its query, which may contain a secret.
    #[must_use]
    pub fn shown(&self) -> &str {
        if self.is_hidden {
            return REDACTED;
        }
        self.as_str().split('?').next().unwrap_or_default()
    }

    /// Returns `scheme://host:port`, including a default port.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = self.url.scheme();
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{scheme}://{host}:{port}")
    }

    /// Whether TLS protects the connection.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether requests would carry the secret unencrypted over a network: http to a host other
    /// than loopback (127.0.0.0/8, `::1`, `localhost` and its subdomains, RFC 6761 §6.3).
    #[must_use]
    pub fn is_plain_to_remote(&self) -> bool {
        !self.is_https() && !self.is_loopback()
    }

    /// Whether the host is this machine: `localhost`, one of its subdomains, or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(name);
                name == "localhost" || name.ends_with(".localhost")
            }
            None => false,
        }
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenEndpoint").field(&self.shown()).finish()
    }
}

/// Whether the string is an address or a host name. A URL parser also accepts other strings, such
/// as an unsubstituted `${HOST}`.
#[must_use]
pub fn is_host(host: &str) -> bool {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !host.is_empty() && (host.starts_with('[') || host.bytes().all(is_name_byte))
}

/// Why a string is not a token endpoint. `Display` names the expected value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointFault {
    /// The URL is relative, or the string is not a URL.
    #[error("an absolute http or https URL")]
    NotAbsolute,
    /// The scheme is not http or https.
    #[error("a URL whose scheme is http or https")]
    NotHttp,
    /// The host is missing, or the host or the port is invalid.
    #[error("a URL with a valid host and port")]
    NoHost,
    /// The URL contains a user name or a password, which would appear in logs.
    #[error("a URL without a user name or password")]
    Userinfo,
    /// The URL contains a fragment, which RFC 6749 §3.2 forbids.
    #[error("a URL without a fragment")]
    Fragment,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_is_parsed_once() {
        for (name, value, url, origin) in [
            ("https", "https://sso.example/token", "https://sso.example/token", "sso.example:443"),
            ("http", "http://sso.example/t", "http://sso.example/t", "sso.example:80"),
            ("port", "https://h:8443/t", "https://h:8443/t", "h:8443"),
            ("default port", "https://h:443/t", "https://h/t", "h:443"),
            ("no path", "http://h", "http://h/", "h:80"),
            ("case", "HTTPS://SSO.Example/T", "https://sso.example/T", "sso.example:443"),
            ("query", "https://h/t?a=b", "https://h/t?a=b", "h:443"),
            ("IPv4", "http://10.0.0.1:8080/t", "http://10.0.0.1:8080/t", "10.0.0.1:8080"),
            ("IPv6", "http://[::1]:8080/t", "http://[::1]:8080/t", "[::1]:8080"),
            ("Punycode", "https://xn--bcher-kva/t", "https://xn--bcher-kva/t", "xn--bcher-kva:443"),
            (
                "any script",
                "https://B\u{dc}cher/\u{e4}",
                "https://xn--bcher-kva/%C3%A4",
                "xn--bcher-kva:443",
            ),
            (
                "backslashes",
                "https:\\\\B%C3%BCcher\\t",
                "https://xn--bcher-kva/t",
                "xn--bcher-kva:443",
            ),
            ("full width", "http://\u{ff11}27\u{3002}0.0.1/", "http://127.0.0.1/", "127.0.0.1:80"),
        ] {
            let endpoint = TokenEndpoint::parse(value).unwrap();
            assert_eq!(endpoint.as_str(), url, "{name}");
            assert_eq!(endpoint.url().as_str(), url, "{name}");
            assert!(url.starts_with(endpoint.shown()), "{name}");
            assert!(!endpoint.shown().contains('?'), "{name}");
            let is_https = url.starts_with("https");
            let scheme = if is_https { "https" } else { "http" };
            assert_eq!(endpoint.origin(), format!("{scheme}://{origin}"), "{name}");
            assert_eq!(endpoint.is_https(), is_https, "{name}");
        }
    }

    #[test]
    fn fault_says_what_was_expected_and_not_what_was_given() {
        for (name, value, fault) in [
            ("empty", "", EndpointFault::NotAbsolute),
            ("relative", "/realms/canary/token", EndpointFault::NotAbsolute),
            ("half of a surrogate pair", "https://canary\u{fffd}.example/", EndpointFault::NoHost),
            ("broken Punycode", "https://xn--canary-\u{fc}.example/", EndpointFault::NoHost),
            ("not UTF-8", "https://canary%FF.example/", EndpointFault::NoHost),
            ("a slash look-alike", "https://canary\u{2100}.example/", EndpointFault::NoHost),
            ("without scheme", "//canary.example/token", EndpointFault::NotAbsolute),
            ("prose", "canary", EndpointFault::NotAbsolute),
            ("host and port", "canary:8080/token", EndpointFault::NotHttp),
            ("file", "file:///canary", EndpointFault::NotHttp),
            ("other scheme", "ftp://canary.example/", EndpointFault::NotHttp),
            ("no host", "https://", EndpointFault::NoHost),
            ("port without host", "https://:443/canary", EndpointFault::NoHost),
            ("port out of range", "https://canary.example:65536/", EndpointFault::NoHost),
            ("space in the host", "https://canary example/", EndpointFault::NoHost),
            ("a template", "https://${canary}/", EndpointFault::NoHost),
            ("bad IPv6", "https://[canary]/", EndpointFault::NoHost),
            ("bad IPv4", "https://1.2.3.256/canary", EndpointFault::NoHost),
            ("user", "https://canary@h/", EndpointFault::Userinfo),
            ("user and password", "https://u:canary@h/", EndpointFault::Userinfo),
            ("password alone", "https://:canary@h/", EndpointFault::Userinfo),
            ("fragment", "https://h/#canary", EndpointFault::Fragment),
            ("empty fragment", "https://h/#", EndpointFault::Fragment),
        ] {
            let error = TokenEndpoint::parse(value).unwrap_err();
            assert_eq!(error, fault, "{name}");
            let text = error.to_string();
            assert!(text.starts_with("a URL") || text.starts_with("an absolute"), "{name}");
            assert!(!text.contains("canary"), "{name}");
        }
    }

    #[test]
    fn plain_to_remote_is_http_beyond_loopback() {
        for (value, is_plain_to_remote) in [
            ("https://sso.example/", false),
            ("https://127.0.0.1/", false),
            ("http://sso.example/", true),
            ("http://keycloak.auth.svc.cluster.local:8080/", true),
            ("http://10.1.2.3/", true),
            ("http://127.0.0.1/", false),
            ("http://127.255.255.254:8080/", false),
            ("http://2130706433/", false),
            ("http://128.0.0.1/", true),
            ("http://0.0.0.0/", true),
            ("http://[::1]/", false),
            ("http://[::2]/", true),
            ("http://localhost/", false),
            ("http://LOCALHOST:8080/", false),
            ("http://localhost./", false),
            ("http://a.b.localhost/", false),
            ("http://notlocalhost/", true),
            ("http://localhost.example/", true),
            ("http://127.0.0.1.example/", true),
        ] {
            let endpoint = TokenEndpoint::parse(value).unwrap();
            assert_eq!(endpoint.is_plain_to_remote(), is_plain_to_remote, "{value}");
        }
    }
}
