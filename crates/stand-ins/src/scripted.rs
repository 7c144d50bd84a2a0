//! A transport that answers according to a script, and a configuration for it. Both also work under
//! loom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use manager::config::{AssertionSettings, Config, Credential, CredentialConfig, Target};
use oauth::{
    Answer, ClientAuthentication, ClientSecret, ExtraHeaders, Grant, TokenEndpoint, TokenRequest,
};
use transport::{ClientIdentity, NetworkFault, Progress, Transport, TransportError};
use zeroize::Zeroizing;

/// The server's reaction to a request.
#[derive(Clone)]
pub enum Step {
    /// Answers.
    Answer {
        status: u16,
        retry_after: Option<u64>,
        body: String,
    },
    /// Demands this nonce in the DPoP proof.
    DemandNonce(&'static str),
    /// Fails.
    Fail(TransportError),
    /// Never answers.
    Hang,
    /// Panics, as a bug in this crate would.
    Panic,
}

/// Returns an answer with a token that lives for `lifetime` seconds.
pub fn token_answer(lifetime: u64) -> Step {
    Step::Answer {
        status: 200,
        retry_after: None,
        body: format!("{{\"access_token\":\"token-#\",\"expires_in\":{lifetime}}}"),
    }
}

/// Returns an answer without a token.
pub fn refusal(status: u16, body: &str) -> Step {
    Step::Answer {
        status,
        retry_after: None,
        body: body.to_owned(),
    }
}

/// Returns the failure of a connection that was reset.
pub fn reset() -> Step {
    Step::Fail(TransportError::Network {
        fault: NetworkFault::Reset,
        detail: "the connection was reset".to_owned(),
    })
}

/// Returns the answer of a server that has not started yet.
pub fn starting(retry_after: Option<u64>) -> Step {
    Step::Answer {
        status: 503,
        retry_after,
        body: "starting".to_owned(),
    }
}

/// Returns Keycloak's answer to a wrong secret.
pub fn wrong_secret() -> Step {
    refusal(401, "{\"error\":\"unauthorized_client\",\"error_description\":\"Invalid client\"}")
}

type Script = Box<dyn Fn(u64, &TokenRequest) -> Step + Send + Sync>;

/// Answers according to a script, which receives the number of the request, counted from 1.
pub struct ScriptedTransport {
    script: Script,
    /// The time from the arrival of a request, when the script runs, to the arrival of the answer
    /// at the client.
    pub latency_ms: AtomicU64,
    /// The number of requests sent.
    requests: AtomicUsize,
}

impl ScriptedTransport {
    pub fn new(
        latency_ms: u64,
        script: impl Fn(u64, &TokenRequest) -> Step + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Box::new(script),
            latency_ms: AtomicU64::new(latency_ms),
            requests: AtomicUsize::new(0),
        }
    }

    pub fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Transport for ScriptedTransport {
    type Pass = ();

    async fn admit(
        &self,
        _endpoint: &TokenEndpoint,
        _identity: Option<&Arc<ClientIdentity>>,
        _progress: &Progress,
    ) -> Result<(), TransportError> {
        Ok(())
    }

    async fn send(
        &self,
        _pass: &mut (),
        request: &TokenRequest,
        _progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) as u64 + 1;
        let step = (self.script)(number, request);
        let latency = Duration::from_millis(self.latency_ms.load(Ordering::SeqCst));
        // Loom has no timers, so the transport does not sleep there.
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match step {
            Step::Answer {
                status,
                retry_after,
                body,
            } => {
                let retry_after = retry_after.map(|seconds| seconds.to_string());
                let header = |name: &str| retry_after.as_deref().filter(|_| name == "retry-after");
                let body = body.replace('#', &number.to_string());
                Ok(Answer::new(status, header, Zeroizing::new(body.into_bytes())))
            }
            Step::DemandNonce(nonce) => {
                let header = |name: &str| (name == "dpop-nonce").then_some(nonce);
                let body = br#"{"error":"use_dpop_nonce"}"#.to_vec();
                Ok(Answer::new(400, header, Zeroizing::new(body)))
            }
            Step::Fail(error) => Err(error),
            Step::Hang => std::future::pending().await,
            Step::Panic => panic!("scripted"),
        }
    }
}

pub fn config() -> Config {
    Config {
        target: Target::Endpoint(
            TokenEndpoint::parse("http://127.0.0.1:1/realms/r/token").unwrap(),
        ),
        assertion: AssertionSettings::default(),
        dpop: None,
        store: None,
        grant: Grant::client_credentials("portal".to_owned(), ClientAuthentication::SecretPost),
        headers: ExtraHeaders::default(),
        credential: CredentialConfig::Given(Credential::Secret(secret("s3cr+t"))),
        expiry_buffer: Duration::from_mins(1),
        request_timeout: Duration::from_secs(15),
        background_refresh: true,
        name: "portal".to_owned(),
        has_logger: true,
    }
}

/// Returns [`config`] for this client, with a secret function.
pub fn function_config(client: &str) -> Config {
    let mut config = config();
    config.credential = CredentialConfig::Function;
    client.clone_into(&mut config.grant.client_id);
    config
}

pub fn secret(text: &str) -> Arc<ClientSecret> {
    Arc::new(ClientSecret::new(text.to_owned()).unwrap())
}
