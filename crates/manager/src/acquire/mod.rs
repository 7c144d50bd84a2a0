//! One acquisition: a credential, the attempts and their result, within one deadline.
//!
//! An acquisition decides nothing about the held token: [`Acquisition::run`] returns an
//! [`Acquired`]. It knows the callers only through [`Flight`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

mod attempt;
mod attempts;
pub mod backoff;
mod client_proof;
mod dpop;
mod endpoint;
pub(crate) mod exchanges;
pub(crate) mod revocation;
pub(crate) mod server;
pub(crate) mod trouble;

use crate::clock::{Clock, Moment, Nanos};
use crate::derived::ManagerId;
use crate::error::{Error, ErrorKind, grant_warning};
use crate::events::{EventSink, Level};
use crate::slot::schedule::{ASSUMED_LIFETIME, Life, PACE, part, subject_life};
use crate::slot::{LifetimeWarning, Token};
use crate::token_manager::Setup;
use attempt::Failure;
use oauth::{Grant, GrantType, Lifetime, TokenResponse, TraceParent, token_expiry};
use transport::{Progress, Stage, Transport};
use trouble::AcquisitionId;

pub(super) struct Acquisition<'a, C, T> {
    pub(super) setup: &'a Setup<T>,
    pub(super) grant: &'a Grant,
    /// The trace context that the requests carry.
    pub(super) trace_parent: Option<&'a TraceParent>,
    pub(super) id: AcquisitionId,
    pub(super) clock: &'a C,
    pub(super) events: &'a Arc<dyn EventSink>,
    /// The number of attempts that the acquisition may make.
    pub(super) attempts: backoff::Attempts,
    /// Whether the acquisition sends its first request at least a second after the last successful
    /// request.
    pub(super) is_paced: bool,
    /// The time that the flight has spent on the shared store. It counts towards the limit.
    pub(super) waited: Duration,
    pub(super) flight: &'a dyn Flight,
}

/// The flight for which an acquisition runs.
pub(super) trait Flight: Sync {
    /// Records that the acquisition is about to send a token request.
    fn note_sending(&self);

    /// Records when the acquisition sent a request that succeeded.
    fn note_success(&self, sent: Moment);

    /// Returns when the manager last sent a request that succeeded.
    fn last_success(&self) -> Option<Moment>;

    /// Whether the manager has started no later flight.
    fn is_latest(&self) -> bool;

    /// Whether callers are waiting and the slot holds no token.
    fn is_needed(&self) -> bool;

    /// Returns the manager of the flight.
    fn manager(&self) -> ManagerId;
}

/// The result of an acquisition.
pub(super) struct Acquired {
    pub(super) result: Result<Token, Error>,
    /// The number of token requests, not counting repetitions after a lost connection.
    pub(super) requests: u32,
    pub(super) took: Duration,
    /// Why the token's lifetime is doubtful, if it is.
    pub(super) warning: Option<LifetimeWarning>,
    pub(super) trouble: TroubleChange,
}

/// The effect of an acquisition on the trouble that all requests of the client share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TroubleChange {
    None,
    /// The acquisition succeeded and ended the trouble.
    Ended,
    /// The acquisition failed, but its error does not count towards the shared [`Trouble`]: another
    /// acquisition has failed in the same way, or knows more about the server.
    Repeated,
}

impl Acquired {
    /// Returns the result of an acquisition that failed before it sent a request.
    pub(super) fn without_request(error: Error) -> Self {
        Self {
            result: Err(error),
            requests: 0,
            took: Duration::ZERO,
            warning: None,
            trouble: TroubleChange::None,
        }
    }
}

/// The end of an acquisition without a token.
enum Ending {
    /// The acquisition failed.
    Failed(Failure),
    /// The acquisition sent no further request, because another acquisition failed with this error.
    Suppressed(Error),
}

impl<F: Into<Failure>> From<F> for Ending {
    fn from(failure: F) -> Self {
        Self::Failed(failure.into())
    }
}

