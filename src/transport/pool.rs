//! The connections to one origin, and the bound on requests to it.
//!
//! Two managers share connections if they use one origin and trust the same.

use std::sync::{Arc, LazyLock};

use tokio::sync::Semaphore;

use super::{
    ProxyUrl, TransportError,
    dial::Route,
    idle::{Idle, Lease},
    share::Shared,
    tls::Tls,
};
use crate::oauth::TokenEndpoint;

/// The token requests that are under way at once to one origin, for the whole process.
pub const MAX_REQUESTS_PER_ORIGIN: usize = 64;

static POOLS: LazyLock<Shared<Key, Pool>> = LazyLock::new(Shared::new);
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
    pub(super) route: Route,
    pub(super) idle: Idle,
}

// The key holds private keys and a proxy's password, which go with the last who needs them.
impl Drop for Pool {
    fn drop(&mut self) {
        POOLS.forget(&self.key);
    }
}

impl Pool {
    /// The pool for `key`, made if there is none. `endpoint` is of that origin.
    pub(super) async fn shared(
        key: Key,
        endpoint: &TokenEndpoint,
    ) -> Result<Arc<Self>, TransportError> {
        if let Some(pool) = POOLS.get(&key) {
            return Ok(pool);
        }
        let proxy = key.proxy.as_ref();
        let mut tls = None;
        if endpoint.is_https() {
            tls = Some(key.tls.clone().shared_config().await?);
        }
        let mut proxy_tls = None;
        if proxy.is_some_and(ProxyUrl::is_https) {
            // A proxy is not shown the client's certificate.
            proxy_tls = Some(key.tls.without_identity().shared_config().await?);
        }
        let pool = Self {
            permits: PERMITS.share(key.origin.clone(), Semaphore::new(MAX_REQUESTS_PER_ORIGIN)),
            route: Route::new(endpoint, proxy, tls, proxy_tls)?,
            key: key.clone(),
            idle: Idle::default(),
        };
        Ok(POOLS.share(key, pool))
    }

    /// A connection used before and still open, or a new one.
    pub(super) async fn any(&self) -> Result<Lease, TransportError> {
        match self.idle.take() {
            Some(lease) => Ok(lease),
            None => self.dial().await,
        }
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Lease, TransportError> {
        let lease = self.idle.lease();
        Ok(lease(self.route.dial().await?))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::transport::trust::Trust;

    fn key(origin: &str, trust: Trust) -> Key {
        Key {
            origin: origin.to_owned(),
            tls: Tls {
                trust,
                identity: None,
            },
            proxy: None,
        }
    }

    async fn shared(key: Key) -> Arc<Pool> {
        let endpoint = TokenEndpoint::parse(&key.origin).unwrap();
        Pool::shared(key, &endpoint).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_pool_was_made_of_goes_with_it() {
        let key = key("http://gone.example:80", Trust::Unverified);
        let pool = shared(key.clone()).await;
        assert!(POOLS.get(&key).is_some());
        drop(pool);
        assert!(POOLS.get(&key).is_none());
    }

    #[tokio::test]
    async fn origins_trusted_alike_do_not_share_the_bound() {
        let first = shared(key("http://a.example:80", Trust::Unverified)).await;
        let second = shared(key("http://b.example:80", Trust::Unverified)).await;
        assert!(!Arc::ptr_eq(&first.permits, &second.permits));
        assert!(Arc::ptr_eq(&first, &shared(key("http://a.example:80", Trust::Unverified)).await));
    }
}
