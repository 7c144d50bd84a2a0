//! The options, parsed once: every bound stands here and nowhere else.
//!
//! What a user gave arrives as named [`Given`] values; what comes out needs no further check. All
//! faults are found before any is reported, and none repeats a value: it might be a secret.

mod credential;
mod resource;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::config::{
    Config, DEFAULT_EXPIRY_BUFFER, DEFAULT_REQUEST_TIMEOUT, ProxyOption, Target, TransportOptions,
};
use super::error::{Error, ErrorKind};
use crate::oauth::{
    ClientAuthentication, ClientCredentialsGrant, Issuer, RESERVED_PARAMETERS, Scope, TokenEndpoint,
};
use crate::transport::ProxyUrl;

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

    fn target(&mut self) -> Option<Target> {
        const NAMES: &str = "tokenEndpoint, issuer";
        const EXPECTED: &str = "an absolute http or https URL";
        match (self.has("tokenEndpoint"), self.has("issuer")) {
            (true, true) => {
                let problem = "expected exactly one of them, but both are given";
                self.faults.push(NAMES, problem);
            }
            (false, false) => {
                let problem = "expected one of them, an absolute http or https URL, but both are \
                               missing";
                self.faults.push(NAMES, problem);
            }
            _ => {}
        }
        let endpoint = self.parsed("tokenEndpoint", EXPECTED, TokenEndpoint::parse);
        let issuer = self.parsed("issuer", EXPECTED, Issuer::parse);
        endpoint
            .map(Target::Endpoint)
            .or(issuer.map(Target::Issuer))
    }

    /// A string that is read by `parse`.
    fn parsed<V, F: fmt::Display>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<V, F>,
    ) -> Option<V> {
        let text = self.text(name, expected)?;
        parse(&text)
            .map_err(|fault| self.faults.push(name, &fault.to_string()))
            .ok()
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

    fn proxy(&mut self) -> ProxyOption {
        const NAME: &str = "proxy";
        const EXPECTED: &str = "an absolute http, https or socks5 URL of a proxy, or false";
        match self.take(NAME) {
            None => ProxyOption::Environment,
            Some(Given::Flag(false)) => ProxyOption::Off,
            Some(Given::Text(text)) if !text.is_empty() => match ProxyUrl::parse(&text) {
                Ok(url) => ProxyOption::Url(url),
                Err(fault) => {
                    self.faults.push(NAME, &fault.to_string());
                    ProxyOption::Off
                }
            },
            Some(other) => {
                self.faults.expected(NAME, EXPECTED, &other);
                ProxyOption::Off
            }
        }
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

/// Parses the options. `None` goes with at least one fault.
#[must_use]
pub fn parse(
    given: Vec<(String, Given)>,
    faults: &mut Faults,
) -> (Option<Config>, TransportOptions) {
    let mut options = Options { given, faults };
    let target = options.target();
    let client_id = options.client_id();
    let (proving, credential) = options.credential().unzip();
    let authentication = options.client_authentication(proving);
    let assertion = options.assertion(authentication, credential.as_ref());
    if authentication == ClientAuthentication::TlsClientAuth
        && let Some(target) = target.as_ref().filter(|target| !target.url().is_https())
    {
        let problem = "expected an https URL, since a certificate is shown when TLS begins";
        options.faults.push(target.option(), problem);
    }
    let scope = options.scope();
    let parameters = options.parameters();
    let buffer = options.integer("tokenExpiryBufferSeconds", 0, DEFAULT_EXPIRY_BUFFER);
    let timeout = options.integer("requestTimeoutMs", 1, DEFAULT_REQUEST_TIMEOUT);
    let background_refresh = options.flag("backgroundRefresh", true);
    let name = options.text("name", "a non-empty string");
    let has_logger = options.has("logger");
    options.logger();
    options.resource();
    let transport = TransportOptions {
        ca: options
            .text("ca", "certificates in PEM, a non-empty string")
            .map(|t| t.to_string()),
        ca_file: options.path("caFile"),
        skip_tls_verify: options.flag("skipTlsVerify", false),
        proxy: options.proxy(),
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
            grant: ClientCredentialsGrant {
                client_id,
                authentication,
                scope,
                parameters,
            },
            credential: credential?,
            assertion,
            expiry_buffer: Duration::from_secs(buffer.into()),
            request_timeout: Duration::from_millis(timeout.into()),
            background_refresh,
            has_logger,
        })
    })();
    (config, transport)
}
