//! A map with weak references to its values: an entry lives as long as other code uses its value.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

pub(super) struct Shared<K, V> {
    entries: Mutex<HashMap<K, Weak<V>>>,
}

impl<K: Eq + Hash, V> Shared<K, V> {
    pub(super) fn new() -> Self {
        Self {
            entries: Mutex::new(HashMap::new()),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries.lock().get(key).and_then(Weak::upgrade)
    }

    /// Removes `key` if its value is no longer in use.
    pub(super) fn forget(&self, key: &K) {
        let mut entries = self.entries.lock();
        if entries
            .get(key)
            .is_some_and(|value| value.strong_count() == 0)
        {
            entries.remove(key);
        }
    }

    /// Shares `value`, or returns the value that is already shared under `key`. Removes the entries
    /// whose values are no longer in use.
    pub(super) fn share(&self, key: K, value: V) -> Arc<V> {
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
        shared.forget(&999);
        assert_eq!(shared.entries.lock().len(), 0);
    }
}
