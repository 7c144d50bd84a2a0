//! What managers of one process share: connections, TLS configurations, and the bound on requests.
//!
//! Two managers share connections if they use one origin and trust the same. Everything is kept by
//! content and held weakly, so an entry lives as long as a transport that uses it.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use reqwest::{
    Client, Proxy,
    header::{ACCEPT, HeaderMap, HeaderValue},
    redirect, retry,
};
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use super::{
    ProxyUrl, TransportError,
    dial::DialLayer,
    lookup::LookUp,
    trust::{Tls, Trust},
};

/// The token requests that are under way at once to one origin, for the whole process.
pub const MAX_REQUESTS_PER_ORIGIN: usize = 64;

/// The time for look-up, connection and TLS handshake together.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// After that long without use a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

const USER_AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

static POOLS: LazyLock<Shared<Key, Pool>> = LazyLock::new(Shared::new);
static CONFIGS: LazyLock<Shared<Tls, Config>> = LazyLock::new(Shared::new);
static PERMITS: LazyLock<Shared<String, Semaphore>> = LazyLock::new(Shared::new);

/// Who may share connections.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) origin: String,
    pub(super) tls: Tls,
    /// What is between. `None`: nothing.
    pub(super) proxy: Option<ProxyUrl>,
}

/// The connections to one origin.
pub(super) struct Pool {
    pub(super) key: Key,
    pub(super) permits: Arc<Semaphore>,
    tls: Arc<Config>,
    current: Mutex<Current>,
}

/// A TLS configuration and what it was made of.
struct Config {
    config: ClientConfig,
    tls: Tls,
}

// The keys hold private keys and a proxy's password, which go with the last who needs them.
impl Drop for Pool {
    fn drop(&mut self) {
        POOLS.forget(&self.key);
    }
}

impl Drop for Config {
    fn drop(&mut self) {
        CONFIGS.forget(&self.tls);
    }
}

/// The client whose connections are in use, and how many went before it.
#[derive(Default)]
struct Current {
    generation: u64,
    client: Option<Client>,
}

impl Pool {
    /// The pool for `key`, made if there is none.
    pub(super) async fn shared(key: Key) -> Result<Arc<Self>, TransportError> {
        if let Some(pool) = POOLS.get(&key) {
            return Ok(pool);
        }
        let tls = shared_config(&key.tls).await?;
        let permits = PERMITS.share(key.origin.clone(), Semaphore::new(MAX_REQUESTS_PER_ORIGIN));
        let pool = Self {
            key: key.clone(),
            permits,
            tls,
            current: Mutex::default(),
        };
        Ok(POOLS.share(key, pool))
    }

    /// The client that everybody uses, and its generation.
    pub(super) fn client(&self) -> Result<(Client, u64), TransportError> {
        let mut current = self.current.lock();
        let client = match &current.client {
            Some(client) => client.clone(),
            None => current.client.insert(self.build()?).clone(),
        };
        Ok((client, current.generation))
    }

    /// A client that nobody else uses, hence without connections.
    pub(super) fn fresh_client(&self) -> Result<Client, TransportError> {
        self.build()
    }

    /// Lets everybody use `client`, unless there is one.
    pub(super) fn adopt(&self, client: Client) {
        self.current.lock().client.get_or_insert(client);
    }

    /// Gives up all connections of that generation: where one died the others did too, most
    /// likely. Requests under way on them go on; of many that fail together the first counts.
    pub(super) fn retire(&self, generation: u64) {
        let mut current = self.current.lock();
        if current.generation == generation {
            current.generation = generation.wrapping_add(1);
            current.client = None;
        }
    }

    fn build(&self) -> Result<Client, TransportError> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let builder = Client::builder().no_proxy();
        let builder = match &self.key.proxy {
            None => builder,
            Some(proxy) => {
                let proxy = Proxy::all(proxy.expose()).map_err(|_| TransportError::Internal)?;
                builder.proxy(proxy)
            }
        };
        builder
            // Without a configuration of ours the library would panic for want of a provider, and
            // ask the platform whom to trust; plain http is no exception.
            .tls_backend_preconfigured(self.tls.config.clone())
            .http1_only()
            .redirect(redirect::Policy::none())
            .referer(false)
            .retry(retry::never())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .user_agent(USER_AGENT)
            .default_headers(headers)
            .dns_resolver(LookUp)
            .connector_layer(DialLayer)
            .build()
            .map_err(|_| TransportError::Internal)
    }
}

