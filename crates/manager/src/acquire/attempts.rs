//! The attempts of an acquisition. Each failure decides whether another attempt may help, and what
//! comes before it.

use std::ops::ControlFlow;
use std::time::Duration;

use super::attempt::Failure;
use super::{Acquisition, AcquisitionProgress, Outcome, backoff};
use crate::clock::{Clock, Moment};
use crate::config::Credential;
use crate::credential::CredentialRequest;
use crate::slot::schedule::PACE;
use oauth::TokenResponse;
use transport::Transport;

/// The attempts that an acquisition has made.
struct AttemptsMade {
    /// The number of the current attempt, from 1. It counts neither repetitions with another
    /// credential nor repetitions at another endpoint.
    number: u32,
    /// Whether a token had expired on arrival.
    had_expired: bool,
    /// Whether the acquisition has read the discovery document.
    was_read_again: bool,
}

/// What the acquisition does before its next attempt.
enum NextAttempt {
    /// Reads the discovery document again.
    NewEndpoint,
    /// Obtains another credential. If the source provides no other one, the acquisition ends with
    /// this failure.
    NewCredential(Box<Failure>),
    /// Waits for this time; then, if the flag is set, until the trouble that all requests of the
    /// client share allows a request.
    After(Duration, bool),
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn attempts(
        &self,
        request: Box<CredentialRequest<'_>>,
        progress: &AcquisitionProgress,
    ) -> Outcome {
        // The user's function may hang, and meanwhile this acquisition must not be the probe for
        // which others wait.
        let mut grant = Box::pin(self.with_assertion(progress)).await?;
        self.pass_trouble(progress).await?;
        let mut credential = self.credential(*request, progress).await?;
        // The server's answer may quote the refused secret, so the redactor covers that secret as
        // well.
        let mut refused = None;
        let mut made = AttemptsMade {
            number: 1,
            had_expired: false,
            was_read_again: self.setup.server.known(self.clock.now()).is_none(),
        };
        loop {
            let attempt = self.attempt(
                grant.as_deref().unwrap_or(self.grant),
                &credential,
                refused.as_ref(),
                progress,
            );
            let ended = attempt.await;
            let next = match self.after(ended, &credential, refused.is_none(), progress, &mut made)
            {
                ControlFlow::Break(outcome) => return outcome,
                ControlFlow::Continue(next) => next,
            };
            match next {
                NextAttempt::NewEndpoint => {
                    self.renew_assertions(&mut credential, &mut grant, progress)
                        .await?;
                }
                NextAttempt::NewCredential(failure) => {
                    match Box::pin(self.reload_credential(&credential, progress)).await {
                        Some(other) => refused = Some(std::mem::replace(&mut credential, other)),
                        None => return Err((*failure).into()),
                    }
                    grant = Box::pin(self.with_assertion(progress)).await?;
                }
                NextAttempt::After(wait, passes_trouble) => {
                    tokio::time::sleep(wait).await;
                    self.renew_assertions(&mut credential, &mut grant, progress)
                        .await?;
                    if passes_trouble {
                        self.pass_trouble(progress).await?;
                    }
                }
            }
        }
    }

    /// Decides whether the acquisition ends after this attempt or makes another one. `may_reload`
    /// says whether the acquisition has not yet replaced its credential.
    fn after(
        &self,
        ended: Result<(Moment, TokenResponse), Failure>,
        credential: &Credential,
        may_reload: bool,
        progress: &AcquisitionProgress,
        made: &mut AttemptsMade,
    ) -> ControlFlow<Outcome, NextAttempt> {
        match ended {
            Ok(granted) => self.after_grant(granted, credential, progress, made),
            Err(failure) => self.after_failure(failure, may_reload, progress, made),
        }
    }

    /// Accepts a token, unless it had expired on arrival and another attempt may help.
    fn after_grant(
        &self,
        granted: (Moment, TokenResponse),
        credential: &Credential,
        progress: &AcquisitionProgress,
        made: &mut AttemptsMade,
    ) -> ControlFlow<Outcome, NextAttempt> {
        let (sent, response) = &granted;
        self.flight.note_success(*sent);
        self.setup.credentials.accept(credential);
        // A server whose tokens arrive expired must not cause more than one token request per
        // second.
        let wait = PACE.saturating_sub(self.clock.now().since(*sent));
        let tries_again = self.arrived_expired(*sent, response)
            && wait < self.left(progress)
            && !std::mem::replace(&mut made.had_expired, true);
        if tries_again {
            ControlFlow::Continue(NextAttempt::After(wait, false))
        } else {
            ControlFlow::Break(Ok(granted))
        }
    }

    fn after_failure(
        &self,
        failure: Failure,
        may_reload: bool,
        progress: &AcquisitionProgress,
        made: &mut AttemptsMade,
    ) -> ControlFlow<Outcome, NextAttempt> {
        // An acquisition reads a document again only once.
        if let Some(document) = &failure.misdirected_by
            && !std::mem::replace(&mut made.was_read_again, true)
        {
            self.setup.server.doubt(document);
            return ControlFlow::Continue(NextAttempt::NewEndpoint);
        }
        if failure.is_client_refused && may_reload {
            return ControlFlow::Continue(NextAttempt::NewCredential(Box::new(failure)));
        }
        if failure.error.is_shared() && self.flight.is_latest() {
            self.setup.trouble.suspect(self.id);
        }
        let wait = backoff::wait_after(made.number, fastrand::f64())
            .max(failure.retry_after.unwrap_or_default());
        let limit = self.setup.config.request_timeout;
        let spent = limit
            .saturating_sub(self.left(progress))
            .saturating_add(wait);
        let attempts = self.attempts.for_flight(self.flight.is_needed());
        if !failure.is_transient() || !attempts.allow_another(made.number, spent, limit) {
            return ControlFlow::Break(Err(failure.into()));
        }
        made.number = made.number.saturating_add(1);
        ControlFlow::Continue(NextAttempt::After(wait, true))
    }
}
