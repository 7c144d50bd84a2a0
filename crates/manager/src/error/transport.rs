//! Failures without a complete answer, such as a missing runtime, a lost connection or a missed
//! deadline.

use std::sync::Arc;

use super::{Error, ErrorKind};
use crate::config::{Config, CredentialConfig};
use crate::credential;
use oauth::{ClientAuthentication, TokenEndpoint};
use transport::{NetworkFault, Progress, Stage, TlsFault, TransportError};

impl Error {
    /// Returns the error after the operating system refused a thread or a file descriptor that a
    /// request needs.
    #[must_use]
    pub fn no_engine(config: &Config) -> Self {
        Self::new(
            ErrorKind::Network,
            "the manager sent no request: the process has reached its limit on threads or file \
             descriptors; raise the limit",
        )
        .in_acquisition(config, config.target.endpoint(), 0, None)
    }

    /// Returns the error for a deadline that passed when a request had made this progress.
    #[must_use]
    pub fn timeout(
        config: &Config,
        endpoint: Option<&TokenEndpoint>,
        request: &str,
        progress: &Progress,
    ) -> Self {
        let stage = progress.stage();
        let status = match stage {
            Stage::ReadingAnswer(status) => Some(status),
            _ => None,
        };
        let through = progress
            .proxy()
            .filter(|_| matches!(stage, Stage::Connecting | Stage::WaitingForAnswer))
            .map(|proxy| format!(" through the proxy {proxy}"))
            .unwrap_or_default();
        let (stage, advice) = match stage {
            Stage::WaitingForFile => (
                "reading a file of trusted certificates",
                "check the storage that holds the files of caFile and NODE_EXTRA_CA_CERTS",
            ),
            Stage::WaitingForEventLoop => (
                "waiting for the event loop to hand over the certificates that Node trusts",
                "find what blocks the event loop",
            ),
            Stage::WaitingToBeSent => (
                "waiting for the event loop to send the request with tokenFetch",
                "find what blocks the event loop",
            ),
            Stage::WaitingForFreeSlot => (
                "waiting for other requests to this server to finish",
                "check that Keycloak answers there",
            ),
            Stage::Connecting => ("connecting", "check the network path to Keycloak"),
            Stage::WaitingForAnswer => {
                ("waiting for the response", "check that Keycloak answers there")
            }
            Stage::ReadingAnswer(_) => {
                ("reading a response that did not end", "check the gateways in front of Keycloak")
            }
        };
        let shown = status
            .map(|status| format!(", status {status}"))
            .unwrap_or_default();
        let stage = format!("{request}{stage}{through}{shown}");
        let mut made = Self::timed_out(config, endpoint, &stage, advice);
        Arc::make_mut(&mut made.details).status = status;
        made
    }

    /// Returns the error for a deadline that passed before the client's credential was available.
    #[must_use]
    pub fn credential_timeout(config: &Config, endpoint: Option<&TokenEndpoint>) -> Self {
        if let CredentialConfig::Files(files) = &config.credential {
            let stage = format!("reading {}", files.names().join(" and "));
            return Self::timed_out(config, endpoint, &stage, "check the storage at that path");
        }
        let limit = config.request_timeout.as_millis();
        Self::credential(&format!(
            "the clientSecret function did not return a secret within {limit} ms; limit the time \
             that the function takes, or raise requestTimeoutMs"
        ))
    }

    /// Returns the error for a deadline that passed before the assertion function returned.
    #[must_use]
    pub fn assertion_timeout(config: &Config) -> Self {
        let limit = config.request_timeout.as_millis();
        Self::assertion(&format!(
            "the grant.assertion function did not return an assertion within {limit} ms; limit the \
             time that the function takes, or raise requestTimeoutMs"
        ))
    }

    fn timed_out(
        config: &Config,
        endpoint: Option<&TokenEndpoint>,
        stage: &str,
        advice: &str,
    ) -> Self {
        let endpoint = endpoint.unwrap_or(config.target.url()).shown();
        let limit = config.request_timeout.as_millis();
        Self::new(
            ErrorKind::Timeout,
            format!(
                "could not obtain a token from {endpoint} within {limit} ms ({stage}); {advice}, \
                 or raise requestTimeoutMs"
            ),
        )
    }

