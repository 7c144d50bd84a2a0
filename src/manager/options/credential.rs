//! What the client proves itself with: exactly one credential, and a method that fits.

use std::sync::Arc;

use serde::Serializer as _;
use zeroize::Zeroizing;

use super::{Given, LONE_SURROGATE, Options};
use crate::manager::config::{AssertionSettings, Credential, CredentialFiles, Material, PemSource};
use crate::oauth::{ClientAuthentication, ClientSecret, SigningAlgorithm, SigningKey};
use crate::transport::ClientIdentity;

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

/// What kind of thing a client proves itself with.
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
    /// What the client proves itself with, and what kind of thing that is. Every option is looked
    /// at, whichever counts.
    pub(super) fn credential(&mut self) -> Option<(Proving, Credential)> {
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
    pub(super) fn client_authentication(
        &mut self,
        proving: Option<Proving>,
    ) -> ClientAuthentication {
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

    pub(super) fn assertion(
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
