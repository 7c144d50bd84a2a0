//! What a manager is configured to do, with every default. Nothing in it needs a further check:
//! `options` makes it of what a user gave.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::oauth::{ClientCredentialsGrant, ClientSecret, TokenEndpoint};

/// `tokenExpiryBufferSeconds`, in seconds.
pub const DEFAULT_EXPIRY_BUFFER: u32 = 60;
/// `requestTimeoutMs`, in milliseconds.
pub const DEFAULT_REQUEST_TIMEOUT: u32 = 15_000;

/// Where the secret comes from.
#[derive(Clone, Debug)]
pub enum Credential {
    /// It was given.
    Secret(Arc<ClientSecret>),
    /// A function of the owning thread gives it.
    Function,
    /// A file holds it.
    File(PathBuf),
}

/// Options that need no further check.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to ask.
    pub endpoint: TokenEndpoint,
    /// What to ask for, and how to prove who asks.
    pub grant: ClientCredentialsGrant,
    /// Where the secret comes from.
    pub credential: Credential,
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
pub struct TrustOptions {
    /// PEM text.
    pub ca: Option<String>,
    /// Path of a PEM file.
    pub ca_file: Option<PathBuf>,
    /// Do not verify.
    pub skip_tls_verify: bool,
}

/// What is allowed but deserves a word in the log, once.
#[must_use]
pub fn warnings(config: &Config, skips_tls_verify: bool) -> Vec<String> {
    let name = config.name.escape_debug();
    let mut warnings = Vec::new();
    if skips_tls_verify && config.endpoint.is_https() {
        warnings.push(format!(
            "Keycloak token manager \"{name}\": the server's certificate is not verified \
             (skipTlsVerify, or NODE_TLS_REJECT_UNAUTHORIZED=0), so anybody on the way can read \
             the client's secret; trust its CA with ca or caFile instead"
        ));
    }
    if config.endpoint.is_plain_to_remote() {
        warnings.push(format!(
            "Keycloak token manager \"{name}\": tokenEndpoint is plain http, so anybody on the \
             way can read the client's secret; use https where the network is not trusted"
        ));
    }
    warnings
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
pub(super) mod tests {
    use zeroize::Zeroizing;

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
            config.endpoint = TokenEndpoint::parse(endpoint).unwrap();
            assert_eq!(warnings(&config, skips).len(), expected, "{name}");
        }
    }
}
