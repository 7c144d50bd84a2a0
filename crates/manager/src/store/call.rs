//! A call to a function of the store, which runs on the JavaScript thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot::{self, error::TryRecvError};

use super::circuit::Operation;
use super::entry::EntryKey;

/// The command for the store.
#[derive(Clone, Debug)]
pub enum Command {
    /// Return the value of an entry.
    Get(EntryKey),
    /// Keep a value for this many milliseconds.
    Set(EntryKey, String, u64),
    /// Delete an entry.
    Delete(EntryKey),
    /// Replace a client that no longer works.
    Remake,
    /// Do nothing: the JavaScript thread answers this command itself as soon as it is free.
    Ping,
}

impl Command {
    pub(super) const fn operation(&self) -> Operation {
        match self {
            Self::Get(_) | Self::Remake | Self::Ping => Operation::Get,
            Self::Set(..) => Operation::Set,
            Self::Delete(_) => Operation::Delete,
        }
    }
}

/// The store's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreAnswer {
    /// The store carried out the command. A read yields the entry's value.
    Done(Option<String>),
    /// The command failed, with the error's code or a text from this package that names the fault.
    Failed(Option<String>),
}

/// A call to the store, which the JavaScript thread makes. A dropped call ends without an answer.
#[derive(Debug)]
pub struct StoreCall {
    /// The command for the store.
    pub command: Command,
    has_started: Arc<AtomicBool>,
    answer: oneshot::Sender<StoreAnswer>,
}

/// The side of a call that waits for the answer.
pub(super) struct PendingCall {
    is_remake: bool,
    has_started: Arc<AtomicBool>,
    pub(super) answer: oneshot::Receiver<StoreAnswer>,
}

impl PendingCall {
    /// Whether the JavaScript thread has called the store.
    pub(super) fn has_started(&self) -> bool {
        self.has_started.load(Ordering::Relaxed)
    }

    /// Whether the call has an answer or will never have one.
    pub(super) fn has_ended(&mut self) -> bool {
        !matches!(self.answer.try_recv(), Err(TryRecvError::Empty))
    }

    /// Whether the store is replacing its client.
    pub(super) fn is_remaking(&mut self) -> bool {
        self.is_remake && !self.has_ended()
    }
}

impl StoreCall {
    pub(super) fn new(command: Command) -> (Self, PendingCall) {
        let (sender, receiver) = oneshot::channel();
        let has_started = Arc::new(AtomicBool::new(false));
        let pending = PendingCall {
            is_remake: matches!(command, Command::Remake),
            has_started: Arc::clone(&has_started),
            answer: receiver,
        };
        let call = Self {
            command,
            has_started,
            answer: sender,
        };
        (call, pending)
    }

    /// Marks the call as started. Returns whether the manager still waits for the answer.
    #[must_use]
    pub fn start(&self) -> bool {
        self.has_started.store(true, Ordering::Relaxed);
        !self.is_abandoned()
    }

    /// Whether the manager no longer waits for the answer.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    /// Delivers the answer.
    pub fn settle(self, answer: StoreAnswer) {
        drop(self.answer.send(answer));
    }
}
