//! Which proxy is between a manager and an endpoint, if any.

use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use zeroize::Zeroizing;

use super::ProxyUrl;
use crate::oauth::TokenEndpoint;

/// What the environment says of proxies, empty where it says nothing.
#[derive(Default)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY`.
    pub https: Zeroizing<String>,
    /// `HTTP_PROXY`.
    pub http: Zeroizing<String>,
    /// `NO_PROXY`.
    pub exempt: String,
}

/// The proxies of a manager.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    https: Option<ProxyUrl>,
    http: Option<ProxyUrl>,
    exempt: Option<Arc<Exempt>>,
}

impl ProxySettings {
    /// This one, wherever it goes.
    #[must_use]
    pub fn explicit(proxy: ProxyUrl) -> Self {
        Self {
            https: Some(proxy.clone()),
            http: Some(proxy),
            exempt: None,
        }
    }

    /// Those of the environment, and the names of variables that cannot be used.
    #[must_use]
    pub fn from_environment(variables: &ProxyVariables) -> (Self, Vec<&'static str>) {
        let mut unusable = Vec::new();
        let mut read = |name, value: &str| {
            let url = ProxyUrl::with_scheme(value);
            if url.is_empty() {
                return None;
            }
            ProxyUrl::parse(&url).map_err(|_| unusable.push(name)).ok()
        };
        let settings = Self {
            https: read("HTTPS_PROXY", &variables.https),
            http: read("HTTP_PROXY", &variables.http),
            exempt: Exempt::parse(&variables.exempt).map(Arc::new),
        };
        (settings, unusable)
    }

    /// The proxy for this endpoint.
    pub(super) fn between(&self, endpoint: &TokenEndpoint) -> Option<&ProxyUrl> {
        let proxy = if endpoint.is_https() {
            self.https.as_ref()?
        } else {
            self.http.as_ref()?
        };
        let is_exempt = self
            .exempt
            .as_ref()
            .is_some_and(|exempt| exempt.has(endpoint));
        (!is_exempt).then_some(proxy)
    }
}

/// Hosts that are reached without a proxy: as the HTTP library reads `NO_PROXY`, and the two forms
/// of Node besides, `*.suffix` and `host:port`.
#[derive(Debug)]
struct Exempt {
    common: Matcher,
    /// The list has `*` in it, which the library takes for every name and no address.
    everything: bool,
    suffixes: Vec<String>,
    with_port: Vec<(String, u16)>,
}

