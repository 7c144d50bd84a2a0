//! Maps the errors of sockets, TLS and HTTP to [`TransportError`], by their types and never by
//! their texts.

use std::{
    error::Error,
    io::{self, ErrorKind},
};

use hyper_util::client::legacy::connect::{
    HttpConnector,
    proxy::{SocksV5, Tunnel},
};
use rustls::{AlertDescription, CertificateError, HandshakeType, InvalidMessage, OtherError};
use tower_service::Service;

use super::{
    NetworkFault, TlsFault, TransportError,
    chain::ChainFault,
    client::{CONNECT_TIMEOUT, MAX_HEADERS},
    lookup::Unresolved,
    verify::is_authority_as_server,
};

/// The longest detail, in characters.
const MAX_DETAIL: usize = 300;

/// The maximum number of causes to follow.
const MAX_CAUSES: usize = 16;

const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Advice for certificates and servers that Node's TLS accepts and this client refuses.
const USE_NODE: &str = "or set tokenFetch: true to send token requests with Node's TLS";

/// The HTTP library exports these types only as the errors of its services.
type TunnelError = <Tunnel<HttpConnector> as Service<::http::Uri>>::Error;
type SocksError = <SocksV5<HttpConnector> as Service<::http::Uri>>::Error;

/// Classifies a failure. Drops the URL in the error, because it may contain a secret.
pub(super) fn classify(error: reqwest::Error) -> TransportError {
    let error = error.without_url();
    let causes = causes(&error);
    if let Some(fault) = find::<rustls::Error>(&causes) {
        return TransportError::Tls {
            fault: match fault {
                rustls::Error::InvalidCertificate(fault) if depends_on_roots(fault) => {
                    TlsFault::UnknownIssuer
                }
                rustls::Error::AlertReceived(_) => TlsFault::Refused,
                _ => TlsFault::Other,
            },
            detail: clean(&tls_detail(fault)),
        };
    }
    let last = causes.last().map(ToString::to_string).unwrap_or_default();
    let (fault, detail) = if let Some(refused) =
        find::<TunnelError>(&causes).and_then(tunnel_detail)
    {
        (NetworkFault::Proxy, refused.to_owned())
    } else if let Some(SocksError::V5(_)) = find::<SocksError>(&causes) {
        // The library does not export the kind of failure.
        let advice = "check that the proxy URL contains a user name and password if, and only \
                      if, the proxy requires them";
        (NetworkFault::Proxy, format!("the SOCKS proxy refused the connection: {last}; {advice}"))
    } else if let Some(unresolved) = find::<Unresolved>(&causes) {
        (unresolved.fault(), last)
    } else if error.is_connect() && error.is_timeout() {
        let limit = CONNECT_TIMEOUT.as_secs();
        (NetworkFault::ConnectTimeout, format!("could not connect within {limit} s"))
    } else if let Some(known) = find::<io::Error>(&causes).and_then(|io| known_io(io.kind())) {
        let fault = if error.is_connect() {
            while_connecting(known.0)
        } else {
            known.0
        };
        (fault, known.1.to_owned())
    } else if is_not_http(&causes) {
        let detail = format!(
            "this client cannot read the response as HTTP: {last}; check the scheme and the \
                 port, and check that the response has at most {MAX_HEADERS} headers"
        );
        (NetworkFault::Other, detail)
    } else if error.is_connect() {
        (NetworkFault::Connect(None), last)
    } else if error.is_builder() || find::<io::Error>(&causes).is_some() {
        (NetworkFault::Other, last)
    } else {
        // Every remaining error means that an open connection ended.
        (NetworkFault::CutShort, last)
    };
    TransportError::Network {
        fault,
        detail: clean(&detail),
    }
}

/// Whether an open connection ended before the head of an answer was complete.
pub(super) fn is_lost_connection(error: &reqwest::Error) -> bool {
    !error.is_connect() && !error.is_builder() && !is_not_http(&causes(error))
}

/// Whether the connection ended without TLS `close_notify`, or before the end of the HTTP response.
pub(super) fn lacks_close_notify(error: &reqwest::Error) -> bool {
    let fault = find::<io::Error>(&causes(error)).map(io::Error::kind);
    fault == Some(ErrorKind::UnexpectedEof)
}

