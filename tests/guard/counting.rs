//! An allocator that counts the allocations of the calling thread. Each thread has its own counts,
//! so the counts of a test do not include a server in the same process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The allocations of a thread since it started.
#[derive(Clone, Copy, Default)]
pub(super) struct HeapUse {
    /// The number of new blocks, and of changes of a block's size.
    pub(super) allocations: i64,
    /// The sizes of the new blocks, and the growth of other blocks.
    pub(super) bytes: i64,
    /// `bytes` less the bytes that the thread has freed.
    pub(super) live: i64,
}

thread_local! {
    static COUNTS: Cell<HeapUse> = const {
        Cell::new(HeapUse {
            allocations: 0,
            bytes: 0,
            live: 0,
        })
    };
}

/// Returns the counts of the calling thread.
pub(super) fn counts() -> HeapUse {
    COUNTS.get()
}

fn count(allocations: i64, grown: usize, shrunk: usize) {
    // A block is at most `isize::MAX` bytes long.
    let (grown, shrunk) = (grown.cast_signed() as i64, shrunk.cast_signed() as i64);
    // An ending thread no longer has counts, and no test reads its counts then.
    let _ = COUNTS.try_with(|cell| {
        let counts = cell.get();
        cell.set(HeapUse {
            allocations: counts.allocations + allocations,
            bytes: counts.bytes + grown,
            live: counts.live + grown - shrunk,
        });
    });
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: the allocator passes every call on to the system's allocator unchanged, and counting
// neither allocates nor unwinds: the counts are in a thread-local cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size(), 0);
        // SAFETY: the caller keeps the contract, which is the same as the contract of the system's
        // allocator.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, 0, layout.size());
        // SAFETY: as for `alloc`; the block came from the system's allocator.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (grown, shrunk) =
            (size.saturating_sub(layout.size()), layout.size().saturating_sub(size));
        count(1, grown, shrunk);
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(block, layout, size) }
    }
}
