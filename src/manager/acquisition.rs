//! One acquisition: a credential, up to three attempts, and what they gave, inside one deadline.
//!
//! It knows nothing of slots and callers; [`Acquisition::run`] gives a [`Report`] and has no other
//! effect than the requests it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::backoff;
use super::clock::{Clock, Moment};
use super::config::{self, Config, Material, Target};
use super::credential::{CallId, CredentialSource, Pending, unusable};
use super::discovery::Discovery;
use super::error::Error;
use super::held::Grant;
use super::schedule::{ASSUMED_LIFETIME, Life};
use super::{Level, Owner};
use crate::oauth::{
    Answer, AnswerError, AssertionClaims, AssertionKey, ClientAuthentication, Issuer, JWT_BEARER,
    Lifetime, Metadata, Proof, Redactor, SigningAlgorithm, TokenEndpoint, TokenRequest,
    TokenResponse, read_answer, read_metadata, sign_assertion,
};
use crate::transport::{self, ClientIdentity, Stage, Transport, TransportError};

/// A credential that was accepted and is refused was replaced at the server: it is looked for in its
/// file so often, which is longer than the two are apart when they are replaced together.
const LOOKS: u32 = 12;

const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Keycloak's token endpoint is its issuer and this.
const KEYCLOAK_PATH: &str = "/protocol/openid-connect/token";

/// What is needed to acquire a token.
pub(super) struct Acquisition<'a, C, T> {
    pub(super) config: &'a Config,
    pub(super) credentials: &'a Arc<CredentialSource>,
    pub(super) discovery: &'a Discovery,
    pub(super) transport: &'a T,
    pub(super) clock: &'a C,
    pub(super) owner: &'a Arc<dyn Owner>,
    /// How many attempts it has.
    pub(super) attempts: u32,
}

/// What an acquisition gave.
pub(super) struct Report {
    pub(super) result: Result<Arc<Grant>, Error>,
    /// Token requests sent, replaced connections aside.
    pub(super) requests: u32,
    pub(super) took: Duration,
    /// The server did not say how long the token lives, and neither does the token.
    pub(super) is_lifetime_assumed: bool,
    /// It failed because the configuration changed before it had its secret.
    pub(super) is_superseded: bool,
}

/// A failed attempt.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
    /// The server does not accept who asks: another credential may help.
    is_client_refused: bool,
    /// The endpoint of this document, which was not read just now, is not there any more.
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

/// How far an acquisition came, for the message after its deadline.
#[derive(Default)]
struct Progress {
    requests: AtomicU32,
    waits_for_credential: AtomicBool,
    waits_for_document: AtomicBool,
    is_superseded: AtomicBool,
    sending: transport::Progress,
}

/// Where a token is asked for.
struct Place {
    endpoint: TokenEndpoint,
    /// Whom assertions are addressed to.
    audience: String,
    /// The document that named the endpoint, if it was not read just now.
    remembered: Option<Arc<Metadata>>,
}

