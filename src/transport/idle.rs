//! The connections of a pool that nobody uses, and the task that closes them.
//!
//! The task runs while there are any. It closes a connection when the peer does, so that no socket
//! is left half closed, or when it was not used for too long.

use std::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::wire::Wire;

/// After that long without use a connection is closed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection, and whether there was a request on it before.
pub(super) struct Lease {
    pub(super) wire: Wire,
    pub(super) is_reused: bool,
    generation: u64,
}

#[derive(Default)]
pub(super) struct Idle {
    rack: Arc<Mutex<Rack>>,
}

#[derive(Default)]
struct Rack {
    /// How often all connections were given up.
    generation: u64,
    /// The one used last is last, each with the time at which it is too old.
    wires: Vec<(Instant, Wire)>,
    sweeper: Option<Sweeper>,
}

struct Sweeper {
    task: AbortHandle,
    /// Makes it look again.
    waker: Waker,
}

impl Drop for Idle {
    fn drop(&mut self) {
        if let Some(sweeper) = self.rack.lock().sweeper.take() {
            sweeper.task.abort();
        }
    }
}

impl Idle {
    /// Makes a lease of a connection that is dialled from now on.
    pub(super) fn lease(&self) -> impl FnOnce(Wire) -> Lease + use<> {
        let generation = self.rack.lock().generation;
        move |wire| Lease {
            wire,
            is_reused: false,
            generation,
        }
    }

    /// The connection used last of those that are open.
    pub(super) fn take(&self) -> Option<Lease> {
        let mut cx = Context::from_waker(Waker::noop());
        loop {
            let (generation, mut wire) = {
                let mut rack = self.rack.lock();
                let (_, wire) = rack.wires.pop()?;
                (rack.generation, wire)
            };
            if wire.is_open(&mut cx) {
                return Some(Lease {
                    wire,
                    is_reused: true,
                    generation,
                });
            }
        }
    }

    /// Keeps a connection for the next request, if it can take one.
    pub(super) fn give_back(&self, mut lease: Lease) {
        if !lease.wire.is_open(&mut Context::from_waker(Waker::noop())) {
            return;
        }
        let mut rack = self.rack.lock();
        if rack.generation == lease.generation {
            rack.wires.push((in_time(IDLE_TIMEOUT), lease.wire));
            match &rack.sweeper {
                Some(sweeper) if !sweeper.task.is_finished() => sweeper.waker.wake_by_ref(),
                _ => {
                    let task = tokio::spawn(sweep(Arc::clone(&self.rack)));
                    rack.sweeper = Some(Sweeper {
                        task: task.abort_handle(),
                        waker: Waker::noop().clone(),
                    });
                }
            }
        }
    }

    /// Gives up all connections of the generation of `lease`: where one died the others did too,
    /// most likely. Requests under way on them go on; of many that fail together the first counts.
    pub(super) fn retire(&self, lease: &Lease) {
        let mut rack = self.rack.lock();
        if rack.generation == lease.generation {
            rack.generation = rack.generation.wrapping_add(1);
            let dead = mem::take(&mut rack.wires);
            drop(rack);
            drop(dead);
        }
    }
}

async fn sweep(rack: Arc<Mutex<Rack>>) {
    let mut timer = pin!(sleep(IDLE_TIMEOUT));
    poll_fn(|cx| {
        loop {
            let Some(next) = rack.lock().close_dead(cx) else {
                return Poll::Ready(());
            };
            if timer.deadline() != next {
                timer.as_mut().reset(next);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    })
    .await;
}

impl Rack {
    /// When the next one will be too old. Without any the sweeper ends.
    fn close_dead(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let now = in_time(Duration::ZERO);
        self.wires
            .retain_mut(|(too_old, wire)| now < *too_old && wire.is_open(cx));
        let next = self.wires.iter().map(|(too_old, _)| *too_old).min();
        if next.is_none() {
            self.sweeper = None;
        } else if let Some(sweeper) = &mut self.sweeper {
            sweeper.waker.clone_from(cx.waker());
        }
        next
    }
}

/// A time that is so far ahead, by the clock of the runtime's timers, which is all that the age of
/// a connection is compared with.
fn in_time(ahead: Duration) -> Instant {
    sleep(ahead).deadline()
}
