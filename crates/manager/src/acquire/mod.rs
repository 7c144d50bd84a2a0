//! One acquisition: a credential, up to three attempts and their result, within one deadline.
//!
//! It knows nothing of slots and callers; [`Acquisition::run`] returns an [`Acquired`] and has no
//! effect beyond the requests that it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

pub mod backoff;
pub(crate) mod discovery;

use crate::clock::{Clock, Moment};
use crate::config::{self, Credential, Target};
use crate::credential::{PendingCredential, unusable};
use crate::error::Error;
use crate::events::{EventSink, Level};
use crate::slot::Token;
use crate::slot::schedule::{ASSUMED_LIFETIME, Life};
use crate::token_manager::Setup;
use oauth::{
    Answer, AnswerError, AssertionClaims, AssertionKey, ClientAuthentication, ClientProof, Issuer,
    JWT_BEARER, Lifetime, Metadata, Redactor, SigningAlgorithm, TokenEndpoint, TokenRequest,
    TokenResponse, read_answer, read_metadata, sign_assertion,
};
use transport::{self, ClientIdentity, Transport, TransportError};

/// How often a credential file is read again when the server refuses a credential that it accepted
/// before: long enough for a rotation that reaches the server before the file.
const MAX_READS_AGAIN: u32 = 12;

const PAUSE_BETWEEN_READS: Duration = Duration::from_millis(50);

/// The path of Keycloak's token endpoint below its issuer.
const KEYCLOAK_PATH: &str = "/protocol/openid-connect/token";

/// One acquisition.
pub(super) struct Acquisition<'a, C, T> {
    pub(super) setup: &'a Setup<T>,
    pub(super) clock: &'a C,
    pub(super) events: &'a Arc<dyn EventSink>,
    /// The maximum number of attempts.
    pub(super) attempts: backoff::Attempts,
}

/// The result of an acquisition.
pub(super) struct Acquired {
    pub(super) result: Result<Arc<Token>, Error>,
    /// Token requests sent, without those repeated because a connection was replaced.
    pub(super) requests: u32,
    pub(super) took: Duration,
    /// Neither the response nor the token gives a lifetime.
    pub(super) is_lifetime_assumed: bool,
}

impl Acquired {
    /// An acquisition that failed before it sent anything.
    pub(super) fn without_request(error: Error) -> Self {
        Self {
            result: Err(error),
            requests: 0,
            took: Duration::ZERO,
            is_lifetime_assumed: false,
        }
    }
}

/// A failed attempt.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
    /// The server rejected the client's authentication: another credential may help.
    is_client_refused: bool,
    /// The endpoint that this remembered document names no longer exists.
    misdirected_by: Option<Arc<Metadata>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_client_refused: false,
            misdirected_by: None,
        }
    }
}

/// The progress of an acquisition, for the message after its deadline.
#[derive(Default)]
struct AcquisitionProgress {
    requests: AtomicU32,
    waits_for_credential: AtomicBool,
    reads_document: AtomicBool,
    transport: transport::Progress,
}

/// Where the token request goes.
struct ResolvedEndpoint {
    endpoint: TokenEndpoint,
    /// The audience of client assertions.
    audience: String,
    /// The remembered document that named the endpoint; `None` if it was just read.
    remembered: Option<Arc<Metadata>>,
}

