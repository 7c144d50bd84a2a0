//! Makes connections: look-up and TCP, the tunnel of a proxy if there is one, TLS.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderValue, Method, Request, Uri,
    header::{HOST, PROXY_AUTHORIZATION, USER_AGENT},
};
use hyper_util::{
    client::{legacy::connect::HttpConnector, proxy::matcher::Matcher},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::{
    NetworkFault, ProxyUrl, TransportError,
    fault::{Stage, classify},
    http::AGENT,
    lookup::LookUp,
    tls::Config,
    wire::{Body, Stream, Wire},
};
use crate::oauth::TokenEndpoint;

/// The time for look-up, connection, tunnel and TLS handshake together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// How the servers of an origin are reached.
pub(super) struct Route {
    /// Where the TCP connection goes, as an http URL.
    peer: Uri,
    proxy: Option<Proxy>,
    tls: Option<Secure>,
}

/// What is told to a proxy.
pub(super) struct Proxy {
    tls: Option<Secure>,
    pub(super) authorization: Option<HeaderValue>,
    /// Host and port to which it is to make a tunnel.
    destination: String,
}

/// TLS with `name`.
struct Secure {
    name: ServerName<'static>,
    config: Arc<Config>,
}

impl Secure {
    fn new(host: &str, config: Arc<Config>) -> Result<Self, TransportError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(bare.to_owned());
        let name = name.map_err(|_| other("the host name is none that a certificate can have"))?;
        Ok(Self { name, config })
    }

    async fn connect(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, TransportError> {
        let connector = TlsConnector::from(Arc::clone(&self.config.rustls));
        let stream = connector.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| classify(Stage::Dial, &error))?;
        Ok(Box::new(stream))
    }
}

impl Route {
    /// The way to `endpoint`, through `proxy` if there is one, with the TLS configurations for those
    /// of the two that speak https.
    pub(super) fn new(
        endpoint: &TokenEndpoint,
        proxy: Option<&ProxyUrl>,
        tls: Option<Arc<Config>>,
        proxy_tls: Option<Arc<Config>>,
    ) -> Result<Self, TransportError> {
        let host = endpoint.url().host_str().unwrap_or_default();
        let port = endpoint.url().port_or_known_default().unwrap_or_default();
        let tls = tls.map(|tls| Secure::new(host, tls)).transpose()?;
        let destination = format!("{host}:{port}");
        let (peer, proxy) = match proxy {
            None => (destination, None),
            Some(proxy) => {
                let authority = proxy.authority();
                let told = Proxy::new(proxy, destination, proxy_tls)?;
                (authority.to_owned(), Some(told))
            }
        };
        let peer = format!("http://{peer}").parse();
        let peer = peer.map_err(|_| other("the host name cannot be used"))?;
        Ok(Self { peer, proxy, tls })
    }

    /// The proxy that is sent the request itself, as there is no TLS to tunnel.
    pub(super) fn forwarding(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| self.tls.is_none())
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Wire, TransportError> {
        match timeout(CONNECT_TIMEOUT, self.connect()).await {
            Ok(wire) => wire,
            Err(_) => Err(TransportError::Network {
                fault: NetworkFault::ConnectTimeout,
                detail: format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()),
            }),
        }
    }

    async fn connect(&self) -> Result<Wire, TransportError> {
        let mut tcp = HttpConnector::new_with_resolver(LookUp);
        tcp.set_nodelay(true);
        // It is shared out among the addresses of a name.
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let stream = tcp.call(self.peer.clone()).await;
        let stream = stream.map_err(|error| classify(Stage::Dial, &error))?;
        let mut stream: Box<dyn Stream> = Box::new(TokioIo::into_inner(stream));
        if let Some(proxy) = &self.proxy {
            if let Some(tls) = &proxy.tls {
                stream = tls.connect(stream).await?;
            }
            if self.tls.is_some() {
                stream = proxy.tunnel(stream).await?;
            }
        }
        if let Some(tls) = &self.tls {
            stream = tls.connect(stream).await?;
        }
        let wire = Wire::new(stream).await;
        wire.map_err(|error| classify(Stage::Exchange, &error))
    }
}

impl Proxy {
    fn new(
        proxy: &ProxyUrl,
        destination: String,
        tls: Option<Arc<Config>>,
    ) -> Result<Self, TransportError> {
        let (host, _) = proxy.authority().rsplit_once(':').unwrap_or_default();
        let read = Matcher::builder().all(proxy.expose()).build();
        let read = read.intercept(&Uri::from_static("http://any.invalid"));
        Ok(Self {
            tls: tls.map(|tls| Secure::new(host, tls)).transpose()?,
            authorization: read.and_then(|read| read.basic_auth().cloned()),
            destination,
        })
    }

    /// Has the proxy connect us with the destination.
    async fn tunnel(&self, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, TransportError> {
        let failed = |error| match classify(Stage::Exchange, &error) {
            TransportError::Network { fault, detail } => TransportError::Network {
                fault,
                detail: format!("no tunnel: {detail}"),
            },
            error => error,
        };
        let wire = Wire::new(stream).await.map_err(failed)?;
        match wire.tunnel(self.request()?).await.map_err(failed)? {
            Ok(stream) => Ok(stream),
            Err(PROXY_AUTHENTICATION_REQUIRED) => Err(unauthorized()),
            Err(status) => Err(other(&format!("no tunnel: refused with status {status}"))),
        }
    }

    fn request(&self) -> Result<Request<Body>, TransportError> {
        let mut request = Request::new(Body::default());
        *request.method_mut() = Method::CONNECT;
        let uri = Uri::try_from(self.destination.as_str());
        *request.uri_mut() = uri.map_err(|_| TransportError::Internal)?;
        let host = HeaderValue::from_str(&self.destination);
        let headers = request.headers_mut();
        headers.insert(HOST, host.map_err(|_| TransportError::Internal)?);
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Some(authorization) = &self.authorization {
            headers.insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

/// The refusal of a proxy, of a tunnel or of a request that it was to pass on.
pub(super) fn refusal(status: u16) -> Option<TransportError> {
    (status == PROXY_AUTHENTICATION_REQUIRED).then(unauthorized)
}

fn unauthorized() -> TransportError {
    other("the proxy wants another user name and password, status 407")
}

fn other(detail: &str) -> TransportError {
    TransportError::Network {
        fault: NetworkFault::Other,
        detail: detail.to_owned(),
    }
}
