//! The Node addon, which obtains service-account tokens from Keycloak.
//!
//! The layers are crates: `oauth` ← `transport` ← `manager` ← `node`, which is this crate. An arrow
//! points at a layer that the next one may use. `oauth` implements RFC 6749 §4.4 as pure types and
//! functions, `transport` does all I/O, `manager` decides when to request a token and for which
//! callers, and only `node` knows N-API.

#[cfg(feature = "node")]
pub mod node;