fn is_not_http(causes: &[&(dyn Error + 'static)]) -> bool {
    find::<hyper::Error>(causes).is_some_and(hyper::Error::is_parse)
}

/// Returns the detail for a proxy that opened no tunnel; `None` if the error has a cause that says
/// more.
fn tunnel_detail(error: &TunnelError) -> Option<&'static str> {
    Some(match error {
        TunnelError::ProxyAuthRequired => PROXY_AUTHENTICATION,
        TunnelError::TunnelUnsuccessful => {
            "the proxy refused to open a tunnel; check in the proxy's log that the proxy allows this \
             host and port and can reach them"
        }
        TunnelError::TunnelUnexpectedEof => {
            "the proxy closed the connection without opening a tunnel"
        }
        TunnelError::ProxyHeadersTooLong => "the proxy's response headers are too long",
        _ => return None,
    })
}

const PROXY_AUTHENTICATION: &str = "proxy authentication failed (status 407); check the user name \
                                    and password in the proxy URL";

/// Returns the error for a proxy that answered instead of forwarding the request.
pub(super) fn refusal(status: u16) -> Option<TransportError> {
    (status == PROXY_AUTHENTICATION_REQUIRED).then(|| TransportError::Network {
        fault: NetworkFault::Proxy,
        detail: PROXY_AUTHENTICATION.to_owned(),
    })
}

/// Returns the last cause that has the type `E`, because the last cause is the most precise.
fn find<'a, E: Error + 'static>(causes: &[&'a (dyn Error + 'static)]) -> Option<&'a E> {
    causes.iter().rev().find_map(|cause| cause.downcast_ref())
}

fn known_io(kind: ErrorKind) -> Option<(NetworkFault, &'static str)> {
    Some(match kind {
        ErrorKind::ConnectionRefused => (NetworkFault::Refused, "the connection was refused"),
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            (NetworkFault::Reset, "the connection was reset")
        }
        ErrorKind::BrokenPipe => (NetworkFault::BrokenPipe, "the connection was closed"),
        ErrorKind::UnexpectedEof => {
            (NetworkFault::CutShort, "the connection ended before the response was complete")
        }
        ErrorKind::TimedOut => (NetworkFault::TimedOut, "the connection timed out"),
        ErrorKind::HostUnreachable => {
            (NetworkFault::Connect(Some("EHOSTUNREACH")), "the network has no route to the host")
        }
        ErrorKind::NetworkUnreachable => {
            (NetworkFault::Connect(Some("ENETUNREACH")), "the network is unreachable")
        }
        ErrorKind::NetworkDown => (NetworkFault::Connect(Some("ENETDOWN")), "the network is down"),
        ErrorKind::AddrNotAvailable => {
            (NetworkFault::Connect(Some("EADDRNOTAVAIL")), "no local address or port is available")
        }
        ErrorKind::PermissionDenied => {
            (NetworkFault::Connect(Some("EACCES")), "the system does not permit the connection")
        }
        _ => return None,
    })
}

/// Converts the fault of a connection that ended before it was fully open, for example during the
/// TLS handshake.
const fn while_connecting(fault: NetworkFault) -> NetworkFault {
    match fault {
        NetworkFault::Reset | NetworkFault::BrokenPipe | NetworkFault::CutShort => {
            NetworkFault::Connect(fault.system_code())
        }
        fault => fault,
    }
}

/// Returns the error and its causes. Looks inside an [`io::Error`], whose `source` skips the
/// wrapped error.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut causes = Vec::new();
    let mut cause = Some(error);
    while let Some(current) = cause.filter(|_| causes.len() < MAX_CAUSES) {
        causes.push(current);
        cause = match current.downcast_ref::<io::Error>().map(io::Error::get_ref) {
            Some(Some(inner)) => Some(inner),
            _ => current.source(),
        };
    }
    causes
}

