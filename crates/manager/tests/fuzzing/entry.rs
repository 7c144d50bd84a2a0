//! The target for the entries of a shared store. An input that begins with `=` changes a value that
//! a manager has written: each pair of bytes is a position and the bits to flip there. Any other
//! input is a value as a store returns it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use manager::clock::Moment;
use manager::slot::{Token, schedule::Life};
use manager::store::entry::StoreKeys;
use oauth::AccessToken;
use stand_ins::scripted::config;

/// Checks that keys open a value only if it is genuine, unchanged and under its own key.
pub fn run(data: &[u8]) {
    let keys = StoreKeys::derive("a secret of the replicas").unwrap();
    let config = config();
    let key = keys.entry_key(&config, &config.grant);
    let Some(changes) = data.strip_prefix(b"=") else {
        let value = String::from_utf8_lossy(data);
        assert!(keys.open(&key, &value).is_none(), "a forged entry");
        return;
    };
    let time = Duration::from_secs(1_000_000_000);
    let now = Moment::new(time, time);
    let token = Token {
        access_token: AccessToken::new("token".to_owned()).unwrap(),
        dpop_key: None,
        scope: Some("scope".into()),
        sent: now,
        expiry: None,
        life: Life::new(Duration::from_mins(5), Duration::from_mins(1)),
    };
    let value = keys.seal(&key, &token).unwrap();
    assert!(keys.open(&keys.probe_key(), &value).is_none(), "another key");
    let original = URL_SAFE_NO_PAD.decode(&value).unwrap();
    let mut altered = original.clone();
    for pair in changes.as_chunks::<2>().0 {
        let index = usize::from(pair[0]);
        if index < altered.len() {
            altered[index] ^= pair[1];
        } else {
            altered.truncate(altered.len().saturating_sub(usize::from(pair[1] % 4)));
        }
    }
    let read = keys.open(&key, &URL_SAFE_NO_PAD.encode(&altered));
    assert_eq!(read.is_some(), altered == original, "{changes:?}");
    let revived = read.and_then(|read| read.into_token(now, Duration::from_mins(1), None));
    if let Some(revived) = revived {
        assert_eq!(revived.access_token.expose(), "token");
        assert!(revived.remaining(now) < token.remaining(now));
    }
}
