//! Selects the proxy for a request to an endpoint, if there is one.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use url::Host;
use zeroize::Zeroizing;

use super::{NetworkFault, ProxyUrl, TransportError};
use oauth::TokenEndpoint;

/// The environment variables for proxies. The field of an unset variable is empty.
#[derive(Default)]
pub struct ProxyVariables {
    /// `HTTPS_PROXY`.
    pub https: ProxyVariable,
    /// `HTTP_PROXY`.
    pub http: ProxyVariable,
    /// `NO_PROXY`.
    pub no_proxy: String,
}

/// A proxy variable.
#[derive(Default)]
pub struct ProxyVariable {
    /// The name as the user wrote it.
    pub name: String,
    /// The value.
    pub value: Zeroizing<String>,
}

/// The proxies of a manager.
#[derive(Clone, Debug, Default)]
pub struct ProxySettings {
    https: Choice,
    http: Choice,
    no_proxy: Option<Arc<NoProxy>>,
    /// Whether requests to loopback go through the proxy.
    includes_loopback: bool,
}

/// The proxy for requests of one scheme.
#[derive(Clone, Debug, Default)]
enum Choice {
    #[default]
    Direct,
    Proxy(ProxyUrl),
    /// The value of this environment variable is unusable.
    Unusable(Arc<str>),
}

impl Choice {
    fn from_variable(variable: &ProxyVariable) -> Self {
        let url = ProxyUrl::with_scheme(&variable.value);
        if url.is_empty() {
            return Self::Direct;
        }
        let unusable = |_| Self::Unusable(variable.name.as_str().into());
        ProxyUrl::parse(&url).map_or_else(unusable, Self::Proxy)
    }
}

impl ProxySettings {
    /// Uses this proxy for every endpoint, including loopback.
    #[must_use]
    pub fn explicit(proxy: ProxyUrl) -> Self {
        Self {
            https: Choice::Proxy(proxy.clone()),
            http: Choice::Proxy(proxy),
            no_proxy: None,
            includes_loopback: true,
        }
    }

    /// Uses the proxies set in the environment. If a variable is unusable, the requests to which it
    /// applies fail: bypassing the proxy silently would be worse. Requests to loopback bypass these
    /// proxies.
    #[must_use]
    pub fn from_environment(variables: &ProxyVariables) -> Self {
        Self {
            https: Choice::from_variable(&variables.https),
            http: Choice::from_variable(&variables.http),
            no_proxy: NoProxy::parse(&variables.no_proxy).map(Arc::new),
            includes_loopback: false,
        }
    }

    /// Returns the proxy for this endpoint.
    ///
    /// # Errors
    /// The error names the environment variable that is unusable.
    pub fn proxy_for(&self, endpoint: &TokenEndpoint) -> Result<Option<&ProxyUrl>, TransportError> {
        let choice = if endpoint.is_https() {
            &self.https
        } else {
            &self.http
        };
        if matches!(choice, Choice::Direct)
            || !self.includes_loopback && endpoint.is_loopback()
            || self
                .no_proxy
                .as_ref()
                .is_some_and(|no_proxy| no_proxy.has(endpoint))
        {
            return Ok(None);
        }
        match choice {
            Choice::Direct => Ok(None),
            // The HTTP library treats the brackets of the address as part of the server's name.
            Choice::Proxy(_)
                if endpoint.is_https() && matches!(endpoint.url().host(), Some(Host::Ipv6(_))) =>
            {
                let way_out = if self.includes_loopback {
                    "set tokenFetch instead of proxy and configure the function"
                } else {
                    "exempt the address with NO_PROXY"
                };
                Err(TransportError::Network {
                    fault: NetworkFault::ProxySetting,
                    detail: format!(
                        "the manager cannot reach an https endpoint with an IPv6 address through a \
                         proxy; use a host name, or {way_out}"
                    ),
                })
            }
            Choice::Proxy(proxy) => Ok(Some(proxy)),
            Choice::Unusable(variable) => Err(TransportError::Network {
                fault: NetworkFault::ProxySetting,
                detail: format!(
                    "{variable} in the environment is not the URL of an http, https or SOCKS5 \
                     proxy; correct it, or set the option proxy to a URL or to false"
                ),
            }),
        }
    }
}

