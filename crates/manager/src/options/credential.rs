//! Parses the client's credential and an authentication method that fits it.

use std::sync::Arc;

use serde::Serializer as _;
use zeroize::Zeroizing;

use super::generic::{FilePath, Text};
use super::{Given, LONE_SURROGATE, Options, table};
use crate::config::{AssertionSettings, Credential, CredentialConfig, CredentialFiles, PemSource};
use oauth::{ClientAuthentication, ClientSecret, SigningAlgorithm, SigningKey};
use transport::ClientIdentity;

/// The options for a client certificate, which together form one credential.
const IDENTITY: [&str; 4] = [
    table::CLIENT_CERTIFICATE.name,
    table::CLIENT_CERTIFICATE_FILE.name,
    table::CLIENT_KEY.name,
    table::CLIENT_KEY_FILE.name,
];
/// The credentials: for each, its label in messages and the options that contain it.
const CREDENTIALS: [(&str, &[&str]); 6] = [
    (table::CLIENT_SECRET, &[table::CLIENT_SECRET]),
    (table::CLIENT_SECRET_FILE.name, &[table::CLIENT_SECRET_FILE.name]),
    (table::PRIVATE_KEY, &[table::PRIVATE_KEY]),
    (table::PRIVATE_KEY_FILE.name, &[table::PRIVATE_KEY_FILE.name]),
    ("clientCertificate with clientKey", &IDENTITY),
    (table::CLIENT_ASSERTION_FILE.name, &[table::CLIENT_ASSERTION_FILE.name]),
];
/// The capacity of the buffer for a JSON Web Key, enough for a 4096-bit RSA key: a buffer that grew
/// would leave a copy of the key in freed memory.
const ROOM_FOR_KEY: usize = 8 * 1024;

/// The kinds of credentials.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proving {
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

