//! The transport over real sockets: HTTP/1.1, kept-alive connections, TLS by rustls.
//!
//! Bodies are held in memory that is overwritten; the HTTP library's own buffers are not.
//! Which connections are shared is up to `pool`, whom TLS believes up to `trust`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{
    Client, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use rustls::pki_types::UnixTime;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use zeroize::Zeroizing;

use super::{
    ClientIdentity, Connection, MAX_BODY, NetworkFault, ProxySettings, ProxyUrl, TlsFault,
    Transport, TransportError,
    dial::{Dial, Progress},
    fault::{classify, clean},
    pool::{Key, Pool},
    trust::{
        Tls, Trust, TrustFile, TrustSettings, environment_roots, node_roots, node_roots_are_set,
    },
};
use crate::oauth::{Answer, RetryAfter, TokenEndpoint, TokenRequest};

const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

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
        if identity.is_some() && proxy.is_some_and(ProxyUrl::is_https) {
            // The HTTP library has one TLS configuration for both.
            return Err(TransportError::Network {
                fault: NetworkFault::Other,
                detail: "an https proxy would be shown the client's certificate".to_owned(),
            });
        }
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
                let pool = Pool::shared(key).await?;
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
        let request = http_request(request)?;
        let result = match connection {
            Connection::Any => {
                let (client, generation) = pool.client()?;
                let result = exchange(&client, request, silence).await;
                if matches!(result, Err(TransportError::ReusedConnection)) {
                    pool.retire(generation);
                }
                result
            }
            Connection::New => {
                let client = pool.fresh_client()?;
                let result = exchange(&client, request, silence).await;
                if result.is_ok() {
                    pool.adopt(client);
                }
                result
            }
        };
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
        Ok(answer) if answer.status == PROXY_AUTHENTICATION_REQUIRED => {
            Err(TransportError::Network {
                fault: NetworkFault::Other,
                detail: named("the proxy wants another user name and password, status 407"),
            })
        }
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

fn http_request(request: &TokenRequest) -> Result<Request, TransportError> {
    let method = match request.body {
        Some(_) => Method::POST,
        None => Method::GET,
    };
    let mut http = Request::new(method, request.endpoint.url().clone());
    if let Some(authorization) = &request.authorization {
        let mut value =
            HeaderValue::from_str(authorization).map_err(|_| TransportError::Internal)?;
        value.set_sensitive(true);
        http.headers_mut().insert(AUTHORIZATION, value);
    }
    if let Some(form) = &request.body {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        http.headers_mut().insert(CONTENT_TYPE, kind);
        *http.body_mut() = Some(Bytes::from_owner(form.clone()).into());
    }
    Ok(http)
}

async fn exchange(
    client: &Client,
    request: Request,
    silence: Duration,
) -> Result<Answer, TransportError> {
    let dial = Dial::new();
    let response = head(client, request, &dial, silence).await?;
    // Settled once there is a head.
    let patience = (dial.progress() != Progress::Connected).then_some(silence);
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(RetryAfter::parse);
    let body = body(response, patience).await?;
    Ok(Answer {
        status,
        retry_after,
        body,
    })
}

/// Sends the request and waits for the head of the answer.
async fn head(
    client: &Client,
    request: Request,
    dial: &Arc<Dial>,
    silence: Duration,
) -> Result<Response, TransportError> {
    let mut sending = Box::pin(dial.watch(client.execute(request)));
    let mut dialling = false;
    loop {
        let Ok(result) = timeout(silence, &mut sending).await else {
            let was_dialling = std::mem::replace(&mut dialling, false);
            match dial.progress() {
                Progress::Connected => {
                    let result = sending.await;
                    return result.map_err(|error| classify(&error));
                }
                Progress::Dialling => dialling = true,
                // It got its connection only just now: what was silent before was the dial.
                Progress::Overtaken if was_dialling => {}
                Progress::NotDialled | Progress::Overtaken => {
                    return Err(TransportError::ReusedConnection);
                }
            }
            continue;
        };
        return result.map_err(|error| {
            let on_own_connection = error.is_connect() || dial.progress() == Progress::Connected;
            if on_own_connection || error.is_builder() {
                classify(&error)
            } else {
                TransportError::ReusedConnection
            }
        });
    }
}

/// Reads the body. `patience` is there for a reused connection only.
async fn body(
    mut response: Response,
    patience: Option<Duration>,
) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let status = response.status().as_u16();
    let announced = response.content_length().unwrap_or_default();
    let capacity = usize::try_from(announced).unwrap_or(usize::MAX);
    if capacity > MAX_BODY {
        return Err(TransportError::BodyTooLarge { status });
    }
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    loop {
        let chunk = match patience {
            None => response.chunk().await.map_err(|error| classify(&error))?,
            Some(patience) => timeout(patience, response.chunk())
                .await
                .map_err(|_| TransportError::ReusedConnection)?
                .map_err(|_| TransportError::ReusedConnection)?,
        };
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len().saturating_add(chunk.len()) > MAX_BODY {
            return Err(TransportError::BodyTooLarge { status });
        }
        append(&mut body, &chunk);
    }
}

/// Appends without leaving a copy behind, as growing in place would.
fn append(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let length = body.len().saturating_add(chunk.len());
    if length > body.capacity() {
        let capacity = body.capacity().saturating_mul(2).max(length);
        let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
        larger.extend_from_slice(body);
        *body = larger;
    }
    body.extend_from_slice(chunk);
}