fn tls_detail(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(fault) => certificate_detail(fault),
        rustls::Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge) => {
            "the certificates of the server or proxy are larger than 64 KiB; send fewer or smaller \
             ones, or set tokenFetch: true to send token requests with Node's TLS"
                .to_owned()
        }
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => "the server or proxy does not speak TLS".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "the server or proxy speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity),
        ) => format!(
            "the server or proxy refused the handshake: {alert:?}; it may require a client \
             certificate, or support only what this client lacks: RSA key exchange, CBC cipher \
             suites, renegotiation, or P-521 or RSA-PSS keys; change the server's settings, {USE_NODE}"
        ),
        rustls::Error::AlertReceived(alert) => {
            format!(
                "the server or proxy refused the handshake: {alert:?}; {}",
                alert_advice(*alert)
            )
        }
        rustls::Error::PeerIncompatible(reason) => format!(
            "the server or proxy and this client share no TLS version, cipher suite or signature \
             algorithm: {reason:?}; change the server's settings, {USE_NODE}"
        ),
        rustls::Error::InappropriateHandshakeMessage {
            got_type: HandshakeType::CertificateRequest,
            ..
        } => format!(
            "the server or proxy asked for a client certificate after the handshake, which this \
             client does not support; request it during the handshake, {USE_NODE}"
        ),
        other => other.to_string(),
    }
}

fn alert_advice(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it requires a client certificate, so set clientCertificate and clientKey"
        }
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::DecryptError => {
            "check the client certificate, and which authorities the server or proxy accepts"
        }
        AlertDescription::UnrecognisedName => "check the host name in the URL",
        _ => "check its log for the reason",
    }
}

/// Whether no trusted authority signed the certificate. This includes a self-signed certificate
/// that `openssl req -x509` has marked as an authority: the verifier refuses the mark before it
/// looks for a trusted root.
fn lacks_an_authority(fault: &CertificateError) -> bool {
    matches!(fault, CertificateError::UnknownIssuer) || is_authority_as_server(fault)
}

/// Whether other trusted certificates could change the verdict.
fn depends_on_roots(fault: &CertificateError) -> bool {
    lacks_an_authority(fault) || ChainFault::within(fault).is_some_and(ChainFault::is_about_roots)
}

fn certificate_detail(fault: &CertificateError) -> String {
    if let Some(fault) = ChainFault::within(fault) {
        return format!("the certificate is not trusted: {fault}");
    }
    match fault {
        fault if lacks_an_authority(fault) => "the certificate is not trusted: it has an unknown \
             issuer; if the certificate is genuine, add its authority to ca, caFile or \
             NODE_EXTRA_CA_CERTS"
            .to_owned(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let expected = expected.to_str();
            let is_name =
                |name: &String| name.starts_with("DnsName(") || name.starts_with("IpAddress(");
            if !presented.iter().any(is_name) {
                return format!(
                    "the certificate has no subjectAltName, so it is not valid for \"{expected}\"; \
                     issue it with a subjectAltName, {USE_NODE}"
                );
            }
            format!("the certificate is for {}, not for \"{expected}\"", names(presented))
        }
        CertificateError::NotValidForName => "the certificate is for another host".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet".to_owned()
        }
        CertificateError::BadSignature => {
            "the certificate is not trusted: it has a bad signature; if its authority has a new \
             key, add the authority's new certificate to ca, caFile or NODE_EXTRA_CA_CERTS"
                .to_owned()
        }
        CertificateError::BadEncoding => {
            format!("the certificate is malformed; issue another one, {USE_NODE}")
        }
        other => {
            let reason =
                unsupported_feature(other).map_or_else(|| other.to_string(), ToOwned::to_owned);
            format!("this client refuses the certificate: {reason}; issue another one, {USE_NODE}")
        }
    }
}

/// Returns the feature that the verifier does not support, by its name in RFC 5280.
fn unsupported_feature(fault: &CertificateError) -> Option<&'static str> {
    let other: &webpki::Error = match fault {
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            return Some(
                "a certificate in its chain has a signature that this client does not support, \
                 such as ECDSA with SHA-512, or a signature by a P-521 or RSA-PSS key",
            );
        }
        CertificateError::Other(OtherError(other)) => other.downcast_ref()?,
        _ => return None,
    };
    Some(match other {
        webpki::Error::UnsupportedCertVersion => {
            "a certificate in its chain is not an X.509 version 3 certificate"
        }
        webpki::Error::UnsupportedCriticalExtension => {
            "a certificate in its chain has a critical extension that this client does not support"
        }
        _ => return None,
    })
}

