//! The HTTP clients of the process: all managers that trust the same authorities, present the same
//! certificate and use the same proxy share a client. A client keeps open connections to each
//! origin.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::{
    Body, Client, ClientBuilder, Method, Proxy, Request, Response,
    header::{
        ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
        TRANSFER_ENCODING,
    },
    redirect, retry,
};
use rustls::ClientConfig;
use tokio::{
    runtime::{self, Handle},
    sync::Semaphore,
};
use zeroize::Zeroizing;

use super::{
    ClientIdentity, MAX_BODY, NetworkFault, Progress, ProxyUrl, Stage, TransportError,
    connector::{Observe, observed},
    fault::{classify, is_lost_connection, lacks_close_notify, refusal},
    lookup::SystemResolver,
    share::Shared,
    tls::client_config,
    trust::Trust,
};
use oauth::{Answer, TokenRequest, is_json_object, is_temporary};

/// The default `User-Agent` header, which an additional header can replace.
pub const USER_AGENT: &str = concat!("keycloak-token-manager/", env!("CARGO_PKG_VERSION"));

/// The time limit for the name look-up, the connection, the tunnel and the TLS handshake together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum number of response headers. Gateways add many headers, and the HTTP library allows
/// only 100 by default.
pub(super) const MAX_HEADERS: usize = 1_000;

/// The idle time after which the client no longer reuses a connection.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time without an acknowledgement after which the system gives up a connection.
const PEER_TIMEOUT: Duration = Duration::from_secs(5);

/// The time limit for the body of an answer whose status says that the failure is temporary.
const FAILURE_BODY_TIMEOUT: Duration = Duration::from_secs(1);

static CLIENTS: LazyLock<Shared<ClientKey, SharedClient>> = LazyLock::new(Shared::new);

/// Building a client with Node's certificates takes milliseconds of CPU time. The process builds
/// one client at a time, so that requests that begin together build only one client.
static BUILDING: Semaphore = Semaphore::const_new(1);

/// The settings that two managers must have in common to share a client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct ClientKey {
    pub(super) trust: Trust,
    /// The certificate that the client presents.
    pub(super) identity: Option<Arc<ClientIdentity>>,
    pub(super) proxy: Option<ProxyUrl>,
    /// The runtime of the client, because connections do not outlive the runtime that opened them.
    runtime: runtime::Id,
}

impl ClientKey {
    /// Creates a key for the current runtime.
    pub(super) fn new(
        trust: Trust,
        identity: Option<Arc<ClientIdentity>>,
        proxy: Option<ProxyUrl>,
    ) -> Self {
        Self {
            trust,
            identity,
            proxy,
            runtime: Handle::current().id(),
        }
    }
}

/// A client that the process can replace while requests use it.
pub(super) struct SharedClient {
    pub(super) key: ClientKey,
    tls: ClientConfig,
    current: Mutex<Current>,
}

#[derive(Clone)]
struct Current {
    client: Client,
    /// The number of replacements of the client.
    generation: u64,
}

// The map's key contains private keys and a proxy's password, so it must not outlive the last user
// of the client.
impl Drop for SharedClient {
    fn drop(&mut self) {
        CLIENTS.forget(&self.key);
    }
}

impl SharedClient {
    /// Returns the client for `key`. Builds the client if necessary.
    pub(super) async fn shared(key: ClientKey) -> Result<Arc<Self>, TransportError> {
        if let Some(client) = CLIENTS.get(&key) {
            return Ok(client);
        }
        if !key.trust.is_costly() {
            return Ok(CLIENTS.share(key.clone(), Self::build(key)?));
        }
        let permit = BUILDING.acquire().await;
        if let Some(client) = CLIENTS.get(&key) {
            return Ok(client);
        }
        let building = key.clone();
        let built = tokio::task::spawn_blocking(move || Self::build(building)).await;
        let client = CLIENTS.share(key, built.map_err(|_| TransportError::Internal)??);
        drop(permit);
        Ok(client)
    }

    fn build(key: ClientKey) -> Result<Self, TransportError> {
        let tls = client_config(&key.trust, key.identity.as_deref())?;
        let client = build_client(&tls, key.proxy.as_ref())?;
        Ok(Self {
            key,
            tls,
            current: Mutex::new(Current {
                client,
                generation: 0,
            }),
        })
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        progress: &Progress,
    ) -> Result<Answer, TransportError> {
        let Current { client, generation } = self.current.lock().clone();
        let http = http_request(request)?;
        progress.enter(Stage::WaitingForAnswer);
        let (result, has_connected) = observed(progress, client.execute(http)).await;
        match result {
            Ok(response) => {
                let answer = read(response, progress).await?;
                let is_forwarded = self.key.proxy.as_ref().is_some_and(ProxyUrl::is_http)
                    && !request.endpoint.is_https();
                let refused = refusal(answer.status).filter(|_| is_forwarded);
                refused.map_or(Ok(answer), Err)
            }
            // The HTTP library does not say which connection failed. If it opened no connection for
            // this request, a reused connection failed. If it opened one but then sent the request
            // over an existing connection that became free first, the new connection still counts
            // as the one that failed.
            Err(error) if !has_connected && is_lost_connection(&error) => {
                self.replace(generation)?;
                Err(TransportError::ConnectionReplaced)
            }
            Err(error) => Err(classify(error)),
        }
    }

    /// Discards the idle connections of this client generation: if one connection has failed, the
    /// others have probably failed too. Requests in progress continue. If many requests fail
    /// together, only the first failure replaces the client.
    fn replace(&self, generation: u64) -> Result<(), TransportError> {
        let mut current = self.current.lock();
        if current.generation == generation {
            *current = Current {
                client: build_client(&self.tls, self.key.proxy.as_ref())?,
                generation: generation.wrapping_add(1),
            };
        }
        Ok(())
    }
}

