//! The memory that JavaScript shares with the manager: the published version, and the counters that
//! JavaScript writes.
//!
//! The version changes when the token that may be served without asking changes: when it is
//! replaced, is dropped or expires, or when a caller is needed to start a refresh. While the
//! version stays the same, JavaScript may serve the token that it received with this version.

use std::sync::atomic::Ordering;

use super::sync::{AtomicU32, AtomicU64};

/// The version that never represents a token.
pub const NO_TOKEN: u32 = 0;

/// The shared memory. JavaScript sees the version as element 0 of an `Int32Array` and the counters
/// as elements 1 and 2 of a `Float64Array` over the same bytes.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Published {
    version: AtomicU32,
    unused: u32,
    /// Calls served with the token that the version represents, as the bits of an `f64`. Written by
    /// JavaScript only, with a plain store: an aligned eight-byte store is not torn.
    hits: AtomicU64,
    /// Calls that joined a promise they found, likewise.
    joins: AtomicU64,
}

impl Default for Published {
    fn default() -> Self {
        Self {
            version: AtomicU32::new(NO_TOKEN.wrapping_add(1)),
            unused: 0,
            hits: AtomicU64::new(0.0_f64.to_bits()),
            joins: AtomicU64::new(0.0_f64.to_bits()),
        }
    }
}

impl Published {
    /// The current version, read as JavaScript reads it: in no order with other memory. A lock
    /// protects the token that belongs to it.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Sets a version that was not used before. Called only under the manager's lock.
    pub(super) fn change(&self) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let next = if next == NO_TOKEN {
            NO_TOKEN.wrapping_add(1)
        } else {
            next
        };
        self.version.store(next, Ordering::Relaxed);
    }

    /// Calls served without asking, so far.
    #[must_use]
    pub fn hits(&self) -> f64 {
        f64::from_bits(self.hits.load(Ordering::Relaxed))
    }

    /// Calls that joined without asking, so far.
    #[must_use]
    pub fn joins(&self) -> f64 {
        f64::from_bits(self.joins.load(Ordering::Relaxed))
    }

    /// Counts a hit as JavaScript does.
    pub fn count_hit(&self) {
        self.hits
            .store((self.hits() + 1.0).to_bits(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_never_takes_the_value_that_represents_no_token() {
        let published = Published::default();
        published.version.store(u32::MAX - 1, Ordering::Relaxed);
        published.change();
        assert_eq!(published.version(), u32::MAX);
        published.change();
        assert_eq!(published.version(), 1);
    }

    #[test]
    fn the_layout_is_what_javascript_reads() {
        assert_eq!(size_of::<Published>(), 24);
        assert_eq!(std::mem::offset_of!(Published, version), 0);
        assert_eq!(std::mem::offset_of!(Published, hits), 8);
        assert_eq!(std::mem::offset_of!(Published, joins), 16);
    }
}
