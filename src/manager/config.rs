//! The configuration of a manager. Nothing in it needs a further check: `options` makes it from the
//! user's options.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::oauth::{
    ClientAssertion, ClientCredentialsGrant, ClientSecret, Issuer, SigningAlgorithm, SigningKey,
    TokenEndpoint,
};
use crate::transport::{ClientIdentity, ProxyUrl};

/// What a client proves itself with.
#[derive(Clone, Debug)]
pub enum Material {
    /// A shared secret.
    Secret(Arc<ClientSecret>),
    /// A private key that signs assertions.
    Key(Arc<SigningKey>),
    /// A certificate and its key.
    Identity(Arc<ClientIdentity>),
    /// An assertion that somebody else signed.
    Assertion(Arc<ClientAssertion>),
}

impl Material {
    /// Whether both are the same, to tell what was rotated from what was read again.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Secret(one), Self::Secret(other)) => one.is_same_as(other),
            (Self::Key(one), Self::Key(other)) => one.is_same_as(other),
            (Self::Identity(one), Self::Identity(other)) => one == other,
            (Self::Assertion(one), Self::Assertion(other)) => one.is_same_as(other),
            _ => false,
        }
    }
}

/// Where it comes from.
#[derive(Clone, Debug)]
pub enum Credential {
    /// It was given.
    Given(Material),
    /// A function of the owning thread gives a secret.
    Function,
    /// Files hold it.
    Files(CredentialFiles),
}

/// Files that hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialFiles {
    /// `clientSecretFile`.
    Secret(PathBuf),
    /// `privateKeyFile`.
    Key(PathBuf),
    /// `clientCertificate` or its file, and `clientKey` or its file; one of them is a file.
    Identity {
        /// The certificate, and those that lead to its authority.
        certificate: PemSource,
        /// Its key.
        key: PemSource,
    },
    /// `clientAssertionFile`.
    Assertion(PathBuf),
}

/// Where PEM comes from.
#[derive(Clone)]
pub enum PemSource {
    /// It was given.
    Given(Arc<Zeroizing<String>>),
    /// A file holds it.
    File(PathBuf),
}

// By the text that was given, as the very same one.
impl PartialEq for PemSource {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Given(one), Self::Given(another)) => Arc::ptr_eq(one, another),
            (Self::File(one), Self::File(another)) => one == another,
            _ => false,
        }
    }
}

impl Eq for PemSource {}

impl Hash for PemSource {
    fn hash<H: Hasher>(&self, state: &mut H) {
        if let Self::File(path) = self {
            path.hash(state);
        }
    }
}

impl PemSource {
    /// How messages call it; `option` is the one that gives it as text.
    #[must_use]
    pub fn name(&self, option: &str) -> String {
        match self {
            Self::Given(_) => option.to_owned(),
            Self::File(path) => name_of_file(&format!("{option}File"), path),
        }
    }
}

/// How messages call the file that an option names.
pub(super) fn name_of_file(option: &str, path: &Path) -> String {
    format!("{option} \"{}\"", path.display().to_string().escape_debug())
}

impl fmt::Debug for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Credential {
    /// How messages call the certificate (`clientCertificate`) or its key (`clientKey`).
    #[must_use]
    pub fn name_of(&self, option: &str) -> String {
        match self {
            Self::Files(CredentialFiles::Identity { certificate, key }) => {
                let source = if option == "clientKey" {
                    key
                } else {
                    certificate
                };
                source.name(option)
            }
            _ => option.to_owned(),
        }
    }
}

/// How assertions are made, as far as the key does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssertionSettings {
    /// The algorithm. `None`: the key's own, or HS256.
    pub algorithm: Option<SigningAlgorithm>,
    /// `kid`. `None`: the key's own, or none.
    pub key_id: Option<String>,
    /// `aud`. `None`: the issuer.
    pub audience: Option<String>,
    /// `client_assertion_type` of an assertion that somebody else signed. `None`: `jwt-bearer`.
    pub kind: Option<Arc<str>>,
}

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// At this endpoint.
    Endpoint(TokenEndpoint),
    /// At the endpoint that the document of this issuer names.
    Issuer(Issuer),
}

