//! Limits how often rejected tokens are dropped, so that a resource server that rejects every token
//! cannot turn each request into a token request.
//!
//! After a drop, the next one must wait for the spacing, which starts when the replacement arrives.
//! The spacing doubles while replacements are rejected too.

use std::time::Duration;

use crate::clock::Moment;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// The spacing of rejections.
#[derive(Clone, Debug)]
pub(super) struct Rejections {
    spacing: Duration,
    phase: Phase,
    /// The held token was rejected while the spacing kept it.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// No token was dropped recently.
    Free,
    /// A token was dropped, and its replacement has not arrived yet.
    Awaiting,
    /// The replacement arrived at this time.
    Spaced(Moment),
}

impl Default for Rejections {
    fn default() -> Self {
        Self {
            spacing: SHORTEST,
            phase: Phase::Free,
            is_refused: false,
        }
    }
}

impl Rejections {
    /// Records a rejection of the held token. Returns whether the spacing keeps the token.
    pub(super) fn is_spaced(&mut self, now: Moment) -> bool {
        let is_spaced = match self.phase {
            Phase::Spaced(arrival) => now.since(arrival) < self.spacing,
            Phase::Free | Phase::Awaiting => false,
        };
        self.is_refused |= is_spaced;
        is_spaced
    }

    /// Records that the held token was dropped because it was rejected.
    pub(super) fn dropped(&mut self) {
        if std::mem::take(&mut self.is_refused) {
            self.spacing = self.spacing.saturating_mul(2).min(LONGEST);
        }
        self.phase = Phase::Awaiting;
    }

    /// Records that a new token is held; `replaced` says whether one was held before.
    pub(super) fn arrived(&mut self, now: Moment, replaced: bool) {
        if replaced && !self.is_refused {
            self.spacing = SHORTEST;
        }
        self.is_refused = false;
        if let Phase::Awaiting = self.phase {
            self.phase = Phase::Spaced(now);
        }
    }

    /// Records that the held token has become stale.
    pub(super) fn reached_staleness(&mut self) {
        if !self.is_refused {
            self.spacing = SHORTEST;
        }
    }

    /// Resets the spacing: the held token was dropped for another reason.
    pub(super) fn forgive(&mut self) {
        self.is_refused = false;
    }
}
