//! The options, parsed once: every bound stands here and nowhere else.
//!
//! What a user gave arrives as named [`Given`] values; what comes out needs no further check. All
//! faults are found before any is reported, and none repeats a value: it might be a secret.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serializer as _;
use zeroize::Zeroizing;

use super::config::{
    AssertionSettings, Config, Credential, CredentialFiles, DEFAULT_EXPIRY_BUFFER,
    DEFAULT_REQUEST_TIMEOUT, Material, PemSource, ProxyOption, Target, TransportOptions,
};
use super::error::{Error, ErrorKind};
use crate::oauth::{
    ClientAuthentication, ClientCredentialsGrant, ClientSecret, Issuer, RESERVED_PARAMETERS, Scope,
    SigningAlgorithm, SigningKey, TokenEndpoint,
};
use crate::transport::{ClientIdentity, ProxyUrl};

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
/// The credentials, by the label that messages have for each and the options that give it.
const CREDENTIALS: [(&str, &[&str]); 6] = [
    ("clientSecret", &["clientSecret"]),
    ("clientSecretFile", &["clientSecretFile"]),
    ("privateKey", &["privateKey"]),
    ("privateKeyFile", &["privateKeyFile"]),
    (
        "clientCertificate with clientKey",
        &["clientCertificate", "clientCertificateFile", "clientKey", "clientKeyFile"],
    ),
    ("clientAssertionFile", &["clientAssertionFile"]),
];
/// A JSON Web Key of RSA 4096 fits in.
const ROOM_FOR_KEY: usize = 8 * 1024;
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

/// What kind of thing a client proves itself with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proving {
    Secret,
    Key,
    Identity,
    Assertion,
}

impl Proving {
    const fn of(method: ClientAuthentication) -> Self {
        match method {
            ClientAuthentication::SecretPost
            | ClientAuthentication::SecretBasic
            | ClientAuthentication::SecretJwt => Self::Secret,
            ClientAuthentication::PrivateKeyJwt => Self::Key,
            ClientAuthentication::TlsClientAuth => Self::Identity,
            ClientAuthentication::AssertionFile => Self::Assertion,
        }
    }

    const fn default_method(self) -> ClientAuthentication {
        match self {
            Self::Secret => ClientAuthentication::SecretPost,
            Self::Key => ClientAuthentication::PrivateKeyJwt,
            Self::Identity => ClientAuthentication::TlsClientAuth,
            Self::Assertion => ClientAuthentication::AssertionFile,
        }
    }

    const fn options(self) -> &'static str {
        match self {
            Self::Secret => "clientSecret or clientSecretFile",
            Self::Key => "privateKey or privateKeyFile",
            Self::Identity => "clientCertificate and clientKey, or their files",
            Self::Assertion => "clientAssertionFile",
        }
    }
}