impl Target {
    /// The URL that was configured.
    #[must_use]
    pub fn url(&self) -> &TokenEndpoint {
        match self {
            Self::Endpoint(endpoint) => endpoint,
            Self::Issuer(issuer) => issuer.url(),
        }
    }

    /// The token endpoint, if it was configured.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::Endpoint(endpoint) => Some(endpoint),
            Self::Issuer(_) => None,
        }
    }

    /// The option that gave it.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "tokenEndpoint",
            Self::Issuer(_) => "issuer",
        }
    }
}

/// Options that need no further check.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to ask.
    pub target: Target,
    /// What to ask for, and how to prove who asks.
    pub grant: ClientCredentialsGrant,
    /// Where the proof comes from.
    pub credential: Credential,
    /// How assertions are made.
    pub assertion: AssertionSettings,
    /// How long before its end a token is replaced, at most.
    pub expiry_buffer: Duration,
    /// The hard end of one acquisition.
    pub request_timeout: Duration,
    /// Whether a token in use is replaced with nobody waiting.
    pub background_refresh: bool,
    /// The label in log lines and snapshots.
    pub name: String,
    /// Somebody reads log lines.
    pub has_logger: bool,
}

/// What the options say about the transport, as given.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// PEM text.
    pub ca: Option<String>,
    /// Path of a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Do not verify.
    pub skip_tls_verify: bool,
    /// What is between.
    pub proxy: ProxyOption,
}

/// Which proxy to use.
#[derive(Clone, Debug, Default)]
pub enum ProxyOption {
    /// What the environment says.
    #[default]
    Environment,
    /// None.
    Off,
    /// This one.
    Url(ProxyUrl),
}

/// What the log says of a URL without TLS.
pub(super) fn plain_http(what: &str) -> String {
    format!(
        "{what} is plain http, so anybody on the way can read the client's secret and its tokens; \
         use https where the network is not trusted"
    )
}

/// What is allowed but deserves a word in the log, once.
#[must_use]
pub fn warnings(config: &Config, skips_tls_verify: bool) -> Vec<String> {
    let name = config.name.escape_debug();
    let mut warnings = Vec::new();
    let may_be_https = config.target.url().is_https() || matches!(config.target, Target::Issuer(_));
    if skips_tls_verify && may_be_https {
        warnings.push(format!(
            "Keycloak token manager \"{name}\": the server's certificate is not verified \
             (skipTlsVerify, or NODE_TLS_REJECT_UNAUTHORIZED=0), so anybody on the way can read \
             the client's secret; trust its CA with ca or caFile instead"
        ));
    }
    if config.target.url().is_plain_to_remote() {
        let text = plain_http(config.target.option());
        warnings.push(format!("Keycloak token manager \"{name}\": {text}"));
    }
    warnings
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use super::*;
    use crate::manager::options::{Faults, Given, parse};
    use crate::oauth::ClientAuthentication;

    /// A configuration for tests of other files.
    pub(in crate::manager) fn config() -> Config {
        let text = |text: &str| Given::Text(Zeroizing::new(text.to_owned()));
        let given = vec![
            ("tokenEndpoint".to_owned(), text("https://sso.example/realms/r/token")),
            ("clientId".to_owned(), text("portal")),
            ("clientSecret".to_owned(), text("s3cr+t")),
        ];
        let mut faults = Faults::default();
        parse(given, &mut faults).0.unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = config();
        assert_eq!(config.expiry_buffer, Duration::from_mins(1));
        assert_eq!(config.request_timeout, Duration::from_secs(15));
        assert!(config.background_refresh);
        assert_eq!(config.name, "portal");
        assert_eq!(config.grant.authentication, ClientAuthentication::SecretPost);
    }

    #[test]
    fn a_plain_endpoint_and_unverified_certificates_deserve_a_word() {
        let mut config = config();
        for (name, endpoint, skips, expected) in [
            ("https", "https://sso.example/t", false, 0),
            ("https unverified", "https://sso.example/t", true, 1),
            ("http", "http://sso.example/t", false, 1),
            ("http has nothing to verify", "http://sso.example/t", true, 1),
            ("loopback", "http://127.0.0.1:8080/t", false, 0),
        ] {
            config.target = Target::Endpoint(TokenEndpoint::parse(endpoint).unwrap());
            assert_eq!(warnings(&config, skips).len(), expected, "{name}");
        }
    }
}
