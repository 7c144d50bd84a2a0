//! What a manager has to say to its thread, until that thread takes it.
//!
//! A nudge carries the manager's id alone, so that whatever is still queued when an environment
//! ends is dropped, and wiped, here.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::nudge::Nudge;
use crate::manager::secret::CallId;
use crate::manager::slot::FlightId;
use crate::manager::{Arrival, Level, Owner};

/// While the event loop is blocked, so many log lines are kept; older ones go.
const MOST_LOG_LINES: usize = 100;

/// Something that a manager has to say.
#[derive(Debug)]
pub(super) enum Letter {
    Landed(FlightId, Arrival),
    Log(Level, String),
    AskSecret(CallId),
    AskRoots,
}

/// A manager's letters.
pub(super) struct Mailbox {
    id: u32,
    nudge: Arc<Nudge>,
    /// `None` once nobody takes any more.
    letters: Mutex<Option<VecDeque<Letter>>>,
    is_nudged: AtomicBool,
}

impl Mailbox {
    pub(super) fn new(id: u32, nudge: Arc<Nudge>) -> Self {
        Self {
            id,
            nudge,
            letters: Mutex::new(Some(VecDeque::new())),
            is_nudged: AtomicBool::new(false),
        }
    }

    /// Empties the box.
    pub(super) fn take(&self) -> VecDeque<Letter> {
        // Before the letters are taken: one that comes between is nudged for again.
        self.is_nudged.store(false, Ordering::SeqCst);
        self.letters
            .lock()
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Throws away what is in the box and whatever comes.
    pub(super) fn close(&self) {
        *self.letters.lock() = None;
    }

    /// Puts a line in the box that is taken at once.
    pub(super) fn note(&self, level: Level, message: String) {
        let mut letters = self.letters.lock();
        let Some(letters) = &mut *letters else { return };
        let is_log = |letter: &Letter| matches!(letter, Letter::Log(..));
        if letters.iter().filter(|letter| is_log(letter)).count() >= MOST_LOG_LINES
            && let Some(oldest) = letters.iter().position(is_log)
        {
            letters.remove(oldest);
        }
        letters.push_back(Letter::Log(level, message));
    }

    fn post(&self, letter: Letter) {
        if let Some(letters) = &mut *self.letters.lock() {
            letters.push_back(letter);
        }
        self.nudge();
    }

    fn nudge(&self) {
        if !self.is_nudged.swap(true, Ordering::SeqCst) {
            self.nudge.send(self.id);
        }
    }
}

impl Owner for Mailbox {
    fn flight_landed(&self, flight: FlightId, mut arrival: Arrival) {
        for (level, message) in std::mem::take(&mut arrival.lines) {
            self.note(level, message);
        }
        self.post(Letter::Landed(flight, arrival));
    }

    fn token_gone(&self) {
        self.nudge();
    }

    fn log(&self, level: Level, message: String) {
        self.note(level, message);
        self.nudge();
    }

    fn ask_secret(&self, call: CallId) {
        self.post(Letter::AskSecret(call));
    }

    fn ask_roots(&self) {
        self.post(Letter::AskRoots);
    }
}
