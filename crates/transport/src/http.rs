//! The transport over real sockets, with reqwest for HTTP/1.1 and rustls for TLS.
//!
//! Dropping a body overwrites its memory, but the HTTP library does not overwrite its own buffers.
//! `client` sends requests; `trust` and `verify` decide which certificates TLS accepts.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::UnixTime;

use super::{
    ClientIdentity, NetworkFault, Progress, ProxySettings, ProxyUrl, Stage, TlsFault, Transport,
    TransportError,
    client::{ClientKey, SharedClient},
    fault::clean,
    origin::{Origin, OriginPermit},
    trust::{
        Trust, TrustFile, TrustSettings, environment_fault, environment_roots, node_roots,
        node_roots_are_set,
    },
};
use oauth::{Answer, TokenEndpoint, TokenRequest};

/// The function that the transport calls when it needs the certificates that Node trusts.
/// JavaScript then calls [`super::set_node_roots`].
pub type AskForRoots = Arc<dyn Fn() + Send + Sync>;

/// Sends token requests over HTTP. Creating a transport does no I/O and needs no runtime; sending
/// needs tokio.
pub struct HttpTransport {
    settings: TrustSettings,
    proxies: ProxySettings,
    ask_for_roots: Option<AskForRoots>,
    /// The certificate file of the settings, as the transport last read it.
    file: Mutex<Option<Arc<TrustFile>>>,
    /// The client and the origin of the last request, which this field keeps alive.
    last: Mutex<Option<(Arc<SharedClient>, Arc<Origin>)>>,
}

