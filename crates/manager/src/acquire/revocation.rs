//! Revokes the tokens of a manager that closes (RFC 7009), as far as the time limit allows.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::attempt::{Exchange, Failure};
use super::endpoint::ResolvedEndpoint;
use super::{Acquisition, AcquisitionProgress, Flight, backoff};
use crate::clock::{Clock, Moment};
use crate::config::Credential;
use crate::derived::{ManagerId, PARENT};
use crate::error::{Error, ErrorKind};
use crate::events::{Event, EventSink, Level};
use crate::slot::Token;
use crate::token_manager::Setup;
use oauth::{ClientAuthentication, TokenEndpoint, revocation_request};
use transport::Transport;

/// The time limit for all revocations together.
const LIMIT: Duration = Duration::from_secs(2);

/// The tokens to revoke, and the state that their requests need.
pub(crate) struct Revocation<C, T> {
    pub(crate) setup: Arc<Setup<T>>,
    pub(crate) clock: Arc<C>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) tokens: Vec<Arc<Token>>,
}

/// A placeholder for the flight, because a revocation does not belong to a flight.
struct NoFlight;

impl Flight for NoFlight {
    fn note_sending(&self) {}

    fn note_success(&self, _sent: Moment) {}

    fn last_success(&self) -> Option<Moment> {
        None
    }

    fn is_latest(&self) -> bool {
        false
    }

    fn is_needed(&self) -> bool {
        false
    }

    fn manager(&self) -> ManagerId {
        PARENT
    }
}

/// The progress of the revocations.
struct Progress {
    left: VecDeque<Arc<Token>>,
    revoked: usize,
    failure: Option<Error>,
}

impl<C: Clock, T: Transport> Revocation<C, T> {
    /// Revokes the tokens, logs the outcome and reports the end.
    pub(crate) async fn run(self) {
        let count = self.tokens.len();
        let progress = Mutex::new(Progress {
            left: self.tokens.iter().map(Arc::clone).collect(),
            revoked: 0,
            failure: None,
        });
        let work = || self.work(&progress);
        let all = async {
            tokio::join!(work(), work(), work(), work(), work(), work(), work(), work());
        };
        // Tokens that are not revoked in time stay valid until they expire.
        let is_late = tokio::time::timeout(LIMIT, all).await.is_err();
        let Progress {
            revoked, failure, ..
        } = progress.into_inner();
        let config = &self.setup.config;
        let outcome = format!("revoked {revoked} of {count} tokens");
        if let Some(error) = failure {
            self.events
                .log(config, Level::Warn, || format!("{outcome}: {error}"));
        } else if is_late {
            self.events.log(config, Level::Warn, || {
                format!("{outcome}: the server did not answer within 2 s")
            });
        } else {
            self.events.log(config, Level::Info, || outcome);
        }
        self.events.push(Event::RevocationEnded);
    }

    /// Revokes tokens until all are revoked or a request fails.
    async fn work(&self, progress: &Mutex<Progress>) {
        loop {
            let token = {
                let mut progress = progress.lock();
                if progress.failure.is_some() {
                    return;
                }
                progress.left.pop_front()
            };
            let Some(token) = token else { return };
            let result = Box::pin(self.acquisition().revoke(&token)).await;
            let mut progress = progress.lock();
            match result {
                Ok(()) => progress.revoked = progress.revoked.saturating_add(1),
                Err(failure) => progress.failure = Some(failure.error),
            }
        }
    }

    fn acquisition(&self) -> Acquisition<'_, C, T> {
        Acquisition {
            setup: &self.setup,
            grant: &self.setup.config.grant,
            trace_parent: None,
            id: 0,
            clock: &*self.clock,
            events: &self.events,
            attempts: backoff::Attempts::One,
            is_paced: false,
            waited: Duration::ZERO,
            flight: &NoFlight,
        }
    }
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    async fn revoke(&self, token: &Token) -> Result<(), Failure> {
        let progress = AcquisitionProgress::default();
        let credential = self.credential_again(&progress).await?;
        let identity = match &credential {
            Credential::Identity(identity) => Some(identity),
            _ => None,
        };
        let redactor = || self.redactor(&credential, None, self.grant);
        let resolved = self
            .resolve_endpoint(identity, &redactor, &progress)
            .await?;
        let redactor = redactor();
        let endpoint = self.revocation_endpoint(&resolved)?;
        let mut pass = self.admitted(&endpoint, identity, &progress).await?;
        let client_id = &self.setup.config.grant.client_id;
        let exchange = self.exchange(&mut pass, &endpoint, &progress, &redactor, |now| {
            let proof = self.client_proof(&credential, &resolved, now)?;
            let request = revocation_request(&endpoint, client_id, &proof, &token.access_token);
            Ok((request, ()))
        });
        let Exchange { answer, .. } = exchange.await?;
        // Keycloak answers 200 with an error in the body if it does not know the token.
        if answer.status == 200 && answer.body.is_empty() {
            return Ok(());
        }
        let (status, shown) = (answer.status, endpoint.shown());
        let message = format!("the revocation failed with status {status} at {shown}");
        Err(Error::new(ErrorKind::Http, message).into())
    }

    /// Returns the revocation endpoint in the discovery document or, if that endpoint is unknown,
    /// the endpoint next to Keycloak's token endpoint.
    fn revocation_endpoint(&self, resolved: &ResolvedEndpoint<'_>) -> Result<TokenEndpoint, Error> {
        let config = &self.setup.config;
        // The listed endpoint does not serve clients with a certificate, which use another host or
        // port.
        let has_alias = config.grant.authentication == ClientAuthentication::TlsClientAuth;
        let metadata = self.setup.server.last().filter(|_| !has_alias);
        let listed = metadata.and_then(|metadata| metadata.revocation_endpoint.clone());
        let beside = || {
            let base = resolved.url(config).as_str().strip_suffix("/token")?;
            TokenEndpoint::parse(&format!("{base}/revoke")).ok()
        };
        listed.or_else(beside).ok_or_else(|| {
            Error::new(ErrorKind::Config, "the revocation endpoint is unknown; set issuer")
        })
    }
}
