//! What a manager remembers of the past: the use of the held token, and the figures of the snapshot.

use crate::clock::Moment;
use crate::error::ErrorKind;
use crate::slot::{LifetimeWarning, TokenId};
use crate::snapshot::{Counters, Latency};

/// Tracks the use of the held token: the number of hits that JavaScript had counted at certain
/// moments.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) token: Option<TokenId>,
    pub(super) hits_on_arrival: f64,
    pub(super) hits_when_stale: Option<f64>,
    /// Whether native code has handed out the held token.
    pub(super) was_handed_out: bool,
}

/// The past events that the snapshot reports.
#[derive(Default)]
pub(super) struct History {
    pub(super) last_success: Option<Moment>,
    pub(super) last_failure: Option<(Moment, ErrorKind)>,
    pub(super) counters: Counters,
    pub(super) latency: Latency,
    /// The warnings that the manager has logged: it logs each one only once.
    pub(super) lifetime_warnings: Vec<LifetimeWarning>,
    /// Whether the manager has warned that tokens miss a minimum validity.
    pub(super) has_warned_of_minimum: bool,
}
