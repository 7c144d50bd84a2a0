//! The checked configuration of a manager. `options` creates it from the user's options.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::store::StoreConfig;
use oauth::{
    AnswerError, ClientAssertion, ClientSecret, DpopKey, ExtraHeaders, Grant, GrantType, Issuer,
    SigningAlgorithm, SigningKey, TokenEndpoint, TokenType,
};
use transport::{ClientIdentity, ProxyUrl};

/// The credential of a client.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A shared secret.
    Secret(Arc<ClientSecret>),
    /// A private key that signs assertions.
    Key(Arc<SigningKey>),
    /// A certificate and its key.
    Identity(Arc<ClientIdentity>),
    /// A certificate that the `tokenFetch` function presents.
    HeldByFunction,
    /// An assertion that another program signed.
    Assertion(Arc<ClientAssertion>),
}

impl Credential {
    /// Whether both credentials are equal. The comparison distinguishes a rotated credential from
    /// an unchanged one that the manager has read again.
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

/// The source of the credential.
#[derive(Clone, Debug)]
pub enum CredentialConfig {
    /// The options contain the credential.
    Given(Credential),
    /// A function on the owning thread returns a secret.
    Function,
    /// Files contain the credential.
    Files(CredentialFiles),
}

/// Files that hold a credential.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CredentialFiles {
    /// `clientSecretFile`.
    Secret(PathBuf),
    /// `privateKeyFile`.
    Key(PathBuf),
    /// `clientCertificate` or its file, and `clientKey` or its file. At least one of them is a
    /// file.
    Identity {
        /// The certificate, followed by the intermediate certificates.
        certificate: PemSource,
        /// The private key of the certificate.
        key: PemSource,
    },
    /// `clientAssertionFile`.
    Assertion(PathBuf),
}

impl CredentialFiles {
    /// Returns the names that messages give to the files.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Secret(path) => vec![name_of_file("clientSecretFile", path)],
            Self::Key(path) => vec![name_of_file("privateKeyFile", path)],
            Self::Assertion(path) => vec![name_of_file("clientAssertionFile", path)],
            Self::Identity { certificate, key } => {
                let sources = [(certificate, "clientCertificate"), (key, "clientKey")];
                let files = sources
                    .into_iter()
                    .filter(|(source, _)| matches!(source, PemSource::File(_)));
                files.map(|(source, option)| source.name(option)).collect()
            }
        }
    }
}

/// The source of a PEM text.
#[derive(Clone)]
pub enum PemSource {
    /// The options contain the text.
    Given(Arc<Zeroizing<String>>),
    /// A file contains the text.
    File(PathBuf),
}

// Two texts from the options are equal only if they are the same allocation.
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
    /// Returns the name that messages give to the source. `option` is the option that contains the
    /// PEM text.
    #[must_use]
    pub fn name(&self, option: &str) -> String {
        match self {
            Self::Given(_) => option.to_owned(),
            Self::File(path) => name_of_file(&format!("{option}File"), path),
        }
    }
}

/// Returns the name that messages give to the file of an option.
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

impl CredentialConfig {
    /// Returns the name that messages give to the certificate (`clientCertificate`) or to its key
    /// (`clientKey`).
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

/// The settings for assertions, apart from the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssertionSettings {
    /// The algorithm. `None`: the default algorithm of the key, or HS256 for a secret.
    pub algorithm: Option<SigningAlgorithm>,
    /// `kid`. `None`: the `kid` of the key, if it has one.
    pub key_id: Option<String>,
    /// `aud`. `None`: the issuer.
    pub audience: Option<String>,
    /// `client_assertion_type` of an assertion that another program signed. `None`: `jwt-bearer`.
    pub kind: Option<Arc<str>>,
}

/// The DPoP key of a configuration (RFC 9449).
#[derive(Clone, Debug)]
pub struct DpopConfig {
    /// The key.
    pub key: Arc<DpopKey>,
    /// Whether the manager created the key.
    pub is_generated: bool,
}

impl PartialEq for DpopConfig {
    fn eq(&self, other: &Self) -> bool {
        self.key.thumbprint() == other.key.thumbprint()
    }
}

impl Eq for DpopConfig {}

/// The server that receives the token requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The token endpoint.
    Endpoint(TokenEndpoint),
    /// The issuer, whose discovery document names the endpoint.
    Issuer(Issuer),
}

impl Target {
    /// Returns the configured URL.
    #[must_use]
    pub fn url(&self) -> &TokenEndpoint {
        match self {
            Self::Endpoint(endpoint) => endpoint,
            Self::Issuer(issuer) => issuer.url(),
        }
    }

    /// Returns the token endpoint, if the options name it.
    #[must_use]
    pub const fn endpoint(&self) -> Option<&TokenEndpoint> {
        match self {
            Self::Endpoint(endpoint) => Some(endpoint),
            Self::Issuer(_) => None,
        }
    }

    /// Returns the name of the option that sets the server.
    #[must_use]
    pub const fn option(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "tokenEndpoint",
            Self::Issuer(_) => "issuer",
        }
    }
}

