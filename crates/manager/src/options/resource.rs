//! Checks the option `resource`, which only JavaScript uses.

use super::{Faults, Given, Options, table};
use oauth::TokenEndpoint;

/// The header names, in lower case, that the parser refuses as `resource.userHeader`: headers that
/// carry credentials or control how a server reads the request and its body.
const RESERVED_HEADERS: [&str; 15] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Options<'_> {
    /// Only checks the option, because JavaScript sends the requests to the resource.
    pub(super) fn resource(&mut self) {
        const NAME: &str = table::RESOURCE;
        let members = match self.take(NAME) {
            None => return,
            Some(Given::Record(members)) => members,
            Some(other) => {
                let expected = "an object with baseUrl and optionally userHeader and fetch";
                return self.faults.expected(NAME, expected, &other);
            }
        };
        if !members.iter().any(|(name, _)| name == "baseUrl") {
            self.faults.push(
                "resource.baseUrl",
                "expected an absolute http or https URL, but the option is missing",
            );
        }
        for (name, value) in members {
            let option = format!("{NAME}.{}", name.escape_default());
            match (name.as_str(), &value) {
                ("baseUrl", Given::Text(text)) if !text.is_empty() => {
                    if let Some(fault) = base_url_fault(text) {
                        self.faults.push(&option, &format!("expected {fault}"));
                    }
                }
                ("baseUrl", other) => {
                    let expected = "an absolute http or https URL";
                    self.faults.expected(&option, expected, other);
                }
                ("userHeader", Given::Text(text)) if is_header_name(text) => {
                    if RESERVED_HEADERS.contains(&text.to_ascii_lowercase().as_str()) {
                        self.faults.push(
                            &option,
                            "expected a header that does not control authentication, the body or \
                             the connection",
                        );
                    }
                }
                ("userHeader", other) => {
                    let expected = "the name of a header (RFC 9110 §5.6.2)";
                    self.faults.expected(&option, expected, other);
                }
                ("fetch", Given::Function) => {}
                ("fetch", other) => self.faults.expected(&option, "a function", other),
                _ => self.faults.push(&option, "no such option"),
            }
        }
    }
}

/// Reports the faults of a resource that the user passed to `withResource`. The options do not name
/// its origin, so this function accepts plain http only on loopback.
pub fn check_resource(resource: Given, faults: &mut Faults) {
    let endpoint = match &resource {
        Given::Record(members) => members.iter().find_map(|(name, value)| match value {
            Given::Text(text) if name == "baseUrl" => TokenEndpoint::parse(text).ok(),
            _ => None,
        }),
        _ => None,
    };
    if endpoint.is_some_and(|endpoint| endpoint.is_plain_to_remote()) {
        let problem = "expected an https URL, because http sends the token unencrypted; \
                       withResource accepts http only on loopback";
        faults.push("resource.baseUrl", problem);
    }
    let given = vec![(table::RESOURCE.to_owned(), resource)];
    Options { given, faults }.resource();
}

/// Returns the fault of a base URL. The rules for a token endpoint apply, and a query is a fault
/// too.
fn base_url_fault(text: &str) -> Option<String> {
    match TokenEndpoint::parse(text) {
        Ok(endpoint) if endpoint.url().query().is_some() => {
            Some("a URL without a query".to_owned())
        }
        Ok(_) => None,
        Err(fault) => Some(fault.to_string()),
    }
}

/// Whether the text is a `token` (RFC 9110 §5.6.2).
fn is_header_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::options::Faults;

    #[test]
    fn a_resource_is_a_base_url_and_perhaps_a_header_and_a_function() {
        let text = |text: &str| Given::Text(Zeroizing::new(text.to_owned()));
        let with = |name: &str, value| {
            let base = ("baseUrl".to_owned(), text("http://h"));
            Given::Record(vec![base, (name.to_owned(), value)])
        };
        let base = |url: &str| Given::Record(vec![("baseUrl".to_owned(), text(url))]);
        let header = |name: &str| with("userHeader", text(name));
        let (url, user) = ("resource.baseUrl: expected a", "resource.userHeader: expected");
        let other = "resource.baseUrl: expected a URL with";
        let cases = [
            ("a base", base("https://api.example/v1"), ""),
            ("a port and a slash", base("HTTP://[::1]:8080/v1/"), ""),
            ("a header", header("X-User!#$%&'*+-.^_`|~9"), ""),
            ("not an object", text("https://h"), "resource: expected an object"),
            ("no base", Given::Record(vec![]), url),
            ("empty", base(""), url),
            ("relative", base("/canary"), "resource.baseUrl: expected an absolute"),
            ("another scheme", base("ftp://canary/"), "resource.baseUrl: expected a URL whose"),
            ("userinfo", base("http://canary@h/"), other),
            ("a query", base("http://h/?canary"), other),
            ("an empty query", base("http://h/?"), other),
            ("a fragment", base("http://h/#canary"), other),
            ("no header", header(""), user),
            ("a space", header("X canary"), user),
            ("a line", header("X\r\ncanary"), user),
            ("not ASCII", header("X-canaré"), user),
            ("the token's", header("AUTHORIZATION"), user),
            ("framing", header("Content-Length"), user),
            ("not text", with("userHeader", Given::Flag(true)), user),
            ("no function", with("fetch", text("canary")), "resource.fetch: expected a function"),
            ("unknown", with("baseURL", text("canary")), "resource.baseURL: no such option"),
        ];
        for (name, given, expected) in cases {
            let mut faults = Faults::default();
            let mut options = Options {
                given: vec![("resource".to_owned(), given)],
                faults: &mut faults,
            };
            options.resource();
            let message = faults.0.join("; ");
            assert!(message.starts_with(expected), "{name}: {message}");
            assert_eq!(message.is_empty(), expected.is_empty(), "{name}: {message}");
            assert!(!message.contains("canar"), "{name}: {message}");
        }
    }

    #[test]
    fn a_resource_named_later_may_be_plain_http_on_loopback_only() {
        for (name, url, expected) in [
            ("https", "https://api.example/v1", ""),
            ("a loopback address", "http://127.0.0.1:8080", ""),
            ("localhost", "http://localhost:8080/v1", ""),
            ("another host", "http://canary.example", "expected an https URL"),
            ("an address of a network", "http://10.0.0.1", "expected an https URL"),
            ("no URL", "canary", "expected an absolute http or https URL"),
        ] {
            let base = Given::Text(Zeroizing::new(url.to_owned()));
            let mut faults = Faults::default();
            check_resource(Given::Record(vec![("baseUrl".to_owned(), base)]), &mut faults);
            let message = faults.0.join("; ");
            assert!(message.contains(expected), "{name}: {message}");
            assert_eq!(message.is_empty(), expected.is_empty(), "{name}: {message}");
            assert!(!message.contains("canary"), "{name}: {message}");
        }
    }
}
