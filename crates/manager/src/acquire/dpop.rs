//! The DPoP proofs in token requests (RFC 9449 §5), and the server's nonces (§8).

use super::attempt::{Exchange, Failure};
use super::{Acquisition, AcquisitionProgress};
use crate::clock::{Clock, Moment};
use crate::error::Error;
use oauth::{HeaderSecret, ProofClaims, Redactor, TokenEndpoint, TokenRequest, target_uri};
use transport::Transport;

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    /// Sends a token request, and sends it a second time if the server demands a nonce in the
    /// proof. The second request does not count as an attempt.
    pub(super) async fn token_exchange<R>(
        &self,
        pass: &mut T::Pass,
        endpoint: &TokenEndpoint,
        progress: &AcquisitionProgress,
        redactor: &Redactor,
        make: impl Fn(Moment) -> Result<(TokenRequest, R), Error>,
    ) -> Result<Exchange<R>, Failure> {
        let first = self
            .exchange(pass, endpoint, progress, redactor, &make)
            .await?;
        self.learn_nonce(endpoint, &first);
        if self.setup.config.dpop.is_none() || !first.answer.wants_nonce() {
            return Ok(first);
        }
        let second = self
            .exchange(pass, endpoint, progress, redactor, &make)
            .await?;
        self.learn_nonce(endpoint, &second);
        Ok(second)
    }

    fn learn_nonce<R>(&self, endpoint: &TokenEndpoint, exchange: &Exchange<R>) {
        if self.setup.config.dpop.is_some()
            && let Some(nonce) = &exchange.answer.dpop_nonce
        {
            self.setup.server.learn_nonce(endpoint, nonce);
        }
    }

    /// Returns a new proof for a token request, if the manager requests bound tokens. A `GET` of a
    /// discovery document needs no proof.
    pub(super) fn dpop_proof(
        &self,
        request: &TokenRequest,
        now: Moment,
    ) -> Result<Option<HeaderSecret>, Error> {
        let (Some(dpop), Some(_)) = (&self.setup.config.dpop, &request.body) else {
            return Ok(None);
        };
        let nonce = self.setup.server.nonce_for(&request.endpoint);
        let proof = dpop.key.sign_proof(&ProofClaims {
            method: "POST",
            uri: target_uri(&request.endpoint),
            issued_at: now.wall(),
            nonce: nonce.as_deref(),
            access_token: None,
        });
        let proof = proof.map_err(|_| Error::internal())?;
        HeaderSecret::new(proof)
            .map(Some)
            .ok_or_else(Error::internal)
    }
}
