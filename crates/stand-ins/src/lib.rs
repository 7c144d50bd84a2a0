//! Helpers that the crates' tests share: simulated time with a scripted transport, servers on
//! loopback, and certificates.
#![expect(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

pub mod scripted;
#[cfg(not(loom))]
pub mod simulated;
#[cfg(feature = "tls")]
pub mod sockets;
#[cfg(not(loom))]
pub mod store;
#[cfg(feature = "tls")]
pub mod tls;