/// A JSON Web Key that was given as an object. Its members that are no strings matter to nobody here.
fn json_of(members: Vec<(String, Given)>) -> Zeroizing<String> {
    let texts: Vec<_> = members
        .into_iter()
        .filter_map(|(name, value)| match value {
            Given::Text(text) => Some((name, text)),
            _ => None,
        })
        .collect();
    let members = texts.iter().map(|(name, text)| (name, text.as_str()));
    let mut json = Zeroizing::new(Vec::with_capacity(ROOM_FOR_KEY));
    let mut writer = serde_json::Serializer::new(&mut *json);
    // Writing strings into memory cannot fail.
    let _ = writer.collect_map(members);
    Zeroizing::new(String::from_utf8_lossy(&json).into_owned())
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

    /// What the client proves itself with, and what kind of thing that is. Every option is looked
    /// at, whichever counts.
    fn credential(&mut self) -> Option<(Proving, Credential)> {
        let given: Vec<_> = CREDENTIALS
            .iter()
            .filter(|(_, names)| names.iter().any(|name| self.has(name)))
            .map(|(label, _)| *label)
            .collect();
        if given.len() != 1 {
            let all = CREDENTIALS.map(|(label, _)| label).join(", ");
            let problem = if given.is_empty() {
                "none is given".to_owned()
            } else {
                format!("{} are given", given.join(" and "))
            };
            self.faults
                .push(&all, &format!("expected exactly one of them, but {problem}"));
        }
        let files = |files: CredentialFiles| Credential::Files(files);
        let secret = self.secret();
        let secret_file = self.path("clientSecretFile").map(CredentialFiles::Secret);
        let key = self.private_key();
        let key_file = self.path("privateKeyFile").map(CredentialFiles::Key);
        let identity = self.identity();
        let assertion_file = self.path("clientAssertionFile");
        let assertion_file = assertion_file.map(CredentialFiles::Assertion);
        [
            (Proving::Secret, secret.or(secret_file.map(files))),
            (Proving::Key, key.or(key_file.map(files))),
            (Proving::Identity, identity),
            (Proving::Assertion, assertion_file.map(files)),
        ]
        .into_iter()
        .find_map(|(kind, credential)| Some((kind, credential?)))
    }

    fn secret(&mut self) -> Option<Credential> {
        match self.take("clientSecret")? {
            Given::Function => Some(Credential::Function),
            Given::Text(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
                self.faults.push("clientSecret", LONE_SURROGATE);
                None
            }
            Given::Text(text) if !text.is_empty() => ClientSecret::new(text.as_str().to_owned())
                .map(|secret| Credential::Given(Material::Secret(Arc::new(secret)))),
            other => {
                let expected = "a non-empty string or a function that gives one";
                self.faults.expected("clientSecret", expected, &other);
                None
            }
        }
    }

    fn private_key(&mut self) -> Option<Credential> {
        const NAME: &str = "privateKey";
        let text = match self.take(NAME)? {
            Given::Text(text) if !text.is_empty() => text,
            Given::Record(members) => json_of(members),
            other => {
                let expected = "a private key in PEM or a JSON Web Key";
                self.faults.expected(NAME, expected, &other);
                return None;
            }
        };
        match SigningKey::parse(&text) {
            Ok(key) => Some(Credential::Given(Material::Key(Arc::new(key)))),
            Err(fault) => {
                self.faults.push(NAME, &fault.to_string());
                None
            }
        }
    }

    fn identity(&mut self) -> Option<Credential> {
        let names = ["clientCertificate", "clientCertificateFile", "clientKey", "clientKeyFile"];
        if !names.iter().any(|name| self.has(name)) {
            return None;
        }
        let certificate = self.pem("clientCertificate", "clientCertificateFile");
        let key = self.pem("clientKey", "clientKeyFile");
        let (certificate, key) = (certificate?, key?);
        let checked = match (&certificate, &key) {
            (PemSource::Given(certificate), PemSource::Given(key)) => {
                ClientIdentity::parse(certificate, key).map(Some)
            }
            (PemSource::Given(certificate), PemSource::File(_)) => {
                ClientIdentity::check_certificate(certificate).map(|()| None)
            }
            (PemSource::File(_), PemSource::Given(key)) => {
                ClientIdentity::check_key(key).map(|()| None)
            }
            _ => Ok(None),
        };
        match checked {
            Ok(Some(identity)) => Some(Credential::Given(Material::Identity(Arc::new(identity)))),
            Ok(None) => {
                let files = CredentialFiles::Identity { certificate, key };
                Some(Credential::Files(files))
            }
            Err(fault) => {
                let (option, detail) = fault.describe();
                self.faults.push(option, &detail);
                None
            }
        }
    }

    /// PEM, or a file of it; exactly one of the two.
    fn pem(&mut self, name: &str, file: &str) -> Option<PemSource> {
        let both = format!("{name}, {file}");
        match (self.has(name), self.has(file)) {
            (true, true) => self
                .faults
                .push(&both, "expected exactly one of them, but both are given"),
            (false, false) => self.faults.push(
                &both,
                "expected one of them, since a certificate and its key belong together",
            ),
            _ => {}
        }
        let text = self.text(name, "PEM, a non-empty string");
        let path = self.path(file);
        text.map(|text| PemSource::Given(Arc::new(text)))
            .or(path.map(PemSource::File))
    }

    /// The method: as asked for if it fits the credential, or the one that goes with that.
    fn client_authentication(&mut self, proving: Option<Proving>) -> ClientAuthentication {
        const NAME: &str = "clientAuthentication";
        let names = ClientAuthentication::ALL.map(|method| format!("'{}'", method.as_str()));
        let expected = format!("one of {}", names.join(", "));
        let default = proving.unwrap_or(Proving::Secret).default_method();
        let method = match self.take(NAME) {
            None => return default,
            Some(Given::Text(text)) => ClientAuthentication::parse(&text).or_else(|| {
                self.faults
                    .push(NAME, &format!("expected {expected}, got another string"));
                None
            }),
            Some(other) => {
                self.faults.expected(NAME, &expected, &other);
                None
            }
        };
        let Some(method) = method else { return default };
        let needed = Proving::of(method);
        if proving.is_some_and(|proving| proving != needed) {
            let (method, options) = (method.as_str(), needed.options());
            self.faults
                .push(NAME, &format!("'{method}' goes with {options}"));
        }
        method
    }

    fn assertion(
        &mut self,
        method: ClientAuthentication,
        credential: Option<&Credential>,
    ) -> AssertionSettings {
        let is_signed_here =
            matches!(method, ClientAuthentication::PrivateKeyJwt | ClientAuthentication::SecretJwt);
        let is_from_file = method == ClientAuthentication::AssertionFile;
        for (name, fits, goes_with) in [
            ("keyId", is_signed_here, "private_key_jwt and client_secret_jwt"),
            ("signingAlgorithm", is_signed_here, "private_key_jwt and client_secret_jwt"),
            ("assertionAudience", is_signed_here, "private_key_jwt and client_secret_jwt"),
            ("clientAssertionType", is_from_file, "clientAssertionFile"),
        ] {
            if self.has(name) && !fits {
                self.faults
                    .push(name, &format!("it goes with {goes_with} only"));
            }
        }
        let text = |text: Zeroizing<String>| text.to_string();
        AssertionSettings {
            algorithm: self.signing_algorithm(method, credential),
            key_id: self.text("keyId", "a non-empty string").map(text),
            audience: self
                .text("assertionAudience", "a non-empty string")
                .map(text),
            kind: self
                .text("clientAssertionType", "a URN, a non-empty string")
                .map(|text| Arc::from(text.as_str())),
        }
    }

    fn signing_algorithm(
        &mut self,
        method: ClientAuthentication,
        credential: Option<&Credential>,
    ) -> Option<SigningAlgorithm> {
        const NAME: &str = "signingAlgorithm";
        let known = match method {
            ClientAuthentication::SecretJwt => &SigningAlgorithm::OF_SECRETS[..],
            _ => &SigningAlgorithm::OF_KEYS,
        };
        let names = known.iter().map(|known| known.as_str()).collect::<Vec<_>>();
        let expected = format!("one of {}", names.join(", "));
        let text = self.text(NAME, &expected)?;
        let Some(algorithm) = known.iter().find(|known| known.as_str() == text.as_str()) else {
            self.faults
                .push(NAME, &format!("expected {expected}, got another string"));
            return None;
        };
        if let Some(Credential::Given(Material::Key(key))) = credential
            && !key.fits(*algorithm)
        {
            let own = key.default_algorithm().as_str();
            self.faults
                .push(NAME, &format!("the private key signs with {own}, not so"));
        }
        Some(*algorithm)
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
        const EXPECTED: &str = "an absolute http or https URL of a proxy, or false";
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
