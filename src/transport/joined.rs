//! Work that blocks and may hang: look-ups and reads of files.
//!
//! Whoever waits may leave, but the thread stays until the work ends. So there is one at a time for
//! a key, and those who come meanwhile wait for the same: a name server or a mount that hangs holds
//! one of the few threads, however often it is asked. Of look-ups two are done at once, and of reads
//! of any kind of file, so that either may hang, however much, and leave a thread for the other.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

/// One less than there are threads for what may hang.
const MOST_AT_ONCE: usize = 2;

/// The right to do work of one kind.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Room {
    /// Room for work of a kind of its own.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }

    /// That for reads of files in this process.
    #[must_use]
    pub fn for_files() -> Self {
        static FILES: LazyLock<Room> = LazyLock::new(Room::new);
        FILES.clone()
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

/// Work under way, by key.
pub(crate) struct Joined<K, V> {
    room: Room,
    under_way: Mutex<HashMap<K, watch::Receiver<Option<V>>>>,
}

impl<K, V> Joined<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            under_way: Mutex::new(HashMap::new()),
        })
    }

    /// What the work for `key` gives, begun now or before. `None` if it panicked.
    pub(crate) async fn run(
        self: &Arc<Self>,
        key: K,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> Option<V> {
        let mut receiver = self.join_or_start(key, work);
        let done = receiver.wait_for(Option::is_some).await.ok()?;
        done.clone()
    }

    fn join_or_start(
        self: &Arc<Self>,
        key: K,
        work: impl FnOnce() -> V + Send + 'static,
    ) -> watch::Receiver<Option<V>> {
        let mut under_way = self.under_way.lock();
        if let Some(receiver) = under_way.get(&key) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        under_way.insert(key.clone(), receiver.clone());
        let end = End {
            joined: Arc::clone(self),
            key,
        };
        let room = self.room.clone();
        tokio::spawn(async move {
            // Nobody closes it: without a permit, all that is lost is the bound.
            let permit = room.0.acquire().await;
            let working = tokio::task::spawn_blocking(move || {
                let value = work();
                // Nobody may join work that is over: what it saw may have changed since.
                drop(end);
                sender.send_replace(Some(value));
            });
            // The thread is busy for so long, whoever still waits.
            let _ = working.await;
            drop(permit);
        });
        receiver
    }
}

/// Ends the work, also if it panics.
struct End<K: Eq + Hash, V> {
    joined: Arc<Joined<K, V>>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for End<K, V> {
    fn drop(&mut self) {
        self.joined.under_way.lock().remove(&self.key);
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::sync::{
        atomic::{AtomicU32, Ordering},
        mpsc,
    };

    use super::*;

    #[tokio::test]
    async fn those_who_come_meanwhile_wait_for_the_same() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let joined = Joined::new(Room::new());
        let (finish, hang) = mpsc::channel();
        let work = move || {
            hang.recv().unwrap();
            RUNS.fetch_add(1, Ordering::SeqCst)
        };
        let first = joined.join_or_start("a", work);
        let second = joined.join_or_start("a", || panic!("a second run"));
        assert_eq!(joined.run("b", || 7).await, Some(7), "another key is not held up");
        finish.send(()).unwrap();
        for mut receiver in [first, second] {
            let value = *receiver.wait_for(Option::is_some).await.unwrap();
            assert_eq!(value, Some(0));
        }
        assert_eq!(
            joined
                .run("a", || RUNS.fetch_add(1, Ordering::SeqCst))
                .await,
            Some(1)
        );
    }

    #[tokio::test]
    async fn work_that_panics_is_over_as_well() {
        let joined = Joined::new(Room::new());
        assert_eq!(joined.run("a", || panic!("expected")).await, None);
        assert_eq!(joined.run("a", || 1).await, Some(1));
    }
}
