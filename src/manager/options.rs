//! The options, parsed once: every bound stands here and nowhere else.
//!
//! What a user gave arrives as named [`Given`] values; what comes out needs no further check. All
//! faults are found before any is reported, and none repeats a value: it might be a secret.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::config::{
    Config, Credential, DEFAULT_EXPIRY_BUFFER, DEFAULT_REQUEST_TIMEOUT, TrustOptions,
};
use super::error::{Error, ErrorKind};
use crate::oauth::{
    ClientAuthentication, ClientCredentialsGrant, ClientSecret, RESERVED_PARAMETERS, Scope,
    TokenEndpoint,
};

/// Names of header fields that `resource.userHeader` may not take, in lower case: those that carry
/// credentials, and those by which a request is framed and its body is read.
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
/// What is wrong with a secret that JavaScript could hold and UTF-8 cannot: it would arrive changed.
pub const LONE_SURROGATE: &str = "expected a string that is valid Unicode";
/// What a logger has.
pub const LOGGER_METHODS: [&str; 4] = ["error", "warn", "info", "debug"];
/// Larger numbers of seconds or milliseconds are taken as this one: some 49 days in milliseconds.
const LARGEST_NUMBER: f64 = u32::MAX as f64;

/// A value as a user gave it.
pub enum Given {
    /// A string.
    Text(Zeroizing<String>),
    /// A number, perhaps not finite.
    Number(f64),
    /// A boolean.
    Flag(bool),
    /// A function.
    Function,
    /// An array.
    List(Vec<Given>),
    /// An object.
    Record(Vec<(String, Given)>),
    /// Anything else, by the name of its type.
    Other(&'static str),
}

impl Given {
    /// What it is, never what it says.
    fn describe(&self) -> &'static str {
        match self {
            Self::Text(text) if text.is_empty() => "an empty string",
            Self::Text(_) => "a string",
            Self::Number(number) if number.is_nan() => "NaN",
            Self::Number(number) if number.fract() != 0.0 => "a fraction",
            Self::Number(number) if *number < 0.0 => "a negative number",
            Self::Number(_) => "a number",
            Self::Flag(_) => "a boolean",
            Self::Function => "a function",
            Self::List(_) => "an array",
            Self::Record(_) => "an object",
            Self::Other(name) => name,
        }
    }
}

/// The faults of a set of options, reported together.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds one.
    pub fn push(&mut self, option: &str, expected: &str) {
        self.0.push(format!("{option}: {expected}"));
    }

    fn expected(&mut self, option: &str, expected: &str, given: &Given) {
        self.0
            .push(format!("{option}: expected {expected}, got {}", given.describe()));
    }

    /// The error that names them all, if there is one.
    #[must_use]
    pub fn into_error(self) -> Option<Error> {
        (!self.0.is_empty()).then(|| {
            let message = format!("invalid options: {}", self.0.join("; "));
            Error::new(ErrorKind::Config, message)
        })
    }
}

/// The options by name, each taken once.
struct Options<'a> {
    given: Vec<(String, Given)>,
    faults: &'a mut Faults,
}

