//! Builds TLS configurations.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::ring, sign::SingleCertAndKey};

use super::{
    ClientIdentity, TransportError,
    trust::Trust,
    verify::{AcceptAll, TrustedOrSigned},
};

/// Builds a configuration that accepts the certificates that `trust` allows and presents
/// `identity`. The first call that needs Node's certificates parses them.
pub(super) fn client_config(
    trust: &Trust,
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, TransportError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|_| TransportError::Internal)?;
    let builder = match trust.roots()? {
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AcceptAll::new(provider))),
        Some(roots) => {
            let verifier = TrustedOrSigned::new(roots, provider);
            let verifier = verifier.map_err(|_| TransportError::Internal)?;
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = identity.certified().map_err(TransportError::Identity)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
