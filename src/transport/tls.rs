//! TLS configurations, one for all managers that trust the same and show the same certificate.

use std::sync::{Arc, LazyLock};

use rustls::{ClientConfig, crypto::ring};

use super::{
    ClientIdentity, IdentityFault, TransportError,
    share::Shared,
    trust::Trust,
    verify::{AcceptAll, TrustedOrSigned},
};

static CONFIGS: LazyLock<Shared<Tls, Config>> = LazyLock::new(Shared::new);

/// A configuration, with the sessions to be taken up again, and what it was made of.
pub(super) struct Config {
    pub(super) rustls: Arc<ClientConfig>,
    tls: Tls,
}

// The key holds a private key, which goes with the last who needs it.
impl Drop for Config {
    fn drop(&mut self) {
        CONFIGS.forget(&self.tls);
    }
}

/// What decides whether two managers may share a TLS configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    pub(super) trust: Trust,
    /// What the client shows.
    pub(super) identity: Option<Arc<ClientIdentity>>,
}

impl Tls {
    /// The TLS configuration. Parses Node's certificates when it is the first to need them.
    fn client_config(&self) -> Result<ClientConfig, TransportError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|_| TransportError::Internal)?;
        let builder = match self.trust.roots()? {
            None => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAll::new(provider))),
            // Whoever connects is told of an unknown issuer.
            Some(none) if none.is_empty() => builder.with_root_certificates(none),
            Some(roots) => {
                let verifier = TrustedOrSigned::new(roots, provider);
                let verifier = verifier.map_err(|_| TransportError::Internal)?;
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let mut config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                identity.check().map_err(TransportError::Identity)?;
                let (chain, key) = (identity.chain.clone(), identity.key.expose().clone_key());
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|_| TransportError::Identity(IdentityFault::UnusableKey))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// The same, shown nothing by the client.
    pub(super) fn without_identity(&self) -> Self {
        Self {
            trust: self.trust.clone(),
            identity: None,
        }
    }

    /// The configuration of all who have this.
    pub(super) async fn shared_config(self) -> Result<Arc<Config>, TransportError> {
        if let Some(config) = CONFIGS.get(&self) {
            return Ok(config);
        }
        let rustls = if self.trust.is_costly() {
            let tls = self.clone();
            tokio::task::spawn_blocking(move || tls.client_config())
                .await
                .map_err(|_| TransportError::Internal)?
        } else {
            self.client_config()
        };
        let config = Config {
            rustls: Arc::new(rustls?),
            tls: self.clone(),
        };
        Ok(CONFIGS.share(self, config))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn equal_ones_share_a_configuration_while_it_is_used() {
        let tls = Tls {
            trust: Trust::Roots {
                node: false,
                extra: None,
                file: None,
            },
            identity: None,
        };
        let first = tls.clone().shared_config().await.unwrap();
        assert!(Arc::ptr_eq(&first, &tls.clone().shared_config().await.unwrap()));
        drop(first);
        assert!(CONFIGS.get(&tls).is_none());
    }
}
