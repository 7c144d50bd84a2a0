//! Service-account tokens from Keycloak for Node: the native core.
//!
//! The layer rule: `oauth` ← `transport` ← `manager` ← `node`; an arrow points at what may be
//! imported. `oauth` is RFC 6749 §4.4 as pure types and functions, `transport` the only I/O,
//! `manager` decides when to fetch and for whom, `node` is the only code that knows N-API.

pub mod manager;
#[cfg(feature = "node")]
pub mod node;
pub mod oauth;
pub mod transport;
