//! The Node addon, which obtains access tokens from Keycloak.
//!
//! The layers are crates: `oauth` ← `transport` ← `manager` ← `node`, which is this crate. Each
//! layer may use the layers to its left. `oauth` implements the grants as pure types and functions,
//! `transport` does all I/O, `manager` decides when to request a token and for which callers, and
//! only `node` knows N-API.

#[cfg(feature = "node")]
pub mod node;
