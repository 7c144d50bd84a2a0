//! The URL of a proxy, which may hold a password.

use std::fmt;
use std::hash::{Hash, Hasher};

use url::Url;
use zeroize::Zeroizing;

use crate::oauth::is_host;

/// An http or https URL. Its user name and password are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct ProxyUrl {
    whole: Zeroizing<String>,
    shown: String,
}

impl ProxyUrl {
    /// Parses `value`.
    ///
    /// # Errors
    /// Says which property the URL lacks, without repeating the URL.
    pub fn parse(value: &str) -> Result<Self, ProxyFault> {
        let url = Url::parse(value).map_err(|_| ProxyFault::NotAbsolute)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ProxyFault::NotHttp);
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(ProxyFault::NotAbsolute);
        };
        // The HTTP library reads less than the WHATWG allows, and would go on without a proxy.
        if !is_host(host) {
            return Err(ProxyFault::NotAbsolute);
        }
        let shown = format!("{}://{host}:{port}", url.scheme());
        Ok(Self {
            whole: Zeroizing::new(String::from(url)),
            shown,
        })
    }

    /// What the environment says of a proxy: where there is no scheme it is http.
    #[must_use]
    pub fn with_scheme(value: &str) -> Zeroizing<String> {
        let value = value.trim();
        if value.is_empty() || value.contains("://") {
            Zeroizing::new(value.to_owned())
        } else {
            Zeroizing::new(format!("http://{value}"))
        }
    }

    /// The whole URL, for the connection.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.whole
    }

    /// Whether the connection to it is protected by TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.shown.starts_with("https:")
    }

    /// Host and port.
    #[must_use]
    pub fn authority(&self) -> &str {
        let (_, authority) = self.shown.split_once("://").unwrap_or_default();
        authority
    }

    /// Scheme, host and port.
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

/// Why a string is no proxy. `Display` says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyFault {
    /// Relative, or not a URL at all.
    NotAbsolute,
    /// Another scheme than http and https.
    NotHttp,
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "an absolute http or https URL of a proxy, or false",
            Self::NotHttp => "the URL of a proxy whose scheme is http or https, or false",
        })
    }
}

impl std::error::Error for ProxyFault {}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_shown_without_its_password() {
        for (value, shown) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example", "http://proxy.example:80"),
            ("https://jane:canary@proxy.example/", "https://proxy.example:443"),
            ("http://[::1]:8080", "http://[::1]:8080"),
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
    fn what_is_no_proxy_is_refused() {
        for (value, fault) in [
            ("", ProxyFault::NotAbsolute),
            ("/canary", ProxyFault::NotAbsolute),
            ("proxy:3128", ProxyFault::NotHttp),
            ("socks5://canary:1080", ProxyFault::NotHttp),
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
