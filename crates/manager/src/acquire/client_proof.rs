//! The client's credential in an acquisition, and the proof of identity that a request carries.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::endpoint::ResolvedEndpoint;
use super::{Acquisition, AcquisitionProgress};
use crate::clock::{Clock, Moment};
use crate::config::Credential;
use crate::credential::{CredentialProvider, CredentialRequest, unusable};
use crate::error::Error;
use oauth::{
    AssertionClaims, AssertionKey, ClientAuthentication, ClientProof, Grant, GrantType, JWT_BEARER,
    Redactor, SigningAlgorithm, SubjectToken, sign_assertion,
};
use transport::Transport;

/// How long an acquisition keeps reading a credential file again after the server refuses a
/// credential that it accepted before. A rotation may reach the server a moment before it reaches
/// the file.
const TIME_OF_READS_AGAIN: Duration = Duration::from_millis(600);

const PAUSE_BETWEEN_READS: Duration = Duration::from_millis(50);

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    /// Returns a credential other than the refused one: the current content of its source or, if
    /// the file changed before the server did, the previously accepted credential. If the server
    /// changed first, repeatedly reads the file for a while.
    pub(super) async fn reload_credential(
        &self,
        refused: &Credential,
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
        let left_at_end = self.left(progress).saturating_sub(TIME_OF_READS_AGAIN);
        let left_at_end = left_at_end.max(PAUSE_BETWEEN_READS.saturating_mul(2));
        while self.left(progress) > left_at_end {
            tokio::time::sleep(PAUSE_BETWEEN_READS).await;
            // A file may be missing for a moment while it is being replaced.
            match self.credential_again(progress).await {
                Ok(fresh) if !fresh.is_same_as(refused) => return Some(fresh),
                _ => {}
            }
        }
        None
    }

    /// Reads an assertion file again, because every attempt sends the current assertion. Also calls
    /// the assertion function again.
    pub(super) async fn renew_assertions(
        &self,
        credential: &mut Credential,
        grant: &mut Option<Box<Grant>>,
        progress: &AcquisitionProgress,
    ) -> Result<(), Error> {
        *grant = Box::pin(self.with_assertion(progress)).await?;
        if let Credential::Assertion(_) = credential {
            *credential = self.credential_again(progress).await?;
        }
        Ok(())
    }

    pub(super) async fn credential_again(
        &self,
        progress: &AcquisitionProgress,
    ) -> Result<Credential, Error> {
        let request = self.setup.credentials.request(self.events);
        self.credential(request, progress).await
    }

    pub(super) async fn credential(
        &self,
        request: CredentialRequest<'_>,
        progress: &AcquisitionProgress,
    ) -> Result<Credential, Error> {
        let waits = &progress.waits_for_credential;
        waits.store(true, Ordering::Relaxed);
        let credential = Box::pin(request.get()).await;
        waits.store(false, Ordering::Relaxed);
        credential
    }

    /// Returns the grant with a new assertion, if a function provides the assertion: the server
    /// accepts an assertion only once.
    pub(super) async fn with_assertion(
        &self,
        progress: &AcquisitionProgress,
    ) -> Result<Option<Box<Grant>>, Error> {
        if !self.grant.grant_type.wants_assertion() {
            return Ok(None);
        }
        let provider = CredentialProvider::of_assertions(self.flight.manager());
        let waits = &progress.waits_for_assertion;
        waits.store(true, Ordering::Relaxed);
        let answer = provider.request(self.events).get().await;
        waits.store(false, Ordering::Relaxed);
        let Credential::Secret(assertion) = answer? else {
            return Err(Error::internal());
        };
        let assertion = SubjectToken::new(assertion.expose().to_owned()).map(Arc::new);
        let mut grant = Box::new(self.grant.clone());
        grant.grant_type = GrantType::JwtBearer { assertion };
        Ok(Some(grant))
    }

    pub(super) fn client_proof(
        &self,
        credential: &Credential,
        target: &ResolvedEndpoint<'_>,
        now: Moment,
    ) -> Result<ClientProof, Error> {
        let settings = &self.setup.config.assertion;
        let signed = |key, algorithm: SigningAlgorithm, key_id: Option<&str>| {
            let claims = AssertionClaims {
                client_id: &self.setup.config.grant.client_id,
                audience: target.audience(&self.setup.config),
                issued_at: now.wall(),
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
                if settings.algorithm.is_none()
                    && let Some(fault) = key.algorithm_fault()
                {
                    return Err(unusable("privateKeyFile", &fault));
                }
                let algorithm = settings.algorithm.unwrap_or(key.default_algorithm());
                if !key.fits(algorithm) {
                    let (own, asked) = (key.algorithms(), algorithm.as_str());
                    let detail = format!(
                        "signingAlgorithm {asked} does not fit this key, which can only sign with \
                         {own}"
                    );
                    return Err(unusable("privateKeyFile", &detail));
                }
                signed(AssertionKey::Private(key), algorithm, key.key_id())
            }
            Credential::Identity(_) | Credential::HeldByFunction => Ok(ClientProof::Certificate),
            Credential::Assertion(assertion) => Ok(ClientProof::Assertion {
                kind: settings.kind.clone().unwrap_or_else(|| JWT_BEARER.into()),
                assertion: Arc::clone(assertion),
            }),
        }
    }

    pub(super) fn redactor(
        &self,
        credential: &Credential,
        refused: Option<&Credential>,
        grant: &Grant,
    ) -> Redactor {
        let known = [Some(credential), refused].into_iter().flatten();
        let redactor = self.setup.config.headers.redactor();
        let redactor = match grant.grant_type.subject() {
            Some(subject) => redactor.and_subject(subject),
            None => redactor,
        };
        known.fold(redactor, |redactor, credential| match credential {
            Credential::Secret(secret) => {
                redactor.and_secret(&self.setup.config.grant.client_id, secret)
            }
            Credential::Assertion(assertion) => redactor.and_assertion(assertion),
            Credential::Key(_) | Credential::Identity(_) | Credential::HeldByFunction => redactor,
        })
    }
}