/// The end of an acquisition: when it sent the successful request, and the response.
type Outcome = Result<(Moment, TokenResponse), Ending>;

/// The progress of an acquisition, for the error message after its deadline.
#[derive(Default)]
struct AcquisitionProgress {
    /// The monotonic time at which the deadline began.
    start: Nanos,
    requests: AtomicU32,
    waits_for_credential: AtomicBool,
    waits_for_assertion: AtomicBool,
    reads_document: AtomicBool,
    /// Whether the acquisition waits for the probe, the acquisition that finds out whether the
    /// server has recovered.
    waits_for_probe: AtomicBool,
    transport: Progress,
}

impl AcquisitionProgress {
    fn starting(start: Duration) -> Self {
        Self {
            start: start.into(),
            ..Self::default()
        }
    }
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn run(&self) -> Acquired {
        let pace = self.pace();
        // Even a sleep of zero would last until the timer's next tick, up to 1 ms. No timer runs
        // under loom.
        if !pace.is_zero() && !cfg!(loom) {
            tokio::time::sleep(pace).await;
        }
        let mut request = self.setup.credentials.request(self.events);
        request.started().await;
        let limit = self.setup.config.request_timeout;
        // The time spent on the store and on the pace counts towards the limit, but the requests
        // always have at least half of the limit.
        let waited = pace.saturating_add(self.waited).min(part(limit, 2));
        let now = self.clock.now();
        let start = now.monotonic().saturating_sub(waited);
        let progress = AcquisitionProgress::starting(start);
        let attempts = self.attempts(Box::new(request), &progress);
        let outcome = match tokio::time::timeout(limit.saturating_sub(waited), attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(&progress).into()),
        };
        let requests = progress.requests.load(Ordering::Relaxed);
        let warning = outcome
            .as_ref()
            .map_or(None, |(_, response)| warning_of(response.lifetime));
        let now = self.clock.now();
        let (result, trouble) = match outcome {
            Ok((sent, response)) => {
                self.warn_of_grant(&response);
                let ended = self.setup.trouble.succeeded();
                (Ok(self.token(sent, response)), ended.then_some(TroubleChange::Ended))
            }
            Err(Ending::Suppressed(error)) => (Err(error), Some(TroubleChange::Repeated)),
            Err(Ending::Failed(failure)) => {
                let (error, trouble) = self.fail(now, failure, requests);
                (Err(error), trouble)
            }
        };
        Acquired {
            result,
            requests,
            took: now.monotonic().saturating_sub(progress.start.into()),
            warning,
            trouble: trouble.unwrap_or(TroubleChange::None),
        }
    }

    /// Adds the details of the acquisition to the error. If every request of the client would fail
    /// in the same way, also records the error in the shared [`Trouble`], unless the manager has
    /// started a later flight.
    fn fail(&self, now: Moment, failure: Failure, requests: u32) -> (Error, Option<TroubleChange>) {
        let error = failure.error.in_acquisition(
            &self.setup.config,
            self.endpoint().as_ref(),
            requests,
            failure.retry_after,
        );
        // A later flight of this manager says more about the server.
        let is_repeated = error.is_shared()
            && !(self.flight.is_latest()
                && self
                    .setup
                    .trouble
                    .failed(now, self.id, &error, fastrand::f64()));
        (error, is_repeated.then_some(TroubleChange::Repeated))
    }

    /// Waits until the shared [`Trouble`] allows a request.
    async fn pass_trouble(&self, progress: &AcquisitionProgress) -> Result<(), Ending> {
        progress.waits_for_probe.store(true, Ordering::Relaxed);
        let passed = self.setup.trouble.pass(|| self.clock.now(), self.id).await;
        progress.waits_for_probe.store(false, Ordering::Relaxed);
        passed.map_err(Ending::Suppressed)
    }

    fn timed_out(&self, progress: &AcquisitionProgress) -> Failure {
        let config = &self.setup.config;
        let endpoint = self.endpoint();
        if progress.waits_for_assertion.load(Ordering::Relaxed) {
            return Error::assertion_timeout(config).into();
        }
        if progress.waits_for_credential.load(Ordering::Relaxed) {
            return Error::credential_timeout(config, endpoint.as_ref()).into();
        }
        if progress.waits_for_probe.load(Ordering::Relaxed) {
            let limit = config.request_timeout.as_millis();
            let message = format!(
                "could not obtain a token within {limit} ms (requestTimeoutMs): the manager was \
                 waiting for another request to show whether the server has recovered"
            );
            return Error::new(ErrorKind::Timeout, message).into();
        }
        let request = match progress.requests.load(Ordering::Relaxed) {
            _ if progress.reads_document.load(Ordering::Relaxed) => "discovery: ".to_owned(),
            0 => String::new(),
            n => format!("attempt {n}: "),
        };
        if progress.transport.stage() == Stage::Connecting
            && let Some(document) = self.setup.server.known(self.clock.now())
        {
            self.setup.server.doubt(&document);
        }
        Error::timeout(config, endpoint.as_ref(), &request, &progress.transport).into()
    }

    /// Returns the wait before the first request.
    fn pace(&self) -> Duration {
        let last = self.is_paced.then(|| self.flight.last_success()).flatten();
        let since = |sent| self.clock.now().since(sent);
        last.map_or(Duration::ZERO, |sent| PACE.saturating_sub(since(sent)))
    }

    /// Whether a token had expired on arrival, because the response took too long, the process was
    /// suspended meanwhile, or a cache had held the response.
    fn arrived_expired(&self, sent: Moment, response: &TokenResponse) -> bool {
        match response.lifetime {
            Lifetime::Granted(lifetime) => self.clock.now().since(sent) >= lifetime,
            Lifetime::Aged => true,
            Lifetime::Unknown | Lifetime::Over => false,
        }
    }

    /// Returns the remaining time before the deadline.
    fn left(&self, progress: &AcquisitionProgress) -> Duration {
        let spent = self
            .clock
            .now()
            .monotonic()
            .saturating_sub(progress.start.into());
        self.setup.config.request_timeout.saturating_sub(spent)
    }

    /// Logs one warning about a scope or an audience that the server did not grant.
    fn warn_of_grant(&self, response: &TokenResponse) {
        if let Some(warning) = grant_warning(self.grant, response)
            && self.setup.warns_first_time(&warning)
        {
            self.events.log(&self.setup.config, Level::Warn, || warning);
        }
    }

    fn token(&self, sent: Moment, response: TokenResponse) -> Token {
        let granted = match response.lifetime {
            Lifetime::Granted(lifetime) => lifetime,
            Lifetime::Aged => Duration::ZERO,
            Lifetime::Unknown | Lifetime::Over => ASSUMED_LIFETIME,
        };
        let granted = match &self.grant.grant_type {
            GrantType::TokenExchange { subject_token, .. } => {
                granted.min(subject_life(token_expiry(subject_token.expose()), sent.wall()))
            }
            GrantType::ClientCredentials | GrantType::JwtBearer { .. } => granted,
        };
        let asked = || Some(self.grant.scope.as_ref()?.as_str().to_owned());
        let scope = response.scope.or_else(asked);
        let dpop = self.setup.config.dpop.as_ref();
        Token {
            access_token: response.token,
            dpop_key: dpop.map(|dpop| Arc::clone(&dpop.key)),
            scope: scope.map(|scope| self.setup.server.shared_scope(&scope)),
            sent,
            expiry: response.expiry,
            life: Life::new(granted, self.setup.config.expiry_buffer),
        }
    }
}

fn warning_of(lifetime: Lifetime) -> Option<LifetimeWarning> {
    match lifetime {
        Lifetime::Granted(_) => None,
        Lifetime::Unknown => Some(LifetimeWarning::Unknown),
        Lifetime::Over => Some(LifetimeWarning::Over),
        Lifetime::Aged => Some(LifetimeWarning::Aged),
    }
}
