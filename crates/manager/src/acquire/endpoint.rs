//! The endpoint of an attempt: the configured endpoint, or the endpoint in the issuer's discovery
//! document.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attempt::{Exchange, Failure};
use super::{Acquisition, AcquisitionProgress};
use crate::clock::Clock;
use crate::config::{self, Target};
use crate::error::Error;
use crate::events::Level;
use oauth::{ClientAuthentication, Issuer, Metadata, Redactor, TokenEndpoint, read_metadata};
use transport::{ClientIdentity, Transport};

/// The path of Keycloak's token endpoint below its issuer.
const KEYCLOAK_PATH: &str = "/protocol/openid-connect/token";

/// The endpoint of a token request, and the audience of its client assertion.
pub(super) struct ResolvedEndpoint {
    pub(super) endpoint: TokenEndpoint,
    /// The audience of client assertions.
    pub(super) audience: String,
    /// The remembered document that named the endpoint; `None` if the acquisition has just read the
    /// document, or if the options name the endpoint.
    pub(super) remembered: Option<Arc<Metadata>>,
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    /// Returns the token endpoint, if it is known.
    pub(super) fn endpoint(&self) -> Option<TokenEndpoint> {
        match &self.setup.config.target {
            Target::Endpoint(endpoint) => Some(endpoint.clone()),
            Target::Issuer(_) => {
                let last = self.setup.server.last()?;
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

    /// Returns the configured endpoint, or the endpoint in the issuer's discovery document.
    pub(super) async fn resolve_endpoint(
        &self,
        identity: Option<&Arc<ClientIdentity>>,
        redactor: &Redactor,
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
        let remembered = self.setup.server.known(self.clock.now());
        let metadata = if let Some(metadata) = &remembered {
            Arc::clone(metadata)
        } else {
            let found = Box::pin(self.discover(issuer, identity, redactor, progress)).await;
            // The next attempt uses the earlier document.
            found.inspect_err(|_| self.setup.server.stop_doubting())?
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
        redactor: &Redactor,
        progress: &AcquisitionProgress,
    ) -> Result<Arc<Metadata>, Failure> {
        progress.reads_document.store(true, Ordering::Relaxed);
        let mut pass = self.admitted(issuer.url(), identity, progress).await?;
        let Exchange { answer, .. } = self
            .exchange(&mut pass, issuer.url(), progress, redactor, |_| Ok((issuer.request(), ())))
            .await?;
        let has_worked = self.setup.server.last_success.lock().is_some();
        let metadata = read_metadata(&answer, issuer, redactor).map_err(|error| Failure {
            retry_after: self.retry_after(&answer),
            ..Error::from_discovery(error, has_worked, issuer, &self.setup.config).into()
        })?;
        progress.reads_document.store(false, Ordering::Relaxed);
        let metadata = Arc::new(metadata);
        self.setup
            .server
            .learn(Arc::clone(&metadata), self.clock.now());
        self.warn_of_method(&metadata);
        let endpoint = self.endpoint_of(&metadata);
        if endpoint.is_plain_to_remote() && !issuer.url().is_plain_to_remote() {
            self.warn(&config::plain_http("the token endpoint in the discovery document"));
        }
        Ok(metadata)
    }

    /// Warns of an authentication method that the document does not list. This is not an error,
    /// because the method may still work, as it does for Keycloak's federated clients.
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
                 refuses this method, set clientAuthentication to a method that the server supports"
            ));
        }
    }

    fn warn(&self, text: &str) {
        self.events
            .log(&self.setup.config, Level::Warn, || text.to_owned());
    }
}
