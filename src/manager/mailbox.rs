//! What a manager has to say to its thread, until that thread takes it.
//!
//! A nudge carries nothing of it, so that whatever is still queued when an environment ends is
//! dropped, and wiped, here.

use std::collections::VecDeque;

use super::credential::CallId;
use super::slot::FlightId;
use super::sync::Mutex;
use super::{Arrival, Level, Owner};

/// While the event loop is blocked, so many log lines are kept; older ones go.
const MOST_LOG_LINES: usize = 100;

/// Something that a manager has to say.
#[derive(Debug)]
pub enum Letter {
    /// A flight ended.
    Landed(FlightId, Arrival),
    /// A line for the log.
    Log(Level, String),
    /// The secret function is to be called.
    AskSecret(CallId),
    /// The certificates that Node trusts are to be handed over.
    AskRoots,
}

/// A manager's letters.
pub struct Mailbox {
    nudge: Box<dyn Fn() + Send + Sync>,
    /// `None` once nobody takes any more.
    open: Mutex<Option<Open>>,
}

#[derive(Default)]
struct Open {
    letters: VecDeque<Letter>,
    /// A nudge is on its way, and whoever it reaches takes whatever is there by then.
    is_nudged: bool,
}

impl Mailbox {
    /// An empty box. `nudge` is called, on any thread and with no lock held, when something is to
    /// be taken, or when the word is to be looked at.
    #[must_use]
    pub fn new(nudge: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            nudge: Box::new(nudge),
            open: Mutex::new(Some(Open::default())),
        }
    }

    /// Empties the box. Whatever comes from now on is nudged for again.
    #[must_use]
    pub fn take(&self) -> VecDeque<Letter> {
        let mut open = self.open.lock();
        let Some(open) = &mut *open else {
            return VecDeque::new();
        };
        open.is_nudged = false;
        std::mem::take(&mut open.letters)
    }

    /// Throws away what is in the box and whatever comes.
    pub fn close(&self) {
        let open = self.open.lock().take();
        drop(open);
    }

    /// Puts a line in the box that is taken at once.
    pub fn note(&self, level: Level, message: String) {
        if let Some(open) = &mut *self.open.lock() {
            open.log(level, message);
        }
    }

    fn post(&self, put: impl FnOnce(&mut Open)) {
        let was_nudged = {
            let mut open = self.open.lock();
            let Some(open) = &mut *open else { return };
            put(open);
            std::mem::replace(&mut open.is_nudged, true)
        };
        if !was_nudged {
            (self.nudge)();
        }
    }
}

impl Open {
    fn log(&mut self, level: Level, message: String) {
        let is_log = |letter: &Letter| matches!(letter, Letter::Log(..));
        if self.letters.iter().filter(|letter| is_log(letter)).count() >= MOST_LOG_LINES
            && let Some(oldest) = self.letters.iter().position(is_log)
        {
            self.letters.remove(oldest);
        }
        self.letters.push_back(Letter::Log(level, message));
    }
}

impl Owner for Mailbox {
    fn flight_landed(&self, flight: FlightId, mut arrival: Arrival) {
        self.post(|open| {
            for (level, message) in std::mem::take(&mut arrival.lines) {
                open.log(level, message);
            }
            open.letters.push_back(Letter::Landed(flight, arrival));
        });
    }

    fn token_gone(&self) {
        self.post(|_| {});
    }

    fn log(&self, level: Level, message: String) {
        self.post(|open| open.log(level, message));
    }

    fn ask_secret(&self, call: CallId) {
        self.post(|open| open.letters.push_back(Letter::AskSecret(call)));
    }

    fn ask_roots(&self) {
        self.post(|open| open.letters.push_back(Letter::AskRoots));
    }
}
