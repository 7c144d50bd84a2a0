//! Service-account tokens from Keycloak for Node: the addon.
//!
//! The layers are crates: `oauth` ← `transport` ← `manager` ← `node`, which is this one; an arrow
//! points at what may be used. `oauth` is RFC 6749 §4.4 as pure types and functions, `transport` the only I/O,
//! `manager` decides when to request a token and for which callers, `node` is the only code that
//! knows N-API.

#[cfg(feature = "node")]
pub mod node;
