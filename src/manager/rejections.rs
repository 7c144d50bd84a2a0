//! How often rejected tokens are dropped, so that a resource server that rejects everything cannot
//! turn traffic into logins.
//!
//! After a drop none drops another until the spacing, counted from the arrival of the replacement,
//! is over. It doubles while replacements are refused as well.

use std::time::Duration;

use super::clock::Moment;

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// The spacing of rejections.
#[derive(Clone, Debug)]
pub(super) struct Rejections {
    spacing: Duration,
    phase: Phase,
    /// The held token was refused while the spacing kept it.
    is_refused: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nothing was dropped lately.
    Free,
    /// A token was dropped, and its replacement is not there yet.
    Awaiting,
    /// The replacement arrived then.
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
    /// Takes the rejection of the held token: whether the spacing keeps it.
    pub(super) fn is_spaced(&mut self, now: Moment) -> bool {
        let is_spaced = match self.phase {
            Phase::Spaced(arrival) => now.since(arrival) < self.spacing,
            Phase::Free | Phase::Awaiting => false,
        };
        self.is_refused |= is_spaced;
        is_spaced
    }

    /// The held token was dropped because it was rejected.
    pub(super) fn dropped(&mut self) {
        if std::mem::take(&mut self.is_refused) {
            self.spacing = self.spacing.saturating_mul(2).min(LONGEST);
        }
        self.phase = Phase::Awaiting;
    }

    /// A new token is held from now on; `replaced` says whether one was until now.
    pub(super) fn arrived(&mut self, now: Moment, replaced: bool) {
        if replaced && !self.is_refused {
            self.spacing = SHORTEST;
        }
        self.is_refused = false;
        if let Phase::Awaiting = self.phase {
            self.phase = Phase::Spaced(now);
        }
    }

    /// The held token is due for replacement.
    pub(super) fn reached_staleness(&mut self) {
        if !self.is_refused {
            self.spacing = SHORTEST;
        }
    }

    /// The held token is gone for another reason.
    pub(super) fn forgive(&mut self) {
        self.is_refused = false;
    }
}
