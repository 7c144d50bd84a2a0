//! The URL of a proxy, which may contain a password.

use std::fmt;
use std::hash::{Hash, Hasher};

use url::Url;
use zeroize::Zeroizing;

use oauth::is_host;

/// The default port of a SOCKS proxy.
const SOCKS_PORT: u16 = 1080;

/// An http, https, socks5 or socks5h URL. Messages never show its user name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    whole: Zeroizing<String>,
    shown: String,
}

impl ProxyUrl {
    /// Parses `value`.
    ///
    /// # Errors
    /// The error says what kind of URL is expected, without repeating the given one.
    pub fn parse(value: &str) -> Result<Self, ProxyFault> {
        let url = Url::parse(value).map_err(|_| ProxyFault::NotAbsolute)?;
        let port = match url.scheme() {
            "http" | "https" => url.port_or_known_default(),
            "socks5" | "socks5h" => Some(url.port().unwrap_or(SOCKS_PORT)),
            _ => return Err(ProxyFault::OtherScheme),
        };
        let (Some(host), Some(port)) = (url.host_str(), port) else {
            return Err(ProxyFault::NotAbsolute);
        };
        // The HTTP library accepts fewer URLs than the WHATWG standard, and would silently bypass a
        // proxy whose URL it rejects.
        if !is_host(host) {
            return Err(ProxyFault::NotAbsolute);
        }
        let shown = format!("{}://{host}:{port}", url.scheme());
        Ok(Self {
            whole: Zeroizing::new(String::from(url)),
            shown,
        })
    }

    /// Returns the URL in an environment variable. Adds the scheme http if the value has no scheme.
    #[must_use]
    pub fn with_scheme(value: &str) -> Zeroizing<String> {
        let value = value.trim();
        if value.is_empty() || value.contains("://") {
            Zeroizing::new(value.to_owned())
        } else {
            Zeroizing::new(format!("http://{value}"))
        }
    }

    /// Returns the whole URL, for the connection.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.whole
    }

    /// Whether TLS protects the connection to the proxy.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.shown.starts_with("https:")
    }

    /// Whether the proxy is an HTTP proxy, which forwards plain http requests itself.
    #[must_use]
    pub fn is_http(&self) -> bool {
        self.shown.starts_with("http")
    }

    /// Returns the scheme, the host and the port.
    #[must_use]
    pub fn shown(&self) -> String {
        self.shown.clone()
    }
}

impl Hash for ProxyUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.whole.as_str().hash(state);
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProxyUrl").field(&self.shown).finish()
    }
}

/// Why a string is not the URL of a proxy. `Display` names the expected value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    /// The URL is relative, or the string is not a URL.
    #[error("an absolute http, https or socks5 URL of a proxy, or false")]
    NotAbsolute,
    /// The scheme is not supported.
    #[error("the URL of a proxy whose scheme is http, https or socks5, or false")]
    OtherScheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        for (value, shown) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example", "http://proxy.example:80"),
            ("https://jane:canary@proxy.example/", "https://proxy.example:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("socks5://jane:canary@proxy.example", "socks5://proxy.example:1080"),
            ("socks5h://127.0.0.1:9050", "socks5h://127.0.0.1:9050"),
            ("http://jane:canary@Pr\u{f6}xy.example:1", "http://xn--prxy-6qa.example:1"),
        ] {
            let proxy = ProxyUrl::parse(value).unwrap();
            assert_eq!(proxy.shown(), shown, "{value}");
            assert!(!format!("{proxy:?}").contains("canary"));
        }
        let proxy = ProxyUrl::parse(&ProxyUrl::with_scheme(" Jane:canary@proxy:3128")).unwrap();
        assert_eq!(proxy.shown(), "http://proxy:3128");
        assert!(proxy.expose().contains("Jane:canary@"));
    }

    #[test]
    fn a_url_that_cannot_be_a_proxy_is_refused() {
        for (value, fault) in [
            ("", ProxyFault::NotAbsolute),
            ("/canary", ProxyFault::NotAbsolute),
            ("proxy:3128", ProxyFault::OtherScheme),
            ("socks4://canary:1080", ProxyFault::OtherScheme),
            ("socks5:canary", ProxyFault::NotAbsolute),
            ("http://", ProxyFault::NotAbsolute),
            ("http://${PROXY_HOST}:3128", ProxyFault::NotAbsolute),
            ("http://\"x\"", ProxyFault::NotAbsolute),
        ] {
            assert_eq!(ProxyUrl::parse(value).unwrap_err(), fault, "{value}");
        }
        assert_eq!(*ProxyUrl::with_scheme("socks5://h"), "socks5://h");
        assert_eq!(*ProxyUrl::with_scheme(" "), "");
    }
}
