//! Verifies a server's certificate in the cases that the TLS library's verifier does not cover.

use std::{cell::Cell, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, SignatureScheme,
    client::{
        VerifierBuilderError, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{
        CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
    },
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime},
    server::ParsedCertificate,
};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use super::{
    chain::{ChainFault, Roots},
    facts::Facts,
};

/// Applies the checks of the TLS library and the rules of [`Roots`].
///
/// Also accepts a server's certificate that is one of the trusted certificates. `openssl req -x509`
/// makes a self-signed certificate that is marked as an authority: the library refuses such a
/// certificate for a server even if it is a root, but Node accepts it if it is trusted.
#[derive(Debug)]
pub(super) struct TrustedOrSigned {
    /// `None` if the manager trusts no roots.
    signed: Option<Arc<WebPkiServerVerifier>>,
    roots: Arc<Roots>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl TrustedOrSigned {
    pub(super) fn new(
        roots: Arc<Roots>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let algorithms = provider.signature_verification_algorithms;
        let anchors = Arc::new(roots.anchors().clone());
        let signed = if anchors.is_empty() {
            None
        } else {
            Some(WebPkiServerVerifier::builder_with_provider(anchors, provider).build()?)
        };
        Ok(Self {
            signed,
            roots,
            algorithms,
        })
    }

    /// Builds the chain again, because the library's verifier does not expose it. Accepts the first
    /// chain that also satisfies `check`.
    fn find_path(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        anchors: &[TrustAnchor<'_>],
        now: UnixTime,
        check: impl Fn(&VerifiedPath<'_>) -> Result<(), ChainFault>,
    ) -> Result<(), ChainFault> {
        let last_fault = Cell::new(ChainFault::NoRoot);
        let check = |path: &VerifiedPath<'_>| {
            check(path).map_err(|fault| {
                last_fault.set(fault);
                webpki::Error::UnknownIssuer
            })
        };
        let end_entity = EndEntityCert::try_from(end_entity);
        let end_entity = end_entity.map_err(|_| ChainFault::Unreadable)?;
        let found = end_entity.verify_for_usage(
            self.algorithms.all,
            anchors,
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&check),
        );
        found.map(drop).map_err(|_| last_fault.get())
    }

    /// Whether the chain ends in a trusted certificate that is not self-signed.
    fn ends_in_an_intermediate(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> bool {
        let trusted = self.roots.intermediates().iter();
        let anchors = trusted.filter_map(|trusted| webpki::anchor_from_trusted_cert(trusted).ok());
        let anchors: Vec<_> = anchors.collect();
        let found = self.find_path(end_entity, intermediates, &anchors, now, |_| Ok(()));
        !anchors.is_empty() && found.is_ok()
    }
}

impl ServerCertVerifier for TrustedOrSigned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let trusted = self.roots.intermediates().iter();
        let trusted = trusted.map(|trusted| CertificateDer::from(trusted.as_ref()));
        let known: Vec<_> = intermediates.iter().cloned().chain(trusted).collect();
        let verdict = match &self.signed {
            Some(signed) => {
                signed.verify_server_cert(end_entity, &known, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        };
        match verdict {
            // The library checks the dates before the mark and has separate errors for wrong dates,
            // so only the name remains to check.
            Err(rustls::Error::InvalidCertificate(fault))
                if is_authority_as_server(&fault)
                    && self.roots.check_authority_as_server(end_entity)? =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            Err(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
                if self.ends_in_an_intermediate(end_entity, &known, now) =>
            {
                Err(ChainFault::NoRoot.into())
            }
            Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
                if self.roots.have_refused_key(known.iter()) =>
            {
                Err(ChainFault::KeyLength.into())
            }
            Err(rustls::Error::InvalidCertificate(fault))
                if is_fault(&fault, &webpki::Error::MaximumPathDepthExceeded) =>
            {
                Err(ChainFault::TooManyAuthorities.into())
            }
            Ok(verified) => {
                // A server's certificate that is itself trusted has no authority to check.
                if !self.roots.check_server(end_entity)? {
                    let anchors = &self.roots.anchors().roots;
                    self.find_path(end_entity, &known, anchors, now, |path| {
                        self.roots.check_path(path, now)
                    })?;
                }
                Ok(verified)
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| signature_fault(error, cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| signature_fault(error, cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the server presented an authority's certificate as its own. The TLS library has no
/// variant for this fault.
pub(super) fn is_authority_as_server(fault: &CertificateError) -> bool {
    is_fault(fault, &webpki::Error::CaUsedAsEndEntity)
}

/// Whether `fault` wraps `expected`, which has no variant of its own in the TLS library.
fn is_fault(fault: &CertificateError, expected: &webpki::Error) -> bool {
    match fault {
        CertificateError::Other(OtherError(other)) => other.downcast_ref() == Some(expected),
        _ => false,
    }
}

/// Reports a key that is too short or too long as the cause of a bad signature.
fn signature_fault(error: rustls::Error, certificate: &CertificateDer<'_>) -> rustls::Error {
    let is_bad = error == rustls::Error::InvalidCertificate(CertificateError::BadSignature);
    if is_bad && Facts::of(certificate).is_some_and(|facts| facts.has_refused_key()) {
        return ChainFault::KeyLength.into();
    }
    error
}

/// Accepts any certificate, but requires the peer to prove that it possesses the private key.
#[derive(Debug)]
pub(super) struct AcceptAll {
    provider: Arc<CryptoProvider>,
}

impl AcceptAll {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider }
    }
}

impl ServerCertVerifier for AcceptAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls::{crypto::ring, pki_types::pem::PemObject};

    use super::*;

    /// A certificate from `openssl req -x509 -days 30` for sso.example. It has basicConstraints
    /// CA:TRUE, the mark of an authority.
    const SELF_SIGNED: &[u8] = include_bytes!("../tests/self-signed.pem");
    /// A certificate without this mark, made with `-addext
    /// nameConstraints=permitted;DNS:other.example`, which excludes its own name.
    const CONSTRAINED: &[u8] = include_bytes!("../tests/constrained.pem");
    const CONSTRAINED_NOT_BEFORE: u64 = 1_795_902_418;

    const NOT_BEFORE: u64 = 1_795_502_047;
    const NOT_AFTER: u64 = 1_798_094_047;

    /// Returns the verifier's result at the time `now` for a certificate that it trusts.
    fn verdict(pem: &[u8], now: u64, name: &str) -> Result<(), CertificateError> {
        let certificate = CertificateDer::from_pem_slice(pem).unwrap();
        let mut roots = Roots::empty();
        roots.add(&certificate).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = TrustedOrSigned::new(Arc::new(roots), provider).unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        let name = ServerName::try_from(name).unwrap();
        match verifier.verify_server_cert(&certificate, &[], &name, &[], now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(fault)) => Err(fault),
            Err(other) => panic!("expected a fault of the certificate, got {other:?}"),
        }
    }

    #[test]
    fn trusted_self_signed_certificate_is_believed_for_its_name_and_time_only() {
        use CertificateError as Fault;

        let verdict = |now, name| verdict(SELF_SIGNED, now, name);
        assert_eq!(verdict(NOT_BEFORE, "sso.example"), Ok(()));
        assert_eq!(verdict(NOT_AFTER, "sso.example"), Ok(()));
        let early = verdict(NOT_BEFORE - 1, "sso.example");
        assert!(matches!(early, Err(Fault::NotValidYetContext { .. })), "{early:?}");
        let late = verdict(NOT_AFTER + 1, "sso.example");
        assert!(matches!(late, Err(Fault::ExpiredContext { .. })), "{late:?}");
        let foreign = verdict(NOT_BEFORE, "sso.test");
        assert!(matches!(foreign, Err(Fault::NotValidForNameContext { .. })), "{foreign:?}");
    }

    #[test]
    fn only_the_mark_of_an_authority_is_forgiven() {
        let verdict = verdict(CONSTRAINED, CONSTRAINED_NOT_BEFORE, "sso.example");
        assert!(format!("{verdict:?}").contains("NameConstraintViolation"), "{verdict:?}");
    }
}
