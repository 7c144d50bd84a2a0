//! The options of the shared store.

use std::sync::Arc;

use super::{Given, Options, table};
use crate::config::{Credential, CredentialConfig};
use crate::store::StoreConfig;
use crate::store::entry::StoreKeys;

/// The methods of a store. The last one is optional.
pub const STORE_METHODS: [&str; 4] = ["get", "set", "delete", "remake"];

/// The minimum length, in characters, of a secret from which the manager derives the store's keys.
const SHORTEST_SECRET: usize = 24;

impl Options<'_> {
    /// Checks only the shape of the store: its functions stay with the thread that owns them.
    pub(super) fn store(&mut self, credential: Option<&CredentialConfig>) -> Option<StoreConfig> {
        const KEY: &str = table::STORE_KEY.name;
        let has_key = self.has(KEY);
        let is_given = self.has(table::STORE);
        let can_remake = self.store_methods();
        let key = self.text(table::STORE_KEY);
        if key
            .as_ref()
            .is_some_and(|key| key.chars().count() < SHORTEST_SECRET)
        {
            let problem = format!("expected a secret of at least {SHORTEST_SECRET} characters");
            self.faults.push(KEY, &problem);
        }
        let users = table::STORE_USER_TOKENS;
        for name in [KEY, users.name].into_iter().filter(|_| !is_given) {
            if self.has(name) || (name == KEY && has_key) {
                self.faults.push(name, "this option requires store");
            }
        }
        let stores_user_tokens = self.flag(users);
        if !is_given {
            return None;
        }
        let client_secret = match credential {
            Some(CredentialConfig::Given(Credential::Secret(secret))) => Some(secret.expose()),
            _ => None,
        };
        let client_secret =
            client_secret.filter(|secret| secret.chars().count() >= SHORTEST_SECRET);
        let secret = key.as_ref().map(|key| key.as_str()).or(client_secret);
        if secret.is_none() && !has_key && credential.is_some() {
            let problem = format!(
                "expected a secret of at least {SHORTEST_SECRET} characters that all replicas \
                 share: the manager encrypts stored tokens with it, unless the option clientSecret \
                 is a string of at least that length"
            );
            self.faults.push(KEY, &problem);
        }
        let keys = StoreKeys::derive(secret?).ok()?;
        can_remake.map(|can_remake| StoreConfig {
            keys: Arc::new(keys),
            stores_user_tokens,
            can_remake,
        })
    }

    /// Returns whether the store can replace its client, or `None` if it lacks a required method.
    fn store_methods(&mut self) -> Option<bool> {
        const EXPECTED: &str = "an object with the methods get, set and delete";
        match self.take(table::STORE)? {
            Given::Record(record) => {
                let is_function = |method: &str| {
                    let is_it = |(name, value): &(String, Given)| {
                        name == method && matches!(value, Given::Function)
                    };
                    record.iter().any(is_it)
                };
                let [get, set, delete, remake] = STORE_METHODS;
                if [get, set, delete].into_iter().all(is_function) {
                    return Some(is_function(remake));
                }
                let problem = format!("expected {EXPECTED}, but not all of them are functions");
                self.faults.push(table::STORE, &problem);
            }
            other => self.faults.expected(table::STORE, EXPECTED, &other),
        }
        None
    }
}