/// Returns the names in a certificate. The TLS library writes the names as `DnsName("a.example")`
/// or `IpAddress(127.0.0.1)`.
fn names(presented: &[String]) -> String {
    let bare = |name: &String| {
        let inner = name
            .split_once('(')
            .map_or(name.as_str(), |(_, inner)| inner);
        format!("\"{}\"", inner.trim_end_matches(')').trim_matches('"'))
    };
    presented.iter().map(bare).collect::<Vec<_>>().join(", ")
}

/// Makes a text from outside the package safe to show.
pub(super) fn clean(text: &str) -> String {
    text.chars().take(MAX_DETAIL).flat_map(escape).collect()
}

/// Escapes control characters and characters that reorder or break lines.
fn escape(character: char) -> impl Iterator<Item = char> {
    let reorders = matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let escaped = (character.is_control() || reorders).then(|| character.escape_default());
    let plain = escaped.is_none().then_some(character);
    escaped.into_iter().flatten().chain(plain)
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    #[test]
    fn control_characters_are_escaped_and_length_is_bounded() {
        assert_eq!(clean("a\r\nb\u{202e}c \"d\" é"), "a\\r\\nb\\u{202e}c \"d\" é");
        assert_eq!(clean(&"x".repeat(1000)).len(), MAX_DETAIL);
    }

    #[test]
    fn system_errors_have_the_codes_of_node() {
        for (kind, code) in [
            (ErrorKind::ConnectionRefused, Some("ECONNREFUSED")),
            (ErrorKind::ConnectionReset, Some("ECONNRESET")),
            (ErrorKind::TimedOut, Some("ETIMEDOUT")),
            (ErrorKind::HostUnreachable, Some("EHOSTUNREACH")),
            (ErrorKind::NetworkUnreachable, Some("ENETUNREACH")),
            (ErrorKind::NetworkDown, Some("ENETDOWN")),
            (ErrorKind::AddrNotAvailable, Some("EADDRNOTAVAIL")),
            (ErrorKind::PermissionDenied, Some("EACCES")),
            (ErrorKind::Other, None),
        ] {
            let fault = known_io(kind).map(|(fault, _)| fault);
            assert_eq!(fault.and_then(NetworkFault::system_code), code, "{kind:?}");
            let fault = fault.map(while_connecting);
            assert_eq!(fault.and_then(NetworkFault::system_code), code, "{kind:?}");
        }
    }

    #[test]
    fn certificate_details_say_which_check_failed() {
        let name = |presented: &[&str]| CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("sso.example").unwrap(),
            presented: presented.iter().map(ToString::to_string).collect(),
        };
        for (fault, expected) in [
            (
                name(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]),
                "the certificate is for \"a.example\", \"127.0.0.1\", not for \"sso.example\"",
            ),
            (
                name(&[]),
                "the certificate has no subjectAltName, so it is not valid for \"sso.example\"; issue it \
                 with a subjectAltName, or set tokenFetch: true to send token requests with Node's TLS",
            ),
            (CertificateError::Expired, "the certificate has expired"),
            (CertificateError::NotValidYet, "the certificate is not valid yet"),
        ] {
            assert_eq!(certificate_detail(&fault), expected);
        }
        assert!(certificate_detail(&CertificateError::UnknownIssuer).contains("caFile"));
        for (alert, advice) in [
            (AlertDescription::CertificateRequired, "set clientCertificate and clientKey"),
            (AlertDescription::CertificateExpired, "check the client certificate"),
            (AlertDescription::UnrecognisedName, "check the host name"),
            (AlertDescription::InternalError, "check its log"),
        ] {
            let detail = tls_detail(&rustls::Error::AlertReceived(alert));
            assert!(detail.contains(advice), "{detail}");
        }
    }
}