/// A request and its answer.
struct Exchange<R> {
    sent: Moment,
    answer: Answer,
    with: R,
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn run(self) -> Acquired {
        let mut pending = self.setup.credentials.request(self.events);
        pending.started().await;
        let start = self.clock.now();
        let progress = AcquisitionProgress::default();
        let limit = self.setup.config.request_timeout;
        let attempts = self.attempts(start, pending, &progress);
        let outcome = match tokio::time::timeout(limit, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(&progress)),
        };
        let requests = progress.requests.load(Ordering::Relaxed);
        let is_lifetime_assumed = outcome
            .as_ref()
            .is_ok_and(|(_, response)| response.lifetime == Lifetime::Unknown);
        let result = match outcome {
            Ok((sent, response)) => Ok(Arc::new(self.grant(sent, response))),
            Err(failure) => Err(failure.error.in_acquisition(
                &self.setup.config,
                self.endpoint().as_ref(),
                requests,
                failure.retry_after,
            )),
        };
        Acquired {
            result,
            requests,
            took: self.clock.now().monotonic.saturating_sub(start.monotonic),
            is_lifetime_assumed,
        }
    }

    /// The token endpoint, if it is known.
    fn endpoint(&self) -> Option<TokenEndpoint> {
        match &self.setup.config.target {
            Target::Endpoint(endpoint) => Some(endpoint.clone()),
            Target::Issuer(_) => {
                let last = self.setup.discovery.last()?;
                Some(self.endpoint_of(&last))
            }
        }
    }

    fn endpoint_of(&self, metadata: &Metadata) -> TokenEndpoint {
        let alias = metadata.mtls_token_endpoint.as_ref();
        let alias = alias.filter(|_| {
            self.setup.config.grant.authentication == ClientAuthentication::TlsClientAuth
        });
        alias.unwrap_or(&metadata.token_endpoint).clone()
    }

    fn timed_out(&self, progress: &AcquisitionProgress) -> Failure {
        let config = &self.setup.config;
        if progress.waits_for_credential.load(Ordering::Relaxed) {
            let limit = config.request_timeout.as_millis();
            return Error::credential(&format!(
                "could not obtain the client credential within {limit} ms (requestTimeoutMs)"
            ))
            .into();
        }
        let request = match progress.requests.load(Ordering::Relaxed) {
            _ if progress.reads_document.load(Ordering::Relaxed) => "discovery: ".to_owned(),
            0 => String::new(),
            n => format!("attempt {n}: "),
        };
        let stage = progress.transport.stage();
        Error::timeout(config, self.endpoint().as_ref(), &request, stage).into()
    }

    async fn attempts(
        &self,
        start: Moment,
        pending: PendingCredential<'_>,
        progress: &AcquisitionProgress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let mut credential = self.credential(pending, progress).await?;
        // The server may repeat a secret that it refused, so it is redacted as well.
        let mut refused = None;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&credential, refused.as_ref(), progress).await {
                Ok(done) => {
                    self.setup.credentials.accept(&credential);
                    return Ok(done);
                }
                Err(failure) => failure,
            };
            // A forgotten document is read again and then does not count as remembered.
            if let Some(document) = &failure.misdirected_by {
                self.setup.discovery.forget(document);
                continue;
            }
            if failure.is_client_refused && refused.is_none() {
                match Box::pin(self.reload_credential(&credential, start, progress)).await {
                    Some(other) => refused = Some(std::mem::replace(&mut credential, other)),
                    None => return Err(failure),
                }
                continue;
            }
            let wait = backoff::wait_after(attempt, fastrand::f64())
                .max(failure.retry_after.unwrap_or_default());
            let limit = self.setup.config.request_timeout;
            let spent = limit.saturating_sub(self.left(start)).saturating_add(wait);
            let may_try_again = self.attempts.allow_another(attempt, spent, limit);
            if !failure.error.details().retryable || !may_try_again {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            if let Credential::Assertion(_) = credential {
                credential = self.credential_again(progress).await?;
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// The remaining time before the deadline.
    fn left(&self, start: Moment) -> Duration {
        let spent = self.clock.now().monotonic.saturating_sub(start.monotonic);
        self.setup.config.request_timeout.saturating_sub(spent)
    }

    /// Returns another credential than the refused one: the current content of its source or, if
    /// the file was replaced before the server learned of it, the previously accepted one. If the
    /// server changed first, the file is read again for a while.
    async fn reload_credential(
        &self,
        refused: &Credential,
        start: Moment,
        progress: &AcquisitionProgress,
    ) -> Option<Credential> {
        let fresh = self.credential_again(progress).await.ok()?;
        if !fresh.is_same_as(refused) {
            return Some(fresh);
        }
        let accepted = self.setup.credentials.accepted()?;
        if !accepted.is_same_as(refused) {
            return Some(accepted);
        }
        for _ in 0..MAX_READS_AGAIN {
            if self.left(start) <= PAUSE_BETWEEN_READS.saturating_mul(2) {
                return None;
            }
            tokio::time::sleep(PAUSE_BETWEEN_READS).await;
            // A file that is being replaced may be missing for a moment.
            match self.credential_again(progress).await {
                Ok(fresh) if !fresh.is_same_as(refused) => return Some(fresh),
                _ => {}
            }
        }
        None
    }

    async fn credential_again(&self, progress: &AcquisitionProgress) -> Result<Credential, Error> {
        let pending = self.setup.credentials.request(self.events);
        self.credential(pending, progress).await
    }

    async fn credential(
        &self,
        pending: PendingCredential<'_>,
        progress: &AcquisitionProgress,
    ) -> Result<Credential, Error> {
        let waits = &progress.waits_for_credential;
        waits.store(true, Ordering::Relaxed);
        let credential = pending.get().await;
        waits.store(false, Ordering::Relaxed);
        credential
    }

    async fn attempt(
        &self,
        credential: &Credential,
        refused: Option<&Credential>,
        progress: &AcquisitionProgress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let identity = match credential {
            Credential::Identity(identity) => Some(identity),
            _ => None,
        };
        let place = self.resolve_endpoint(identity, progress).await?;
        let pass = self.admitted(&place.endpoint, identity, progress).await?;
        // The rest, like the rare paths, is boxed to keep this future small: many acquisitions may
        // wait for admission at once.
        let redactor = self.redactor(credential, refused);
        progress.requests.fetch_add(1, Ordering::Relaxed);
        let Exchange {
            sent,
            answer,
            with: proof,
        } = Box::pin(self.exchange(pass, &place.endpoint, progress, &redactor, |now| {
            let proof = self.client_proof(credential, &place, now)?;
            Ok((self.setup.config.grant.request(&place.endpoint, &proof), proof))
        }))
        .await?;
        let redactor = match &proof {
            ClientProof::Assertion { assertion, .. } => redactor.and_assertion(assertion),
            _ => redactor,
        };
        let error = match read_answer(&answer, &redactor) {
            Ok(response) => return Ok((sent, response)),
            Err(error) => error,
        };
        let is_gone = matches!(
            error,
            AnswerError::Http {
                status: 404 | 405,
                ..
            }
        );
        Err(Failure {
            is_client_refused: error.is_client_refusal(),
            retry_after: self.retry_after(&answer),
            misdirected_by: place.remembered.filter(|_| is_gone),
            error: Error::from_answer(error, &self.setup.config, &place.endpoint),
        })
    }

    fn retry_after(&self, answer: &Answer) -> Option<Duration> {
        let after = answer.retry_after?;
        Some(after.from(self.clock.now().system_time()))
    }

    /// Sends a request, and sends it once more if a kept connection was lost. `make` creates each
    /// request, because an assertion may be used only once.
    async fn exchange<R>(
        &self,
        mut pass: T::Pass,
        endpoint: &TokenEndpoint,
        progress: &AcquisitionProgress,
        redactor: &Redactor,
        make: impl Fn(Moment) -> Result<(TokenRequest, R), Error>,
    ) -> Result<Exchange<R>, Failure> {
        let mut was_replaced = false;
        loop {
            let sent = self.clock.now();
            let (request, with) = make(sent)?;
            let transport = &self.setup.transport;
            match transport
                .send(&mut pass, &request, &progress.transport)
                .await
            {
                Err(TransportError::ConnectionReplaced) if !was_replaced => was_replaced = true,
                Err(error) => {
                    let error = error.cleaned(redactor);
                    return Err(self.unsent(error, endpoint));
                }
                Ok(answer) => return Ok(Exchange { sent, answer, with }),
            }
        }
    }

    /// The endpoint to use: the configured one, or the one in the issuer's discovery document.
    async fn resolve_endpoint(
        &self,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &AcquisitionProgress,
    ) -> Result<ResolvedEndpoint, Failure> {
        let settings = &self.setup.config.assertion;
        let issuer: &Issuer = match &self.setup.config.target {
            Target::Endpoint(endpoint) => {
                let shown = endpoint.shown();
                let realm = shown.strip_suffix(KEYCLOAK_PATH).unwrap_or(shown);
                let audience = settings.audience.as_deref().unwrap_or(realm);
                return Ok(ResolvedEndpoint {
                    endpoint: endpoint.clone(),
                    audience: audience.to_owned(),
                    remembered: None,
                });
            }
            Target::Issuer(issuer) => issuer,
        };
        let remembered = self.setup.discovery.known(self.clock.now());
        let metadata = match &remembered {
            Some(metadata) => Arc::clone(metadata),
            None => Box::pin(self.discover(issuer, identity, progress)).await?,
        };
        let audience = settings.audience.as_ref().unwrap_or(&metadata.issuer);
        Ok(ResolvedEndpoint {
            endpoint: self.endpoint_of(&metadata),
            audience: audience.clone(),
            remembered,
        })
    }

    async fn discover(
        &self,
        issuer: &Issuer,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &AcquisitionProgress,
    ) -> Result<Arc<Metadata>, Failure> {
        progress.reads_document.store(true, Ordering::Relaxed);
        let pass = self.admitted(issuer.url(), identity, progress).await?;
        let Exchange { answer, .. } = self
            .exchange(pass, issuer.url(), progress, &Redactor::none(), |_| {
                Ok((issuer.request(), ()))
            })
            .await?;
        let metadata = read_metadata(&answer, issuer).map_err(|error| Failure {
            retry_after: self.retry_after(&answer),
            ..Error::from_discovery(error, issuer, &self.setup.config).into()
        })?;
        progress.reads_document.store(false, Ordering::Relaxed);
        let metadata = Arc::new(metadata);
        self.setup
            .discovery
            .learn(Arc::clone(&metadata), self.clock.now());
        self.warn_of_method(&metadata);
        let endpoint = self.endpoint_of(&metadata);
        if endpoint.is_plain_to_remote() && !issuer.url().is_plain_to_remote() {
            self.warn(&config::plain_http("the token endpoint in the discovery document"));
        }
        Ok(metadata)
    }

    /// Only a warning: a method that the document does not list may still work, as it does for
    /// Keycloak's federated clients.
    fn warn_of_method(&self, metadata: &Metadata) {
        let method = self.setup.config.grant.authentication;
        let Some(listed) = &metadata.methods else {
            return;
        };
        let is_listed = listed.iter().any(|name| name == method.as_str());
        if !is_listed && method != ClientAuthentication::AssertionFile {
            let method = method.as_str();
            self.warn(&format!(
                "the discovery document of the issuer does not list {method}; if the server \
                 refuses it, set clientAuthentication to a method that it supports"
            ));
        }
    }

    fn warn(&self, text: &str) {
        self.events
            .log(&self.setup.config, Level::Warn, || text.to_owned());
    }

    fn client_proof(
        &self,
        credential: &Credential,
        place: &ResolvedEndpoint,
        now: Moment,
    ) -> Result<ClientProof, Error> {
        let settings = &self.setup.config.assertion;
        let signed = |key, algorithm: SigningAlgorithm, key_id: Option<&str>| {
            let claims = AssertionClaims {
                client_id: &self.setup.config.grant.client_id,
                audience: &place.audience,
                issued_at: now.wall,
            };
            let key_id = settings.key_id.as_deref().or(key_id);
            let assertion = sign_assertion(key, algorithm, key_id, &claims);
            Ok(ClientProof::Assertion {
                kind: JWT_BEARER.into(),
                assertion: Arc::new(assertion.map_err(|_| Error::internal())?),
            })
        };
        match credential {
            Credential::Secret(secret) => match self.setup.config.grant.authentication {
                ClientAuthentication::SecretBasic => {
                    Ok(ClientProof::SecretBasic(Arc::clone(secret)))
                }
                ClientAuthentication::SecretJwt => {
                    let algorithm = settings.algorithm.unwrap_or(SigningAlgorithm::Hs256);
                    signed(AssertionKey::Shared(secret), algorithm, None)
                }
                _ => Ok(ClientProof::SecretPost(Arc::clone(secret))),
            },
            Credential::Key(key) => {
                let algorithm = settings.algorithm.unwrap_or(key.default_algorithm());
                if !key.fits(algorithm) {
                    let (own, asked) = (key.default_algorithm().as_str(), algorithm.as_str());
                    let detail = format!(
                        "it is a key for {own} and cannot sign with {asked} (signingAlgorithm)"
                    );
                    return Err(unusable("privateKeyFile", &detail));
                }
                signed(AssertionKey::Private(key), algorithm, key.key_id())
            }
            Credential::Identity(_) => Ok(ClientProof::Certificate),
            Credential::Assertion(assertion) => Ok(ClientProof::Assertion {
                kind: settings.kind.clone().unwrap_or_else(|| JWT_BEARER.into()),
                assertion: Arc::clone(assertion),
            }),
        }
    }

    fn redactor(&self, credential: &Credential, refused: Option<&Credential>) -> Redactor {
        let known = [Some(credential), refused].into_iter().flatten();
        known.fold(Redactor::none(), |redactor, credential| match credential {
            Credential::Secret(secret) => {
                redactor.and_secret(&self.setup.config.grant.client_id, secret)
            }
            Credential::Assertion(assertion) => redactor.and_assertion(assertion),
            Credential::Key(_) | Credential::Identity(_) => redactor,
        })
    }

    async fn admitted(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &AcquisitionProgress,
    ) -> Result<T::Pass, Failure> {
        let transport = &self.setup.transport;
        let pass = transport.admit(endpoint, identity, &progress.transport);
        pass.await.map_err(|error| self.unsent(error, endpoint))
    }

    /// The error for a request without an answer; it names discovery if `endpoint` is the issuer's.
    fn unsent(&self, error: TransportError, endpoint: &TokenEndpoint) -> Failure {
        let what = match &self.setup.config.target {
            Target::Issuer(issuer) if issuer.url() == endpoint => "discovery",
            _ => "token request",
        };
        Error::from_transport(what, error, &self.setup.config, endpoint).into()
    }

    fn grant(&self, sent: Moment, response: TokenResponse) -> Token {
        let granted = match response.lifetime {
            Lifetime::Granted(lifetime) => lifetime,
            Lifetime::Unknown => ASSUMED_LIFETIME,
        };
        let asked = || {
            self.setup
                .config
                .grant
                .scope
                .as_ref()
                .map(|scope| scope.as_str().to_owned())
        };
        Token {
            access_token: response.token,
            scope: response.scope.or_else(asked),
            sent,
            life: Life::new(granted, self.setup.config.expiry_buffer),
        }
    }
}