/// Builds a client. Only this function builds one, because TLS must always use this crate's
/// configuration: the library's default verifier would use the trust store of the operating system.
fn build_client(tls: &ClientConfig, proxy: Option<&ProxyUrl>) -> Result<Client, TransportError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let builder = Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        // Node also accepts such answers.
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .user_agent(USER_AGENT)
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .referer(false)
        .retry(retry::never())
        .no_proxy()
        .dns_resolver(SystemResolver)
        .connect_timeout(CONNECT_TIMEOUT)
        .connector_layer(Observe)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true);
    let builder = notice_silent_peers(builder);
    let builder = match proxy {
        None => builder,
        Some(proxy) => {
            let proxy = Proxy::all(proxy.expose()).map_err(|_| TransportError::Internal)?;
            builder.proxy(proxy)
        }
    };
    builder.build().map_err(|_| TransportError::Internal)
}

#[cfg(target_os = "linux")]
fn notice_silent_peers(builder: ClientBuilder) -> ClientBuilder {
    builder.tcp_user_timeout(PEER_TIMEOUT)
}

/// Makes the system send probes after 2 s, one per second, and give up the connection after 5 s
/// without an answer.
#[cfg(not(target_os = "linux"))]
fn notice_silent_peers(builder: ClientBuilder) -> ClientBuilder {
    let interval = Duration::from_secs(1);
    let retries = 3;
    builder
        .tcp_keepalive(PEER_TIMEOUT.saturating_sub(interval.saturating_mul(retries)))
        .tcp_keepalive_interval(interval)
        .tcp_keepalive_retries(retries)
}

fn http_request(request: &TokenRequest) -> Result<Request, TransportError> {
    let url = request.endpoint.url();
    // `http::Uri` stores its length in 16 bits.
    if url.as_str().len() >= usize::from(u16::MAX) {
        return Err(TransportError::Network {
            fault: NetworkFault::Other,
            detail: "the URL is too long for HTTP".to_owned(),
        });
    }
    let mut http = Request::new(Method::GET, url.clone());
    if let Some(authorization) = &request.authorization {
        let value = HeaderValue::from_str(authorization);
        let mut value = value.map_err(|_| TransportError::Internal)?;
        value.set_sensitive(true);
        http.headers_mut().insert(AUTHORIZATION, value);
    }
    for (name, value) in request.headers.iter() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let value = HeaderValue::from_str(value.expose());
        let (Ok(name), Ok(mut value)) = (name, value) else {
            return Err(TransportError::Internal);
        };
        value.set_sensitive(true);
        http.headers_mut().insert(name, value);
    }
    if let Some(form) = &request.body {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        http.headers_mut().insert(CONTENT_TYPE, kind);
        *http.method_mut() = Method::POST;
        *http.body_mut() = Some(Body::from(Bytes::from_owner(form.clone())));
    }
    Ok(http)
}

/// Reads the rest of an answer. The status of a failure is enough for the manager, so this function
/// returns an empty body if the body of a failure is too large. For a temporary failure, it also
/// returns an empty body if the body is cut off or arrives too late.
async fn read(mut response: Response, progress: &Progress) -> Result<Answer, TransportError> {
    let status = response.status().as_u16();
    progress.enter(Stage::ReadingAnswer(status));
    let headers = std::mem::take(response.headers_mut());
    let ends_with_connection =
        response.content_length().is_none() && !headers.contains_key(TRANSFER_ENCODING);
    let body = read_body(response, ends_with_connection);
    let body = if is_temporary(status) {
        let body = tokio::time::timeout(FAILURE_BODY_TIMEOUT, body).await;
        body.ok().and_then(Result::ok).unwrap_or_default()
    } else {
        match body.await {
            Err(TransportError::BodyTooLarge { status: 400.. }) => Zeroizing::default(),
            body => body?,
        }
    };
    let header = |name: &str| headers.get(name)?.to_str().ok();
    Ok(Answer::new(status, header, body))
}

async fn read_body(
    mut response: Response,
    ends_with_connection: bool,
) -> Result<Zeroizing<Vec<u8>>, TransportError> {
    let status = response.status().as_u16();
    let announced = response.content_length().unwrap_or_default();
    let capacity = usize::try_from(announced).unwrap_or(usize::MAX);
    if capacity > MAX_BODY {
        return Err(TransportError::BodyTooLarge { status });
    }
    let mut body = Zeroizing::new(Vec::with_capacity(capacity));
    loop {
        let chunk = match response.chunk().await {
            Ok(Some(chunk)) => chunk,
            Ok(None) => break,
            Err(error)
                if ends_with_connection
                    && lacks_close_notify(&error)
                    && is_complete(status, &body) =>
            {
                break;
            }
            Err(error) => return Err(classify(error)),
        };
        if body.len().saturating_add(chunk.len()) > MAX_BODY {
            return Err(TransportError::BodyTooLarge { status });
        }
        append(&mut body, &chunk);
    }
    Ok(body)
}

/// Whether a response that may have been cut off is complete: its JSON object is complete, or no
/// JSON object has begun and the status alone shows the failure.
fn is_complete(status: u16, body: &[u8]) -> bool {
    let has_begun = body.trim_ascii_start().starts_with(b"{");
    is_json_object(body) || (!has_begun && !(200..300).contains(&status))
}

/// Appends a chunk to the body. Growing the buffer in place would leave a copy of its content in
/// freed memory.
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
