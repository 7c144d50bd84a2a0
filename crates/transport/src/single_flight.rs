//! Runs blocking work that may hang: name look-ups and file reads.
//!
//! A caller may stop waiting, but the thread that does the work stays busy until the system call
//! returns. Therefore only one run per key is in progress, and callers that arrive meanwhile share
//! its result: a look-up or a read that hangs occupies one thread, no matter how many callers need
//! it. [`BlockingLimit`] limits the threads per kind of work, so hanging files never delay name
//! look-ups.

use std::{collections::HashMap, hash::Hash};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

/// The maximum number of concurrent look-ups, and of concurrent reads.
pub(super) const MAX_AT_ONCE: usize = 8;

/// The maximum number of threads for blocking work of this layer: look-ups, file reads, and
/// the parsing of Node's certificates.
pub const MAX_BLOCKING_THREADS: usize = 2 * MAX_AT_ONCE + 1;

/// The limit on concurrent blocking work of one kind.
#[derive(Debug)]
pub(super) struct BlockingLimit(Semaphore);

impl BlockingLimit {
    /// Creates a limit of `at_once` threads.
    pub(super) const fn new(at_once: usize) -> Self {
        Self(Semaphore::const_new(at_once))
    }
}

/// The work in progress for each key. The map is always a `static`, because a hanging thread may
/// outlive all other values.
pub(super) struct SingleFlight<K, V> {
    in_progress: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

impl<K, V> SingleFlight<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self {
            in_progress: Mutex::new(HashMap::new()),
        }
    }

    /// Returns the result of `work` for `key`, or of the work for `key` that is already in
    /// progress. Returns `None` if the work panicked.
    pub(super) async fn run(
        &'static self,
        key: K,
        limit: &'static BlockingLimit,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> Option<V> {
        let mut receiver = self.join_or_start(key, limit, work);
        let done = receiver.wait_for(Option::is_some).await.ok()?;
        done.clone()
    }

    fn join_or_start(
        &'static self,
        key: K,
        limit: &'static BlockingLimit,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> watch::Receiver<Option<V>> {
        let mut in_progress = self.in_progress.lock();
        if let Some(receiver) = in_progress.get(&key) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        in_progress.insert(key.clone(), receiver.clone());
        let end = End { flights: self, key };
        tokio::spawn(async move {
            // The semaphore is never closed.
            let permit = limit.0.acquire().await;
            let working = tokio::task::spawn_blocking(move || {
                let value = work();
                // Later callers must not join finished work, because its result may be outdated.
                drop(end);
                sender.send_replace(Some(value));
            });
            // The permit represents the thread, which is busy even if no caller waits any more.
            let _ = working.await;
            drop(permit);
        });
        receiver
    }
}

/// Removes the work from the map when the work ends, even by a panic.
struct End<K: Eq + Hash + 'static, V: 'static> {
    flights: &'static SingleFlight<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for End<K, V> {
    fn drop(&mut self) {
        self.flights.in_progress.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    };

    use super::*;

    static LIMIT: BlockingLimit = BlockingLimit::new(MAX_AT_ONCE);

    #[tokio::test]
    async fn callers_that_arrive_meanwhile_share_the_work() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        static FLIGHTS: LazyLock<SingleFlight<&str, u32>> = LazyLock::new(SingleFlight::new);
        let (finish, hang) = mpsc::channel();
        let work = move || {
            hang.recv().unwrap();
            RUNS.fetch_add(1, Ordering::SeqCst)
        };
        let first = FLIGHTS.join_or_start("a", &LIMIT, work);
        let second = FLIGHTS.join_or_start("a", &LIMIT, || panic!("a second run"));
        assert_eq!(FLIGHTS.run("b", &LIMIT, || 7).await, Some(7), "another key is not delayed");
        finish.send(()).unwrap();
        for mut receiver in [first, second] {
            let value = *receiver.wait_for(Option::is_some).await.unwrap();
            assert_eq!(value, Some(0));
        }
        let again = FLIGHTS.run("a", &LIMIT, || RUNS.fetch_add(1, Ordering::SeqCst));
        assert_eq!(again.await, Some(1));
    }

    #[tokio::test]
    async fn work_that_panics_ends_as_well() {
        static FLIGHTS: LazyLock<SingleFlight<&str, u32>> = LazyLock::new(SingleFlight::new);
        assert_eq!(FLIGHTS.run("a", &LIMIT, || panic!("expected")).await, None);
        assert_eq!(FLIGHTS.run("a", &LIMIT, || 1).await, Some(1));
    }
}