/// The hosts to which requests go without a proxy. Reads `NO_PROXY` as the HTTP library does, and
/// also accepts Node's three forms `*.suffix`, `host:port` and `address-address`.
#[derive(Debug)]
struct NoProxy {
    common: Matcher,
    /// Whether the list contains `*`. The library applies `*` to every name but to no address.
    everything: bool,
    suffixes: Vec<String>,
    with_port: Vec<(String, u16)>,
    ranges: Vec<RangeInclusive<IpAddr>>,
}

impl NoProxy {
    fn parse(list: &str) -> Option<Self> {
        let mut common = Vec::new();
        let mut everything = false;
        let mut suffixes = Vec::new();
        let mut with_port = Vec::new();
        let mut ranges = Vec::new();
        let entries = list
            .split([',', ' ', '\t'])
            .filter(|entry| !entry.is_empty());
        for entry in entries {
            // A dot at the end of a name marks the name as complete.
            let entry = entry.trim_end_matches('.').to_ascii_lowercase();
            // An IPv6 address without brackets contains colons but no port.
            let named_port = entry
                .rsplit_once(':')
                .filter(|(host, _)| !host.contains(':') || host.ends_with(']'))
                .and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
            if entry == "*" {
                everything = true;
            } else if let Some(range) = address_range(&entry) {
                ranges.push(range);
            } else if let Some(host_and_port) = named_port {
                with_port.push(host_and_port);
            } else if let Some(suffix) = entry.strip_prefix('*').filter(|s| s.starts_with('.')) {
                suffixes.push(suffix.to_owned());
            } else {
                // Like curl, the list accepts an IPv6 address in brackets.
                let bare = entry
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'));
                common.push(bare.map(str::to_owned).unwrap_or(entry));
            }
        }
        if !everything
            && common.is_empty()
            && suffixes.is_empty()
            && with_port.is_empty()
            && ranges.is_empty()
        {
            return None;
        }
        // This URL is never used: the matcher only decides whether a request would use a proxy.
        let common = Matcher::builder()
            .all("http://proxy.invalid")
            .no(common.join(","))
            .build();
        Some(Self {
            common,
            everything,
            suffixes,
            with_port,
            ranges,
        })
    }