/// A request that was answered.
struct Exchange<R> {
    sent: Moment,
    answer: Answer,
    with: R,
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn run(self) -> Report {
        let mut pending = self.credentials.ask(self.owner);
        if let Pending::Called(_, call) = &mut pending {
            call.called().await;
        }
        let start = self.clock.now();
        let progress = Progress::default();
        let attempts = self.attempts(start, pending, &progress);
        let outcome = match tokio::time::timeout(self.config.request_timeout, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(&progress)),
        };
        let requests = progress.requests.load(Ordering::Relaxed);
        let is_lifetime_assumed = outcome
            .as_ref()
            .is_ok_and(|(_, response)| response.lifetime == Lifetime::Unknown);
        let endpoint = self.endpoint();
        let told = |failure: Failure| {
            let Failure {
                error, retry_after, ..
            } = failure;
            error.in_acquisition(self.config, endpoint.as_ref(), requests, retry_after)
        };
        Report {
            result: outcome
                .map(|(sent, response)| Arc::new(self.grant(sent, response)))
                .map_err(told),
            requests,
            took: self.clock.now().monotonic.saturating_sub(start.monotonic),
            is_lifetime_assumed,
            is_superseded: progress.is_superseded.load(Ordering::Relaxed),
        }
    }

    /// The token endpoint, as far as it is known.
    fn endpoint(&self) -> Option<TokenEndpoint> {
        match &self.config.target {
            Target::Endpoint(endpoint) => Some(endpoint.clone()),
            Target::Issuer(_) => {
                let last = self.discovery.last()?;
                Some(self.endpoint_of(&last))
            }
        }
    }

    fn endpoint_of(&self, metadata: &Metadata) -> TokenEndpoint {
        let alias = metadata.mtls_token_endpoint.as_ref();
        let alias = alias
            .filter(|_| self.config.grant.authentication == ClientAuthentication::TlsClientAuth);
        alias.unwrap_or(&metadata.token_endpoint).clone()
    }

    fn timed_out(&self, progress: &Progress) -> Failure {
        if progress.waits_for_credential.load(Ordering::Relaxed) {
            let limit = self.config.request_timeout.as_millis();
            return Error::credential(&format!(
                "the client's credential was not to be had within {limit} ms (requestTimeoutMs)"
            ))
            .into();
        }
        let stage = match progress.requests.load(Ordering::Relaxed) {
            _ if progress.waits_for_document.load(Ordering::Relaxed) => {
                "the discovery document was under way".to_owned()
            }
            0 => match progress.sending.stage() {
                Stage::WaitingForFile => "no request was sent: waiting for a file".to_owned(),
                Stage::WaitingForEventLoop => {
                    "no request was sent: waiting for the event loop".to_owned()
                }
                _ => "no request was sent: this process had no room for it".to_owned(),
            },
            n => match progress.sending.stage() {
                Stage::Connecting => format!("attempt {n} was under way: connecting"),
                _ => format!("attempt {n} was under way"),
            },
        };
        Error::timeout(self.config, self.endpoint().as_ref(), &stage).into()
    }

    async fn attempts(
        &self,
        start: Moment,
        pending: Pending,
        progress: &Progress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let generation = self.credentials.generation();
        let mut material = self.material(pending, progress).await?;
        // What the server refused is still a secret, and it may repeat it.
        let mut refused = None;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&material, refused.as_ref(), progress).await {
                Ok(done) => {
                    self.credentials.accept(&material, generation);
                    return Ok(done);
                }
                Err(failure) => failure,
            };
            // Forgotten once, it is read anew, and then it is not remembered.
            if let Some(document) = &failure.misdirected_by {
                self.discovery.forget(document);
                continue;
            }
            if failure.is_client_refused && refused.is_none() {
                match Box::pin(self.another(&material, start, progress)).await {
                    Some(another) => refused = Some(std::mem::replace(&mut material, another)),
                    None => return Err(failure),
                }
                continue;
            }
            if !failure.error.details().retryable || attempt >= self.attempts {
                return Err(failure);
            }
            let wait = backoff::wait_after(attempt, fastrand::f64())
                .max(failure.retry_after.unwrap_or_default());
            if wait >= self.left(start) {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            if let Material::Assertion(_) = material {
                material = self.material_again(progress).await?;
            }
            attempt = attempt.saturating_add(1);
        }
    }

    /// What is left of the deadline.
    fn left(&self, start: Moment) -> Duration {
        let spent = self.clock.now().monotonic.saturating_sub(start.monotonic);
        self.config.request_timeout.saturating_sub(spent)
    }

    /// Another credential than the refused one: what its source gives now, or, if its file is ahead
    /// of the server, the one before it. If the server is ahead, the file is waited for.
    async fn another(
        &self,
        refused: &Material,
        start: Moment,
        progress: &Progress,
    ) -> Option<Material> {
        let fresh = self.material_again(progress).await.ok()?;
        if !fresh.is_same_as(refused) {
            return Some(fresh);
        }
        let accepted = self.credentials.accepted()?;
        if !accepted.is_same_as(refused) {
            return Some(accepted);
        }
        for _ in 0..LOOKS {
            if self.left(start) <= BETWEEN_LOOKS.saturating_mul(2) {
                return None;
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
            // A file that is being replaced may be missing for a moment.
            match self.material_again(progress).await {
                Ok(fresh) if !fresh.is_same_as(refused) => return Some(fresh),
                _ => {}
            }
        }
        None
    }

    async fn material_again(&self, progress: &Progress) -> Result<Material, Error> {
        self.material(self.credentials.ask(self.owner), progress)
            .await
    }

    async fn material(&self, mut pending: Pending, progress: &Progress) -> Result<Material, Error> {
        loop {
            let (id, mut call) = match pending {
                Pending::Ready(material) => return Ok(material),
                Pending::Called(id, call) => (id, call),
                Pending::Withdrawn => {
                    progress.is_superseded.store(true, Ordering::Relaxed);
                    return Err(Error::credential(
                        "the configuration changed before the clientSecret function was called",
                    ));
                }
            };
            // If the deadline drops this future here, the call must not be joined again.
            let forget = ForgetOnDrop(self.credentials, id);
            let waits = &progress.waits_for_credential;
            waits.store(true, Ordering::Relaxed);
            let answer = call.answered().await;
            waits.store(false, Ordering::Relaxed);
            drop(forget);
            match answer {
                Some(answer) => return answer,
                None => pending = self.credentials.ask(self.owner),
            }
        }
    }

    async fn attempt(
        &self,
        material: &Material,
        refused: Option<&Material>,
        progress: &Progress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let identity = match material {
            Material::Identity(identity) => Some(identity),
            _ => None,
        };
        let place = self.place(identity, progress).await?;
        let pass = self.admitted(&place.endpoint, identity, progress).await?;
        // What follows is in a box, as is what is rare: many may wait for admission at once.
        let redactor = self.redactor(material, refused);
        progress.requests.fetch_add(1, Ordering::Relaxed);
        let Exchange {
            sent,
            answer,
            with: proof,
        } = Box::pin(self.exchange(pass, &place.endpoint, progress, &redactor, |now| {
            let proof = self.proof(material, &place, now)?;
            Ok((self.config.grant.request(&place.endpoint, &proof), proof))
        }))
        .await?;
        let redactor = match &proof {
            Proof::Assertion { assertion, .. } => redactor.and_assertion(assertion),
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
            error: Error::from_answer(error, self.config, &place.endpoint),
        })
    }

    fn retry_after(&self, answer: &Answer) -> Option<Duration> {
        let after = answer.retry_after?;
        Some(after.from(self.clock.now().system_time()))
    }

    /// Sends a request, once more if a kept connection was replaced. `make` is asked each time: an
    /// assertion counts once.
    async fn exchange<R>(
        &self,
        mut pass: T::Pass,
        endpoint: &TokenEndpoint,
        progress: &Progress,
        redactor: &Redactor,
        make: impl Fn(Moment) -> Result<(TokenRequest, R), Error>,
    ) -> Result<Exchange<R>, Failure> {
        let mut is_replaced = false;
        loop {
            let sent = self.clock.now();
            let (request, with) = make(sent)?;
            match self
                .transport
                .send(&mut pass, &request, &progress.sending)
                .await
            {
                Err(TransportError::ConnectionReplaced) if !is_replaced => is_replaced = true,
                Err(error) => {
                    let error = error.cleaned(redactor);
                    return Err(self.unsent(error, endpoint));
                }
                Ok(answer) => return Ok(Exchange { sent, answer, with }),
            }
        }
    }

    /// Where to ask: as configured, or as the issuer's document says.
    async fn place(
        &self,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<Place, Failure> {
        let settings = &self.config.assertion;
        let issuer: &Issuer = match &self.config.target {
            Target::Endpoint(endpoint) => {
                let shown = endpoint.shown();
                let realm = shown.strip_suffix(KEYCLOAK_PATH).unwrap_or(shown);
                let audience = settings.audience.as_deref().unwrap_or(realm);
                return Ok(Place {
                    endpoint: endpoint.clone(),
                    audience: audience.to_owned(),
                    remembered: None,
                });
            }
            Target::Issuer(issuer) => issuer,
        };
        let remembered = self.discovery.known(self.clock.now());
        let metadata = match &remembered {
            Some(metadata) => Arc::clone(metadata),
            None => Box::pin(self.discover(issuer, identity, progress)).await?,
        };
        let audience = settings.audience.as_ref().unwrap_or(&metadata.issuer);
        Ok(Place {
            endpoint: self.endpoint_of(&metadata),
            audience: audience.clone(),
            remembered,
        })
    }

    async fn discover(
        &self,
        issuer: &Issuer,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<Arc<Metadata>, Failure> {
        progress.waits_for_document.store(true, Ordering::Relaxed);
        let pass = self.admitted(issuer.url(), identity, progress).await?;
        let Exchange { answer, .. } = self
            .exchange(pass, issuer.url(), progress, &Redactor::none(), |_| {
                Ok((issuer.request(), ()))
            })
            .await?;
        let metadata = read_metadata(&answer, issuer).map_err(|error| Failure {
            retry_after: self.retry_after(&answer),
            ..Error::from_discovery(error, issuer, self.config).into()
        })?;
        progress.waits_for_document.store(false, Ordering::Relaxed);
        let metadata = Arc::new(metadata);
        self.discovery
            .learn(Arc::clone(&metadata), self.clock.now());
        self.warn_of_method(&metadata);
        let endpoint = self.endpoint_of(&metadata);
        if endpoint.is_plain_to_remote() && !issuer.url().is_plain_to_remote() {
            self.warn(&config::plain_http("the token endpoint that the issuer names"));
        }
        Ok(metadata)
    }

    /// What the document does not list may work all the same: Keycloak's federated clients do.
    fn warn_of_method(&self, metadata: &Metadata) {
        let method = self.config.grant.authentication;
        let Some(listed) = &metadata.methods else {
            return;
        };
        let is_listed = listed.iter().any(|name| name == method.as_str());
        if !is_listed && method != ClientAuthentication::AssertionFile {
            let method = method.as_str();
            self.warn(&format!(
                "the discovery document of the issuer does not list {method}, so the server may \
                 refuse it"
            ));
        }
    }

    fn warn(&self, text: &str) {
        if self.config.has_logger {
            let name = self.config.name.escape_debug();
            let message = format!("Keycloak token manager \"{name}\": {text}");
            self.owner.log(Level::Warn, message);
        }
    }

    fn proof(&self, material: &Material, place: &Place, now: Moment) -> Result<Proof, Error> {
        let settings = &self.config.assertion;
        let signed = |key, algorithm: SigningAlgorithm, key_id: Option<&str>| {
            let claims = AssertionClaims {
                client_id: &self.config.grant.client_id,
                audience: &place.audience,
                issued_at: now.wall,
            };
            let key_id = settings.key_id.as_deref().or(key_id);
            let assertion = sign_assertion(key, algorithm, key_id, &claims);
            Ok(Proof::Assertion {
                kind: JWT_BEARER.into(),
                assertion: Arc::new(assertion.map_err(|_| Error::internal())?),
            })
        };
        match material {
            Material::Secret(secret) => match self.config.grant.authentication {
                ClientAuthentication::SecretBasic => Ok(Proof::SecretBasic(Arc::clone(secret))),
                ClientAuthentication::SecretJwt => {
                    let algorithm = settings.algorithm.unwrap_or(SigningAlgorithm::Hs256);
                    signed(AssertionKey::Shared(secret), algorithm, None)
                }
                _ => Ok(Proof::SecretPost(Arc::clone(secret))),
            },
            Material::Key(key) => {
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
            Material::Identity(_) => Ok(Proof::Certificate),
            Material::Assertion(assertion) => Ok(Proof::Assertion {
                kind: settings.kind.clone().unwrap_or_else(|| JWT_BEARER.into()),
                assertion: Arc::clone(assertion),
            }),
        }
    }

    fn redactor(&self, material: &Material, refused: Option<&Material>) -> Redactor {
        let known = [Some(material), refused].into_iter().flatten();
        known.fold(Redactor::none(), |redactor, material| match material {
            Material::Secret(secret) => redactor.and_secret(&self.config.grant.client_id, secret),
            Material::Assertion(assertion) => redactor.and_assertion(assertion),
            Material::Key(_) | Material::Identity(_) => redactor,
        })
    }

    async fn admitted(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<T::Pass, Failure> {
        self.transport
            .admit(endpoint, identity, &progress.sending)
            .await
            .map_err(|error| self.unsent(error, endpoint))
    }

    /// There is no answer from this endpoint, which is the issuer's if that is where it was asked.
    fn unsent(&self, error: TransportError, endpoint: &TokenEndpoint) -> Failure {
        let what = match &self.config.target {
            Target::Issuer(issuer) if issuer.url() == endpoint => "discovery",
            _ => "token request",
        };
        Error::from_transport(what, error, self.config, endpoint).into()
    }

    fn grant(&self, sent: Moment, response: TokenResponse) -> Grant {
        let granted = match response.lifetime {
            Lifetime::Granted(lifetime) => lifetime,
            Lifetime::Unknown => ASSUMED_LIFETIME,
        };
        let asked = || {
            self.config
                .grant
                .scope
                .as_ref()
                .map(|scope| scope.as_str().to_owned())
        };
        Grant {
            token: response.token,
            scope: response.scope.or_else(asked),
            sent,
            life: Life::new(granted, self.config.expiry_buffer),
        }
    }
}

struct ForgetOnDrop<'a>(&'a CredentialSource, CallId);

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// The failure of an acquisition that ended without saying how: its task panicked,
/// or there is no runtime any more.
pub(super) fn lost() -> Report {
    Report {
        result: Err(Error::internal()),
        requests: 0,
        took: Duration::ZERO,
        is_lifetime_assumed: false,
        is_superseded: false,
    }
}