/// The configuration. Roots take milliseconds of parsing, which a blocking thread does.
async fn shared_config(tls: &Tls) -> Result<Arc<Config>, TransportError> {
    if let Some(config) = CONFIGS.get(tls) {
        return Ok(config);
    }
    let config = if tls.trust == Trust::Unverified {
        tls.client_config()
    } else {
        let tls = tls.clone();
        tokio::task::spawn_blocking(move || tls.client_config())
            .await
            .map_err(|_| TransportError::Internal)?
    };
    let config = Config {
        config: config?,
        tls: tls.clone(),
    };
    Ok(CONFIGS.share(tls.clone(), config))
}

/// Values by content, held by whoever uses them.
struct Shared<K, V> {
    entries: Mutex<HashMap<K, Weak<V>>>,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    fn new() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }

    fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.lock().get(key).and_then(Weak::upgrade)
    }

    /// Lets go of `key` if nobody uses its value any more.
    fn forget(&self, key: &K) {
        let mut entries = self.entries.lock();
        if entries
            .get(key)
            .is_some_and(|value| value.strong_count() == 0)
        {
            entries.remove(key);
        }
    }

    /// Shares `value`, or gives what is already shared under `key`. Clears out dead entries.
    fn share(&self, key: K, value: V) -> Arc<V> {
        let mut entries = self.entries.lock();
        if let Some(shared) = entries.get(&key).and_then(Weak::upgrade) {
            return shared;
        }
        entries.retain(|_, value| value.strong_count() > 0);
        let shared = Arc::new(value);
        entries.insert(key, Arc::downgrade(&shared));
        shared
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_share_a_value_while_it_is_used() {
        let shared = Shared::new();
        let first = shared.share("a", 1);
        assert!(Arc::ptr_eq(&first, &shared.share("a", 2)));
        assert!(Arc::ptr_eq(&first, &shared.get(&"a").unwrap()));
        drop(first);
        assert_eq!(shared.get(&"a"), None);
        assert_eq!(*shared.share("a", 3), 3);
    }

    #[test]
    fn unused_entries_are_cleared_out() {
        let shared = Shared::new();
        for number in 0..1000 {
            drop(shared.share(number, ()));
        }
        assert_eq!(shared.entries.lock().len(), 1);
    }

    fn pool() -> Pool {
        let tls = Tls {
            trust: Trust::Unverified,
            identity: None,
        };
        let config = tls.client_config().unwrap();
        Pool {
            tls: Arc::new(Config {
                config,
                tls: tls.clone(),
            }),
            key: Key {
                origin: "http://127.0.0.1:1".into(),
                tls,
                proxy: None,
            },
            permits: Arc::new(Semaphore::new(1)),
            current: Mutex::default(),
        }
    }

    #[test]
    fn many_failures_of_one_generation_retire_it_once() {
        let pool = pool();
        let (_, first) = pool.client().unwrap();
        assert_eq!(pool.client().unwrap().1, first);
        pool.retire(first);
        let (_, second) = pool.client().unwrap();
        assert_ne!(first, second);
        pool.retire(first);
        assert!(pool.current.lock().client.is_some());
        assert_eq!(pool.client().unwrap().1, second);
    }

    #[test]
    fn adopted_client_does_not_replace_one_in_use() {
        let pool = pool();
        pool.adopt(pool.fresh_client().unwrap());
        let generation = pool.current.lock().generation;
        assert!(pool.current.lock().client.is_some());
        pool.retire(generation);
        assert!(pool.current.lock().client.is_none());
    }

    #[tokio::test]
    async fn what_a_pool_was_made_of_goes_with_it() {
        let key = Key {
            origin: "http://gone.example:80".into(),
            tls: Tls {
                trust: Trust::Unverified,
                identity: None,
            },
            proxy: None,
        };
        let pool = Pool::shared(key.clone()).await.unwrap();
        assert!(POOLS.entries.lock().contains_key(&key));
        drop(pool);
        assert!(!POOLS.entries.lock().contains_key(&key));
    }

    #[tokio::test]
    async fn origins_trusted_alike_share_nothing_but_their_tls_configuration() {
        let shared = async |origin: &str| {
            let trust = Trust::Roots {
                node: false,
                extra: None,
                file: None,
            };
            let origin = origin.to_owned();
            let identity = None;
            let tls = Tls { trust, identity };
            let proxy = None;
            Pool::shared(Key { origin, tls, proxy }).await.unwrap()
        };
        let first = shared("https://a.example:443").await;
        let second = shared("https://b.example:443").await;
        assert!(Arc::ptr_eq(&first.tls, &second.tls));
        assert!(!Arc::ptr_eq(&first.permits, &second.permits));
        assert!(Arc::ptr_eq(&first, &shared("https://a.example:443").await));
    }
}
