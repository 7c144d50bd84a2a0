//! The connections to one origin, and the bound on requests to it.
//!
//! Two managers share connections if they use one origin and trust the same.

use std::{
    mem,
    sync::{Arc, LazyLock, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Semaphore,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use super::{ProxyUrl, TransportError, dial::Route, share::Shared, tls::Tls, wire::Wire};
use crate::oauth::TokenEndpoint;

/// The token requests that are under way at once to one origin, for the whole process.
pub const MAX_REQUESTS_PER_ORIGIN: usize = 64;

/// After that long without use a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

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
    idle: Mutex<Idle>,
}

/// The connections that nobody uses.
#[derive(Default)]
struct Idle {
    /// How often all connections were given up.
    generation: u64,
    /// The last used last, each with the time from which it is too old.
    wires: Vec<(Instant, Wire)>,
    /// Closes what is too old.
    sweeper: Option<AbortHandle>,
}

/// A connection in use.
pub(super) struct Lease {
    pub(super) wire: Wire,
    /// Whether there was a request on it before.
    pub(super) is_reused: bool,
    generation: u64,
}

// The key holds private keys and a proxy's password, which go with the last who needs them.
impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(sweeper) = self.idle.get_mut().sweeper.take() {
            sweeper.abort();
        }
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
            idle: Mutex::default(),
        };
        Ok(POOLS.share(key, pool))
    }

    /// A connection used before and still open, or a new one.
    pub(super) async fn any(&self) -> Result<Lease, TransportError> {
        match self.take() {
            Some(lease) => Ok(lease),
            None => self.dial().await,
        }
    }

    /// A new connection.
    pub(super) async fn dial(&self) -> Result<Lease, TransportError> {
        let generation = self.idle.lock().generation;
        Ok(Lease {
            wire: self.route.dial().await?,
            is_reused: false,
            generation,
        })
    }

    /// The connection used last of those that are open.
    fn take(&self) -> Option<Lease> {
        loop {
            let (generation, (too_old, mut wire)) = {
                let mut idle = self.idle.lock();
                (idle.generation, idle.wires.pop()?)
            };
            if in_time(Duration::ZERO) < too_old && wire.is_open() {
                return Some(Lease {
                    wire,
                    is_reused: true,
                    generation,
                });
            }
        }
    }

    /// Keeps a connection for the next request, if it can take one.
    pub(super) fn give_back(self: &Arc<Self>, mut lease: Lease) {
        if !lease.wire.is_open() {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.generation != lease.generation {
            return;
        }
        idle.wires.push((in_time(IDLE_TIMEOUT), lease.wire));
        let is_swept = idle
            .sweeper
            .as_ref()
            .is_some_and(|sweeper| !sweeper.is_finished());
        if !is_swept {
            let sweeping = tokio::spawn(Self::sweep(Arc::downgrade(self)));
            idle.sweeper = Some(sweeping.abort_handle());
        }
    }

    /// Gives up all connections of the generation of `lease`: where one died the others did too,
    /// most likely. Requests under way on them go on; of many that fail together the first counts.
    pub(super) fn retire(&self, lease: &Lease) {
        let mut idle = self.idle.lock();
        if idle.generation == lease.generation {
            idle.generation = idle.generation.wrapping_add(1);
            let dead = mem::take(&mut idle.wires);
            drop(idle);
            drop(dead);
        }
    }

    /// Closes connections as they become too old, until none is left.
    async fn sweep(pool: Weak<Self>) {
        while let Some(next) = pool.upgrade().and_then(|pool| pool.close_old()) {
            sleep_until(next).await;
        }
    }

    /// When the next one will be too old. Without one the sweeper ends.
    fn close_old(&self) -> Option<Instant> {
        let mut idle = self.idle.lock();
        let now = in_time(Duration::ZERO);
        idle.wires.retain(|(too_old, _)| now < *too_old);
        let next = idle.wires.iter().map(|(too_old, _)| *too_old).min();
        if next.is_none() {
            idle.sweeper = None;
        }
        next
    }
}

/// A time that is so far ahead, by the clock of the runtime's timers, which is all that the age of
/// a connection is compared with.
fn in_time(ahead: Duration) -> Instant {
    tokio::time::sleep(ahead).deadline()
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
