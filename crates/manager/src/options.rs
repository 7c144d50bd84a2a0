//! Parses the options once: a [`Config`] needs no further check.
//!
//! The user's values arrive as named [`Given`] values. Names, bounds and defaults come from
//! `options.json` through `table.rs`; this module checks the combinations of options. The error
//! reports all faults together, and no fault repeats a value, which might be a secret.

mod credential;
mod generic;
mod records;
mod resource;
mod store;
mod table;

pub use self::resource::check_resource;
pub use self::store::STORE_METHODS;

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::config::{Config, DpopConfig, ProxyOption, Target, TransportOptions};
use super::error::{Error, ErrorKind};
use oauth::{ClientAuthentication, DpopKey, Grant, Issuer, Scope, TokenEndpoint, ValueSet};
use transport::ProxyUrl;

/// The fault to report for a secret with a lone surrogate, which UTF-8 cannot represent.
pub const LONE_SURROGATE: &str = "expected a valid Unicode string";
/// The methods of a logger.
pub const LOGGER_METHODS: [&str; 4] = ["error", "warn", "info", "debug"];

/// The options that the user cannot combine with `tokenFetch`, besides `skipTlsVerify: true`.
const CONNECTION_OPTIONS: [&str; 7] = [
    table::CA.name,
    table::CA_FILE.name,
    table::CLIENT_CERTIFICATE.name,
    table::CLIENT_CERTIFICATE_FILE.name,
    table::CLIENT_KEY.name,
    table::CLIENT_KEY_FILE.name,
    table::PROXY,
];

/// A value as the user passed it.
pub enum Given {
    /// A string.
    Text(Zeroizing<String>),
    /// A number, which may be infinite or NaN.
    Number(f64),
    /// A boolean.
    Flag(bool),
    /// A function.
    Function,
    /// An array.
    List(Vec<Given>),
    /// An object.
    Record(Vec<(String, Given)>),
    /// A value of another type, represented by the name of the type.
    Other(&'static str),
}

impl Given {
    /// Returns the type of the value, never the value itself.
    fn describe(&self) -> &'static str {
        match self {
            Self::Text(text) if text.is_empty() => "an empty string",
            Self::Text(_) => "a string",
            Self::Number(number) if number.is_nan() => "NaN",
            Self::Number(number) if number.is_infinite() => "an infinite number",
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

/// The faults of a set of options, which one error reports together.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Adds a fault.
    pub fn push(&mut self, option: &str, expected: &str) {
        self.0.push(format!("{option}: {expected}"));
    }

    fn expected(&mut self, option: &str, expected: &str, given: &Given) {
        self.0
            .push(format!("{option}: expected {expected}, got {}", given.describe()));
    }

    /// Returns the error that names all faults; `None` if every option is valid.
    #[must_use]
    pub fn into_error(self) -> Option<Error> {
        (!self.0.is_empty()).then(|| {
            let message = format!("invalid options: {}", self.0.join("; "));
            Error::new(ErrorKind::Config, message)
        })
    }
}

/// The options by name. The parser takes each option once.
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

    fn target(&mut self) -> Option<Target> {
        const BOTH: &str = "expected exactly one of them, but both are given";
        const NEITHER: &str =
            "expected one of them as an absolute http or https URL, but both are missing";
        let names = [table::TOKEN_ENDPOINT.name, table::ISSUER.name];
        let problem = match names.map(|name| self.has(name)) {
            [true, true] => Some(BOTH),
            [false, false] => Some(NEITHER),
            _ => None,
        };
        if let Some(problem) = problem {
            self.faults.push(&names.join(", "), problem);
        }
        let endpoint = self.parsed(table::TOKEN_ENDPOINT, TokenEndpoint::parse);
        let issuer = self.parsed(table::ISSUER, Issuer::parse);
        endpoint
            .map(Target::Endpoint)
            .or(issuer.map(Target::Issuer))
    }