impl Exempt {
    fn parse(list: &str) -> Option<Self> {
        let mut common = Vec::new();
        let mut everything = false;
        let mut suffixes = Vec::new();
        let mut with_port = Vec::new();
        let entries = list
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            let entry = entry.to_ascii_lowercase();
            // An IPv6 address without brackets has colons, and no port.
            let named_port = entry
                .rsplit_once(':')
                .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
                .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
            if entry == "*" {
                everything = true;
            } else if let Some(host_and_port) = named_port {
                with_port.push(host_and_port);
            } else if let Some(suffix) = entry.strip_prefix('*').filter(|s| s.starts_with('.')) {
                suffixes.push(suffix.to_owned());
            } else {
                common.push(entry);
            }
        }
        if !everything && common.is_empty() && suffixes.is_empty() && with_port.is_empty() {
            return None;
        }
        // Asked only whether it would use this proxy.
        let common = Matcher::builder()
            .all("http://proxy.invalid")
            .no(common.join(","))
            .build();
        Some(Self {
            common,
            everything,
            suffixes,
            with_port,
        })
    }

    fn has(&self, endpoint: &TokenEndpoint) -> bool {
        if self.everything {
            return true;
        }
        let host = endpoint.url().host_str().unwrap_or_default();
        let port = endpoint.url().port_or_known_default().unwrap_or_default();
        let is_common = http::Uri::try_from(endpoint.origin())
            .is_ok_and(|uri| self.common.intercept(&uri).is_none());
        is_common
            || self
                .suffixes
                .iter()
                .any(|suffix| host.ends_with(suffix.as_str()))
            || self.with_port.iter().any(|(name, named_port)| {
                let name = name.strip_prefix("*.").unwrap_or(name);
                let name = name.strip_prefix('.').unwrap_or(name);
                let is_below = host
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                *named_port == port && is_below
            })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn settings(https: &str, http: &str, exempt: &str) -> (ProxySettings, Vec<&'static str>) {
        ProxySettings::from_environment(&ProxyVariables {
            https: Zeroizing::new(https.to_owned()),
            http: Zeroizing::new(http.to_owned()),
            exempt: exempt.to_owned(),
        })
    }

    fn between(settings: &ProxySettings, endpoint: &str) -> Option<String> {
        let endpoint = TokenEndpoint::parse(endpoint).unwrap();
        settings.between(&endpoint).map(ProxyUrl::shown)
    }

    #[test]
    fn the_scheme_of_the_endpoint_chooses_the_proxy() {
        let (proxies, unusable) = settings("http://s:1", "p:2", "");
        assert!(unusable.is_empty());
        assert_eq!(between(&proxies, "https://sso.example/t").unwrap(), "http://s:1");
        assert_eq!(between(&proxies, "http://sso.example/t").unwrap(), "http://p:2");
        let (none, _) = settings("", " ", "");
        assert_eq!(between(&none, "https://sso.example/t"), None);
        let (bad, unusable) = settings("socks5://s:1", "http://p:2", "");
        assert_eq!(unusable, ["HTTPS_PROXY"]);
        assert_eq!(between(&bad, "https://sso.example/t"), None);
        let explicit = ProxySettings::explicit(ProxyUrl::parse("http://e:3").unwrap());
        for endpoint in ["https://sso.example/t", "http://localhost/t"] {
            assert_eq!(between(&explicit, endpoint).unwrap(), "http://e:3");
        }
    }

    #[test]
    fn no_proxy_is_read_as_the_library_and_node_do() {
        for (list, endpoint, is_exempt) in [
            ("sso.example", "https://sso.example/t", true),
            ("SSO.Example", "https://sso.example/t", true),
            ("example", "https://sso.example/t", true),
            (".example", "https://sso.example/t", true),
            ("so.example", "https://sso.example/t", false),
            ("other.example, sso.example", "https://sso.example/t", true),
            ("other.example sso.example", "https://sso.example/t", true),
            ("*", "https://sso.example/t", true),
            ("*", "http://10.1.2.3:8080/t", true),
            ("other.example, *", "http://[::1]:8080/t", true),
            ("*.example", "https://sso.example/t", true),
            ("*.example", "https://example/t", false),
            ("*.sso.example", "https://sso.example/t", false),
            ("sso.example:443", "https://sso.example/t", true),
            ("sso.example:8443", "https://sso.example/t", false),
            ("sso.example:8443", "https://sso.example:8443/t", true),
            ("*.example:8443", "https://sso.example:8443/t", true),
            ("10.0.0.0/8", "https://10.1.2.3/t", true),
            ("10.0.0.0/8", "https://11.1.2.3/t", false),
            ("10.1.2.3", "http://10.1.2.3:8080/t", true),
            ("10.1.2.3:8080", "http://10.1.2.3:8080/t", true),
            ("::1", "http://[::1]:8080/t", true),
            ("[::1]:8080", "http://[::1]:8080/t", true),
            ("[::1]:8081", "http://[::1]:8080/t", false),
            ("localhost", "http://localhost:8080/t", true),
            (",", "https://sso.example/t", false),
        ] {
            let (proxies, _) = settings("http://s:1", "http://p:2", list);
            assert_eq!(between(&proxies, endpoint).is_none(), is_exempt, "{list} {endpoint}");
        }
    }
}