impl Options<'_> {
    /// Returns the credential and its kind. Checks every option, including options without effect.
    pub(super) fn credential(
        &mut self,
        has_token_fetch: bool,
    ) -> Option<(Proving, CredentialConfig)> {
        let given: Vec<_> = CREDENTIALS
            .iter()
            .filter(|(_, names)| names.iter().any(|name| self.has(name)))
            .map(|(label, _)| *label)
            .collect();
        if given.is_empty() && has_token_fetch && self.asks_for_tls_client_auth() {
            let credential = CredentialConfig::Given(Credential::HeldByFunction);
            return Some((Proving::Identity, credential));
        }
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
        let files = |files: CredentialFiles| CredentialConfig::Files(files);
        let secret = self.secret();
        let secret_file = self
            .path(table::CLIENT_SECRET_FILE)
            .map(CredentialFiles::Secret);
        let key = self.private_key();
        let key_file = self.path(table::PRIVATE_KEY_FILE).map(CredentialFiles::Key);
        let identity = self.identity();
        let assertion_file = self.path(table::CLIENT_ASSERTION_FILE);
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

    fn asks_for_tls_client_auth(&self) -> bool {
        let name = ClientAuthentication::TlsClientAuth.as_str();
        let is_it = |(key, value): &(String, Given)| {
            key == table::CLIENT_AUTHENTICATION
                && matches!(value, Given::Text(text) if text.as_str() == name)
        };
        self.given.iter().any(is_it)
    }

    fn secret(&mut self) -> Option<CredentialConfig> {
        match self.take(table::CLIENT_SECRET)? {
            Given::Function => Some(CredentialConfig::Function),
            Given::Text(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
                self.faults.push(table::CLIENT_SECRET, LONE_SURROGATE);
                None
            }
            Given::Text(text) if !text.is_empty() => ClientSecret::new(text.as_str().to_owned())
                .map(|secret| CredentialConfig::Given(Credential::Secret(Arc::new(secret)))),
            other => {
                let expected = "a non-empty string or a function that returns one";
                self.faults.expected(table::CLIENT_SECRET, expected, &other);
                None
            }
        }
    }

    fn private_key(&mut self) -> Option<CredentialConfig> {
        let key = self.signing_key(table::PRIVATE_KEY)?;
        Some(CredentialConfig::Given(Credential::Key(Arc::new(key))))
    }

    /// Returns the private key in an option, given as PEM or as a JSON Web Key.
    pub(super) fn signing_key(&mut self, name: &str) -> Option<SigningKey> {
        let text = match self.take(name)? {
            Given::Text(text) if !text.is_empty() => text,
            Given::Record(members) => json_of(members),
            other => {
                let expected = "a PEM private key or a JSON Web Key";
                self.faults.expected(name, expected, &other);
                return None;
            }
        };
        let key = SigningKey::parse(&text);
        key.map_err(|fault| self.faults.push(name, &fault.to_string()))
            .ok()
    }

    fn identity(&mut self) -> Option<CredentialConfig> {
        if !IDENTITY.iter().any(|name| self.has(name)) {
            return None;
        }
        let certificate = self.pem(table::CLIENT_CERTIFICATE, table::CLIENT_CERTIFICATE_FILE);
        let key = self.pem(table::CLIENT_KEY, table::CLIENT_KEY_FILE);
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
            Ok(Some(identity)) => {
                Some(CredentialConfig::Given(Credential::Identity(Arc::new(identity))))
            }
            Ok(None) => {
                let files = CredentialFiles::Identity { certificate, key };
                Some(CredentialConfig::Files(files))
            }
            Err(fault) => {
                let (option, detail) = fault.describe();
                self.faults.push(option, &detail);
                None
            }
        }
    }

    /// Returns the source of a PEM text: either the text itself or a file.
    fn pem(&mut self, inline: Text, file: FilePath) -> Option<PemSource> {
        let both = format!("{}, {}", inline.name, file.name);
        match (self.has(inline.name), self.has(file.name)) {
            (true, true) => self
                .faults
                .push(&both, "expected exactly one of them, but both are given"),
            (false, false) => self
                .faults
                .push(&both, "expected one of them; set a client certificate and its key together"),
            _ => {}
        }
        let text = self.text(inline);
        let path = self.path(file);
        text.map(|text| PemSource::Given(Arc::new(text)))
            .or(path.map(PemSource::File))
    }

    /// Returns the configured method if it fits the credential, or the credential's default method.
    pub(super) fn client_authentication(
        &mut self,
        proving: Option<Proving>,
    ) -> ClientAuthentication {
        const NAME: &str = table::CLIENT_AUTHENTICATION;
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
                .push(NAME, &format!("'{method}' requires {options}"));
        }
        method
    }

    pub(super) fn assertion(
        &mut self,
        method: ClientAuthentication,
        credential: Option<&CredentialConfig>,
    ) -> AssertionSettings {
        let is_signed_here =
            matches!(method, ClientAuthentication::PrivateKeyJwt | ClientAuthentication::SecretJwt);
        let is_from_file = method == ClientAuthentication::AssertionFile;
        for (names, fits, methods) in [
            (
                &[table::KEY_ID.name, table::SIGNING_ALGORITHM, table::ASSERTION_AUDIENCE.name][..],
                is_signed_here,
                "private_key_jwt and client_secret_jwt",
            ),
            (&[table::CLIENT_ASSERTION_TYPE.name], is_from_file, "clientAssertionFile"),
        ] {
            for name in names {
                // Without a usable credential, the parser cannot know which methods fit.
                if self.has(name) && !fits && credential.is_some() {
                    let problem = format!("this option applies only to {methods}");
                    self.faults.push(name, &problem);
                }
            }
        }
        let text = |text: Zeroizing<String>| text.to_string();
        AssertionSettings {
            algorithm: self.signing_algorithm(method, credential),
            key_id: self.text(table::KEY_ID).map(text),
            audience: self.text(table::ASSERTION_AUDIENCE).map(text),
            kind: self
                .text(table::CLIENT_ASSERTION_TYPE)
                .map(|text| Arc::from(text.as_str())),
        }
    }

    fn signing_algorithm(
        &mut self,
        method: ClientAuthentication,
        credential: Option<&CredentialConfig>,
    ) -> Option<SigningAlgorithm> {
        const NAME: &str = table::SIGNING_ALGORITHM;
        let known = match method {
            ClientAuthentication::SecretJwt => &SigningAlgorithm::OF_SECRETS[..],
            _ => &SigningAlgorithm::OF_KEYS,
        };
        let names = known.iter().map(|known| known.as_str()).collect::<Vec<_>>();
        let expected = format!("one of {}", names.join(", "));
        if let Some(CredentialConfig::Given(Credential::Key(key))) = credential
            && !self.has(NAME)
            && let Some(fault) = key.algorithm_fault()
        {
            self.faults.push("privateKey", &fault);
        }
        let text = self.non_empty(NAME, &expected)?;
        let Some(algorithm) = known.iter().find(|known| known.as_str() == text.as_str()) else {
            self.faults
                .push(NAME, &format!("expected {expected}, got another string"));
            return None;
        };
        if let Some(CredentialConfig::Given(Credential::Key(key))) = credential
            && !key.fits(*algorithm)
        {
            let problem = format!(
                "{} does not fit this key, which can only sign with {}",
                algorithm.as_str(),
                key.algorithms()
            );
            self.faults.push(NAME, &problem);
        }
        Some(*algorithm)
    }
}

/// Writes the members of a JSON Web Key as JSON. Omits members that are not strings, because
/// signing needs none of them.
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
