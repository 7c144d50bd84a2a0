//! The transport over real sockets: HTTP/1.1, kept-alive connections, TLS by rustls.
//!
//! Bodies are held in memory that is overwritten; the HTTP library's own buffers are not.
//! `dial` makes connections, `wire` uses one, `pool` keeps them; whom TLS believes is up to `trust`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{
        ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, PROXY_AUTHORIZATION, USER_AGENT,
    },
};
use parking_lot::Mutex;
use rustls::pki_types::UnixTime;
use tokio::sync::OwnedSemaphorePermit;
use url::Position;

use super::{
    ClientIdentity, Connection, NetworkFault, ProxySettings, ProxyUrl, TlsFault, Transport,
    TransportError,
    dial::{Proxy, refusal},
    fault::{Stage, classify, clean},
    pool::{Key, Pool},
    tls::Tls,
    trust::{Trust, TrustFile, TrustSettings, environment_roots, node_roots, node_roots_are_set},
    wire::{Body, Cut},
};
use crate::oauth::{Answer, TokenEndpoint, TokenRequest};

pub(super) const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// Token requests over HTTP. Making one does no I/O and needs no runtime; sending needs tokio.
pub struct HttpTransport {
    settings: TrustSettings,
    proxies: ProxySettings,
    /// The file of the settings as last read.
    file: Mutex<Option<Arc<TrustFile>>>,
    /// Keeps the connections of the last request alive.
    pool: Mutex<Option<Arc<Pool>>>,
}

impl HttpTransport {
    /// A transport that trusts what `settings` say and goes through no proxy.
    #[must_use]
    pub fn new(settings: TrustSettings) -> Self {
        Self {
            settings,
            proxies: ProxySettings::default(),
            file: Mutex::default(),
            pool: Mutex::default(),
        }
    }

    /// The same through these proxies.
    #[must_use]
    pub fn through(mut self, proxies: ProxySettings) -> Self {
        self.proxies = proxies;
        self
    }

    async fn pool(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
    ) -> Result<Arc<Pool>, TransportError> {
        if let Some(identity) = identity {
            identity
                .check_dates(UnixTime::now())
                .map_err(TransportError::Identity)?;
        }
        let proxy = self.proxies.between(endpoint);
        let key = Key {
            origin: endpoint.origin(),
            tls: Tls {
                trust: self.trust(endpoint).await?,
                identity: identity.cloned(),
            },
            proxy: proxy.cloned(),
        };
        let last = self.pool.lock().clone();
        match last {
            Some(pool) if pool.key == key => Ok(pool),
            _ => {
                let pool = Pool::shared(key, endpoint).await?;
                *self.pool.lock() = Some(Arc::clone(&pool));
                Ok(pool)
            }
        }
    }

    async fn trust(&self, endpoint: &TokenEndpoint) -> Result<Trust, TransportError> {
        let proxy = self.proxies.between(endpoint);
        let has_tls = endpoint.is_https() || proxy.is_some_and(ProxyUrl::is_https);
        if self.settings.skip_verify || !has_tls {
            return Ok(Trust::Unverified);
        }
        let file = match self.settings.file.clone() {
            None => None,
            Some(path) => {
                let last = self.file.lock().clone();
                let file = TrustFile::load(path, last).await?;
                *self.file.lock() = Some(Arc::clone(&file));
                Some(file)
            }
        };
        let has_environment = environment_roots().await?.is_some();
        let trust = Trust::Roots {
            node: node_roots_are_set(),
            extra: self.settings.extra.clone(),
            file: file.map(|file| Arc::clone(&file.certificates)),
        };
        match &trust {
            Trust::Roots {
                node: false,
                extra: None,
                file: None,
            } if !has_environment => Err(TransportError::RootsNeeded),
            _ => Ok(trust),
        }
    }
}

