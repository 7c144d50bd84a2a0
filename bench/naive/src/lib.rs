//! A cached token behind an `async fn`, as a binding is written at first: each read crosses into
//! native code, is a task on another thread, and comes back as a call on the event loop. The bench
//! shows what that costs.

use std::sync::OnceLock;

use napi_derive::napi;

static TOKEN: OnceLock<String> = OnceLock::new();

/// Keeps a token for all reads of the process; the first one stays.
#[napi]
pub fn set_token(token: String) {
    TOKEN.get_or_init(|| token);
}

/// Returns the token that is kept.
#[napi]
pub async fn get_token() -> String {
    TOKEN.get().cloned().unwrap_or_default()
}