    fn has(&self, endpoint: &TokenEndpoint) -> bool {
        if self.everything {
            return true;
        }
        let host = endpoint.url().host_str().unwrap_or_default();
        let host = host.trim_end_matches('.');
        let port = endpoint.url().port_or_known_default().unwrap_or_default();
        let is_common = http::Uri::try_from(format!("http://{host}:{port}"))
            .is_ok_and(|uri| self.common.intercept(&uri).is_none());
        let address = match endpoint.url().host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        let is_in_range = |address| self.ranges.iter().any(|range| range.contains(&address));
        is_common
            || address.is_some_and(is_in_range)
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

/// Parses an address range such as `10.0.0.1-10.0.0.9`. Both ends must belong to the same address
/// family.
fn address_range(entry: &str) -> Option<RangeInclusive<IpAddr>> {
    let (first, last) = entry.split_once('-')?;
    let (first, last) = (first.parse::<IpAddr>().ok()?, last.parse::<IpAddr>().ok()?);
    (first.is_ipv4() == last.is_ipv4()).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(https: &str, http: &str, no_proxy: &str) -> ProxySettings {
        let variable = |name: &str, value: &str| ProxyVariable {
            name: name.to_owned(),
            value: Zeroizing::new(value.to_owned()),
        };
        ProxySettings::from_environment(&ProxyVariables {
            https: variable("https_proxy", https),
            http: variable("HTTP_PROXY", http),
            no_proxy: no_proxy.to_owned(),
        })
    }

    fn proxy_for(settings: &ProxySettings, endpoint: &str) -> Option<String> {
        let endpoint = TokenEndpoint::parse(endpoint).unwrap();
        let proxy = settings.proxy_for(&endpoint).unwrap();
        proxy.map(ProxyUrl::shown)
    }

    #[test]
    fn an_ipv6_address_with_tls_is_not_reached_through_a_proxy() {
        let proxies = settings("http://s:1", "http://s:1", "::2");
        let error = |endpoint| {
            let endpoint = TokenEndpoint::parse(endpoint).unwrap();
            let outcome = proxies.proxy_for(&endpoint);
            outcome.err().map(|error| error.to_string())
        };
        let refused = error("https://[2001:db8::1]/t").unwrap();
        assert!(refused.contains("IPv6 address through a proxy"), "{refused}");
        assert!(refused.contains("NO_PROXY"), "{refused}");
        let option = ProxySettings::explicit(ProxyUrl::parse("http://s:1").unwrap());
        let endpoint = TokenEndpoint::parse("https://[2001:db8::1]/t").unwrap();
        let refused = option.proxy_for(&endpoint).unwrap_err().to_string();
        assert!(refused.contains("tokenFetch") && !refused.contains("NO_PROXY"), "{refused}");
        for endpoint in ["http://[2001:db8::1]/t", "https://[::2]/t", "https://192.0.2.1/t"] {
            assert_eq!(error(endpoint), None, "{endpoint}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_an_error_of_the_requests_it_is_for() {
        for value in ["ftp://jane:canary@s:1", "http://", "socks4://s:1", "http://${HOST}:1", "://"]
        {
            let proxies = settings(value, "http://p:2", "exempt.example");
            let endpoint = TokenEndpoint::parse("https://sso.example/t").unwrap();
            let error = proxies.proxy_for(&endpoint).unwrap_err().to_string();
            assert!(error.starts_with("https_proxy in the environment is not"), "{value}: {error}");
            assert!(!error.contains("canary"), "{error}");
            assert_eq!(proxy_for(&proxies, "http://sso.example/t").unwrap(), "http://p:2");
            assert_eq!(proxy_for(&proxies, "https://exempt.example/t"), None);
        }
    }

    #[test]
    fn no_proxy_is_read_as_the_library_and_node_do() {
        for (list, endpoint, is_exempt) in [
            ("sso.example", "https://sso.example/t", true),
            ("SSO.Example", "https://sso.example/t", true),
            ("sso.example.", "https://sso.example/t", true),
            ("sso.example", "https://sso.example./t", true),
            ("*.example.", "https://sso.example./t", true),
            ("sso.example:443", "https://sso.example./t", true),
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
            ("10.1.0.0-10.1.255.255", "http://10.1.2.3:8080/t", true),
            ("10.1.0.0-10.1.2.2", "http://10.1.2.3:8080/t", false),
            ("::2-::9", "http://[::5]:8080/t", true),
            ("10.0.0.1-::9", "http://[::5]:8080/t", false),
            ("sso-a.example", "http://sso-a.example/t", true),
            ("::2", "http://[::2]:8080/t", true),
            ("[::2]", "http://[::2]:8080/t", true),
            ("[::3]", "http://[::2]:8080/t", false),
            ("[::2]:8080", "http://[::2]:8080/t", true),
            ("[::2]:8081", "http://[::2]:8080/t", false),
            ("other.example", "http://localhost:8080/t", true),
            ("", "http://sso.localhost/t", true),
            ("", "https://127.8.9.1/t", true),
            ("", "http://[::1]:8080/t", true),
            ("", "http://localhost.example/t", false),
            (",", "https://sso.example/t", false),
        ] {
            let proxies = settings("http://s:1", "http://p:2", list);
            assert_eq!(proxy_for(&proxies, endpoint).is_none(), is_exempt, "{list} {endpoint}");
        }
    }
}
