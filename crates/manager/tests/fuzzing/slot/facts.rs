//! The facts that the log of a slot records, and the arithmetic of times, in whole nanoseconds.

use manager::error::ErrorKind;
use manager::slot::Storage;

/// Nanoseconds.
pub(crate) type Ns = i64;

pub(crate) const SECOND: Ns = 1_000_000_000;
/// The denominator of random fractions. It keeps every random time at a whole number of
/// nanoseconds.
pub(crate) const LUCK: Ns = 16;

/// A reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) mono: Ns,
    pub(crate) wall: Ns,
}

impl Time {
    /// Returns the elapsed time, by the clock that advanced more.
    pub(crate) fn after(self, earlier: Self) -> Ns {
        let (mono, wall) = (self.mono - earlier.mono, self.wall - earlier.wall);
        mono.max(wall).max(0)
    }

    pub(crate) fn plus(self, wait: Ns) -> Self {
        Self {
            mono: self.mono + wait,
            wall: self.wall + wait,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelToken {
    pub(crate) name: u32,
    pub(crate) sent: Time,
    pub(crate) lifetime: Ns,
    pub(crate) buffer: Ns,
}

impl ModelToken {
    /// Returns the age up to which the slot hands out the token.
    pub(crate) fn end(&self) -> Ns {
        self.lifetime - SECOND.min(self.lifetime / 4)
    }

    /// Returns the age from which the token is due for replacement.
    pub(crate) fn staleness(&self) -> Ns {
        let margin = self.lifetime - self.end();
        self.lifetime - self.buffer.min(self.lifetime / 2).max(margin)
    }

    pub(crate) fn age(&self, now: Time) -> Ns {
        now.after(self.sent)
    }

    pub(crate) fn left(&self, now: Time) -> Ns {
        (self.end() - self.age(now)).max(0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ModelFailure {
    pub(crate) kind: ErrorKind,
    pub(crate) retry_after: Option<Ns>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Fact {
    /// The slot read the clocks, and nothing else happened.
    Looked,
    Launched {
        flight: u32,
        is_background: bool,
    },
    /// A caller waits for a flight, perhaps with a minimum.
    Awaited {
        flight: u32,
        minimum: Option<Ns>,
    },
    Granted {
        flight: u32,
        token: ModelToken,
        jitter: Ns,
        storage: Storage,
        is_current: bool,
    },
    /// The slot adopted the successor before the successor was old enough.
    Adopted,
    Failed {
        flight: u32,
        failure: ModelFailure,
        jitter: Ns,
        is_current: bool,
        /// Whether the slot launched no flight after this one.
        is_last: bool,
    },
    /// The slot reported a missed minimum.
    Warned,
    Dropped,
    Cleared,
    Configured {
        in_background: bool,
        changes_grant: bool,
    },
    Closed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Time,
    pub(crate) fact: Fact,
}
