//! One attempt: its endpoint, its request, and the meaning of the answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::exchanges::Admission;
use super::{Acquisition, AcquisitionProgress};
use crate::clock::{Clock, Moment};
use crate::config::{Credential, Target};
use crate::error::{Error, grant_advice};
use oauth::{
    Answer, AnswerError, ClientProof, ExtraHeaders, Grant, Metadata, Redactor, TRACE_PARENT,
    TokenEndpoint, TokenRequest, TokenResponse, TraceParent, read_answer,
};
use transport::{ClientIdentity, Transport, TransportError};

/// A failed attempt.
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) retry_after: Option<Duration>,
    /// Whether the server rejected the client's authentication, so that another credential may
    /// help.
    pub(super) is_client_refused: bool,
    /// Whether the transport could not open a connection to the server.
    pub(super) is_unreachable: bool,
    /// Whether another attempt would fail in the same way.
    pub(super) is_lasting: bool,
    /// The remembered discovery document, if its endpoint no longer exists or is unreachable.
    pub(super) misdirected_by: Option<Arc<Metadata>>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            retry_after: None,
            is_client_refused: false,
            is_unreachable: false,
            is_lasting: false,
            misdirected_by: None,
        }
    }
}

impl Failure {
    /// Whether another attempt of the same acquisition may succeed.
    pub(super) fn is_transient(&self) -> bool {
        self.error.details().retryable && !self.is_lasting
    }
}

/// A request and its answer.
pub(super) struct Exchange<R> {
    pub(super) sent: Moment,
    pub(super) answer: Answer,
    pub(super) with: R,
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    pub(super) async fn attempt(
        &self,
        grant: &Grant,
        credential: &Credential,
        refused: Option<&Credential>,
        progress: &AcquisitionProgress,
    ) -> Result<(Moment, TokenResponse), Failure> {
        let identity = match credential {
            Credential::Identity(identity) => Some(identity),
            _ => None,
        };
        let redactor = || self.redactor(credential, refused, grant);
        let resolved = self.resolve_endpoint(identity, &redactor, progress).await?;
        let endpoint = resolved.url(&self.setup.config);
        let (mut pass, exchange_in_progress) = loop {
            let pass = self.admitted(endpoint, identity, progress).await?;
            // The server may have refused other exchanges while this one waited for its pass.
            match self.begin_exchange() {
                None => break (pass, None),
                Some(Admission::Begun(exchange)) => break (pass, Some(exchange)),
                Some(Admission::Busy(longest)) => {
                    drop(pass);
                    Box::pin(self.setup.exchanges.wait(longest)).await;
                }
                Some(Admission::Refused(wait)) => return Err(too_many_refusals(wait)),
            }
        };
        let redactor = redactor();
        // This future must be small, because many acquisitions may wait for admission at once. The
        // rest of the work and every rare path are therefore boxed.
        progress.requests.fetch_add(1, Ordering::Relaxed);
        self.flight.note_sending();
        let exchange = self.token_exchange(&mut pass, endpoint, progress, &redactor, |now| {
            let proof = self.client_proof(credential, &resolved, now)?;
            Ok((grant.request(endpoint, &proof), proof))
        });
        let Exchange {
            sent,
            answer,
            with: proof,
        } = Box::pin(exchange).await.map_err(|failure| Failure {
            misdirected_by: resolved
                .remembered()
                .filter(|_| failure.is_unreachable)
                .cloned(),
            ..failure
        })?;
        let redactor = match &proof {
            ClientProof::Assertion { assertion, .. } => redactor.and_assertion(assertion),
            _ => redactor,
        };
        let now = self.clock.now().wall();
        let server = &self.setup.server;
        let requested = self.setup.config.token_type();
        let response = read_answer(&answer, &redactor, now)
            .and_then(|response| response.of_type(requested, answer.status));
        let error = match response {
            Ok(response) => {
                *server.last_success.lock() = Some(sent);
                return Ok((sent, response));
            }
            Err(error) => error,
        };
        let is_gone = matches!(
            error,
            AnswerError::Http {
                status: 404 | 405 | 410,
                ..
            }
        );
        let is_exchange = exchange_in_progress.is_some();
        if is_exchange && matches!(error, AnswerError::OAuth { .. }) {
            self.setup.exchanges.refused(self.clock.now());
        }
        // In an exchange, `invalid_client` with status 400 concerns the requested audience.
        let is_client_refused =
            error.is_client_refusal() && (!is_exchange || error.status() == 401);
        let flaw = self.setup.config.flaw_of(credential, &error);
        let has_worked = server.last_success.lock().is_some();
        let config = &self.setup.config;
        let error = match grant_advice(self.grant, &error) {
            Some(advice) => Error::from_refusal(error, advice, config, endpoint),
            None => Error::from_answer(error, has_worked, config, endpoint),
        };
        let error = match flaw {
            Some(flaw) => error.with_likely_cause(&flaw),
            None => error,
        };
        Err(Failure {
            is_client_refused,
            retry_after: self.retry_after(&answer),
            misdirected_by: resolved.remembered().filter(|_| is_gone).cloned(),
            ..error.into()
        })
    }