    /// Returns the error for a missing or incomplete answer. The loss of a reused connection is an
    /// error only if the new connection was lost too.
    #[must_use]
    pub fn from_transport(
        what: &str,
        error: TransportError,
        config: &Config,
        endpoint: &TokenEndpoint,
    ) -> Self {
        let endpoint = endpoint.shown();
        match error {
            TransportError::Network { fault, detail } => {
                let code = fault.system_code();
                let has_ended = matches!(code, Some("ECONNRESET" | "EPIPE"));
                let hint = certificate_hint(config, has_ended);
                let shown = code.map(|code| format!(" ({code})")).unwrap_or_default();
                // The source is not part of the detail, because the redactor replaces the whole
                // detail if it contains a secret.
                let source = match fault {
                    NetworkFault::Fetch(_) => "tokenFetch failed: ",
                    _ => "",
                };
                let mut made = Self::new(
                    ErrorKind::Network,
                    format!(
                        "{what} to {endpoint} failed: {source}{detail}{shown}{hint}{}",
                        network_advice(fault)
                    ),
                );
                Arc::make_mut(&mut made.details).system_code = code;
                made
            }
            TransportError::Tls { fault, detail } => {
                let hint = certificate_hint(config, fault == TlsFault::Refused);
                Self::new(
                    ErrorKind::Tls,
                    format!("could not open a secure connection to {endpoint}: {detail}{hint}"),
                )
            }
            TransportError::BodyTooLarge { status } => {
                let option = config.target.option();
                let mut made = Self::new(
                    ErrorKind::Protocol,
                    format!(
                        "{what} failed with status {status} at {endpoint}: the response is larger \
                         than 1 MiB; check that {option} is the right URL"
                    ),
                );
                Arc::make_mut(&mut made.details).status = Some(status);
                made
            }
            TransportError::Unusable { status, detail } => {
                let shown = status
                    .map(|status| format!(" with status {status}"))
                    .unwrap_or_default();
                let mut made = Self::new(
                    ErrorKind::Protocol,
                    format!("{what} failed{shown} at {endpoint}: {detail}"),
                );
                Arc::make_mut(&mut made.details).status = status;
                made
            }
            TransportError::TrustFile { path, detail } => {
                Self::credential(&format!("caFile \"{path}\" {detail}"))
            }
            TransportError::Identity(fault) => {
                let (option, detail) = fault.describe();
                credential::unusable(&config.credential.name_of(option), &detail)
            }
            TransportError::ConnectionReplaced => Self::new(
                ErrorKind::Network,
                format!(
                    "{what} to {endpoint} failed: the connection was lost{}",
                    network_advice(NetworkFault::Reset)
                ),
            ),
            TransportError::Internal => Self::internal(),
        }
    }
}

fn network_advice(fault: NetworkFault) -> &'static str {
    match fault {
        NetworkFault::Dns => "; check the host name",
        NetworkFault::DnsUnavailable => "; check this machine's DNS configuration",
        NetworkFault::Refused => {
            "; check that the server or proxy is running and listening on this port"
        }
        NetworkFault::Reset | NetworkFault::BrokenPipe | NetworkFault::CutShort => {
            "; check the logs of Keycloak and of the gateways in front of it"
        }
        NetworkFault::TimedOut | NetworkFault::ConnectTimeout | NetworkFault::Connect(_) => {
            "; check the network path to the server or proxy"
        }
        // These details have their own advice, or come from the user's function.
        NetworkFault::Proxy
        | NetworkFault::ProxySetting
        | NetworkFault::Fetch(_)
        | NetworkFault::Other => "",
    }
}

/// Returns a hint about the client certificate: a server that rejects it may send an alert or just
/// close the connection.
fn certificate_hint(config: &Config, is_likely: bool) -> &'static str {
    if is_likely && config.grant.authentication == ClientAuthentication::TlsClientAuth {
        "; the server may have rejected the client certificate"
    } else {
        ""
    }
}
