//! The primitives that synchronise threads, and the handle that starts tasks. `--cfg loom` replaces
//! them with the primitives of loom, which runs a test in every order that the memory model allows.

#[cfg(loom)]
pub(super) use modelled::{AtomicU32, AtomicU64, Mutex};
#[cfg(loom)]
pub use modelled::{Handle, spawn};

#[cfg(not(loom))]
pub(super) use parking_lot::Mutex;
#[cfg(not(loom))]
pub use runtime::Handle;
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64};

#[cfg(not(loom))]
mod runtime {
    use std::pin::Pin;

    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Starts tasks on a runtime.
    ///
    /// The runtime's thread allocates the memory of its tasks. If the calling thread allocated it,
    /// many managers that start flights at the same time would leave gaps in memory between their
    /// own objects.
    #[derive(Clone, Debug)]
    pub struct Handle {
        tasks: UnboundedSender<Task>,
    }

    impl Handle {
        /// Creates a handle for a runtime.
        #[must_use]
        pub fn new(runtime: &tokio::runtime::Handle) -> Self {
            let (sender, mut tasks) = unbounded_channel::<Task>();
            runtime.spawn(async move {
                while let Some(task) = tasks.recv().await {
                    tokio::spawn(task);
                }
            });
            Self { tasks: sender }
        }

        /// Starts a task, or drops it if the runtime has ended.
        pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            drop(self.tasks.send(Box::pin(task)));
        }
    }
}

#[cfg(loom)]
#[expect(clippy::unreachable, reason = "tests")]
mod modelled {
    use std::ops::{Deref, DerefMut};
    use std::sync::atomic::Ordering;
    use std::sync::{Arc, PoisonError};

    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64};
    use loom::thread::JoinHandle;

    /// A lock that a panicking task does not poison. Loom alone would not try every order of the
    /// code right before and after a critical section, so the lock also changes a counter before
    /// and after the section.
    pub(crate) struct Mutex<T> {
        inner: loom::sync::Mutex<T>,
        meetings: AtomicU32,
    }

    pub(crate) struct MutexGuard<'a, T> {
        /// `None` once the guard has released the lock.
        inner: Option<loom::sync::MutexGuard<'a, T>>,
        meetings: &'a AtomicU32,
    }

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self {
                inner: loom::sync::Mutex::new(value),
                meetings: AtomicU32::new(0),
            }
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.meetings.fetch_add(1, Ordering::Relaxed);
            MutexGuard {
                inner: Some(self.inner.lock().unwrap_or_else(PoisonError::into_inner)),
                meetings: &self.meetings,
            }
        }
    }

    impl<T> Drop for MutexGuard<'_, T> {
        fn drop(&mut self) {
            self.inner = None;
            self.meetings.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl<T> Deref for MutexGuard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            match &self.inner {
                Some(inner) => inner,
                None => unreachable!("only `drop` releases the lock"),
            }
        }
    }

    impl<T> DerefMut for MutexGuard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            match &mut self.inner {
                Some(inner) => inner,
                None => unreachable!("only `drop` releases the lock"),
            }
        }
    }

    /// The size of a stack, in words. A flight overruns loom's default of 32 KiB.
    const STACK: usize = 64 * 1024;

    /// Starts a thread whose stack is large enough for a flight.
    ///
    /// # Panics
    /// Panics if the test starts more threads than loom allows.
    pub fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
        let thread = loom::thread::Builder::new().stack_size(STACK).spawn(body);
        thread.unwrap_or_else(|error| unreachable!("no thread: {error}"))
    }

    /// Runs every task on its own thread.
    #[derive(Clone, Debug, Default)]
    pub struct Handle {
        threads: Arc<std::sync::Mutex<Vec<JoinHandle<()>>>>,
        /// Whether the handle drops tasks, as a panic or the end of a runtime does.
        drops_tasks: bool,
    }

    impl Handle {
        /// Creates a handle that runs no task to its end.
        #[must_use]
        pub fn ended() -> Self {
            Self {
                drops_tasks: true,
                ..Self::default()
            }
        }

        /// Starts a task.
        pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
            let drops_task = self.drops_tasks;
            let thread = spawn(move || {
                if drops_task {
                    drop(task);
                } else {
                    loom::future::block_on(task);
                }
            });
            self.threads().push(thread);
        }

        /// Waits until no task is left.
        pub fn join(&self) {
            loop {
                let Some(thread) = self.threads().pop() else {
                    return;
                };
                drop(thread.join());
            }
        }

        fn threads(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
            self.threads.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }
}
