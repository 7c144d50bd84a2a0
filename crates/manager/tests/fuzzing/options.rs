//! The target for the options. Each line of an input has a name, a type and a value, such as
//! `clientId t portal`. The types are text (`t`), number (`n`), boolean (`b`), function (`f`), list
//! of texts (`l`), record of texts (`r`) and other (`o`).
//!
//! A text that contains `Xq` is one of the user's secrets: no fault may repeat it.

use std::sync::Arc;
use std::time::Duration;

use manager::config::{Config, Credential, CredentialConfig};
use manager::options::{Faults, Given, parse};
use oauth::{
    ClientAuthentication, ClientProof, ClientSecret, RESERVED_PARAMETERS, Scope, TokenEndpoint,
};
use url::form_urlencoded;
use zeroize::Zeroizing;

const MARK: &str = "Xq";

/// Parses one set of options.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut names: Vec<&str> = Vec::new();
    let mut given = Vec::new();
    for line in text.split('\n') {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        // A JavaScript object has each name at most once.
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
            given.push((unmarked(name), read(value)));
        }
    }
    let mut faults = Faults::default();
    let (config, trust) = parse(given, &mut faults);
    let is_complete = config.is_some();
    let error = faults.into_error();
    assert!(is_complete || error.is_some(), "an incomplete configuration has a fault");
    if let Some(error) = &error {
        let message = &error.details().message;
        assert!(!message.contains(MARK), "{message}");
        assert!(message.chars().all(|char| matches!(char, ' '..='~' | '§')), "{message:?}");
    }
    let shown =
        format!("{:?}{:?}", config.as_ref().map(|config| &config.credential), trust.ca_file);
    if !text.contains("File") {
        assert!(!shown.contains(MARK), "{shown}");
    }
    if let (Some(config), None) = (config, error) {
        check(&config);
    }
}

/// Removes the mark from a name. Faults show the names of options, which are not secret.
fn unmarked(name: &str) -> String {
    name.replace('X', "x")
}

fn text(text: &str) -> Given {
    Given::Text(Zeroizing::new(text.to_owned()))
}

fn read(value: &str) -> Given {
    let (kind, value) = value.split_once(' ').unwrap_or((value, ""));
    match kind {
        "n" => Given::Number(value.parse().unwrap_or(f64::NAN)),
        "b" => Given::Flag(value == "true"),
        "f" => Given::Function,
        "l" => Given::List(value.split(',').map(text).collect()),
        "r" => Given::Record(value.split(',').map(member).collect()),
        "o" => Given::Other("a symbol"),
        _ => text(value),
    }
}

fn member(written: &str) -> (String, Given) {
    let (name, value) = written.split_once('=').unwrap_or((written, "()"));
    let value = match value {
        "()" => Given::Function,
        "0" => Given::Number(0.0),
        value => text(value),
    };
    (unmarked(name), value)
}

/// Checks that parsed options need no further check.
fn check(config: &Config) {
    let endpoint = config.target.url();
    assert!(matches!(endpoint.url().scheme(), "http" | "https"));
    assert!(
        endpoint
            .url()
            .host_str()
            .is_some_and(|host| !host.is_empty())
    );
    assert!(endpoint.url().username().is_empty() && endpoint.url().password().is_none());
    assert!(endpoint.url().fragment().is_none());
    assert!(!endpoint.shown().contains('?'));
    assert!(
        endpoint
            .as_str()
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~'))
    );
    assert_eq!(TokenEndpoint::parse(endpoint.as_str()).as_ref(), Ok(endpoint));
    let (scheme, rest) = endpoint
        .origin()
        .split_once("://")
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(scheme == "https", endpoint.is_https());
    assert!(
        rest.rsplit(':')
            .next()
            .is_some_and(|port| port.parse::<u16>().is_ok()),
        "{rest}"
    );
    assert!(!config.grant.client_id.is_empty() && !config.name.is_empty());
    assert!(config.request_timeout >= Duration::from_millis(1));
    assert!(config.request_timeout <= Duration::from_millis(u32::MAX.into()));
    assert!(config.expiry_buffer <= Duration::from_secs(u32::MAX.into()));
    assert_eq!(config.expiry_buffer.subsec_nanos(), 0);
    if let Some(scope) = &config.grant.scope {
        assert_eq!(Scope::parse(scope.as_str()).as_ref(), Some(scope));
    }
    if let CredentialConfig::Given(Credential::Secret(secret)) = &config.credential {
        check_request(config, secret);
    }
}

/// Checks that the form contains each reserved field at most once, all parameters of the options,
/// and the secret only if no header carries it.
fn check_request(config: &Config, secret: &Arc<ClientSecret>) {
    let secret = Arc::clone(secret);
    let proof = match config.grant.authentication {
        ClientAuthentication::SecretBasic => ClientProof::SecretBasic(Arc::clone(&secret)),
        ClientAuthentication::SecretPost => ClientProof::SecretPost(Arc::clone(&secret)),
        _ => return,
    };
    let request = config.grant.request(config.target.url(), &proof);
    let body = request.body.clone().unwrap();
    assert!(body.is_ascii());
    if let Some(authorization) = &request.authorization {
        let is_visible = |byte| matches!(byte, b' '..=b'~');
        assert!(authorization.bytes().all(is_visible));
    }
    let fields: Vec<_> = form_urlencoded::parse(&body).collect();
    for name in RESERVED_PARAMETERS {
        assert!(fields.iter().filter(|(key, _)| key == name).count() <= 1, "{name}");
    }
    let has = |name: &str, value: &str| fields.iter().any(|(n, v)| n == name && v == value);
    assert!(has("grant_type", "client_credentials"));
    assert_eq!(has("client_secret", secret.expose()), request.authorization.is_none());
    for (name, value) in &config.grant.parameters {
        assert!(has(name, value));
    }
    assert!(!format!("{request:?}").contains(&*String::from_utf8_lossy(&body)));
}