/// Connections to use, and one of the permits to use them.
pub struct Pass {
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Transport for HttpTransport {
    type Pass = Pass;

    async fn admit(
        &self,
        endpoint: &TokenEndpoint,
        identity: Option<&Arc<ClientIdentity>>,
    ) -> Result<Pass, TransportError> {
        let pool = self.pool(endpoint, identity).await?;
        let permit = Arc::clone(&pool.permits).acquire_owned().await;
        let permit = permit.map_err(|_| TransportError::Internal)?;
        Ok(Pass {
            pool,
            _permit: permit,
        })
    }

    async fn send(
        &self,
        Pass { pool, .. }: &Pass,
        request: &TokenRequest,
        connection: Connection,
        silence: Duration,
    ) -> Result<Answer, TransportError> {
        let result = exchange(pool, request, connection, silence).await;
        match result {
            Err(TransportError::Tls {
                fault: TlsFault::UnknownIssuer,
                ..
            }) if pool.key.tls.trust.lacks_node_roots() => Err(TransportError::RootsNeeded),
            result => match &pool.key.proxy {
                Some(proxy) => through(proxy, result),
                None => result,
            },
        }
    }

    async fn roots(&self) {
        node_roots().await;
    }
}

/// What came through a proxy: it is named where something went wrong, and its own refusal, which
/// without a tunnel looks like an answer, is no answer of the server.
fn through(
    proxy: &ProxyUrl,
    result: Result<Answer, TransportError>,
) -> Result<Answer, TransportError> {
    let named = |detail: &str| format!("{detail} (through the proxy {})", clean(&proxy.shown()));
    match result {
        Err(TransportError::Network { fault, detail }) => Err(TransportError::Network {
            fault,
            detail: named(&detail),
        }),
        Err(TransportError::Tls { fault, detail }) => Err(TransportError::Tls {
            fault,
            detail: named(&detail),
        }),
        result => result,
    }
}

/// Sends the request over a connection of the pool.
async fn exchange(
    pool: &Arc<Pool>,
    request: &TokenRequest,
    connection: Connection,
    silence: Duration,
) -> Result<Answer, TransportError> {
    let http = http_request(request, pool.route.forwarding())?;
    let mut lease = match connection {
        Connection::Any => pool.any().await?,
        Connection::New => pool.dial().await?,
    };
    let patience = lease.is_reused.then_some(silence);
    match lease.wire.exchange(http, patience).await {
        Ok(answer) => {
            pool.idle.give_back(lease);
            let refused = pool.route.forwarding().and_then(|_| refusal(answer.status));
            refused.map_or(Ok(answer), Err)
        }
        Err(Cut::TooLarge { status }) => Err(TransportError::BodyTooLarge { status }),
        Err(Cut::Failed(error)) if !lease.is_reused => Err(classify(Stage::Exchange, &error)),
        Err(Cut::Ended) if !lease.is_reused => Err(TransportError::Network {
            fault: NetworkFault::CutShort,
            detail: "the connection ended before the request was sent".to_owned(),
        }),
        Err(Cut::Failed(_) | Cut::Ended | Cut::Silent) => {
            pool.idle.retire(&lease);
            Err(TransportError::ReusedConnection)
        }
    }
}

/// The request as it is sent to the server, or to a proxy that passes it on.
fn http_request(
    request: &TokenRequest,
    proxy: Option<&Proxy>,
) -> Result<Request<Body>, TransportError> {
    let url = request.endpoint.url();
    let target = match proxy {
        None => &url[Position::BeforePath..Position::AfterQuery],
        Some(_) => &url[..Position::AfterQuery],
    };
    let too_long = |_| TransportError::Network {
        fault: NetworkFault::Other,
        detail: "the URL is too long for HTTP".to_owned(),
    };
    let mut http = Request::new(Body::default());
    *http.uri_mut() = Uri::try_from(target).map_err(too_long)?;
    let mut set = |name: HeaderName, value: &str| {
        let mut value = HeaderValue::from_str(value).map_err(|_| TransportError::Internal)?;
        value.set_sensitive(name == AUTHORIZATION);
        http.headers_mut().insert(name, value);
        Ok(())
    };
    set(HOST, &url[Position::BeforeHost..Position::AfterPort])?;
    set(ACCEPT, "application/json")?;
    set(USER_AGENT, AGENT)?;
    if let Some(authorization) = &request.authorization {
        set(AUTHORIZATION, authorization)?;
    }
    if let Some(form) = &request.body {
        set(CONTENT_TYPE, "application/x-www-form-urlencoded")?;
        *http.method_mut() = Method::POST;
        *http.body_mut() = Body::new(Bytes::from_owner(form.clone()));
    }
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        let headers = http.headers_mut();
        headers.insert(PROXY_AUTHORIZATION, authorization.clone());
    }
    Ok(http)
}
