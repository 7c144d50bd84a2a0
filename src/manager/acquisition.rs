//! One acquisition: a secret, up to three attempts, and what they gave, inside one deadline.
//!
//! It knows nothing of slots and callers; [`Acquisition::run`] gives a [`Report`] and has no other
//! effect than the requests it sends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::Owner;
use super::backoff;
use super::clock::{Clock, Moment};
use super::config::Config;
use super::error::Error;
use super::held::Grant;
use super::schedule::{ASSUMED_LIFETIME, Life, part};
use super::secret::{CallId, Pending, SecretSource};

use crate::oauth::{ClientSecret, Lifetime, Redactor, TokenResponse, read_answer};
use crate::transport::{Connection, Transport, TransportError};

/// A reused connection may stay silent for this part of the deadline.
const SILENCE_PART: u32 = 3;

/// What is needed to acquire a token.
pub(super) struct Acquisition<'a, C, T> {
    pub(super) config: &'a Config,
    pub(super) secrets: &'a Arc<SecretSource>,
    pub(super) transport: &'a T,
    pub(super) clock: &'a C,
    pub(super) owner: &'a Arc<dyn Owner>,
    /// How many attempts it has.
    pub(super) attempts: u32,
}

/// What an acquisition gave.
pub(super) struct Report {
    pub(super) result: Result<Arc<Grant>, Error>,
    /// Requests sent, replaced connections aside.
    pub(super) requests: u32,
    pub(super) took: Duration,
    /// The server did not say how long the token lives, and neither does the token.
    pub(super) is_lifetime_assumed: bool,
}

/// A failed attempt.
struct Failure {
    error: Error,
    retry_after: Option<Duration>,
    /// The server does not accept who asks: another secret may help.
    is_client_refused: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_client_refused: false,
        }
    }
}

/// How far an acquisition came, for the message after its deadline.
#[derive(Default)]
struct Progress {
    requests: AtomicU32,
    waits_for_secret: AtomicBool,
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn run(self) -> Report {
        let mut secret = self.secrets.ask(self.owner);
        if let Pending::Called(_, call) = &mut secret {
            call.called().await;
        }
        let start = self.clock.now();
        let progress = Progress::default();
        let attempts = self.attempts(start, secret, &progress);
        let outcome = match tokio::time::timeout(self.config.request_timeout, attempts).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.timed_out(&progress)),
        };
        let requests = progress.requests.load(Ordering::Relaxed);
        let is_lifetime_assumed = outcome
            .as_ref()
            .is_ok_and(|(_, response)| response.lifetime == Lifetime::Unknown);
        Report {
            result: outcome
                .map(|(sent, response)| Arc::new(self.grant(sent, response)))
                .map_err(|f| f.error.in_acquisition(self.config, requests, f.retry_after)),
            requests,
            took: self.clock.now().monotonic.saturating_sub(start.monotonic),
            is_lifetime_assumed,
        }
    }

    fn timed_out(&self, progress: &Progress) -> Failure {
        if progress.waits_for_secret.load(Ordering::Relaxed) {
            let limit = self.config.request_timeout.as_millis();
            return Error::credential(&format!(
                "the client secret was not to be had within {limit} ms (requestTimeoutMs)"
            ))
            .into();
        }
        let stage = match progress.requests.load(Ordering::Relaxed) {
            0 => "no request was sent: this process had no room for it".to_owned(),
            n => format!("attempt {n} was under way"),
        };
        Error::timeout(self.config, &stage).into()
    }

    async fn attempts(
        &self,
        start: Moment,
        pending: Pending,
        progress: &Progress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let mut secret = self.secret(pending, progress).await?;
        let mut may_read_again = true;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(&secret, progress).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if failure.is_client_refused && may_read_again {
                may_read_again = false;
                let again = self.secret(self.secrets.ask(self.owner), progress).await;
                match again {
                    Ok(fresh) if !fresh.is_same_as(&secret) => secret = fresh,
                    _ => return Err(failure),
                }
                continue;
            }
            if !failure.error.details().retryable || attempt >= self.attempts {
                return Err(failure);
            }
            let wait = backoff::wait_after(attempt, fastrand::f64())
                .max(failure.retry_after.unwrap_or_default());
            let spent = self.clock.now().monotonic.saturating_sub(start.monotonic);
            if wait >= self.config.request_timeout.saturating_sub(spent) {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            attempt = attempt.saturating_add(1);
        }
    }

    async fn secret(
        &self,
        pending: Pending,
        progress: &Progress,
    ) -> Result<Arc<ClientSecret>, Error> {
        match pending {
            Pending::Ready(secret) => Ok(secret),
            Pending::Called(id, mut call) => {
                // If the deadline drops this future here, the call must not be joined again.
                let forget = ForgetOnDrop(self.secrets, id);
                progress.waits_for_secret.store(true, Ordering::Relaxed);
                let answer = call.answered().await;
                progress.waits_for_secret.store(false, Ordering::Relaxed);
                drop(forget);
                answer
            }
        }
    }

    async fn attempt(
        &self,
        secret: &ClientSecret,
        progress: &Progress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let mut connection = Connection::Any;
        let mut pass = self.admitted().await?;
        progress.requests.fetch_add(1, Ordering::Relaxed);
        loop {
            let request = self.config.grant.request(&self.config.endpoint, secret);
            let silence = part(self.config.request_timeout, SILENCE_PART);
            let sent = self.clock.now();
            match self
                .transport
                .send(&pass, &request, connection, silence)
                .await
            {
                Err(TransportError::ReusedConnection) if connection == Connection::Any => {
                    connection = Connection::New;
                }
                Err(TransportError::RootsNeeded) => {
                    drop(pass);
                    self.roots().await;
                    pass = self.admitted().await?;
                }
                Err(error) => return Err(Error::from_transport(error, self.config).into()),
                Ok(answer) => {
                    let redactor = Redactor::new(&self.config.grant.client_id, secret);
                    return read_answer(&answer, &redactor)
                        .map(|response| (sent, response))
                        .map_err(|error| Failure {
                            is_client_refused: error.is_client_refusal(),
                            retry_after: answer
                                .retry_after
                                .map(|after| after.from(self.clock.now().system_time())),
                            error: Error::from_answer(error, self.config),
                        });
                }
            }
        }
    }

    async fn admitted(&self) -> Result<T::Pass, Failure> {
        loop {
            match self.transport.admit(&self.config.endpoint).await {
                Ok(pass) => return Ok(pass),
                Err(TransportError::RootsNeeded) => self.roots().await,
                Err(error) => return Err(Error::from_transport(error, self.config).into()),
            }
        }
    }

    async fn roots(&self) {
        self.owner.ask_roots();
        self.transport.roots().await;
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

struct ForgetOnDrop<'a>(&'a SecretSource, CallId);

impl Drop for ForgetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.forget(self.1);
    }
}

/// The failure of an acquisition that ended without saying how: its task panicked.
pub(super) fn lost() -> Report {
    Report {
        result: Err(Error::internal()),
        requests: 0,
        took: Duration::ZERO,
        is_lifetime_assumed: false,
    }
}
