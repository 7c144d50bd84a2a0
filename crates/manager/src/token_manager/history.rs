//! What a manager remembers of the past: the use of the held token, and the figures of the
//! snapshot.

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

/// Counters. Memory for those that are zero in most managers is allocated on demand.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) hits: f64,
    pub(super) joins: f64,
    pub(super) acquisitions: f64,
    others: Option<Box<Counters>>,
}

impl Counts {
    /// Returns the other counters to increment, and allocates them if necessary.
    pub(super) fn others(&mut self) -> &mut Counters {
        self.others.get_or_insert_default()
    }

    pub(super) fn all(&self) -> Counters {
        Counters {
            hits: self.hits,
            joins: self.joins,
            acquisitions: self.acquisitions,
            ..self.others.as_deref().copied().unwrap_or_default()
        }
    }
}

/// The past events that the snapshot reports.
#[derive(Default)]
pub(super) struct History {
    pub(super) last_success: Option<Moment>,
    pub(super) last_failure: Option<Box<(Moment, ErrorKind)>>,
    pub(super) counts: Counts,
    pub(super) latency: Latency,
    /// The warnings that the manager has logged, as a set of bits: it logs each one only once.
    lifetime_warnings: u8,
    /// Whether the manager has warned that tokens miss a minimum validity.
    pub(super) has_warned_of_minimum: bool,
}

impl History {
    /// Records a warning. Returns whether it is the first of its kind.
    pub(super) const fn is_first(&mut self, warning: LifetimeWarning) -> bool {
        let bit = 1 << warning as u8;
        let is_first = self.lifetime_warnings & bit == 0;
        self.lifetime_warnings |= bit;
        is_first
    }
}