impl Options<'_> {
    fn has(&self, name: &str) -> bool {
        self.given.iter().any(|(key, _)| key == name)
    }

    fn take(&mut self, name: &str) -> Option<Given> {
        let index = self.given.iter().position(|(key, _)| key == name)?;
        Some(self.given.swap_remove(index).1)
    }

    fn text(&mut self, name: &str, expected: &str) -> Option<Zeroizing<String>> {
        match self.take(name)? {
            Given::Text(text) if !text.is_empty() => Some(text),
            other => {
                self.faults.expected(name, expected, &other);
                None
            }
        }
    }

    fn path(&mut self, name: &str) -> Option<PathBuf> {
        let text = self.text(name, "the path of a file, a non-empty string")?;
        if text.contains('\0') {
            self.faults.push(name, "a path holds no NUL character");
            return None;
        }
        Some(PathBuf::from(text.as_str()))
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Given::Flag(flag)) => flag,
            Some(other) => {
                self.faults.expected(name, "a boolean", &other);
                default
            }
        }
    }

    fn integer(&mut self, name: &str, least: u32, default: u32) -> u32 {
        match self.take(name) {
            None => default,
            Some(Given::Number(number))
                if number.is_finite() && number.fract() == 0.0 && number >= f64::from(least) =>
            {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "an integer between zero and the largest u32"
                )]
                let integer = number.min(LARGEST_NUMBER) as u32;
                integer
            }
            Some(other) => {
                let expected = format!("an integer of at least {least}");
                self.faults.expected(name, &expected, &other);
                default
            }
        }
    }

    fn endpoint(&mut self) -> Option<TokenEndpoint> {
        const NAME: &str = "tokenEndpoint";
        const EXPECTED: &str = "an absolute http or https URL";
        if !self.has(NAME) {
            self.faults
                .push(NAME, "expected an absolute http or https URL, but it is missing");
            return None;
        }
        let text = self.text(NAME, EXPECTED)?;
        match TokenEndpoint::parse(&text) {
            Ok(endpoint) => Some(endpoint),
            Err(fault) => {
                self.faults.push(NAME, &fault.to_string());
                None
            }
        }
    }

    fn client_id(&mut self) -> Option<String> {
        const NAME: &str = "clientId";
        if !self.has(NAME) {
            self.faults
                .push(NAME, "expected a non-empty string, but it is missing");
            return None;
        }
        self.text(NAME, "a non-empty string")
            .map(|text| text.as_str().to_owned())
    }

    fn credential(&mut self) -> Option<Credential> {
        let (secret, file) = (self.has("clientSecret"), self.has("clientSecretFile"));
        if secret == file {
            let problem = if secret {
                "both are given"
            } else {
                "neither is given"
            };
            self.faults.push(
                "clientSecret, clientSecretFile",
                &format!("expected exactly one of them, but {problem}"),
            );
        }
        let from_file = self.path("clientSecretFile").map(Credential::File);
        let from_option = match self.take("clientSecret") {
            None => None,
            Some(Given::Function) => Some(Credential::Function),
            Some(Given::Text(text)) if text.contains(char::REPLACEMENT_CHARACTER) => {
                self.faults.push("clientSecret", LONE_SURROGATE);
                None
            }
            Some(Given::Text(text)) if !text.is_empty() => {
                ClientSecret::new(text.as_str().to_owned())
                    .map(|secret| Credential::Secret(Arc::new(secret)))
            }
            Some(other) => {
                let expected = "a non-empty string or a function that gives one";
                self.faults.expected("clientSecret", expected, &other);
                None
            }
        };
        from_option.or(from_file)
    }

    fn client_authentication(&mut self) -> ClientAuthentication {
        const NAME: &str = "clientAuthentication";
        const EXPECTED: &str = "'client_secret_post' or 'client_secret_basic'";
        let default = ClientAuthentication::SecretPost;
        match self.take(NAME) {
            None => default,
            Some(Given::Text(text)) => ClientAuthentication::parse(&text).unwrap_or_else(|| {
                self.faults
                    .push(NAME, &format!("expected {EXPECTED}, got another string"));
                default
            }),
            Some(other) => {
                self.faults.expected(NAME, EXPECTED, &other);
                default
            }
        }
    }

    fn scope(&mut self) -> Option<Scope> {
        const NAME: &str = "scope";
        const EXPECTED: &str =
            "scopes separated by single spaces, or a non-empty array of single scopes";
        let given = self.take(NAME)?;
        let scope = match &given {
            Given::Text(text) => Scope::parse(text),
            Given::List(list) => {
                let texts = list.iter().map(|item| match item {
                    Given::Text(text) => Some(text.as_str().to_owned()),
                    _ => None,
                });
                texts
                    .collect::<Option<Vec<_>>>()
                    .and_then(|texts| Scope::from_list(&texts))
            }
            _ => None,
        };
        if scope.is_none() {
            self.faults.expected(NAME, EXPECTED, &given);
        }
        scope
    }

    /// Only the shape is looked at: the logger itself stays with the thread that owns it.
    fn logger(&mut self) {
        let is_complete = |record: &[(String, Given)]| {
            LOGGER_METHODS.iter().all(|method| {
                let is_it = |(name, value): &(String, Given)| {
                    name == method && matches!(value, Given::Function)
                };
                record.iter().any(is_it)
            })
        };
        match self.take("logger") {
            None => {}
            Some(Given::Record(record)) if is_complete(&record) => {}
            Some(Given::Record(_)) => self.faults.push(
                "logger",
                "expected an object with the methods error, warn, info and debug, but not all of \
                 them are functions",
            ),
            Some(other) => self.faults.expected(
                "logger",
                "an object with the methods error, warn, info and debug",
                &other,
            ),
        }
    }

    /// Looked at only: requests to the resource are JavaScript's.
    fn resource(&mut self) {
        const NAME: &str = "resource";
        let members = match self.take(NAME) {
            None => return,
            Some(Given::Record(members)) => members,
            Some(other) => {
                let expected = "an object with baseUrl, and perhaps userHeader and fetch";
                return self.faults.expected(NAME, expected, &other);
            }
        };
        if !members.iter().any(|(name, _)| name == "baseUrl") {
            self.faults.push(
                "resource.baseUrl",
                "expected an absolute http or https URL, but it is missing",
            );
        }
        for (name, value) in members {
            let option = format!("{NAME}.{}", name.escape_default());
            match (name.as_str(), &value) {
                ("baseUrl", Given::Text(text)) if !text.is_empty() => {
                    if let Some(fault) = base_url_fault(text) {
                        self.faults.push(&option, &fault);
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
                            "expected a header that the request does not need itself",
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

    fn parameters(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "parameters";
        let given = match self.take(NAME) {
            None => return Vec::new(),
            Some(Given::Record(record)) => record,
            Some(other) => {
                self.faults.expected(NAME, "an object of strings", &other);
                return Vec::new();
            }
        };
        let mut parameters = Vec::with_capacity(given.len());
        for (name, value) in given {
            let shown = name.escape_default();
            if RESERVED_PARAMETERS.contains(&name.as_str()) {
                self.faults
                    .push(NAME, &format!("\"{shown}\" is set by the manager"));
                continue;
            }
            match value {
                Given::Text(text) => parameters.push((name, text.as_str().to_owned())),
                other => {
                    let option = format!("{NAME}.{shown}");
                    self.faults.expected(&option, "a string", &other);
                }
            }
        }
        parameters
    }
}

/// A base URL has all that a token endpoint has, and nothing behind its path.
fn base_url_fault(text: &str) -> Option<String> {
    match TokenEndpoint::parse(text) {
        Ok(endpoint) if endpoint.url().query().is_some() => {
            Some("a URL without a query".to_owned())
        }
        Ok(_) => None,
        Err(fault) => Some(fault.to_string()),
    }
}

/// A `token` of RFC 9110 §5.6.2.
fn is_header_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Parses the options. `None` goes with at least one fault.
#[must_use]
pub fn parse(given: Vec<(String, Given)>, faults: &mut Faults) -> (Option<Config>, TrustOptions) {
    let mut options = Options { given, faults };
    let endpoint = options.endpoint();
    let client_id = options.client_id();
    let credential = options.credential();
    let authentication = options.client_authentication();
    let scope = options.scope();
    let parameters = options.parameters();
    let buffer = options.integer("tokenExpiryBufferSeconds", 0, DEFAULT_EXPIRY_BUFFER);
    let timeout = options.integer("requestTimeoutMs", 1, DEFAULT_REQUEST_TIMEOUT);
    let background_refresh = options.flag("backgroundRefresh", true);
    let name = options.text("name", "a non-empty string");
    let has_logger = options.has("logger");
    options.logger();
    options.resource();
    let trust = TrustOptions {
        ca: options
            .text("ca", "certificates in PEM, a non-empty string")
            .map(|t| t.to_string()),
        ca_file: options.path("caFile"),
        skip_tls_verify: options.flag("skipTlsVerify", false),
    };
    let mut unknown: Vec<_> = options.given.drain(..).map(|(name, _)| name).collect();
    unknown.sort_unstable();
    for name in unknown {
        options
            .faults
            .push(&name.escape_default().to_string(), "no such option");
    }
    let config = (|| {
        let client_id = client_id?;
        Some(Config {
            endpoint: endpoint?,
            name: name.map_or_else(|| client_id.clone(), |name| name.to_string()),
            grant: ClientCredentialsGrant {
                client_id,
                authentication,
                scope,
                parameters,
            },
            credential: credential?,
            expiry_buffer: Duration::from_secs(buffer.into()),
            request_timeout: Duration::from_millis(timeout.into()),
            background_refresh,
            has_logger,
        })
    })();
    (config, trust)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_a_base_url_and_perhaps_a_header_and_a_function() {
        let text = |text: &str| Given::Text(Zeroizing::new(text.to_owned()));
        let record = |members: Vec<(&str, Given)>| {
            let named = members.into_iter();
            Given::Record(
                named
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            )
        };
        let base = |url: &str| record(vec![("baseUrl", text(url))]);
        let header =
            |value: Given| record(vec![("baseUrl", text("http://h")), ("userHeader", value)]);
        let cases = [
            ("a base", base("https://api.example/v1"), ""),
            ("a port and a slash", base("HTTP://[::1]:8080/v1/"), ""),
            ("a header", header(text("X-User!#$%&'*+-.^_`|~9")), ""),
            ("not an object", text("https://h"), "resource: expected an object"),
            ("no base", record(vec![]), "resource.baseUrl: expected"),
            (
                "a number",
                record(vec![("baseUrl", Given::Number(1.0))]),
                "resource.baseUrl: expected",
            ),
            ("empty", base(""), "resource.baseUrl: expected an absolute"),
            ("relative", base("/canary"), "resource.baseUrl: an absolute"),
            ("another scheme", base("ftp://canary/"), "resource.baseUrl: a URL whose scheme"),
            ("userinfo", base("http://canary@h/"), "resource.baseUrl: a URL without a user"),
            ("a query", base("http://h/?canary"), "resource.baseUrl: a URL without a query"),
            ("an empty query", base("http://h/?"), "resource.baseUrl: a URL without a query"),
            ("a fragment", base("http://h/#canary"), "resource.baseUrl: a URL without a fragment"),
            ("no header", header(text("")), "resource.userHeader: expected"),
            ("a space", header(text("X canary")), "resource.userHeader: expected"),
            ("a line", header(text("X\r\ncanary")), "resource.userHeader: expected"),
            ("not ASCII", header(text("X-canaré")), "resource.userHeader: expected"),
            ("the token's", header(text("AUTHORIZATION")), "resource.userHeader: expected"),
            ("framing", header(text("Content-Length")), "resource.userHeader: expected"),
            ("not text", header(Given::Flag(true)), "resource.userHeader: expected"),
            (
                "no function",
                record(vec![("baseUrl", text("http://h")), ("fetch", text("canary"))]),
                "resource.fetch: expected a function",
            ),
            (
                "unknown",
                record(vec![("baseUrl", text("http://h")), ("baseURL", text("canary"))]),
                "resource.baseURL: no such option",
            ),
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
}
