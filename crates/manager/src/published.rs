//! The memory that JavaScript shares with the manager: the published version, and the numbers that
//! JavaScript writes.
//!
//! The version represents the token that JavaScript may serve without asking the manager. It
//! changes when the manager replaces or drops this token, when the token expires, and when the next
//! caller must start a refresh. While the version stays the same, JavaScript may serve the token
//! that it received with this version.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::sync::{AtomicU32, AtomicU64};

/// The version that never represents a token.
pub const NO_TOKEN: u32 = 0;

/// The shared memory. JavaScript sees the version as element 0 of an `Int32Array`, and the other
/// fields as elements 1 to 4 of a `Float64Array` over the same bytes.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct Published {
    version: AtomicU32,
    unused: u32,
    /// The number of calls that JavaScript served with the token that the version represents, as
    /// the bits of an `f64`. Only JavaScript increments it, with a plain store: an aligned
    /// eight-byte store cannot tear.
    hits: AtomicU64,
    /// The number of calls that joined an existing promise, in the same format.
    joins: AtomicU64,
    /// When the manager sent the request for the token that JavaScript keeps, and when that token
    /// expires, in ms since the epoch. Only JavaScript writes and reads these fields.
    times: [AtomicU64; 2],
}

impl Default for Published {
    fn default() -> Self {
        Self {
            version: AtomicU32::new(NO_TOKEN.wrapping_add(1)),
            unused: 0,
            hits: AtomicU64::new(0.0_f64.to_bits()),
            joins: AtomicU64::new(0.0_f64.to_bits()),
            times: [AtomicU64::new(0), AtomicU64::new(0)],
        }
    }
}

impl Published {
    /// Returns the current version. The read is not ordered with other memory accesses, just as in
    /// JavaScript. A lock protects the token that the version represents.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Relaxed)
    }

    /// Sets a version that the manager has not used before. The caller holds the manager's lock.
    pub(super) fn change(&self) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let next = if next == NO_TOKEN {
            NO_TOKEN.wrapping_add(1)
        } else {
            next
        };
        self.version.store(next, Ordering::Relaxed);
    }

    /// Returns the number of calls that JavaScript served without asking the manager.
    #[must_use]
    pub fn hits(&self) -> f64 {
        f64::from_bits(self.hits.load(Ordering::Relaxed))
    }

    /// Returns the number of calls that joined a promise without asking the manager.
    #[must_use]
    pub fn joins(&self) -> f64 {
        f64::from_bits(self.joins.load(Ordering::Relaxed))
    }

    /// Clears the counters for the next manager that uses this memory. The version stays, so that
    /// no version is used twice.
    pub(super) fn reset(&self) {
        self.hits.store(0.0_f64.to_bits(), Ordering::Relaxed);
        self.joins.store(0.0_f64.to_bits(), Ordering::Relaxed);
    }

    /// Counts a hit as JavaScript does.
    pub fn count_hit(&self) {
        self.hits
            .store((self.hits() + 1.0).to_bits(), Ordering::Relaxed);
    }
}

/// The shared memory of one manager. The derived managers of a manager share chunks of memory, so
/// that JavaScript needs no separate buffer for each of them.
#[derive(Clone, Debug)]
pub struct PublishedCell {
    chunk: Arc<[Published]>,
    number: u32,
    index: u32,
}

impl PublishedCell {
    pub(super) fn new(chunk: Arc<[Published]>, number: usize, index: usize) -> Self {
        let small = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            chunk,
            number: small(number),
            index: small(index),
        }
    }

    /// Creates a cell in a chunk that no other manager uses.
    pub(super) fn alone() -> Self {
        Self::new(Arc::new([Published::default()]), 0, 0)
    }

    /// Returns the chunk.
    #[must_use]
    pub fn chunk(&self) -> Arc<[Published]> {
        Arc::clone(&self.chunk)
    }

    /// Returns the number of the chunk among the chunks of the derived managers, and the index in
    /// the chunk.
    #[must_use]
    pub const fn place(&self) -> (u32, u32) {
        (self.number, self.index)
    }
}

impl Deref for PublishedCell {
    type Target = Published;

    #[expect(
        clippy::indexing_slicing,
        reason = "`new` receives an index of the chunk"
    )]
    fn deref(&self) -> &Published {
        &self.chunk[self.index as usize]
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
        assert_eq!(size_of::<Published>(), 40);
        assert_eq!(std::mem::offset_of!(Published, version), 0);
        assert_eq!(std::mem::offset_of!(Published, hits), 8);
        assert_eq!(std::mem::offset_of!(Published, joins), 16);
        assert_eq!(std::mem::offset_of!(Published, times), 24);
    }
}