impl HttpTransport {
    /// Creates a transport with these trust settings and without a proxy. It uses the certificates
    /// that Node trusts as soon as JavaScript hands them over, but does not request them.
    #[must_use]
    pub fn new(settings: TrustSettings) -> Self {
        Self {
            settings,
            proxies: ProxySettings::default(),
            ask_for_roots: None,
            file: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// Makes the transport use these proxies.
    #[must_use]
    pub fn through(mut self, proxies: ProxySettings) -> Self {
        self.proxies = proxies;
        self
    }

    /// Makes the transport request the certificates that Node trusts, and wait for them, if it
    /// needs them.
    #[must_use]
    pub fn asking(mut self, ask_for_roots: AskForRoots) -> Self {
        self.ask_for_roots = Some(ask_for_roots);
        self
    }

    async fn client(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<Arc<SharedClient>, TransportError> {
        if let Some(identity) = identity {
            identity
                .check_dates(UnixTime::now())
                .map_err(TransportError::Identity)?;
        }
        let proxy = self.proxies.proxy_for(endpoint)?;
        if let Some(proxy) = proxy {
            progress.use_proxy(|| clean(&proxy.shown()));
        }
        if identity.is_some() && proxy.is_some_and(ProxyUrl::is_https) {
            return Err(TransportError::Network {
                fault: NetworkFault::ProxySetting,
                detail:
                    "a client certificate does not work with an https proxy, because the proxy \
                     would receive the certificate; use an http proxy, or set tokenFetch and \
                     configure the function with the certificate and the proxy"
                        .to_owned(),
            });
        }
        let trust = self.trust(endpoint, proxy, progress).await?;
        let key = ClientKey::new(trust, identity.cloned(), proxy.cloned());
        let last = self.last.lock().as_ref().map(|(last, _)| Arc::clone(last));
        match last {
            Some(client) if client.key == key => Ok(client),
            _ => SharedClient::shared(key).await,
        }
    }

    async fn trust(
        &self,
        endpoint: &TokenEndpoint,
        proxy: Option<&ProxyUrl>,
        progress: &Progress,
    ) -> Result<Trust, TransportError> {
        let has_tls = endpoint.is_https() || proxy.is_some_and(ProxyUrl::is_https);
        if !has_tls {
            return Ok(Trust::Nobody);
        }
        if self.settings.skip_verify {
            return Ok(Trust::Everybody);
        }
        progress.enter(Stage::WaitingForFile);
        let file = match self.settings.file.clone() {
            None => None,
            Some(path) => {
                let last = self.file.lock().clone();
                let file = TrustFile::load(path, last).await?;
                *self.file.lock() = Some(Arc::clone(&file));
                Some(Arc::clone(&file.certificates))
            }
        };
        let has_environment = environment_roots().is_some();
        let has_named = has_environment || self.settings.extra.is_some() || file.is_some();
        if !has_named && !node_roots_are_set() {
            self.wait_for_roots(progress).await;
        }
        Ok(Trust::Roots {
            node: node_roots_are_set(),
            extra: self.settings.extra.clone(),
            file,
        })
    }

    /// Waits for the certificates that Node trusts. Returns immediately if the transport cannot
    /// request the certificates.
    async fn wait_for_roots(&self, progress: &Progress) {
        if let Some(ask) = &self.ask_for_roots
            && !node_roots_are_set()
        {
            progress.enter(Stage::WaitingForEventLoop);
            ask();
            node_roots().await;
        }
    }

    fn origin(&self, endpoint: &TokenEndpoint) -> Arc<Origin> {
        match &*self.last.lock() {
            Some((_, origin)) if origin.is_of(endpoint) => Arc::clone(origin),
            _ => Origin::of(endpoint),
        }
    }
}

/// A client, and a permit to send requests to an origin.
pub struct Pass {
    client: Arc<SharedClient>,
    /// `None` while waiting for Node's certificates.
    permit: Option<OriginPermit>,
}

impl Transport for HttpTransport {
    type Pass = Pass;

    async fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
        progress: &Progress,
    ) -> Result<Pass, TransportError> {
        // Many requests may wait for a permit at once, so this future must be small.
        let client = Box::pin(self.client(endpoint, identity, progress)).await?;
        let origin = self.origin(endpoint);
        let permit = origin.admit(progress).await?;
        *self.last.lock() = Some((Arc::clone(&client), origin));
        Ok(Pass {
            client,
            permit: Some(permit),
        })
    }

    async fn send(
        &self,
        pass: &mut Pass,
        request: &TokenRequest,
        progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let result = pass.client.exchange(request, progress).await;
        let has_more = node_roots_are_set() || self.ask_for_roots.is_some();
        let result = match result {
            Err(TransportError::Tls {
                fault: TlsFault::UnknownIssuer,
                ..
            }) if has_more && pass.client.key.trust.lacks_node_roots() => {
                // The handshake failed, so the client has not sent the request.
                pass.permit = None;
                self.wait_for_roots(progress).await;
                let identity = pass.client.key.identity.clone();
                *pass = self
                    .admit(&request.endpoint, identity.as_ref(), progress)
                    .await?;
                pass.client.exchange(request, progress).await
            }
            result => result,
        };
        let result = result.map_err(with_environment_fault);
        match &pass.client.key.proxy {
            Some(proxy) => result.map_err(|error| through(proxy, error)),
            None => result,
        }
    }
}

/// Adds the fault of the `NODE_EXTRA_CA_CERTS` file, if its certificates could have changed the
/// verdict.
fn with_environment_fault(error: TransportError) -> TransportError {
    match error {
        TransportError::Tls {
            fault: fault @ TlsFault::UnknownIssuer,
            detail,
        } => TransportError::Tls {
            fault,
            detail: match environment_fault() {
                Some(unread) => format!("{detail}; {unread}"),
                None => detail,
            },
        },
        error => error,
    }
}

/// Adds the proxy to the text of an error.
fn through(proxy: &ProxyUrl, error: TransportError) -> TransportError {
    let named = |detail: &str| format!("{detail} (through the proxy {})", clean(&proxy.shown()));
    let resolves_here = proxy.expose().starts_with("socks5:");
    match error {
        TransportError::Network {
            fault: fault @ NetworkFault::Dns,
            detail,
        } if resolves_here => TransportError::Network {
            fault,
            detail: format!("{}; if only the proxy knows the name, use socks5h://", named(&detail)),
        },
        TransportError::Network { fault, detail } => TransportError::Network {
            fault,
            detail: named(&detail),
        },
        TransportError::Tls { fault, detail } => TransportError::Tls {
            fault,
            detail: named(&detail),
        },
        error => error,
    }
}