    fn client_id(&mut self) -> Option<String> {
        let option = table::CLIENT_ID;
        if !self.has(option.name) {
            self.faults
                .push(option.name, "expected a non-empty string, but the option is missing");
        }
        self.text(option).map(|text| text.to_string())
    }

    fn scope(&mut self) -> Option<Scope> {
        const EXPECTED: &str = "a string of scopes separated by single spaces, or a non-empty array \
             with one scope per item, of at most 4,000 characters in total";
        let given = self.take(table::SCOPE)?;
        let scope = match &given {
            Given::Text(text) => Scope::parse(text),
            Given::List(_) => texts(&given).and_then(|texts| Scope::from_list(&texts)),
            _ => None,
        };
        if scope.is_none() {
            self.faults.expected(table::SCOPE, EXPECTED, &given);
        }
        scope
    }

    /// Reads the values of a form field that a request may repeat. Reports a fault if `parameters`
    /// sets this field too.
    fn values(&mut self, option: &str, field: &str, parameters: &[(String, String)]) -> ValueSet {
        const EXPECTED: &str =
            "a string or a non-empty array of strings, each of 1 to 4,000 characters";
        let Some(given) = self.take(option) else {
            return ValueSet::default();
        };
        if parameters.iter().any(|(name, _)| name == field) {
            let problem = format!(
                "parameters sets the same form field, {field}; remove it from parameters, or \
                 remove this option"
            );
            self.faults.push(option, &problem);
        }
        let values = texts(&given).filter(|texts| !texts.is_empty());
        values.and_then(ValueSet::new).unwrap_or_else(|| {
            self.faults.expected(option, EXPECTED, &given);
            ValueSet::default()
        })
    }

    /// Only checks the option, because JavaScript keeps the function. Also refuses the options that
    /// configure connections, before the parser takes them.
    fn token_fetch(&mut self) -> bool {
        const NAME: &str = table::TOKEN_FETCH;
        match self.take(NAME) {
            None => return false,
            Some(Given::Function | Given::Flag(true)) => {}
            Some(other) => {
                self.faults
                    .expected(NAME, "true, or a function like fetch", &other);
                return false;
            }
        }
        let is_set = |given: &(String, Given)| match given.0.as_str() {
            name if name == table::SKIP_TLS_VERIFY.name => matches!(given.1, Given::Flag(true)),
            name => CONNECTION_OPTIONS.contains(&name),
        };
        let conflicts = self.given.iter().filter(|given| is_set(given));
        let mut conflicts: Vec<_> = conflicts.map(|(name, _)| name.clone()).collect();
        conflicts.sort_unstable();
        for name in conflicts {
            let problem = "this option does not work with tokenFetch, which makes its own \
                           connections; configure the function instead";
            self.faults.push(&name, problem);
        }
        true
    }

    fn dpop(&mut self) -> Option<DpopConfig> {
        const KEY: &str = table::DPOP_KEY;
        let is_given = self.has(KEY);
        let given = self.signing_key(KEY);
        if !self.flag(table::DPOP) {
            if is_given {
                self.faults.push(KEY, "this option requires dpop: true");
            }
            return None;
        }
        let key = match given {
            Some(key) => DpopKey::new(key),
            None if is_given => return None,
            None => DpopKey::generate(),
        };
        if key.is_err() {
            let problem = "the manager cannot create a key, because the system provides no random \
                           numbers";
            self.faults.push(table::DPOP.name, problem);
        }
        Some(DpopConfig {
            key: Arc::new(key.ok()?),
            is_generated: !is_given,
        })
    }

    fn proxy(&mut self) -> ProxyOption {
        const EXPECTED: &str = "an absolute http, https or socks5 URL of a proxy, or false";
        match self.take(table::PROXY) {
            None => ProxyOption::Environment,
            Some(Given::Flag(false)) => ProxyOption::Off,
            Some(Given::Text(text)) if !text.is_empty() => match ProxyUrl::parse(&text) {
                Ok(url) => ProxyOption::Url(url),
                Err(fault) => {
                    self.faults.push(table::PROXY, &format!("expected {fault}"));
                    ProxyOption::Off
                }
            },
            Some(other) => {
                self.faults.expected(table::PROXY, EXPECTED, &other);
                ProxyOption::Off
            }
        }
    }

