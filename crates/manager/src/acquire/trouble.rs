//! A failure that affects every request of a client: the server is unreachable or overloaded, or it
//! refuses the client ([`Error::is_shared`]).
//!
//! A manager and its derived managers share this state. During an outage, they therefore send the
//! server about as many requests as a single manager would, no matter how many tokens the client
//! needs. One acquisition, the probe, finds out whether the trouble has ended; the others wait for
//! the probe within their own deadlines. The first acquisition that fails becomes the probe while
//! it tries again. After the shared cool-down, the first acquisition to start becomes the probe.
//! Any successful request ends the trouble.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Moment;
use crate::error::Error;
use crate::slot::CoolDown;

/// Identifies an acquisition among the acquisitions of a manager and its derived managers.
pub(crate) type AcquisitionId = u64;

/// The state that a manager and its derived managers share.
#[derive(Default)]
pub(crate) struct Trouble {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The cool-down that the last failed acquisition started. A successful acquisition clears it.
    cool_down: Option<Arc<CoolDown>>,
    probe: Option<AcquisitionId>,
}

/// Whether an acquisition may send a request.
enum Admission {
    Send,
    Wait,
    Fail(Error),
}

impl State {
    fn admit(&mut self, now: Moment, id: AcquisitionId) -> Admission {
        match (&self.cool_down, self.probe) {
            (_, Some(probe)) if probe != id => Admission::Wait,
            (_, Some(_)) | (None, None) => Admission::Send,
            (Some(cool_down), None) if cool_down.cools(now) => {
                Admission::Fail(cool_down.error.clone())
            }
            (Some(_), None) => {
                self.probe = Some(id);
                Admission::Send
            }
        }
    }
}

impl Trouble {
    /// Returns the shared cool-down, even if it has elapsed.
    pub(crate) fn cool_down(&self) -> Option<Arc<CoolDown>> {
        self.state.lock().cool_down.clone()
    }

    /// Waits until the acquisition may send a request. Fails with the error of the shared
    /// cool-down.
    pub(super) async fn pass(
        &self,
        now: impl Fn() -> Moment,
        id: AcquisitionId,
    ) -> Result<(), Error> {
        loop {
            match self.state.lock().admit(now(), id) {
                Admission::Send => return Ok(()),
                Admission::Fail(error) => return Err(error),
                Admission::Wait => {}
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            // The state may have changed before this acquisition listened.
            if matches!(self.state.lock().probe, Some(probe) if probe != id) {
                changed.await;
            }
        }
    }

    /// Records that an attempt failed in a way that all requests share. The acquisition becomes the
    /// probe if it is the first to fail in this way.
    pub(super) fn suspect(&self, id: AcquisitionId) {
        let mut state = self.state.lock();
        if state.cool_down.is_none() {
            state.probe.get_or_insert(id);
        }
    }

    /// Records that an acquisition failed in a way that all requests share. The failure counts
    /// unless another acquisition is the probe or the cool-down is already in effect. Returns
    /// whether the failure counts.
    pub(super) fn failed(
        &self,
        now: Moment,
        id: AcquisitionId,
        error: &Error,
        jitter: f64,
    ) -> bool {
        let mut state = self.state.lock();
        let last = state.cool_down.as_deref();
        let counts = match state.probe {
            Some(probe) => probe == id,
            None => !last.is_some_and(|last| last.cools(now)),
        };
        if counts {
            let cool_down = CoolDown::after(last, now, error.clone(), jitter);
            state.cool_down = Some(Arc::new(cool_down));
            state.probe = None;
            drop(state);
            self.changed.notify_waiters();
        }
        counts
    }

    /// Records a success. Returns whether the success ends the trouble.
    pub(super) fn succeeded(&self) -> bool {
        let before = std::mem::take(&mut *self.state.lock());
        if before.probe.is_some() {
            self.changed.notify_waiters();
        }
        before.cool_down.is_some()
    }

    /// Returns a guard that lets another acquisition become the probe when this one ends without a
    /// result that concerns the trouble.
    pub(crate) const fn guard(&self, id: AcquisitionId) -> ProbeGuard<'_> {
        ProbeGuard { trouble: self, id }
    }
}

/// The guard that [`Trouble::guard`] returns.
pub(crate) struct ProbeGuard<'a> {
    trouble: &'a Trouble,
    id: AcquisitionId,
}

impl Drop for ProbeGuard<'_> {
    fn drop(&mut self) {
        let was_probe = self
            .trouble
            .state
            .lock()
            .probe
            .take_if(|probe| *probe == self.id);
        if was_probe.is_some() {
            self.trouble.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;

    fn at(ms: u64) -> Moment {
        Moment::new(Duration::from_millis(ms), Duration::from_millis(ms))
    }

    fn admit(trouble: &Trouble, ms: u64, id: AcquisitionId) -> &'static str {
        match trouble.state.lock().admit(at(ms), id) {
            Admission::Send => "send",
            Admission::Wait => "wait",
            Admission::Fail(_) => "fail",
        }
    }

    #[test]
    fn one_acquisition_probes_while_the_others_wait_or_fail() {
        let trouble = Trouble::default();
        let error = Error::new(ErrorKind::Network, "refused");
        assert_eq!((admit(&trouble, 0, 1), admit(&trouble, 0, 2)), ("send", "send"));
        trouble.suspect(1);
        trouble.suspect(2);
        assert_eq!((admit(&trouble, 1, 1), admit(&trouble, 1, 2)), ("send", "wait"));
        assert!(!trouble.failed(at(2), 2, &error, 0.0), "not the probe");
        assert!(trouble.failed(at(2), 1, &error, 0.0));
        assert!(!trouble.failed(at(3), 3, &error, 0.0), "sent before the cool-down");
        assert_eq!(admit(&trouble, 501, 4), "fail");
        assert_eq!((admit(&trouble, 502, 4), admit(&trouble, 502, 5)), ("send", "wait"));
        drop(trouble.guard(5));
        assert_eq!(admit(&trouble, 503, 5), "wait", "the probe goes on");
        drop(trouble.guard(4));
        assert_eq!((admit(&trouble, 504, 5), admit(&trouble, 504, 4)), ("send", "wait"));
        assert!(trouble.succeeded(), "of any request");
        assert_eq!((admit(&trouble, 505, 4), admit(&trouble, 505, 6)), ("send", "send"));
        assert!(!trouble.succeeded());
    }
}
