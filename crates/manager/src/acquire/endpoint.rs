//! The endpoint of an attempt: the configured endpoint, or the endpoint in the issuer's discovery
//! document.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attempt::{Exchange, Failure};
use super::{Acquisition, AcquisitionProgress};
use crate::clock::Clock;
use crate::config::{self, Config, Target};
use crate::error::Error;
use crate::events::Level;
use oauth::{ClientAuthentication, Issuer, Metadata, Redactor, TokenEndpoint, read_metadata};
use transport::{ClientIdentity, Transport};

/// The path of Keycloak's token endpoint below its issuer.
const KEYCLOAK_PATH: &str = "/protocol/openid-connect/token";

/// The endpoint of a token request, by its source.
pub(super) enum ResolvedEndpoint<'a> {
    /// The options name the endpoint.
    Configured(&'a TokenEndpoint),
    /// The acquisition has just read the document that names the endpoint.
    Read(Arc<Metadata>),
    /// An earlier acquisition read the document that names the endpoint.
    Remembered(Arc<Metadata>),
}

impl ResolvedEndpoint<'_> {
    /// Returns the URL of the endpoint.
    pub(super) fn url(&self, config: &Config) -> &TokenEndpoint {
        match self {
            Self::Configured(endpoint) => endpoint,
            Self::Read(metadata) | Self::Remembered(metadata) => endpoint_of(metadata, config),
        }
    }

    /// Returns the audience of client assertions.
    pub(super) fn audience<'b>(&'b self, config: &'b Config) -> &'b str {
        let named = match self {
            Self::Configured(endpoint) => {
                let shown = endpoint.shown();
                shown.strip_suffix(KEYCLOAK_PATH).unwrap_or(shown)
            }
            Self::Read(metadata) | Self::Remembered(metadata) => &metadata.issuer,
        };
        config.assertion.audience.as_deref().unwrap_or(named)
    }

    /// Returns the document, if an earlier acquisition read it.
    pub(super) const fn remembered(&self) -> Option<&Arc<Metadata>> {
        match self {
            Self::Remembered(metadata) => Some(metadata),
            Self::Configured(_) | Self::Read(_) => None,
        }
    }
}

/// Returns the token endpoint of a document.
fn endpoint_of<'a>(metadata: &'a Metadata, config: &Config) -> &'a TokenEndpoint {
    let alias = metadata.mtls_token_endpoint.as_ref();
    let uses_alias = config.grant.authentication == ClientAuthentication::TlsClientAuth;
    let alias = alias.filter(|_| uses_alias);
    alias.unwrap_or(&metadata.token_endpoint)
}

impl<C: Clock, T: Transport> Acquisition<'_, C, T> {
    /// Returns the token endpoint, if it is known.
    pub(super) fn endpoint(&self) -> Option<TokenEndpoint> {
        match &self.setup.config.target {
            Target::Endpoint(endpoint) => Some(endpoint.clone()),
            Target::Issuer(_) => {
                let last = self.setup.server.last()?;
                Some(endpoint_of(&last, &self.setup.config).clone())
            }
        }
    }

    /// Returns the configured endpoint, or the endpoint in the issuer's discovery document.
    pub(super) async fn resolve_endpoint(
        &self,
        identity: Option<&Arc<ClientIdentity>>,
        redactor: &(dyn Fn() -> Redactor + Sync),
        progress: &AcquisitionProgress,
    ) -> Result<ResolvedEndpoint<'_>, Failure> {
        let issuer = match &self.setup.config.target {
            Target::Endpoint(endpoint) => return Ok(ResolvedEndpoint::Configured(endpoint)),
            Target::Issuer(issuer) => issuer,
        };
        if let Some(metadata) = self.setup.server.known(self.clock.now()) {
            return Ok(ResolvedEndpoint::Remembered(metadata));
        }
        let found = Box::pin(self.discover(issuer, identity, &redactor(), progress)).await;
        // If the read failed, the next attempt uses the earlier document.
        let metadata = found.inspect_err(|_| self.setup.server.stop_doubting())?;
        Ok(ResolvedEndpoint::Read(metadata))
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
        let endpoint = endpoint_of(&metadata, &self.setup.config);
        if endpoint.is_plain_to_remote() && !issuer.url().is_plain_to_remote() {
            self.warn(&config::plain_http("the token endpoint in the discovery document"));
        }
        Ok(metadata)
    }

    /// Warns if the document does not list the authentication method. This is not an error, because
    /// the method may still work, as it does for Keycloak's federated clients.
    fn warn_of_method(&self, metadata: &Metadata) {
        let method = self.setup.config.grant.authentication;
        let Some(listed) = &metadata.methods else {
            return;
        };
        let is_listed = listed.iter().any(|name| name == method.as_str());
        if !is_listed && method != ClientAuthentication::AssertionFile {
            let method = method.as_str();
            self.warn(&format!(
                "the issuer's discovery document does not list the authentication method {method}; if \
                 the server refuses this method, set clientAuthentication to one that it supports"
            ));
        }
    }

    fn warn(&self, text: &str) {
        self.events
            .log(&self.setup.config, Level::Warn, || text.to_owned());
    }
}