/// The checked options.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server.
    pub target: Target,
    /// The grant to request, and the client's authentication method.
    pub grant: Grant,
    /// Additional headers of token and discovery requests.
    pub headers: ExtraHeaders,
    /// The source of the credential.
    pub credential: CredentialConfig,
    /// The settings for assertions.
    pub assertion: AssertionSettings,
    /// The key to which the server binds tokens. `None`: the manager requests bearer tokens.
    pub dpop: Option<DpopConfig>,
    /// The store in which replicas share tokens. `None`: each replica requests its own token.
    pub store: Option<StoreConfig>,
    /// The maximum time before expiry at which the manager replaces a token.
    pub expiry_buffer: Duration,
    /// The time limit for one acquisition.
    pub request_timeout: Duration,
    /// Whether the manager refreshes a token in use in the background.
    pub background_refresh: bool,
    /// The label in log lines and snapshots.
    pub name: String,
    /// Whether a logger receives log lines.
    pub has_logger: bool,
}

impl Config {
    /// Whether the manager shares the tokens of this grant through the store. It shares no token
    /// that is bound to a generated key. It shares no token for which a function provides the
    /// assertion, because only the assertion shows whose token it is. It shares users' tokens only
    /// if the options allow it.
    #[must_use]
    pub fn shares(&self, grant_type: &GrantType) -> bool {
        let is_bound = self.dpop.as_ref().is_some_and(|dpop| dpop.is_generated);
        self.store.as_ref().is_some_and(|store| {
            !is_bound
                && !grant_type.wants_assertion()
                && (store.stores_user_tokens || grant_type.subject().is_none())
        })
    }

    /// Returns the type of the tokens that the manager requests.
    #[must_use]
    pub const fn token_type(&self) -> TokenType {
        match self.dpop {
            Some(_) => TokenType::Dpop,
            None => TokenType::Bearer,
        }
    }

    /// Keeps the generated key of an earlier configuration, because the held token is bound to this
    /// key.
    #[must_use]
    pub(super) fn with_key_of(mut self, earlier: &Self) -> Self {
        if let (Some(dpop), Some(earlier)) = (&mut self.dpop, &earlier.dpop)
            && dpop.is_generated
            && earlier.is_generated
        {
            dpop.clone_from(earlier);
        }
        self
    }

    /// Returns the likely cause if the server refuses `credential`: a clause that names the option
    /// and does not reveal the value.
    #[must_use]
    pub fn flaw_of(&self, credential: &Credential, error: &AnswerError) -> Option<String> {
        let is_refused = error.is_client_refusal();
        let flaw = match credential {
            Credential::Secret(secret) if is_refused => secret.flaw(self.grant.authentication),
            Credential::Assertion(assertion) if is_refused => assertion.flaw(),
            Credential::Assertion(assertion) if error.is_too_large() => assertion.excess(),
            _ => None,
        };
        let name = match &self.credential {
            CredentialConfig::Files(CredentialFiles::Secret(path)) => {
                name_of_file("clientSecretFile", path)
            }
            CredentialConfig::Files(CredentialFiles::Assertion(path)) => {
                name_of_file("clientAssertionFile", path)
            }
            CredentialConfig::Function => "the result of the clientSecret function".to_owned(),
            _ => "clientSecret".to_owned(),
        };
        flaw.map(|flaw| format!("{name} {flaw}"))
    }
}

/// The options of the transport, as the user passed them.
#[derive(Clone, Debug, Default)]
pub struct TransportOptions {
    /// PEM certificates.
    pub ca: Option<String>,
    /// The path of a file that contains PEM certificates.
    pub ca_file: Option<PathBuf>,
    /// Whether the transport accepts any certificate.
    pub skip_tls_verify: bool,
    /// The proxy to use.
    pub proxy: ProxyOption,
    /// Whether JavaScript sends the requests.
    pub token_fetch: bool,
}

/// The choice of a proxy.
#[derive(Clone, Debug, Default)]
pub enum ProxyOption {
    /// The proxy set in the environment.
    #[default]
    Environment,
    /// No proxy.
    Off,
    /// This proxy.
    Url(ProxyUrl),
}

/// Returns the warning about a URL without TLS.
pub(super) fn plain_http(what: &str) -> String {
    format!(
        "{what} uses plain http, so an attacker on the network path can read the client's secret \
         and tokens; use https unless you trust the network"
    )
}

/// Returns the warnings to log once, about settings that are allowed but risky.
#[must_use]
pub fn warnings(config: &Config, skips_tls_verify: bool) -> Vec<String> {
    let name = config.name.escape_debug();
    let mut warnings = Vec::new();
    let may_be_https = config.target.url().is_https() || matches!(config.target, Target::Issuer(_));
    if skips_tls_verify && may_be_https {
        warnings.push(format!(
            "Keycloak token manager \"{name}\": the manager does not verify the server's \
             certificate (skipTlsVerify, or NODE_TLS_REJECT_UNAUTHORIZED=0), so an attacker on the \
             network path can read the client's secret and tokens; set ca or caFile instead"
        ));
    }
    if config.target.url().is_plain_to_remote() {
        let text = plain_http(config.target.option());
        warnings.push(format!("Keycloak token manager \"{name}\": {text}"));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Faults, Given, parse};

    fn config() -> Config {
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
    fn a_plain_endpoint_and_unverified_certificates_cause_a_warning() {
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