    /// Checks only the shape: the logger itself stays with the thread that owns it.
    fn logger(&mut self) {
        const EXPECTED: &str = "an object with the methods error, warn, info and debug";
        let is_complete = |record: &[(String, Given)]| {
            LOGGER_METHODS.iter().all(|method| {
                let is_it = |(name, value): &(String, Given)| {
                    name == method && matches!(value, Given::Function)
                };
                record.iter().any(is_it)
            })
        };
        match self.take(table::LOGGER) {
            None => {}
            Some(Given::Record(record)) if is_complete(&record) => {}
            Some(Given::Record(_)) => {
                let problem = format!("expected {EXPECTED}, but not all of them are functions");
                self.faults.push(table::LOGGER, &problem);
            }
            Some(other) => self.faults.expected(table::LOGGER, EXPECTED, &other),
        }
    }
}

/// Returns the strings of an array, or a single string as a list.
fn texts(given: &Given) -> Option<Vec<String>> {
    let text = |item: &Given| match item {
        Given::Text(text) => Some(text.as_str().to_owned()),
        _ => None,
    };
    match given {
        Given::List(list) => list.iter().map(text).collect(),
        other => Some(vec![text(other)?]),
    }
}

/// Parses the options. Returns a configuration, or reports at least one fault.
#[must_use]
pub fn parse(
    given: Vec<(String, Given)>,
    faults: &mut Faults,
) -> (Option<Config>, TransportOptions) {
    let mut options = Options { given, faults };
    let token_fetch = options.token_fetch();
    let target = options.target();
    let client_id = options.client_id();
    let (proving, credential) = options.credential(token_fetch).unzip();
    let authentication = options.client_authentication(proving);
    let assertion = options.assertion(authentication, credential.as_ref());
    if authentication == ClientAuthentication::TlsClientAuth
        && let Some(target) = target.as_ref().filter(|target| !target.url().is_https())
    {
        let problem = "expected an https URL, because tls_client_auth sends the certificate in the \
                       TLS handshake";
        options.faults.push(target.option(), problem);
    }
    let dpop = options.dpop();
    let store = options.store(credential.as_ref());
    let scope = options.scope();
    let parameters = options.parameters();
    let audience = options.values(table::AUDIENCE, "audience", &parameters);
    let resource = options.values(table::REQUESTED_RESOURCE, "resource", &parameters);
    let headers = options.headers();
    let buffer = options.integer(table::TOKEN_EXPIRY_BUFFER_SECONDS);
    let timeout = options.integer(table::REQUEST_TIMEOUT_MS);
    let background_refresh = options.flag(table::BACKGROUND_REFRESH);
    // Only JavaScript, which keeps the users' tokens, uses this option.
    options.integer(table::MAX_USER_TOKENS);
    // Only JavaScript, which knows the trace context of a call, uses this option.
    options.flag(table::PROPAGATE_TRACE_CONTEXT);
    let name = options.text(table::NAME);
    let has_logger = options.has(table::LOGGER);
    options.logger();
    options.resource();
    let transport = TransportOptions {
        ca: options.text(table::CA).map(|text| text.to_string()),
        ca_file: options.path(table::CA_FILE),
        skip_tls_verify: options.flag(table::SKIP_TLS_VERIFY),
        proxy: options.proxy(),
        token_fetch,
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
            target: target?,
            name: name.map_or_else(|| client_id.clone(), |name| name.to_string()),
            grant: Grant {
                scope,
                audience,
                resource,
                parameters,
                ..Grant::client_credentials(client_id, authentication)
            },
            headers,
            credential: credential?,
            assertion,
            dpop,
            store,
            expiry_buffer: Duration::from_secs(buffer.into()),
            request_timeout: Duration::from_millis(timeout.into()),
            background_refresh,
            has_logger,
        })
    })();
    (config, transport)
}