    /// Begins a token exchange, unless the server has just refused too many of them. Returns `None`
    /// for other grants, which have no such limit.
    fn begin_exchange(&self) -> Option<Admission<'_>> {
        let is_exchange = self.grant.grant_type.is_exchange();
        is_exchange.then(|| self.setup.exchanges.begin(self.clock.now()))
    }

    pub(super) fn retry_after(&self, answer: &Answer) -> Option<Duration> {
        let after = answer.retry_after?;
        Some(after.from(self.clock.now().system_time()))
    }

    /// Sends a request, and sends it a second time if a reused connection was lost. `make` creates
    /// each request anew, because the server accepts an assertion or a proof only once.
    pub(super) async fn exchange<R>(
        &self,
        pass: &mut T::Pass,
        endpoint: &TokenEndpoint,
        progress: &AcquisitionProgress,
        redactor: &Redactor,
        make: impl Fn(Moment) -> Result<(TokenRequest, R), Error>,
    ) -> Result<Exchange<R>, Failure> {
        let mut was_replaced = false;
        loop {
            let sent = self.clock.now();
            let (mut request, with) = make(sent)?;
            request.headers = self.headers_for(endpoint);
            if let Some(value) = self.trace_parent.and_then(TraceParent::header) {
                request.headers = request.headers.and(TRACE_PARENT, value);
            }
            if let Some(proof) = self.dpop_proof(&request, sent)? {
                request.headers = request.headers.and("dpop", proof);
            }
            let transport = &self.setup.transport;
            match transport.send(pass, &request, &progress.transport).await {
                Err(TransportError::ConnectionReplaced) if !was_replaced => was_replaced = true,
                Err(error) => {
                    let error = error.cleaned(redactor);
                    return Err(self.unanswered(error, endpoint));
                }
                Ok(answer) => return Ok(Exchange { sent, answer, with }),
            }
        }
    }

    /// Returns the additional headers for this endpoint. The headers may contain a secret, so an
    /// origin other than the configured one receives them only over https. Such an origin is
    /// trustworthy, because the configured issuer's discovery document names it.
    fn headers_for(&self, endpoint: &TokenEndpoint) -> ExtraHeaders {
        let config = &self.setup.config;
        let is_allowed = config.headers.is_empty()
            || endpoint.is_https()
            || endpoint.origin() == config.target.url().origin();
        if is_allowed {
            config.headers.clone()
        } else {
            ExtraHeaders::default()
        }
    }

    pub(super) async fn admitted(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &AcquisitionProgress,
    ) -> Result<T::Pass, Failure> {
        let transport = &self.setup.transport;
        let pass = transport.admit(endpoint, identity, &progress.transport);
        pass.await.map_err(|error| self.unanswered(error, endpoint))
    }

    /// Returns the error for a request without an answer. The error says that discovery failed if
    /// `endpoint` is the issuer's URL.
    fn unanswered(&self, error: TransportError, endpoint: &TokenEndpoint) -> Failure {
        let document;
        let (what, endpoint) = match &self.setup.config.target {
            Target::Issuer(issuer) if issuer.url() == endpoint => {
                document = issuer.request().endpoint;
                let answered = matches!(error, TransportError::BodyTooLarge { .. });
                ("discovery", if answered { &document } else { endpoint })
            }
            _ => ("the token request", endpoint),
        };
        let (is_unreachable, is_lasting) = (error.is_unreachable(), error.is_lasting());
        let error = Error::from_transport(what, error, &self.setup.config, endpoint);
        Failure {
            is_unreachable,
            is_lasting,
            ..error.into()
        }
    }
}

fn too_many_refusals(wait: Duration) -> Failure {
    Failure {
        retry_after: Some(wait),
        is_lasting: true,
        ..Error::too_many_refusals().into()
    }
}
